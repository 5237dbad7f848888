"""When a provider fails: before the first byte a fallback or a true status, after it an error event.

Whatever happens is billed once, and a failed attempt costs nothing.
"""

import asyncio
from collections.abc import Awaitable
from decimal import Decimal
from typing import Any

import pytest

from billing.models import UsageEvent
from config.ports import free_port
from gateway.services import connect_provider, declare_model
from tests.flows.calls import Reply, call
from tests.guarantees.books import priced
from tests.house import House, Process, Team, apart, chat

ECHO = "w01 w02 w03 w04 w05 w06 w07 w08 "
THREE = "w01 w02 w03 "

# What a provider's refusal becomes for the client. Redirects are not followed.
REFUSALS = {
    "[[status 400]]": (400, "invalid_value"),
    "[[status 401]]": (502, "provider_error"),
    "[[status 403]]": (502, "provider_error"),
    "[[status 404]]": (502, "provider_error"),
    "[[status 408]]": (504, "timeout"),
    "[[status 413]]": (413, "request_too_large"),
    "[[status 422]]": (422, "invalid_value"),
    "[[status 429 retry-after 7]]": (429, "upstream_rate_limited"),
    "[[status 500]]": (502, "provider_error"),
    "[[status 503]]": (502, "provider_error"),
    "[[status 307 location http://127.0.0.1:1/]]": (502, "provider_error"),
    "[[drop]]": (502, "provider_error"),
    "[[html]]": (502, "invalid_provider_response"),
    "[[html]] [[status 503]]": (502, "provider_error"),
    "[[empty]]": (502, "invalid_provider_response"),
    "[[garbage]]": (502, "invalid_provider_response"),
    "[[gzip bomb 10]]": (502, "invalid_provider_response"),
    "[[not a completion]]": (502, "invalid_provider_response"),
    "[[silent]]": (502, "invalid_provider_response"),
}
# Whole answers that break off after a good beginning.
BROKEN_ANSWERS = {
    "[[cut 3]]": (502, "provider_error"),
    "[[end 3]]": (502, "invalid_provider_response"),
    "[[truncated 3]]": (502, "invalid_provider_response"),
    "[[error 3]]": (502, "invalid_provider_response"),
    "[[garbage 3]]": (502, "invalid_provider_response"),
}
# Streams that break after three tokens.
BROKEN_STREAMS = {
    "[[cut 3]]": "provider_error",
    "[[end 3]]": "provider_error",
    "[[error 3]]": "provider_error",
    "[[error event 3]]": "provider_error",
    "[[truncated 3]]": "invalid_provider_response",
    "[[garbage 3]]": "invalid_provider_response",
}
# Faults after which the next target is tried.
PASSED_OVER = [
    "[[status 401]]",
    "[[status 403]]",
    "[[status 404]]",
    "[[status 408]]",
    "[[status 429]]",
    "[[status 500]]",
    "[[status 503]]",
    "[[html]]",
    "[[empty]]",
    "[[garbage]]",
    "[[cut]]",
]
PASSED_OVER_IN_STREAMS = [*PASSED_OVER, "[[error 0]]", "[[garbage 0]]", "[[truncated 0]]"]
SILENCES = {
    "[[delay 60000]]": False,
    "[[pace 60000]]": False,
    "[[delay 60001]]": True,
    "[[first 60000]]": True,
    "[[stall]]": True,
}
IMPATIENT = {
    "FAREBOX_STREAM_GAP_TIMEOUT_SECONDS": "0.5",
    "FAREBOX_UPSTREAM_TOTAL_TIMEOUT_SECONDS": "1.5",
}


@pytest.fixture(scope="module")
def impatient(house: House) -> Process:
    """A gateway that waits half a second for a provider's next word, and 1.5 for all attempts together."""
    return house.start_gateway(**IMPATIENT)


@pytest.mark.parametrize("is_stream", [False, True])
async def test_a_refusal_becomes_the_status_of_whoever_is_at_fault(
    *, is_stream: bool, gateway: Process, worker: Process, team: Team
) -> None:
    faults = REFUSALS if is_stream else REFUSALS | BROKEN_ANSWERS

    answers = await together(
        {fault: call(gateway, team.key, chat("echo@fake", fault, stream=is_stream)) for fault in faults}
    )

    assert {fault: (it.status, it.error["code"]) for fault, it in answers.items()} == faults
    events = await events_of(answers, team)
    assert {fault: (it.status, it.error_code) for fault, it in events.items()} == faults
    assert {it.ending for it in events.values()} == {"upstream_error"}
    assert {(it.charge_usd, it.cost_usd) for it in events.values()} == {(0, 0)}
    assert {tuple(a["succeeded"] for a in it.attempts) for it in events.values()} == {(False,)}


async def test_the_providers_wish_to_wait_is_passed_on(gateway: Process, team: Team) -> None:
    answer = await call(gateway, team.key, chat("echo@fake", "[[status 429 retry-after 7]]"))

    assert (answer.headers["retry-after"], answer.headers["retry-after-ms"]) == ("7", "7000")
    assert answer.headers["x-should-retry"] == "true"


async def test_an_error_does_not_repeat_what_the_provider_says_of_us(gateway: Process, team: Team) -> None:
    answer = await call(gateway, team.key, chat("echo@fake", "[[status 401]]"))

    said = answer.body.decode().lower()
    assert "simulator" not in said
    assert "127.0.0.1" not in said


@pytest.mark.contract("3.3 Attempts in the response", "3.3 Retry policy", "3.2 fallbacks")
@pytest.mark.parametrize("is_stream", [False, True])
async def test_a_fallback_answers_as_if_nothing_had_happened(
    *, is_stream: bool, house: House, gateway: Process, worker: Process, team: Team
) -> None:
    faults = PASSED_OVER_IN_STREAMS if is_stream else PASSED_OVER

    answers = await together(
        {fault: call(gateway, team.key, failing_once(team, fault, is_stream)) for fault in faults}
    )

    ends = {fault: (it.chunks[-1] if is_stream else it.json) for fault, it in answers.items()}
    assert {fault: it.status for fault, it in answers.items()} == dict.fromkeys(faults, 200)
    assert {fault: text_of(it) for fault, it in answers.items()} == dict.fromkeys(faults, ECHO)
    assert {end["model"] for end in ends.values()} == {"echo@fake"}
    routes = {fault: shown(end["metadata"]["routing"]) for fault, end in ends.items()}
    assert list(routes.values()) == [[("fifty-two", False), ("echo", True)]] * len(faults)
    events = await events_of(answers, team)
    assert {fault: shown(it.attempts) for fault, it in events.items()} == routes
    assert {(it.ending, it.model, it.output_tokens) for it in events.values()} == {("completed", "echo", 8)}
    assert await apart(charged, events) == await apart(owed, house, events) == await apart(team.charged_usd)


async def test_what_the_client_did_wrong_is_not_tried_elsewhere(
    gateway: Process, worker: Process, team: Team
) -> None:
    answer = await call(gateway, team.key, chat("echo", "[[status 400]]"))

    assert (answer.status, answer.error["code"]) == (400, "invalid_value")
    assert len((await apart(team.only_event)).attempts) == 1


async def test_a_fallback_that_the_client_named_is_tried_even_after_400(gateway: Process, team: Team) -> None:
    answer = await call(gateway, team.key, failing_once(team, "[[status 400]]", is_stream=False))

    assert (answer.status, answer.json["model"]) == (200, "echo@fake")


@pytest.mark.contract("3.3 Attempts in the response")
async def test_all_having_failed_is_said_with_every_attempt(
    gateway: Process, worker: Process, team: Team
) -> None:
    body = chat("slow@fake", "[[status 500]]", fallbacks=["echo@fake", "long@fake"])

    answer = await call(gateway, team.key, body)

    assert (answer.status, answer.error["code"]) == (502, "all_providers_failed")
    event = await apart(team.only_event)
    attempts = [(attempt["model"], attempt["status_code"]) for attempt in event.attempts]
    assert attempts == [("slow", 500), ("echo", 500), ("long", 500)]
    assert event.charge_usd == 0


async def test_all_being_busy_is_429_with_the_wish_to_wait(gateway: Process, team: Team) -> None:
    body = chat("slow@fake", "[[status 429 retry-after 7]]", fallbacks=["echo@fake"])

    answer = await call(gateway, team.key, body)

    assert (answer.status, answer.error["code"]) == (429, "upstream_rate_limited")
    assert answer.headers["retry-after"] == "7"


@pytest.mark.contract("3.4 Mid-stream error", "3.4 [DONE]")
@pytest.mark.parametrize("pace", ["[[pace 20]]", ""], ids=["token by token", "all at once"])
async def test_a_stream_that_breaks_ends_with_an_error_and_is_billed_once(
    pace: str, house: House, gateway: Process, worker: Process, team: Team
) -> None:
    # All at once, the fault may come in the first read: then the answer has not begun, and is 502.
    bodies = {fault: chat("fifty-two@fake", f"{fault} {pace}", stream=True) for fault in BROKEN_STREAMS}

    answers = await together({fault: call(gateway, team.key, body) for fault, body in bodies.items()})

    begun = {fault: it for fault, it in answers.items() if it.status == 200}
    assert not pace or begun.keys() == BROKEN_STREAMS.keys()
    assert {fault: it.text for fault, it in begun.items()} == dict.fromkeys(begun, THREE)
    codes = {fault: it.chunks[-1]["error"]["code"] for fault, it in begun.items()}
    assert codes == {fault: BROKEN_STREAMS[fault] for fault in begun}
    assert {chunk["usage"] is None for it in begun.values() for chunk in it.chunks} == {True}
    assert {it.is_done for it in begun.values()} == {True}
    events = await events_of(answers, team)
    billed = {fault: (it.output_tokens, it.is_estimated) for fault, it in events.items() if it.charge_usd}
    assert billed == dict.fromkeys(begun, (3, True))
    assert {fault: it.error_code for fault, it in events.items()} == BROKEN_STREAMS
    failures = {
        fault: (one["error_type"], one["succeeded"]) for fault, it in events.items() for one in it.attempts
    }
    assert failures == {fault: (code, False) for fault, code in BROKEN_STREAMS.items()}
    paid = {fault: events[fault] for fault in begun}
    assert await apart(charged, paid) == await apart(owed, house, paid) == await apart(team.charged_usd)


async def test_a_provider_that_is_not_there_is_502(gateway: Process, worker: Process, team: Team) -> None:
    await apart(absent_provider, team)

    answers = await together(
        {
            "whole": call(gateway, team.key, chat("model@absent-llm")),
            "stream": call(gateway, team.key, chat("model@absent-llm", stream=True)),
        }
    )

    failures = [(it.status, it.error["code"]) for it in answers.values()]
    assert failures == [(502, "provider_error")] * 2
    assert [it for it in answers.values() if b"127.0.0.1" in it.body] == []
    events = await events_of(answers, team)
    assert {(it.ending, it.cost_usd) for it in events.values()} == {("upstream_error", 0)}


async def test_a_provider_that_is_not_there_gives_way_to_a_fallback(gateway: Process, team: Team) -> None:
    await apart(absent_provider, team)

    answer = await call(gateway, team.key, chat("model@absent-llm", fallbacks=["echo@fake"]))

    assert (answer.status, answer.json["model"]) == (200, "echo@fake")


@pytest.mark.contract("3.3 Timeout")
async def test_a_provider_that_keeps_silent_is_504_and_free(
    impatient: Process, worker: Process, team: Team
) -> None:
    answers = await together(
        {
            text: call(impatient, team.key, chat("echo@fake", text, stream=is_stream))
            for text, is_stream in SILENCES.items()
        }
    )

    failures = {text: (it.status, it.error["code"]) for text, it in answers.items()}
    assert failures == dict.fromkeys(SILENCES, (504, "timeout"))
    events = await events_of(answers, team)
    assert {(it.status, it.ending, it.charge_usd) for it in events.values()} == {(504, "upstream_error", 0)}
    assert {tuple(a["error_type"] for a in it.attempts) for it in events.values()} == {("timeout",)}


@pytest.mark.contract("3.3 Timeout")
async def test_all_attempts_together_have_one_time_limit(
    impatient: Process, worker: Process, team: Team
) -> None:
    names = ["slow@fake", "long@fake", "vision@fake", "tools@fake"]

    answer = await call(impatient, team.key, chat("echo@fake", "[[delay 60000]]", fallbacks=names))

    assert (answer.status, answer.error["code"]) == (504, "timeout")
    event = await apart(team.only_event)
    assert 2 <= len(event.attempts) <= 4
    assert {attempt["error_type"] for attempt in event.attempts} == {"timeout"}
    # Waiting for providers is none of our overhead, also when it was cut short.
    assert event.overhead_ms < 1_000 < event.duration_ms


@pytest.mark.contract("3.3 Timeout", "3.4 Mid-stream error")
async def test_a_stream_that_falls_silent_ends_with_a_timeout(
    house: House, impatient: Process, worker: Process, team: Team
) -> None:
    stream = await call(impatient, team.key, chat("ten-chunks@fake", "[[stall 3]]", stream=True))

    assert (stream.status, stream.text, stream.is_done) == (200, THREE, True)
    assert stream.chunks[-1]["error"]["code"] == "timeout"
    event = await apart(team.only_event)
    assert (event.ending, event.output_tokens, event.is_estimated) == ("upstream_error", 3, True)
    assert event.charge_usd == await apart(owed, house, {"": event}) > 0


async def together(calls: dict[str, Awaitable[Reply]]) -> dict[str, Reply]:
    """The answers to all calls, made at once."""
    return dict(zip(calls, await asyncio.gather(*calls.values()), strict=True))


async def events_of(answers: dict[str, Reply], team: Team) -> dict[str, UsageEvent]:
    """The one event of each answer."""
    events = {str(event.id): event for event in await apart(team.wait_for_events, len(answers))}
    return {name: events[answer.headers["x-farebox-event-id"]] for name, answer in answers.items()}


def failing_once(team: Team, fault: str, is_stream: bool) -> dict[str, Any]:
    """A request whose first target fails, and whose second would fail only if it were the first."""
    name = f"{team.organization.pk.hex}-{is_stream}-{fault.encode().hex()}"
    text = f"[[fail once {name}]] {fault}"
    return chat("fifty-two@fake", text, fallbacks=["echo@fake"], stream=is_stream)


def shown(attempts: list[dict[str, Any]]) -> list[tuple[str, bool]]:
    return [(attempt["model"], attempt["succeeded"]) for attempt in attempts]


def text_of(answer: Reply) -> str:
    if answer.headers["content-type"].startswith("text/event-stream"):
        return answer.text
    return str(answer.json["choices"][0]["message"]["content"])


def charged(events: dict[str, UsageEvent]) -> Decimal:
    return sum((event.charge_usd for event in events.values()), Decimal(0))


def owed(house: House, events: dict[str, UsageEvent]) -> Decimal:
    """What the provider bills for the attempts that served, at the book's price."""
    serving = {(str(event.id), event.model) for event in events.values()}
    lines = [line for line in house.invoice() if (line["client_request_id"], line["model"]) in serving]
    return sum((priced(line) for line in lines), Decimal(0))


def absent_provider(team: Team) -> None:
    connection = connect_provider(
        organization=team.organization,
        provider="absent-llm",
        base_url=f"http://127.0.0.1:{free_port()}/v1",
        api_key="key-of-nobody",
    )
    declare_model(
        connection=connection,
        model="model",
        upstream_name="",
        context_window_tokens=8_192,
        max_output_tokens=1_024,
        input_usd_per_million=Decimal(1),
        output_usd_per_million=Decimal(2),
    )
