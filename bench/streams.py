"""Loads of our own making, as a process of their own: streams at a pace, clients that leave, one client.

`python -m bench.streams` reads a load as JSON from its input and prints its figures as JSON.
"""

import asyncio
import gc
import json
import sys
from itertools import count
from typing import Any

import uvloop

from bench import processes
from bench.callers import Caller, Callers, Outcome, clock, figures_of
from bench.cases import Kind
from bench.load import Load, from_json
from bench.turns import take_turns

LEAD_SECONDS = 0.1
OPENINGS_PER_SECOND = 500
OPENING_SECONDS = 40.0
SETTLE_SECONDS = 1.0
LEAVER_EVERY = 10
# A contestant that cannot keep up is not asked for ever more streams at once.
MOST_OPEN_FACTOR = 2


async def paced(load: Load) -> dict[str, float]:
    """As many streams open at any moment as there are clients, begun at equal intervals.

    A time begins when the stream was due to be asked for, so that a late client does not flatter the
    contestant. Times count once all clients are there.
    """
    callers, request = Callers(load.port, rests=True), load.request()
    interval = load.answer_seconds / load.clients
    begin = clock() + LEAD_SECONDS
    streams: list[asyncio.Task[Outcome]] = []
    refused = 0
    for number in range(round((load.answer_seconds + load.seconds) / interval)):
        due = begin + number * interval
        if (wait_seconds := due - clock()) > 0:
            await asyncio.sleep(wait_seconds)
        if callers.busy < MOST_OPEN_FACTOR * load.clients:
            streams.append(asyncio.create_task(callers.stream(request, asked_at=due)))
        else:
            refused += 1
    ended, pending = await asyncio.wait(streams, timeout=3 * load.answer_seconds + 10)
    outcomes = [stream.result() for stream in ended]
    full_at = begin + load.answer_seconds
    measured = [outcome for outcome in outcomes if outcome.asked_at >= full_at]
    figures = figures_of(outcomes, seconds=clock() - begin, measured=measured)
    for stream in pending:
        stream.cancel()
    unfinished = len(pending) + refused
    return figures | {"unfinished": unfinished, "errors": figures["errors"] + unfinished}


async def leaving(load: Load) -> dict[str, float]:
    """Each client streams one answer after the other; every tenth answer is left midway."""
    callers, request = Callers(load.port), load.request()
    begin, numbers = clock(), count(1)
    outcomes: list[Outcome] = []

    async def one_client() -> None:
        while clock() < begin + load.seconds:
            number = next(numbers)
            leave_after_events = 5 + number % 40 if number % LEAVER_EVERY == 0 else None
            outcomes.append(
                await callers.stream(request, asked_at=clock(), leave_after_events=leave_after_events)
            )

    clients = [asyncio.create_task(one_client()) for _ in range(load.clients)]
    _, pending = await asyncio.wait(clients, timeout=load.seconds + 30)
    figures = figures_of(outcomes, seconds=clock() - begin)
    return figures | {"unfinished": len(pending), "errors": figures["errors"] + len(pending)}


async def opened(load: Load) -> dict[str, float]:
    """Open all streams, wait for the first token of each, and see what the contestant has grown by."""
    callers, request = Callers(load.port), load.request()
    idle_bytes = processes.rss_bytes(load.watched_pid)
    begin = clock()

    async def one_stream(number: int) -> Caller:
        await asyncio.sleep(number / OPENINGS_PER_SECOND)
        caller = await callers.connected()
        outcome = caller.ask(request, asked_at=clock())
        both: set[asyncio.Future[Any]] = {caller.first_token, outcome}
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        if not caller.first_token.done():
            raise ConnectionError("no token came")
        return caller

    openings = [asyncio.create_task(one_stream(number)) for number in range(load.clients)]
    ended, pending = await asyncio.wait(openings, timeout=OPENING_SECONDS)
    for opening in pending:
        opening.cancel()
    is_open = [opening for opening in ended if opening.exception() is None]
    await asyncio.sleep(SETTLE_SECONDS)
    open_bytes = processes.rss_bytes(load.watched_pid)
    figures: dict[str, float] = {
        "requests": len(is_open),
        "seconds": clock() - begin,
        "errors": load.clients - len(is_open),
        "idle_rss_bytes": idle_bytes,
        "open_rss_bytes": open_bytes,
    }
    if is_open:
        figures["stream_bytes"] = (open_bytes - idle_bytes) / len(is_open)
    for opening in is_open:
        opening.result().leave()
    return figures


async def turns(load: Load) -> dict[str, float]:
    """One client, one request after the other, on a blocking socket."""
    return take_turns(load, clock=clock)


LOADS = {Kind.PACED: paced, Kind.LEAVING: leaving, Kind.OPEN: opened, Kind.TURNS: turns}


def main() -> None:
    load = from_json(sys.stdin.read())
    gc.freeze()
    print(json.dumps(uvloop.run(LOADS[Kind(load.kind)](load))))


if __name__ == "__main__":
    main()
