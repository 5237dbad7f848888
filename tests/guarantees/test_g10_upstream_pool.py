"""G10: cancelled streams leave nothing behind: no connection, no memory, no request that fails."""

import asyncio
import os
import random
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.flows.calls import call, is_at_rest, soon
from tests.house import House, Process, Team, apart, chat
from tests.stream_client import raw_request

pytestmark = pytest.mark.guarantee

CANCELLED = 1_000
AT_ONCE = 50
AFTERWARDS = 60
WARMING_UP = 200
# What may come and go by itself: PostgreSQL and Redis connections of the pools.
SPARE_DESCRIPTORS = 4
GROWTH = 1.10
# Clients with a smaller chance leave before they have read the head of their answer.
ANSWERED = 0.2
SILENT = 3
# About 25 MB each, more than the buffers of a connection hold.
FLOOD = chat("echo@fake", "[[overrun 100000]]", stream=True)
FLOOD_KIB = 25_000
STREAM = chat("slow@fake", "[[tokens 500]] [[pace 10]]", stream=True)
WHOLE = chat("echo@fake", "[[delay 2000]]")


@pytest.fixture(scope="module")
def gateway(house: House) -> Process:
    """A gateway that keeps for a moment only what it keeps by design: idle connections, settlements."""
    return house.start_gateway(FAREBOX_UPSTREAM_IDLE_EXPIRY_SECONDS="1", FAREBOX_RESEND_SECONDS="0.5")


async def test_after_1000_cancelled_streams_60_of_60_requests_are_served(
    gateway: Process, worker: Process, team: Team
) -> None:
    await cancel(gateway, team, WARMING_UP)
    await soon(lambda: is_at_rest(gateway), "the warm-up to end")
    before = await asyncio.to_thread(descriptors, gateway)
    memory_before = await asyncio.to_thread(resident_kib, gateway)

    await cancel(gateway, team, CANCELLED)

    answers = await asyncio.gather(*(call(gateway, team.key, chat("echo@fake")) for _ in range(AFTERWARDS)))
    assert Counter(answer.status for answer in answers) == {200: AFTERWARDS}
    await soon(lambda: is_at_rest(gateway), "every request to end")
    await soon(lambda: has_at_most(gateway, before + SPARE_DESCRIPTORS), f"descriptors to fall to {before}")
    assert await asyncio.to_thread(resident_kib, gateway) <= memory_before * GROWTH


async def test_each_of_them_is_closed_at_the_provider_and_settled_once(
    house: House, gateway: Process, worker: Process, team: Team
) -> None:
    await cancel(gateway, team, 100, earliest=ANSWERED)

    events = await apart(team.wait_for_events, 100)
    numbers = {str(event.id) for event in events}

    async def are_closed() -> bool:
        lines = [line for line in await apart(house.invoice) if line["client_request_id"] in numbers]
        return len(lines) == 100 and all(line["outcome"] == "cancelled" for line in lines)

    await soon(are_closed, "the provider to see every client leave")
    assert {event.ending for event in events} == {"client_left"}
    assert sum(event.charge_usd for event in events) == await apart(team.charged_usd) > 0


async def test_a_client_that_reads_nothing_costs_no_memory_and_is_cut(
    house: House, worker: Process, team: Team
) -> None:
    gateway = await asyncio.to_thread(house.start_gateway, FAREBOX_WRITE_STALL_TIMEOUT_SECONDS="1")
    await call(gateway, team.key, chat("echo@fake", stream=True))
    memory_before = await asyncio.to_thread(resident_kib, gateway)

    async with AsyncExitStack() as stack:
        for _ in range(SILENT):
            stream = await stack.enter_async_context(raw_request(gateway.url, FLOOD, key=team.key))
            await stream.read_head()
            stream.writer.transport.pause_reading()
        events = await apart(team.wait_for_events, 1 + SILENT)
        memory_after = await asyncio.to_thread(resident_kib, gateway)

    cut = [event for event in events if event.ending == "cut"]
    assert [event.error_code for event in cut] == ["request_timeout"] * SILENT
    assert {event.output_tokens > 0 for event in cut} == {True}
    assert memory_after - memory_before < SILENT * FLOOD_KIB / 5
    assert sum(event.charge_usd for event in events) == await apart(team.charged_usd)


async def cancel(gateway: Process, team: Team, count: int, *, earliest: float = 0.0) -> None:
    """Calls whose clients leave: before the head, at it, or after some events."""
    dice = random.Random(count)
    plans = [(dice.uniform(earliest, 1.0), dice.randint(1, 5)) for _ in range(count)]
    places = asyncio.Semaphore(AT_ONCE)

    async def one(chance: float, events: int) -> None:
        body = WHOLE if chance < 0.1 else STREAM
        async with places, raw_request(gateway.url, body, key=team.key) as stream:
            if chance < ANSWERED:
                await asyncio.sleep(chance / 4)
                return
            await stream.read_head()
            await stream.read_events(events if chance > 0.4 else 0)

    await asyncio.gather(*(one(*plan) for plan in plans))


async def has_at_most(gateway: Process, count: int) -> bool:
    return await asyncio.to_thread(descriptors, gateway) <= count


def descriptors(gateway: Process) -> int:
    return len(os.listdir(f"/proc/{gateway.child.pid}/fd"))


def resident_kib(gateway: Process) -> int:
    lines = Path(f"/proc/{gateway.child.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))
