"""Failures on the wire: one envelope in four dialects, and true headers."""

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from gateway import errors, money_errors
from gateway.errors import GatewayError
from gateway.money_errors import Shortage
from gateway.wire.dialect import DIALECTS
from gateway.wire.failure import Failure, render_failure

BUDGET = {"title": "The budget", "scope": "project", "window": "day", "renews_at": None}
RATE = {"scope": "key", "dimension": "requests", "limit": 60, "left": 0, "retry_after_seconds": 1.5}
MONEY = {"left_nano": 1_500_000, "asked_nano": 2_000_000_000, "spent_nano": 5, "held_nano": 0}
SHORTAGE = Shortage(**MONEY)


def render(error: GatewayError, mount: str = "/v1") -> Failure:
    return render_failure(
        error,
        dialect=DIALECTS[mount],
        event_id="event-1",
        request_id="request-1",
        requested_model="gpt-4o",
        provider="openai",
        is_stream=True,
    )


def document(error: GatewayError, mount: str = "/v1") -> Any:
    return orjson.loads(render(error, mount).body)


TABLE: list[tuple[GatewayError, int, str, str]] = [
    (errors.InvalidJson("m"), 400, "invalid_request_error", "invalid_json"),
    (errors.MissingParameter("m"), 400, "invalid_request_error", "missing_required_parameter"),
    (errors.InvalidValue("m"), 400, "invalid_request_error", "invalid_value"),
    (errors.InvalidModel("m"), 400, "invalid_request_error", "invalid_model"),
    (errors.UnsupportedParameter("m"), 400, "invalid_request_error", "unsupported_parameter"),
    (errors.ContextLengthExceeded("m"), 400, "invalid_request_error", "context_length_exceeded"),
    (errors.NoPrice("m"), 400, "invalid_request_error", "model_price_unavailable"),
    (errors.InvalidApiKey.unknown(), 401, "authentication_error", "invalid_api_key"),
    (money_errors.InsufficientCredits(SHORTAGE), 402, "billing_error", "insufficient_credits"),
    (money_errors.BudgetExceeded(SHORTAGE, **BUDGET), 402, "billing_error", "budget_exceeded"),
    (money_errors.KeyLimitExceeded(SHORTAGE, **BUDGET), 402, "billing_error", "key_limit_exceeded"),
    (errors.ModelBlocked("m"), 403, "permission_denied", "model_blocked"),
    (errors.ProviderBlocked("m"), 403, "permission_denied", "provider_blocked"),
    (errors.ModelNotFound("m"), 404, "not_found", "model_not_found"),
    (errors.CustomKeyNotFound(), 404, "not_found", "custom_key_not_found"),
    (errors.MethodNotAllowed("m"), 405, "invalid_request_error", "method_not_allowed"),
    (errors.RequestTimeout("m"), 408, "timeout_error", "request_timeout"),
    (errors.RequestTooLarge("m"), 413, "invalid_request_error", "request_too_large"),
    (errors.UnsupportedMediaType("m"), 415, "invalid_request_error", "unsupported_media_type"),
    (errors.RateLimited(**RATE), 429, "rate_limit_error", "rate_limit_exceeded"),
    (errors.UpstreamRateLimited("m"), 429, "rate_limit_error", "upstream_rate_limited"),
    (errors.InternalError("event-1"), 500, "api_error", "internal_error"),
    (errors.ProviderError("m"), 502, "upstream_error", "provider_error"),
    (errors.InvalidProviderResponse("m"), 502, "upstream_error", "invalid_provider_response"),
    (errors.AllProvidersFailed("m"), 502, "upstream_error", "all_providers_failed"),
    (errors.TemporarilyUnavailable(reason="limits_unavailable"), 503, "api_error", "temporarily_unavailable"),
    (errors.UpstreamTimeout("m"), 504, "timeout_error", "timeout"),
]  # fmt: skip


@pytest.mark.parametrize(("error", "status", "kind", "code"), TABLE, ids=[row[3] for row in TABLE])
@pytest.mark.parametrize("mount", sorted(DIALECTS))
def test_every_error_has_the_contracts_status_type_and_code(
    error: GatewayError, status: int, kind: str, code: str, mount: str
) -> None:
    failure, shown = render(error, mount), document(error, mount)["error"]

    is_told_apart = mount == "/openai/v1" and status == 403
    assert failure.status == status
    assert (shown["type"], shown["code"]) == (code if is_told_apart else kind, code)
    assert shown["message"] == error.message
    assert failure.headers["content-type"] == "application/json"
    assert failure.headers["x-request-id"] == "request-1"


def test_the_neutral_envelope() -> None:
    error = errors.InvalidValue("n must be 1.", param="n")

    assert document(error, "/v1") == {
        "error": {
            "message": "n must be 1.",
            "type": "invalid_request_error",
            "param": "n",
            "code": "invalid_value",
        },
        "detail": "n must be 1.",
    }
    assert document(error, "/api/v1") == document(error, "/v1")


@pytest.mark.parametrize(
    ("param", "place"),
    [
        ("n", ["body", "n"]),
        ("messages[3].content[0].text", ["body", "messages", 3, "content", 0, "text"]),
        ("stream_options.include_usage", ["body", "stream_options", "include_usage"]),
        (None, ["body"]),
    ],
)
def test_v0_lists_where_validation_failed(param: str | None, place: list[str | int]) -> None:
    shown = document(errors.InvalidValue("Change it.", param=param), "/v0")

    assert shown["detail"] == [{"loc": place, "msg": "Change it.", "type": "invalid_value"}]
    assert shown["error"]["message"] == "Change it."


@pytest.mark.parametrize(
    "error", [errors.InvalidApiKey.missing(), errors.ModelNotFound("m"), errors.RequestTooLarge("m")]
)
def test_other_errors_have_a_plain_detail_on_v0(error: GatewayError) -> None:
    assert document(error, "/v0")["detail"] == error.message


def test_bifrosts_envelope() -> None:
    assert document(errors.ModelBlocked("Not this one.", param="model"), "/openai/v1") == {
        "error": {
            "message": "Not this one.",
            "type": "model_blocked",
            "param": "model",
            "code": "model_blocked",
            "event_id": "event-1",
        },
        "detail": "Not this one.",
        "event_id": "event-1",
        "type": "model_blocked",
        "is_bifrost_error": False,
        "status_code": 403,
        "extra_fields": {
            "provider": "openai",
            "model_requested": "gpt-4o",
            "request_type": "chat_completion_stream",
            "error_type": "model_blocked",
        },
    }


@pytest.mark.parametrize(
    ("seconds", "whole", "millis"),
    [(0.0, "1", "1"), (0.2, "1", "200"), (1.0, "1", "1000"), (1.0001, "2", "1001"), (59.5, "60", "59500")],
)
def test_retry_after_is_rounded_up_and_never_zero(seconds: float, whole: str, millis: str) -> None:
    error = errors.RateLimited(scope="key", dimension="tokens", limit=5, left=1, retry_after_seconds=seconds)

    assert render(error).headers == {
        "content-type": "application/json",
        "x-request-id": "request-1",
        "retry-after": whole,
        "retry-after-ms": millis,
        "x-should-retry": "true",
    }


@pytest.mark.parametrize(("seconds", "should_retry"), [(120.0, "true"), (120.1, "false"), (None, "false")])
def test_clients_retry_by_themselves_only_soon(seconds: float | None, should_retry: str) -> None:
    error = errors.RateLimited(scope="key", dimension="tokens", limit=5, left=1, retry_after_seconds=seconds)

    assert render(error).headers["x-should-retry"] == should_retry
    assert ("retry-after" in render(error).headers) is (seconds is not None)


def test_money_is_no_reason_to_retry_and_says_what_is_left() -> None:
    renewal = datetime(2026, 12, 1, tzinfo=UTC)
    error = money_errors.BudgetExceeded(
        Shortage(**(MONEY | {"held_nano": 7})),
        title='The budget "Launch" of the project ($5.00 a month)',
        scope="project",
        window="month",
        renews_at=renewal,
        budget_id="b-1",
        budget_name="Launch",
    )

    assert render(error).headers["x-should-retry"] == "false"
    assert "retry-after" not in render(error).headers
    assert error.message == (
        'The budget "Launch" of the project ($5.00 a month) has $0.0015 left ($0.000000007 is held by '
        "running requests), and this request may cost up to $2.00. It renews at 2026-12-01 00:00 UTC."
    )
    assert document(error)["error"]["details"] == {
        "scope": "project",
        "left_usd": "0.001500000",
        "asked_usd": "2.000000000",
        "spent_usd": "0.000000005",
        "held_usd": "0.000000007",
        "budget_id": "b-1",
        "budget_name": "Launch",
        "subject": "",
        "window": "month",
        "is_rolling": False,
        "renews_at": "2026-12-01T00:00:00+00:00",
    }


def test_a_rate_limit_says_whose_it_is() -> None:
    error = errors.RateLimited(
        scope="organization", dimension="concurrency", limit=3, left=0, retry_after_seconds=0.25
    )

    assert error.message == (
        "Rate limit exceeded: the organization may use 3 calls at once, and 0 are left. "
        "Try again in 0.25 seconds."
    )
    assert error.details == {"scope": "organization", "dimension": "concurrency", "limit": 3, "left": 0}


def test_an_outage_names_its_reason_and_when_to_come_back() -> None:
    error = errors.TemporarilyUnavailable(reason="limits_unavailable", retry_after_seconds=2)

    assert document(error)["error"]["details"] == {"reason": "limits_unavailable"}
    assert render(error).headers["retry-after"] == "2"
    assert error.message == (
        "Temporarily unavailable: Limits cannot be checked at the moment. Try again in 2 seconds."
    )


def test_the_five_wrong_keys_are_told_apart() -> None:
    key = errors.InvalidApiKey
    cases = [
        key.missing(),
        key.malformed("Was it copied whole?"),
        key.unknown(),
        key.revoked(),
        key.expired(),
    ]

    assert len({error.message for error in cases}) == 5
    assert {error.status for error in cases} == {401}
    assert all(error.message.startswith("Invalid API key. ") for error in cases)


def test_an_internal_error_shows_its_id_and_nothing_else() -> None:
    assert errors.InternalError("event-1").message == "Internal server error. Event id: event-1"


@pytest.mark.parametrize(
    ("error", "any_target", "explicit_target"),
    [
        (errors.ProviderError("m"), True, False),
        (errors.InvalidProviderResponse("m"), True, False),
        (errors.UpstreamRateLimited("m"), True, False),
        (errors.UpstreamTimeout("m"), True, False),
        (errors.UpstreamRefused("m", upstream_status=400, code="invalid_value"), False, True),
        (errors.AllProvidersFailed("m"), False, False),
        (errors.UnsupportedParameter("m"), False, False),
        (
            errors.RateLimited(scope="key", dimension="requests", limit=1, left=0, retry_after_seconds=1),
            False,
            False,
        ),
    ],
)
def test_which_errors_another_target_may_mend(
    error: GatewayError, any_target: bool, explicit_target: bool
) -> None:
    assert (error.may_fall_back, error.may_fall_back_when_explicit) == (any_target, explicit_target)
