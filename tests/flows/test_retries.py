"""Retries of the last target, its breaker, and a client that wants no fallback."""

from decimal import Decimal
from typing import Any

import pytest

from billing.models import UsageEvent
from gateway.services import connect_provider, declare_model
from tests.flows.calls import call, get, soon
from tests.guarantees.books import priced
from tests.house import House, Process, Team, apart, chat

STUBBORN = {
    "FAREBOX_UPSTREAM_RETRIES": "2",
    "FAREBOX_UPSTREAM_RETRY_PAUSE_SECONDS": "0.01",
    "FAREBOX_UPSTREAM_RETRY_AFTER_LIMIT_SECONDS": "1",
    "FAREBOX_HEALTH_SHARE_SECONDS": "0.2",
}
WARY = {"FAREBOX_BREAKER_FAILURES": "3", "FAREBOX_BREAKER_OPEN_SECONDS": "1"}


@pytest.fixture(scope="module")
def stubborn(house: House) -> Process:
    """A gateway that calls the last target three times."""
    return house.start_gateway(**STUBBORN)


@pytest.fixture(scope="module")
def wary(house: House) -> Process:
    """One that opens breakers after three failures, for a second."""
    return house.start_gateway(**STUBBORN, **WARY)


def failing(team: Team, fault: str, *, times: int = 1, model: str = "echo@fake", **fields: Any) -> Any:
    name = f"{team.organization.pk.hex}-{times}-{fault.encode().hex()}"
    return chat(model, f"[[fail {times} {name}]] {fault}", **fields)


def statuses(event: UsageEvent) -> list[int | None]:
    return [attempt["status_code"] for attempt in event.attempts]


@pytest.mark.contract("3.3 Retry policy")
@pytest.mark.parametrize("is_stream", [False, True])
@pytest.mark.parametrize("fault", ["[[status 503]]", "[[status 429]]", "[[html]]", "[[status 408]]"])
async def test_what_passes_is_answered_by_the_same_target_and_billed_once(
    fault: str, *, is_stream: bool, house: House, stubborn: Process, worker: Process, team: Team
) -> None:
    answer = await call(stubborn, team.key, failing(team, fault, stream=is_stream))

    assert answer.status == 200
    event = await apart(team.only_event)
    assert [attempt["succeeded"] for attempt in event.attempts] == [False, True]
    lines = await apart(lambda: house.invoice(client_request_id=str(event.id)))
    assert event.charge_usd == sum(priced(line) for line in lines if line["outcome"] == "completed") > 0


async def test_what_does_not_pass_is_told_after_the_last_retry(
    stubborn: Process, worker: Process, team: Team
) -> None:
    answer = await call(stubborn, team.key, chat("ten-chunks@fake", "[[status 500]]"))

    # One provider failed, however often it was asked.
    assert (answer.status, answer.error["code"]) == (502, "provider_error")
    event = await apart(team.only_event)
    assert (statuses(event), event.charge_usd) == ([500, 500, 500], 0)


@pytest.mark.parametrize("status", [400, 401, 404, 422])
async def test_what_would_be_said_again_is_asked_once(
    status: int, stubborn: Process, worker: Process, team: Team
) -> None:
    await call(stubborn, team.key, chat("slow@fake", f"[[status {status}]]"))

    assert statuses(await apart(team.only_event)) == [status]


@pytest.mark.parametrize(("wish", "attempts"), [("1", [429, 200]), ("7", [429])])
async def test_a_wish_to_wait_is_granted_if_it_is_short(
    wish: str, attempts: list[int], stubborn: Process, worker: Process, team: Team
) -> None:
    answer = await call(stubborn, team.key, failing(team, f"[[status 429 retry-after {wish}]]"))

    assert statuses(await apart(team.only_event)) == attempts
    assert answer.status == attempts[-1]
    assert (answer.headers.get("retry-after") == "7") == (wish == "7")


async def test_another_target_is_called_rather_than_the_same_again(
    stubborn: Process, worker: Process, team: Team
) -> None:
    body = failing(team, "[[status 503]]", model="tools@fake", fallbacks=["echo@fake"])

    answer = await call(stubborn, team.key, body)

    assert (answer.status, answer.json["model"]) == (200, "echo@fake")
    assert [attempt["model"] for attempt in (await apart(team.only_event)).attempts] == ["tools", "echo"]


async def test_a_target_that_keeps_failing_is_left_alone_until_it_answers_again(
    wary: Process, worker: Process, team: Team
) -> None:
    async def models_tried(**fields: Any) -> list[str]:
        answer = await call(wary, team.key, chat("vision@fake", **fields))
        assert answer.status == 200
        return [attempt["model"] for attempt in answer.json["metadata"]["routing"]]

    async def is_tried_first() -> bool:
        return await models_tried(fallbacks=["echo@fake"]) == ["vision"]

    failed = await call(wary, team.key, chat("vision@fake", "[[status 500]]", fallbacks=["echo@fake"]))
    assert failed.status == 502
    broken = await call(wary, team.key, chat("vision@fake", "[[status 500]]"))
    assert broken.status == 502

    # The fallback answers without the open target having been asked; alone it is asked all the same.
    assert await models_tried(fallbacks=["echo@fake"]) in (["echo"], ["vision"])
    assert await models_tried() == ["vision"]
    assert await is_tried_first()
    await call(wary, team.key, chat("vision@fake", "[[status 500]]"))
    await soon(is_tried_first, "a probe to close the breaker")


async def test_while_it_is_open_its_failure_is_not_repeated(
    wary: Process, worker: Process, team: Team
) -> None:
    for _ in range(2):
        await call(wary, team.key, chat("tiered@fake", "[[status 500]]"))

    events = await apart(team.wait_for_events, 2)
    assert [len(event.attempts) for event in events] == [3, 1]


async def test_a_clients_mistakes_open_nothing(wary: Process, team: Team) -> None:
    for _ in range(4):
        await call(wary, team.key, chat("free@fake", "[[status 400]]"))

    answer = await call(wary, team.key, chat("free@fake", fallbacks=["echo@fake"]))

    assert answer.json["model"] == "free@fake"


async def test_what_was_seen_is_in_the_metrics(stubborn: Process, team: Team) -> None:
    await call(stubborn, team.key, chat("fifty-two@fake", stream=True))

    async def are_told() -> bool:
        text = (await get(stubborn, "", "/metrics")).body.decode()
        names = ("uptime", "ttft_ms", "inter_token_ms", "tokens_per_second")
        return all(f'farebox_target_{name}{{model="fifty-two",provider="fake"}}' in text for name in names)

    await soon(are_told, "the figures of a model")


@pytest.mark.parametrize(
    ("wish", "providers"),
    [
        ({"x_no_fallback": "true"}, ["second-llm", "second-llm"]),
        ({"x_no_fallback": "false"}, ["second-llm", "fake", "second-llm"]),
        ({}, ["second-llm", "fake", "second-llm"]),
    ],
    ids=["true", "false", "absent"],
)
async def test_a_client_may_stay_with_the_provider_that_it_named(
    wish: dict[str, str], providers: list[str], house: House, gateway: Process, worker: Process, team: Team
) -> None:
    await apart(second_provider, house, team)
    body = chat("mine@second-llm", "[[status 503]]", fallbacks=["echo@fake", "other@second-llm"])

    answer = await call(gateway, team.key, body, **wish)

    assert answer.status == 502
    event = await apart(team.only_event)
    assert [attempt["provider"] for attempt in event.attempts] == providers


async def test_the_wish_must_be_true_or_false(gateway: Process, team: Team) -> None:
    answer = await call(gateway, team.key, chat("echo@fake"), x_no_fallback="maybe")

    assert (answer.status, answer.error["param"]) == (400, "x-no-fallback")


def second_provider(house: House, team: Team) -> None:
    """The simulator once more, as a provider of the organization's own."""
    connection = connect_provider(
        organization=team.organization,
        provider="second-llm",
        base_url=f"{house.simulator_url}/v1",
        api_key="key",
    )
    for model in ("mine", "other"):
        declare_model(
            connection=connection,
            model=model,
            upstream_name="echo",
            context_window_tokens=8_192,
            max_output_tokens=1_024,
            input_usd_per_million=Decimal(1),
            output_usd_per_million=Decimal(2),
        )
