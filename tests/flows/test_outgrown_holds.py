"""Answers that outgrow their hold: they come to hold more, or are cut; nobody pays beyond the hold."""

from decimal import Decimal
from typing import Any

import pytest

from billing.money import usd_to_nano
from tests.flows.calls import call
from tests.house import House, Process, Team, apart, chat
from tests.stream_client import raw_request

# 17 bytes and a message: 33 tokens at $1 a million; ten tokens of output at $2.
RUNAWAY = "[[overrun 400]] x"
HELD_USD = Decimal("0.000053")
COST_USD = Decimal("0.000008") + 400 * Decimal("0.000002")
# The report makes the hold of its request larger: 61 bytes.
LYING = '[[usage {"prompt_tokens":60,"completion_tokens":400}]] and on'
LIE_HELD_USD = Decimal("0.000097")
LIE_COST_USD = Decimal("0.00086")


def runaway(*, is_stream: bool, text: str = RUNAWAY) -> dict[str, Any]:
    return chat("echo@fake", text, stream=is_stream, max_tokens=10)


@pytest.mark.parametrize("is_stream", [True, False])
async def test_an_answer_beyond_its_cap_is_paid_in_full_where_the_budgets_have_more(
    is_stream: bool, gateway: Process, worker: Process, team: Team
) -> None:
    _, key = await apart(team.new_key, budget_usd="0.001")

    reply = await call(gateway, key, runaway(is_stream=is_stream))

    event = await apart(team.only_event)
    assert reply.status == 200
    assert (event.ending, event.output_tokens, event.is_estimated) == ("completed", 400, False)
    assert event.charge_usd == event.cost_usd == COST_USD
    assert await apart(team.charged_usd) == COST_USD


async def test_a_stream_is_cut_where_its_hold_ends_and_no_budget_has_more(
    house: House, gateway: Process, worker: Process, team: Team
) -> None:
    _, key = await apart(team.new_key, budget_usd=str(HELD_USD))

    reply = await call(gateway, key, runaway(is_stream=True))

    event = await apart(team.only_event)
    assert reply.status == 200
    assert reply.is_done
    # The prompt's 8 tokens are not passed on, and 22 tokens of output make up the rest.
    assert len(reply.text) // 4 == 22
    last = reply.chunks[-1]
    assert (last["object"], last["choices"][0]["finish_reason"]) == ("chat.completion.chunk", "error")
    assert (last["error"]["type"], last["error"]["code"]) == ("billing_error", "budget_exceeded")
    assert b"event: error\n" in reply.body
    assert (event.ending, event.status) == ("cut", 402)
    assert event.charge_usd == await apart(team.charged_usd) == HELD_USD


async def test_what_a_cut_stream_passed_on_is_covered_by_its_hold(
    house: House, gateway: Process, worker: Process, team: Team
) -> None:
    _, key = await apart(team.new_key, budget_usd="0.0000651")

    reply = await call(gateway, key, runaway(is_stream=True, text="[[overrun 4000]] [[pace 5]]"))

    event = await apart(team.only_event)
    (billed,) = await apart(house.invoice, client_request_id=str(event.id))
    # Ten prompt tokens and 27 of output are 64 millionths of a dollar; for the 28th nothing is left.
    assert len(reply.text) // 4 == 27
    assert event.charge_usd == Decimal("0.0000651")
    assert billed["outcome"] == "cancelled"
    assert billed["completion_tokens"] < 100


async def test_a_budget_that_has_a_little_more_gives_that_and_no_other_limit_is_passed(
    gateway: Process, worker: Process, team: Team
) -> None:
    row, key = await apart(team.new_key, budget_usd="0.0001")
    await apart(team.budget, row, amount_nano=usd_to_nano(Decimal("0.0002")), window="day")

    reply = await call(gateway, key, runaway(is_stream=True))

    event = await apart(team.only_event)
    assert (reply.status, event.ending) == (200, "cut")
    # The prompt's 8 tokens and 46 of output; the rest of the 54 has no tokens left to buy.
    assert len(reply.text) // 4 == 46
    assert event.charge_usd == await apart(team.charged_usd) == Decimal("0.0001")


@pytest.mark.parametrize("is_stream", [True, False])
async def test_a_report_beyond_the_hold_is_charged_up_to_the_hold_and_the_answer_is_whole(
    is_stream: bool, gateway: Process, worker: Process, team: Team
) -> None:
    _, key = await apart(team.new_key, budget_usd=str(LIE_HELD_USD))

    reply = await call(gateway, key, runaway(is_stream=is_stream, text=LYING))

    event = await apart(team.only_event)
    usage = reply.chunks[-1]["usage"] if is_stream else reply.json["usage"]
    assert (event.ending, event.output_tokens) == ("completed", 400)
    assert (event.charge_usd, event.cost_usd) == (LIE_HELD_USD, LIE_COST_USD)
    assert usage["completion_tokens"] == 400
    assert usage["cost_usd_total"] == float(LIE_HELD_USD)
    assert await apart(team.charged_usd) == LIE_HELD_USD


async def test_a_report_beyond_the_hold_is_charged_in_full_where_the_budgets_have_more(
    gateway: Process, worker: Process, team: Team
) -> None:
    await call(gateway, team.key, runaway(is_stream=True, text=LYING))

    event = await apart(team.only_event)
    assert event.charge_usd == event.cost_usd == LIE_COST_USD


async def test_usage_in_every_event_does_not_keep_a_runaway_from_being_cut(
    gateway: Process, worker: Process, team: Team
) -> None:
    text = "[[overrun 4000]] [[usage each]] [[pace 2]]"
    _, key = await apart(team.new_key, budget_usd="0.0001")

    reply = await call(gateway, key, runaway(is_stream=True, text=text))

    event = await apart(team.only_event)
    assert reply.is_done
    assert (event.ending, event.is_estimated) == ("cut", False)
    assert event.charge_usd == Decimal("0.0001")


# 28 bytes and a message are 44 tokens of prompt; ten of output.
LONG_RUN = "[[overrun 60]] [[pace 60]] x"
LONG_HELD_NANO = 44_000 + 20_000


@pytest.mark.parametrize(
    ("before_nano", "after_nano", "ending"),
    [(LONG_HELD_NANO, 10**9, "completed"), (10**9, LONG_HELD_NANO, "cut")],
)
async def test_a_budget_that_changes_meanwhile_decides_as_it_stands(
    before_nano: int, after_nano: int, ending: str, gateway: Process, worker: Process, team: Team
) -> None:
    row, key = await apart(team.new_key)
    await apart(team.budget, row, amount_nano=before_nano, window="total")

    async with raw_request(gateway.url, runaway(is_stream=True, text=LONG_RUN), key=key) as stream:
        await stream.read_until(b"w02 ")
        await apart(team.budget, row, amount_nano=after_nano, window="total")
        await stream.read_rest()

    event = await apart(team.only_event)
    assert event.ending == ending
    assert event.charge_usd == Decimal("0.000130" if ending == "completed" else "0.000064")
