"""G4: when the client leaves, the upstream call is closed, and what was used is settled once."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.guarantees.books import priced
from tests.house import House, Process, Team, apart, chat, eventually
from tests.stream_client import RawStream, raw_request

pytestmark = pytest.mark.guarantee

Leave = Callable[[RawStream], Awaitable[Any]]
CLOSED_WITHIN_SECONDS = 1.0
SCHEMA = {"type": "object", "properties": {name: {"type": "string"} for name in ("one", "two", "three")}}
TOOL = {"type": "function", "function": {"name": "look_up", "parameters": SCHEMA}}


async def at_the_first_byte(stream: RawStream) -> None:
    await stream.read_head()


async def after_three_tokens(stream: RawStream) -> None:
    await stream.read_until(b"w03 ")


async def inside_a_tool_call(stream: RawStream) -> None:
    await stream.read_until(b'"tool_calls"')


async def after_the_content_before_usage(stream: RawStream) -> None:
    await stream.read_until(b"w10 ")


LEAVES: dict[str, tuple[Leave, dict[str, Any]]] = {
    "first byte": (at_the_first_byte, chat("slow@fake", stream=True)),
    "three tokens": (after_three_tokens, chat("slow@fake", stream=True)),
    "tool call": (
        inside_a_tool_call,
        chat("tools@fake", "call [[pace 200]]", stream=True, tools=[TOOL], tool_choice="required"),
    ),
    "content, no usage": (after_the_content_before_usage, chat("slow@fake", "[[tokens 30]]", stream=True)),
}


@pytest.mark.parametrize("moment", LEAVES)
async def test_what_was_used_is_settled_once_and_the_provider_sees_us_leave(
    moment: str, house: House, gateway: Process, worker: Process, team: Team
) -> None:
    leave, body = LEAVES[moment]

    async with raw_request(gateway.url, body, key=team.key, x_request_id="leaver") as stream:
        await leave(stream)
        left_at = time.time()

    event = await apart(team.only_event)
    (billed,) = await apart(house.invoice, client_request_id=str(event.id))
    assert (event.ending, event.status) == ("client_left", 499)
    assert billed["ended_at"] - left_at < CLOSED_WITHIN_SECONDS
    # Nobody but the provider can count what the schema of a tool adds to its prompt; this one adds nothing.
    assert event.input_tokens == billed["prompt_tokens"] or (moment == "tool call" and event.is_estimated)
    assert abs(event.output_tokens - billed["completion_tokens"]) <= 1
    assert event.charge_usd == event.cost_usd > 0
    assert event.charge_usd == await apart(team.charged_usd)


async def test_usage_that_came_before_the_client_left_is_billed_as_reported(
    house: House, gateway: Process, worker: Process, team: Team
) -> None:
    body = chat("echo@fake", "[[stall done]]", stream=True)

    async with raw_request(gateway.url, body, key=team.key) as stream:
        await stream.read_until(b"x-farebox")
        await asyncio.sleep(0.2)

    event = await apart(team.only_event)
    (billed,) = await apart(house.invoice, client_request_id=str(event.id))
    assert (event.ending, event.status) == ("client_left", 499)
    assert (event.output_tokens, event.is_estimated) == (8, False)
    assert priced(billed) == event.charge_usd == await apart(team.charged_usd)


async def test_a_client_that_leaves_a_buffered_call_ends_the_upstream_call(
    house: House, gateway: Process, worker: Process, team: Team
) -> None:
    body = chat("echo@fake", "[[delay 60000]]")

    async with raw_request(gateway.url, body, key=team.key) as stream:
        await asyncio.sleep(0.3)
        del stream
        left_at = time.time()

    event = await apart(team.only_event)
    assert event.ending == "client_left"

    def noticed() -> list[dict[str, Any]]:
        lines = house.invoice(client_request_id=str(event.id))
        return [line for line in lines if line["outcome"] == "cancelled"]

    (cancelled,) = await apart(eventually, noticed, "the simulator's note of the cancellation")
    assert cancelled["completion_tokens"] == 0
    assert cancelled["ended_at"] - left_at < CLOSED_WITHIN_SECONDS
