"""The table of errors, row by row on every mount: status, type, code and envelope, and nothing charged.

What needs a gateway of its own is beside its subject: 504 in test_upstream_failures.py, 503 in
test_redis_away.py, 408 and 413 in test_bad_input.py.
"""

import asyncio
from typing import Any

import pytest

from tests.flows.calls import MOUNTS, Reply, call, send
from tests.house import Process, Team, apart, chat, new_team

INVALID = "invalid_request_error"
GOOD = chat("echo@fake")
# What is asked, and status, type, code and param of the refusal.
REQUESTS: dict[str, tuple[Any, int, str, str, str | None]] = {
    "no JSON": (b'{"model":', 400, INVALID, "invalid_json", None),
    "no model": ({**GOOD, "model": None}, 400, INVALID, "missing_required_parameter", "model"),
    "no messages": ({"model": "echo@fake"}, 400, INVALID, "missing_required_parameter", "messages"),
    "messages no array": ({**GOOD, "messages": {}}, 400, INVALID, "invalid_value", "messages"),
    "messages empty": ({**GOOD, "messages": []}, 400, INVALID, "invalid_value", "messages"),
    "temperature": (chat("echo@fake", temperature=2.1), 400, INVALID, "invalid_value", "temperature"),
    "top_p": (chat("echo@fake", top_p=1.1), 400, INVALID, "invalid_value", "top_p"),
    "max_tokens": (chat("echo@fake", max_tokens=0), 400, INVALID, "invalid_value", "max_tokens"),
    "stop": (chat("echo@fake", stop=list("abcde")), 400, INVALID, "invalid_value", "stop"),
    "nested": (
        {**GOOD, "messages": [{"role": "user", "content": [{"type": "smell"}]}]},
        400,
        INVALID,
        "invalid_value",
        "messages[0].content[0].type",
    ),
    "forbidden": (chat("echo@fake", api_base="http://x"), 400, INVALID, "unsupported_parameter", "api_base"),
    "selector": (chat("a@b^"), 400, INVALID, "invalid_model", "model"),
    "prompt too long": (
        chat("echo@fake", request_context_tokens=500_000),
        400,
        INVALID,
        "context_length_exceeded",
        "messages",
    ),
    "provider found fault": (chat("echo@fake", "[[status 422]]"), 422, INVALID, "invalid_value", None),
    "too large for it": (chat("echo@fake", "[[status 413]]"), 413, INVALID, "request_too_large", None),
    "no such model": (chat("nothing@fake"), 404, "not_found", "model_not_found", "model"),
    "no key of one's own": (
        chat("echo@fake", use_custom_keys=True),
        404,
        "not_found",
        "custom_key_not_found",
        "use_custom_keys",
    ),
    "no endpoint of one's own": (
        chat("mine@custom", use_custom_keys=True),
        404,
        "not_found",
        "custom_endpoint_not_found",
        "model",
    ),
    "nothing within": (
        chat("echo@cost<0.000001"),
        404,
        "not_found",
        "no_provider_in_thresholds",
        "model",
    ),
    "provider busy": (
        chat("echo@fake", "[[status 429]]"),
        429,
        "rate_limit_error",
        "upstream_rate_limited",
        None,
    ),
    "our key is bad": (chat("echo@fake", "[[status 401]]"), 502, "upstream_error", "provider_error", None),
    "we are not allowed": (
        chat("echo@fake", "[[status 403]]"),
        502,
        "upstream_error",
        "provider_error",
        None,
    ),
    "provider failed": (chat("echo@fake", "[[status 500]]"), 502, "upstream_error", "provider_error", None),
    "no answer": (chat("echo@fake", "[[empty]]"), 502, "upstream_error", "invalid_provider_response", None),
    "a page": (chat("echo@fake", "[[html]]"), 502, "upstream_error", "invalid_provider_response", None),
    "other JSON": (
        chat("echo@fake", "[[not a completion]]"),
        502,
        "upstream_error",
        "invalid_provider_response",
        None,
    ),
    "both failed": (
        chat("echo@fake", "[[status 500]]", fallbacks=["fifty-two@fake"]),
        502,
        "upstream_error",
        "all_providers_failed",
        None,
    ),
}


@pytest.mark.contract("3.4 Error envelope", "3.4 Validation status", "3.2 model, messages required")
@pytest.mark.parametrize("mount", MOUNTS)
async def test_each_row_of_the_table_has_its_status_type_code_and_place(
    mount: str, gateway: Process, worker: Process, team: Team
) -> None:
    answers = await asyncio.gather(*(ask(gateway, team.key, sent, mount) for sent, *_ in REQUESTS.values()))

    for name, answer in zip(REQUESTS, answers, strict=True):
        status, kind, code, param = REQUESTS[name][1:]
        error = answer.error
        assert (name, answer.status, error["type"], error["code"], error["param"]) == (
            name,
            status,
            kind,
            code,
            param,
        )
        check_envelope(answer, mount)
    events = await apart(team.wait_for_events, len(REQUESTS))
    assert {event.charge_usd for event in events} == {0}


def check_envelope(answer: Reply, mount: str) -> None:
    """What every error has, and what the mount adds."""
    body, error = answer.json, answer.error
    assert error["message"]
    is_listed = mount == "/v0" and answer.status == 400
    assert body["detail"] == (body["detail"] if is_listed else error["message"])
    if is_listed:
        (place,) = body["detail"]
        assert (place["msg"], place["type"], place["loc"][0]) == (error["message"], error["code"], "body")
    if mount == "/openai/v1":
        assert (body["status_code"], body["is_bifrost_error"]) == (answer.status, False)
        # What was refused unread is no event, and has an id in its body alone.
        event_id = answer.headers.get("x-farebox-event-id", body["event_id"])
        assert body["event_id"] == error["event_id"] == event_id
        assert body["type"] == error["type"]
        assert body["extra_fields"]["error_type"] == error["code"]
    else:
        assert not {"event_id", "is_bifrost_error", "status_code"} & body.keys()


@pytest.mark.contract("3.4 Out of money")
@pytest.mark.parametrize("mount", MOUNTS)
async def test_money_keys_and_limits_have_rows_of_their_own(mount: str, gateway: Process, team: Team) -> None:
    poor = await apart(new_team, credit_usd="0")
    _, spent = await apart(team.new_key, budget_usd="0.000001")
    _, bound = await apart(team.new_key, allowed_models=["slow@fake"])
    _, elsewhere = await apart(team.new_key, allowed_models=["other/echo"])
    _, slow = await apart(team.new_key, requests_per_minute=1)
    await call(gateway, slow, GOOD, mount=mount)
    own = mount == "/openai/v1"
    expected = {
        "not-a-key": (401, "authentication_error", "invalid_api_key"),
        poor.key: (402, "billing_error", "insufficient_credits"),
        spent: (402, "billing_error", "key_limit_exceeded"),
        bound: (403, "model_blocked" if own else "permission_denied", "model_blocked"),
        elsewhere: (403, "provider_blocked" if own else "permission_denied", "provider_blocked"),
        slow: (429, "rate_limit_error", "rate_limit_exceeded"),
    }

    answers = {key: await call(gateway, key, GOOD, mount=mount) for key in expected}

    for key, answer in answers.items():
        assert (answer.status, answer.error["type"], answer.error["code"]) == expected[key]
        check_envelope(answer, mount)


@pytest.mark.parametrize("mount", MOUNTS)
async def test_form_data_is_415_on_every_mount(mount: str, gateway: Process, team: Team) -> None:
    answer = await call(gateway, team.key, GOOD, mount=mount, content_type="multipart/form-data")

    assert (answer.status, answer.error["code"]) == (415, "unsupported_media_type")
    check_envelope(answer, mount)


async def ask(gateway: Process, key: str, sent: Any, mount: str) -> Reply:
    if isinstance(sent, bytes):
        return await send(gateway, key, "POST", f"{mount}/chat/completions", content=sent)
    return await call(gateway, key, sent, mount=mount)
