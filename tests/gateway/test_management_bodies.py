"""Bodies of calls with a key, whatever they are: bounded in size and depth, read also in chunks."""

import json
from typing import Any

import pytest
from django.test import Client

from accounts.models import AuditEntry
from gateway.models import ProviderKey
from tests.gateway.management_calls import in_chunks, key_of

pytestmark = pytest.mark.django_db

CALLS = [
    ("POST", "/v0/promo"),
    ("POST", "/v0/custom_api_key"),
    ("GET", "/v0/custom_api_key"),
    ("DELETE", "/v0/custom_api_key"),
    ("POST", "/v0/custom_api_key/rename"),
    ("POST", "/v0/custom_endpoint"),
    ("DELETE", "/v0/custom_endpoint"),
    ("POST", "/v0/custom_endpoint/rename"),
    ("GET", "/v0/endpoint-metrics"),
    ("POST", "/v0/endpoint-metrics"),
    ("DELETE", "/v0/endpoint-metrics"),
    ("POST", "/v0/queries"),
    ("PATCH", "/v0/user/query-logging"),
]
BODIES = [
    pytest.param(b"[" * 100_000, 400, "invalid_json", id="deep"),
    pytest.param(b'{"query_body": ' + b"[" * 900 + b"]" * 900 + b"}", 400, "invalid_json", id="deep value"),
    pytest.param(b'{"a":' * 65 + b"1" + b"}" * 65, 400, "invalid_json", id="a level too deep"),
    pytest.param(b'"' + b"x" * 3_000_000 + b'"', 400, "invalid_json", id="text"),
    pytest.param(b'"' + b"x" * 10_485_759 + b'"', 413, "request_too_large", id="a byte too large"),
    pytest.param(b'{"name": NaN}', 400, "invalid_json", id="not a number"),
    pytest.param(b'{"name": "\xff"}', 400, "invalid_json", id="not UTF-8"),
    pytest.param(b'{"name": ' + b"9" * 5_000 + b"}", 400, "invalid_json", id="long number"),
]


@pytest.fixture
def key(alice) -> str:
    return key_of(alice)


def send(key: str, method: str, path: str, content: bytes, kind: str = "application/json") -> Any:
    return Client().generic(
        method, path, content, content_type=kind, headers={"authorization": f"Bearer {key}"}
    )


@pytest.mark.parametrize(("method", "path"), CALLS)
@pytest.mark.parametrize(("content", "status", "code"), BODIES)
def test_a_body_that_cannot_be_read_is_refused_by_each_call(key, method, path, content, status, code):
    answer = send(key, method, path, content)

    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert not AuditEntry.objects.exists()


def test_a_body_is_as_deep_and_as_large_as_a_completions(key):
    deep: Any = []
    for _ in range(62):
        deep = [deep]
    report = {"endpoint": "a@external", "query_body": deep, "response_body": "x" * 3_000_000}

    answer = send(key, "POST", "/v0/queries", json.dumps(report).encode())

    assert answer.json() == {"info": "Query logged successfully"}


@pytest.mark.parametrize(
    ("content", "outcome"),
    [
        (b'{"name": "my_key", "value": "sk-1"}', (200, None)),
        (b'{"name": "my_key"}', (400, "missing_required_parameter")),
        (b"", (400, "missing_required_parameter")),
        (b"{", (400, "invalid_json")),
        (b'"' + b"x" * 10_485_759 + b'"', (413, "request_too_large")),
    ],
)
def test_a_body_in_chunks_is_read_as_any_other(key, content, outcome):
    answer = in_chunks(key, "POST", "/v0/custom_api_key", content)

    code = json.loads(answer.content).get("error", {}).get("code")
    assert (answer.status_code, code) == outcome
    assert ProviderKey.objects.count() == (1 if outcome[0] == 200 else 0)
