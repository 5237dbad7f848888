"""G1 and G11 for races: what several legs may cost is held, and each that was started is paid for, once."""

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from accounts.models import ApiKey
from billing.models import UsageEvent
from billing.money import SMALLEST_USD
from tests.flows.calls import Reply, call, is_at_rest, soon
from tests.guarantees.books import priced
from tests.house import House, Process, Team, apart, chat

pytestmark = pytest.mark.guarantee

RACES = 30
BUDGET_USD = Decimal("0.0004")
# Two calls of one token have two legs each: what one of them may cost does not buy both.
BODIES = [
    chat("late@fake!echo@fake", stream=True, max_tokens=8),
    chat("[handicap=600,ttft_timeout=0.1]late@fake!echo@fake", stream=True, max_tokens=8),
    chat("late@fake!fifty-two@fake", "[[cut 3]]", stream=True, max_tokens=8),
]


async def test_races_for_a_small_budget_never_overshoot_and_the_invoice_is_the_sum_of_the_events(
    house: House, gateway: Process, worker: Process, team: Team
) -> None:
    key, secret = await apart(lambda: team.new_key(budget_usd=str(BUDGET_USD)))

    answers = await asyncio.gather(*(call(gateway, secret, BODIES[n % 3]) for n in range(RACES)))

    await soon(lambda: is_at_rest(gateway), "everything to be settled")
    begun = [answer for answer in answers if answer.status in (200, 502)]
    assert {answer.status for answer in answers} >= {200, 402}
    assert {error_of(answer) for answer in answers if answer not in begun} == {"key_limit_exceeded"}
    events = await apart(events_of, team, key, expected=RACES + len(begun))
    assert Decimal(0) < charged(events) <= BUDGET_USD
    assert charged(events) == await apart(invoiced, house, events) == await apart(team.charged_usd)
    # Nothing is held any more: what is left buys a call that fits, and no more.
    left_usd = BUDGET_USD - charged(events)
    assert left_usd >= 0


async def test_a_leg_never_costs_more_than_its_own_share_whatever_its_provider_counts(
    house: House, gateway: Process, worker: Process, team: Team
) -> None:
    # A thousand tokens are reported for an answer that may have one.
    report = '[[usage {"prompt_tokens":5,"completion_tokens":1000,"total_tokens":1005}]]'
    body = chat("late@fake!echo@fake", report, stream=True, max_completion_tokens=1)
    _, poorest = await apart(lambda: team.new_key(budget_usd="0.000001"))
    asked_usd = Decimal((await call(gateway, poorest, body)).error["details"]["asked_usd"])
    _, poorer = await apart(lambda: team.new_key(budget_usd=str(asked_usd - SMALLEST_USD)))
    key, secret = await apart(lambda: team.new_key(budget_usd=str(asked_usd)))

    refused, answer = await call(gateway, poorer, body), await call(gateway, secret, body)

    # Stated terms, which other tests of this run may have left, make each leg's bound a nano-dollar wider.
    assert asked_usd in (Decimal("0.000184"), Decimal("0.000184002"))
    assert (refused.status, answer.status) == (402, 200)
    legs = {event.model: event.charge_usd for event in await apart(events_of, team, key, expected=4)}
    assert legs["echo"] == asked_usd / 2
    assert Decimal(0) < legs["late"] < Decimal("0.000092")


def events_of(team: Team, key: ApiKey, *, expected: int) -> list[UsageEvent]:
    return [event for event in team.wait_for_events(expected) if event.key_id == key.pk]


def charged(events: list[UsageEvent]) -> Decimal:
    return sum((event.charge_usd for event in events), Decimal(0))


def invoiced(house: House, events: list[UsageEvent]) -> Decimal:
    """What the provider bills for all calls of these requests."""
    requests = {str(event.id) for event in events}
    lines = [line for line in house.invoice() if line["client_request_id"] in requests]
    return sum((priced(line) for line in lines if is_billed(line)), Decimal(0))


def is_billed(line: dict[str, Any]) -> bool:
    return line["outcome"] != "failed"


def error_of(answer: Reply) -> str:
    return str(answer.error["code"])
