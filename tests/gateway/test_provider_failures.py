"""What a provider's refusal becomes: whose fault it is decides status, words and what is tried next."""

from typing import Any

import orjson
import pytest

from gateway.errors import GatewayError, ProviderError, UpstreamRateLimited, UpstreamRefused, UpstreamTimeout
from gateway.providers.failures import clean, retry_after_seconds
from gateway.providers.openai import OpenAIProvider


def read(status: int, body: bytes = b"", **headers: str) -> GatewayError:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return OpenAIProvider().read_failure(status, named, body)


def complaint(message: str = "No.", **fields: Any) -> bytes:
    return orjson.dumps({"error": {"message": message, "type": "invalid_request_error", **fields}})


@pytest.mark.parametrize(
    ("status", "kind", "ours"),
    [
        (400, UpstreamRefused, 400),
        (413, UpstreamRefused, 413),
        (422, UpstreamRefused, 422),
        (401, ProviderError, 502),
        (402, ProviderError, 502),
        (403, ProviderError, 502),
        (404, ProviderError, 502),
        (405, ProviderError, 502),
        (408, UpstreamTimeout, 504),
        (409, ProviderError, 502),
        (418, ProviderError, 502),
        (429, UpstreamRateLimited, 429),
        (499, ProviderError, 502),
        (301, ProviderError, 502),
        (302, ProviderError, 502),
        (307, ProviderError, 502),
        (500, ProviderError, 502),
        (502, ProviderError, 502),
        (503, ProviderError, 502),
        (504, ProviderError, 502),
        (529, ProviderError, 502),
        (599, ProviderError, 502),
        (100, ProviderError, 502),
    ],
)
@pytest.mark.parametrize("body", [b"", b"<html>", b"null", complaint()])
def test_the_status_decides(status: int, kind: type[GatewayError], ours: int, body: bytes) -> None:
    failure = read(status, body)

    assert type(failure) is kind
    assert (failure.status, failure.upstream_status) == (ours, status)


@pytest.mark.parametrize("status", [400, 401, 403, 451])
@pytest.mark.parametrize("code", ["content_filter", "content_policy_violation"])
def test_a_content_filter_is_the_clients_business(status: int, code: str) -> None:
    failure = read(status, complaint(code=code))

    assert (type(failure), failure.status, failure.code) == (UpstreamRefused, status, code)


@pytest.mark.parametrize("status", [400, 403, 429])
def test_an_account_without_money_is_not_the_clients_business(status: int) -> None:
    failure = read(status, complaint("You exceeded your current quota.", code="insufficient_quota"))

    assert (type(failure), failure.status) == (ProviderError, 502)
    assert "quota" not in failure.message


def test_a_clients_fault_keeps_words_code_and_param() -> None:
    failure = read(400, complaint("Too long.", code="context_length_exceeded", param="messages"))

    assert failure.message == "The provider refused the request: Too long."
    assert (failure.type, failure.code, failure.param) == (
        "invalid_request_error",
        "context_length_exceeded",
        "messages",
    )


@pytest.mark.parametrize(
    ("status", "body", "message", "code"),
    [
        (400, b"", "The provider refused the request: status 400", "invalid_value"),
        (413, b"", "The provider refused the request: status 413", "request_too_large"),
        (400, complaint(code="their_own_word"), "The provider refused the request: No.", "invalid_value"),
        (400, b'{"error":"plain"}', "The provider refused the request: plain", "invalid_value"),
        (422, b'{"detail":"plain"}', "The provider refused the request: plain", "invalid_value"),
        (400, b'{"message":"plain"}', "The provider refused the request: plain", "invalid_value"),
        (422, b'{"detail":[{"loc":["x"]}]}', "The provider refused the request: status 422", "invalid_value"),
        (
            400,
            b'{"error":{"message":5,"code":7,"param":[]}}',
            "The provider refused the request: status 400",
            "invalid_value",
        ),
        (400, b'{"error":[1]}', "The provider refused the request: status 400", "invalid_value"),
    ],
)
def test_words_are_found_wherever_providers_put_them(
    status: int, body: bytes, message: str, code: str
) -> None:
    failure = read(status, body)

    assert (failure.message, failure.code) == (message, code)


@pytest.mark.parametrize("status", [401, 403, 404, 429, 500, 503])
def test_the_words_of_other_failures_are_not_repeated(status: int) -> None:
    assert "10.0.0.7" not in read(status, complaint("host 10.0.0.7 rejected sk-12345678")).message


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "2"}, 2.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after-ms": "250"}, 0.25),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after-ms": "soon", "retry-after": "9"}, 9.0),
        ({"retry-after": "3600"}, 3600.0),
        ({"retry-after": "3601"}, 3600.0),
        ({"retry-after": "1000000000"}, 3600.0),
        ({"retry-after": "0"}, None),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}, None),
    ],
)
def test_how_long_to_wait_is_taken_over_within_reason(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after_seconds(headers) == seconds
    assert (
        read(
            429, b"", **{name.replace("-", "_"): value for name, value in headers.items()}
        ).retry_after_seconds
        == seconds
    )


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("Incorrect API key: sk-proj-abcdefgh12345678.", "Incorrect API key: [redacted]"),
        ("Authorization: Bearer abc.def is bad", "Authorization: [redacted] is bad"),
        ("key fbx_0123456789abcdef", "key [redacted]"),
        ("AKIAIOSFODNN7EXAMPLE", "[redacted]"),
        ("token eyJhbGciOi.eyJzdWIi.sig here", "token [redacted] here"),
        ("hash 0123456789abcdef0123456789abcdef", "hash [redacted]"),
        ("model claude-3-5-sonnet-20241022 is unknown", "model claude-3-5-sonnet-20241022 is unknown"),
        ("two\r\nlines\x1b[31m\u2028end", "two lines [31m end"),
        ("x " * 1000, ("x " * 250)),
        ("", ""),
    ],
)
def test_a_providers_words_are_cleaned(said: str, shown: str) -> None:
    assert clean(said) == shown
