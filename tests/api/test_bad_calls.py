"""Calls that cannot be read: one shape of error for all of them, never a 500."""

import pytest
from django.test import Client

from accounts.models import ApiKey
from tests.api.conftest import PREFIX
from tests.gateway.management_calls import in_chunks


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (b"", 400, "missing_required_parameter"),
        (b"{", 400, "invalid_json"),
        (b'{"name": NaN}', 400, "invalid_json"),
        (b'{"name": "\xff"}', 400, "invalid_json"),
        (b"[" * 50_000, 400, "invalid_json"),
        (b'{"requests_per_minute": ' + b"9" * 5_000 + b"}", 400, "invalid_json"),
        (b'{"requests_per_minute": 1e400, "name": "K"}', 400, "invalid_value"),
        (b'{"allowed_models": ' + b"[" * 900 + b"]" * 900 + b"}", 400, "invalid_json"),
        (b'"' + b"x" * 65_535 + b'"', 413, "request_too_large"),
        (b'"' + b"x" * 3_000_000 + b'"', 413, "request_too_large"),
        (b"null", 400, "missing_required_parameter"),
        (b'"text"', 400, "invalid_value"),
    ],
)
def test_a_body_that_cannot_be_read_is_a_4xx(owner, content, status, code):
    answer = owner.call("POST", "/keys", content)

    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert ApiKey.objects.count() == 1


@pytest.mark.parametrize(
    ("content", "status"),
    [(b'{"requests_per_minute": 7}', 200), (b"{", 400), (b'"' + b"x" * 65_535 + b'"', 413)],
)
def test_a_body_in_chunks_is_read_as_any_other(owner, content, status):
    path = f"{PREFIX}/organizations/{owner.slug}/limits"

    answer = in_chunks(owner.token, "PATCH", path, content)

    assert answer.status_code == status
    assert owner.get("/limits").json()["requests_per_minute"] == (7 if status == 200 else None)


def test_a_body_that_is_no_json_is_a_415(owner):
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        answer = owner.call("POST", "/keys", b"name=K", content_type=kind)

        assert (answer.status_code, answer.json()["error"]["code"]) == (415, "unsupported_media_type")


def test_a_method_that_a_call_has_not_is_a_405(owner):
    for method in ("PUT", "OPTIONS", "TRACE"):
        answer = owner.call(method, "/keys")

        assert (answer.status_code, answer.json()["error"]["code"]) == (405, "method_not_allowed")


@pytest.mark.parametrize(
    "path", ["/nothing", "/organizations/acme/nothing", "/organizations/acme/keys/5", "/organizations/a%00b"]
)
def test_an_address_that_is_none_is_a_404_in_json(owner, path):
    for method in ("get", "post"):
        answer = getattr(Client(), method)(PREFIX + path, headers={"authorization": f"Bearer {owner.token}"})

        assert answer.status_code == 404
        assert answer.json()["error"]["code"] == "not_found"


def test_the_answer_is_json_whatever_is_accepted(owner):
    answer = owner.call("GET", "/keys", accept="text/html")

    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")


def test_a_parameter_that_is_not_known_or_comes_twice_is_named(owner):
    path = f"/keys/{owner.somebody.key_row.pk}"

    assert owner.get(f"{path}?expand=all").json()["error"]["param"] == "expand"
    assert owner.get("/keys?status=active&status=revoked").json()["error"]["param"] == "status"
    assert owner.get("/keys?format=xml").json()["error"]["param"] == "format"


def test_several_faults_are_all_told(owner):
    error = owner.post("/keys", {"tokens_per_minute": 0, "budget_window": "year"}).json()["error"]

    faults = {fault["param"]: fault["code"] for fault in error["details"]["faults"]}
    assert faults == {
        "tokens_per_minute": "invalid_value",
        "budget_window": "invalid_value",
        "name": "missing_required_parameter",
    }
