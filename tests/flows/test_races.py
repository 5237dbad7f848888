"""Races through the front door: the first with output answers, the others are closed, and all are paid."""

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from billing.models import UsageEvent
from tests.flows.calls import Reply, call, soon
from tests.guarantees.books import priced
from tests.house import House, Process, Team, apart, chat

ECHO = "w01 w02 w03 w04 w05 w06 w07 w08 "
PROMPT_AND_ANSWER = ("completed", 8)
PROMPT_ALONE = ("race_leg", 0)


def race(model: str, text: str = "hello", **parameters: Any) -> dict[str, Any]:
    return chat(model, text, stream=True, **parameters)


def told(answer: Reply) -> list[tuple[str, str | None, bool]]:
    """The attempts as the client reads them."""
    routing = answer.chunks[-1]["metadata"]["routing"]
    return [(attempt["model"], attempt["error_type"], attempt["succeeded"]) for attempt in routing]


async def accounts_of(house: House, team: Team, events: int) -> dict[str, UsageEvent]:
    """The events of one race by model; the provider's invoice, they and the ledger say the same."""
    rows = await apart(team.wait_for_events, events)
    answered = next(row for row in rows if "race_of" not in row.parameters)
    legs = [row for row in rows if row is not answered]
    assert {row.parameters["race_of"] for row in legs} <= {str(answered.id)}

    async def none_runs() -> bool:
        lines = await apart(lines_of, house, str(answered.id))
        return all(line["outcome"] != "running" for line in lines)

    await soon(none_runs, "the provider's calls to end")
    lines = [line for line in await apart(lines_of, house, str(answered.id)) if line["outcome"] != "failed"]
    invoiced = {line["model"]: priced(line) for line in lines}
    assert invoiced == {row.model: row.charge_usd for row in rows if row.charge_usd}
    assert sum(invoiced.values(), Decimal(0)) == await apart(team.charged_usd)
    return {row.model: row for row in rows}


def lines_of(house: House, request_id: str) -> list[dict[str, Any]]:
    return house.invoice(client_request_id=request_id)


def kept(events: dict[str, UsageEvent]) -> dict[str, tuple[str, int]]:
    return {model: (event.ending, event.output_tokens) for model, event in events.items()}


@pytest.mark.contract("3.3 Weighted / race / first / thinker")
async def test_the_first_with_output_answers_and_every_leg_is_billed(
    house: House, gateway: Process, worker: Process, team: Team
) -> None:
    answer = await call(gateway, team.key, race("late@fake!echo@fake"))

    assert (answer.status, answer.text, answer.is_done) == (200, ECHO, True)
    assert answer.chunks[-1]["model"] == "echo@fake"
    assert told(answer) == [("late", "lost_race", False), ("echo", None, True)]
    events = await accounts_of(house, team, 2)
    assert kept(events) == {"echo": PROMPT_AND_ANSWER, "late": PROMPT_ALONE}
    assert (events["late"].status, events["late"].is_estimated) == (499, True)
    assert events["late"].charge_usd > 0


async def test_who_need_not_start_costs_nothing(
    house: House, gateway: Process, worker: Process, team: Team
) -> None:
    answer = await call(gateway, team.key, race("[handicap=600]echo@fake!fifty-two@fake!late@fake"))

    assert told(answer) == [("echo", None, True)]
    assert kept(await accounts_of(house, team, 1)) == {"echo": PROMPT_AND_ANSWER}


async def test_an_early_failure_starts_the_rest_and_is_free(
    house: House, gateway: Process, worker: Process, team: Team
) -> None:
    text = f"[[fail once {team.organization.pk.hex}]] [[status 503]]"

    answer = await call(gateway, team.key, race("[handicap=600]fifty-two@fake!echo@fake", text))

    assert (answer.status, answer.text) == (200, ECHO)
    assert told(answer) == [("fifty-two", "provider_error", False), ("echo", None, True)]
    assert kept(await accounts_of(house, team, 1)) == {"echo": PROMPT_AND_ANSWER}


async def test_a_leg_that_takes_too_long_is_given_up_and_billed(
    house: House, gateway: Process, worker: Process, team: Team
) -> None:
    model = "[handicap=600,ttft_timeout=0.2]late@fake!echo@fake"

    answer = await call(gateway, team.key, race(model))

    assert told(answer) == [("late", "timeout", False), ("echo", None, True)]
    events = await accounts_of(house, team, 2)
    assert kept(events) == {"echo": PROMPT_AND_ANSWER, "late": PROMPT_ALONE}


async def test_when_all_legs_fail_it_is_a_true_status_and_free(
    gateway: Process, worker: Process, team: Team
) -> None:
    answer = await call(gateway, team.key, race("echo@fake!fifty-two@fake", "[[status 500]]"))

    assert (answer.status, answer.error["code"]) == (502, "provider_error")
    event = await apart(team.only_event)
    assert (event.ending, event.charge_usd) == ("upstream_error", 0)
    assert {attempt["model"] for attempt in event.attempts} == {"echo", "fifty-two"}


async def test_a_client_that_leaves_before_anyone_spoke_pays_what_was_started(
    house: House, gateway: Process, worker: Process, team: Team
) -> None:
    body = race("late@fake!slow@fake", "[[first 30000]]")
    before = {line["id"] for line in await apart(house.invoice)}
    asking = asyncio.create_task(call(gateway, team.key, body))

    async def both_run() -> bool:
        lines = await apart(house.invoice)
        running = [line for line in lines if line["id"] not in before and line["outcome"] == "running"]
        return {"late", "slow"} <= {line["model"] for line in running if line["prompt_tokens"]}

    await soon(both_run, "both legs to run")
    asking.cancel()

    await accounts_of(house, team, 3)
    rows = await apart(team.events)
    assert sorted((row.ending, row.charge_usd > 0) for row in rows) == [
        ("client_left", False),
        ("race_leg", True),
        ("race_leg", True),
    ]


async def test_a_winner_that_breaks_is_an_error_and_the_loser_is_not_spliced_in(
    house: House, gateway: Process, worker: Process, team: Team
) -> None:
    answer = await call(gateway, team.key, race("late@fake!slow@fake?top_p=0.5", "[[cut 3]] [[pace 10]]"))

    assert (answer.text, answer.is_done) == ("w01 w02 w03 ", True)
    assert answer.chunks[-1]["error"]["code"] == "provider_error"
    events = await accounts_of(house, team, 2)
    assert (events["slow"].ending, events["slow"].output_tokens) == ("upstream_error", 3)
    assert events["late"].ending == "race_leg"


async def test_a_race_is_refused_where_only_one_leg_could_be_paid(
    house: House, gateway: Process, worker: Process, team: Team
) -> None:
    body = race("late@fake!echo@fake", max_tokens=8)
    _, alone = await apart(lambda: team.new_key(budget_usd="0.00005"))
    single = await call(gateway, alone, race("echo@fake", max_tokens=8))

    _, poor = await apart(lambda: team.new_key(budget_usd="0.00005"))
    refused = await call(gateway, poor, body)

    assert (single.status, refused.status) == (200, 402)
    assert refused.error["code"] == "key_limit_exceeded"
    _, rich = await apart(lambda: team.new_key(budget_usd="0.0001"))
    assert (await call(gateway, rich, body)).status == 200
