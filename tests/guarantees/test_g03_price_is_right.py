"""G3: the cost follows from usage, served model, served tier and price version alone; never from the mode.

Every provider's way to report usage, streamed and whole, through a real gateway; the amounts are
worked out by hand in tests.guarantees.golden_usages. Service tiers are in
tests/flows/test_service_tiers.py, an owner's ceiling in tests/flows/test_stated_prices.py.
"""

import asyncio
from decimal import Decimal
from typing import Any

import orjson
import pytest

from tests.flows.calls import Reply, call
from tests.guarantees.golden_usages import GOLDEN, Golden
from tests.house import House, Process, Team, apart, chat

pytestmark = pytest.mark.guarantee

# Longer than any prompt that is reported here, so that every report is within its hold.
PADDING = "x" * 1_200


def body(golden: Golden, *, is_stream: bool) -> dict[str, Any]:
    """The report as the words that make the simulator say it; its brackets are taken."""
    report = orjson.dumps(golden.report).decode()
    return chat("fake/every-unit", f"{PADDING} [[usage {report}]]", stream=is_stream, **golden.asked)


def told_usd(reply: Reply, *, is_stream: bool) -> Decimal:
    usage = reply.chunks[-1]["usage"] if is_stream else reply.json["usage"]
    return Decimal(str(usage["cost_usd_total"]))


@pytest.mark.parametrize("is_stream", [False, True])
async def test_every_providers_report_costs_what_its_price_says_streamed_and_whole(
    *, is_stream: bool, gateway: Process, worker: Process, team: Team
) -> None:
    expected = {name: golden.cost_usd for name, golden in GOLDEN.items()}

    replies = await asyncio.gather(
        *(
            call(gateway, team.key, body(golden, is_stream=is_stream), x_request_id=name.replace(" ", "-"))
            for name, golden in GOLDEN.items()
        )
    )

    events = await apart(team.wait_for_events, len(GOLDEN))
    by_name = {event.request_id.replace("-", " "): event for event in events}
    assert {name: event.cost_usd for name, event in by_name.items()} == expected
    assert {name: event.charge_usd for name, event in by_name.items()} == expected
    told = [told_usd(reply, is_stream=is_stream) for reply in replies]
    assert dict(zip(GOLDEN, told, strict=True)) == expected
    assert {event.is_estimated for event in events} == {False}
    assert len({event.price_version for event in events}) == 1
    assert await apart(team.charged_usd) == sum(expected.values())


@pytest.mark.parametrize("is_stream", [False, True])
async def test_an_answer_without_a_report_is_counted_the_same_in_both_modes(
    *, is_stream: bool, gateway: Process, worker: Process, team: Team
) -> None:
    await call(gateway, team.key, chat("fake/every-unit", "[[no usage]] hello", stream=is_stream))

    event = await apart(team.only_event)
    # 18 bytes make 5 tokens, a message 3; 8 tokens of output.
    assert (event.input_tokens, event.output_tokens, event.is_estimated) == (8, 8, True)
    assert event.charge_usd == event.cost_usd == Decimal("0.001040")


@pytest.mark.parametrize("is_stream", [False, True])
async def test_a_model_without_a_price_is_refused_and_nobody_is_asked(
    *, is_stream: bool, house: House, gateway: Process, worker: Process, team: Team
) -> None:
    reply = await call(gateway, team.key, chat("fake/unpriced", stream=is_stream))

    event = await apart(team.only_event)
    assert (reply.status, reply.error["code"]) == (404, "model_not_found")
    assert (event.ending, event.charge_usd, event.cost_usd) == ("refused", 0, 0)
    assert await apart(house.invoice, client_request_id=str(event.id)) == []


NANO_USD = Decimal("0.000000001")


@pytest.mark.parametrize("is_stream", [False, True])
async def test_a_unit_without_a_price_costs_the_whole_hold_and_never_nothing(
    *, is_stream: bool, gateway: Process, worker: Process, team: Team
) -> None:
    """fake/echo has no rate for sound; nobody knows what it costs, so nobody gets it for nothing."""
    report = '{"prompt_tokens":9,"completion_tokens":9,"completion_tokens_details":{"audio_tokens":9}}'
    sent = chat("fake/echo", f"[[usage {report}]]", stream=is_stream, max_tokens=100)

    await call(gateway, team.key, sent)

    event = await apart(team.only_event)
    held_tokens = len(f"[[usage {report}]]") + 16
    bound_usd = Decimal(held_tokens + 200) / 1_000_000
    # The bound of stated terms, which other tests of this run may have left, is a nano-dollar wider.
    assert bound_usd <= event.charge_usd <= bound_usd + NANO_USD


@pytest.mark.parametrize("is_stream", [False, True])
async def test_a_free_model_is_declared_so_and_costs_nothing(
    *, is_stream: bool, gateway: Process, worker: Process, team: Team
) -> None:
    reply = await call(gateway, team.key, chat("fake/free", stream=is_stream))

    event = await apart(team.only_event)
    assert (reply.status, event.output_tokens, event.charge_usd) == (200, 8, 0)
    assert event.price_version.startswith("fake/free@")
