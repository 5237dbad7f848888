"""G11: nothing lost, nothing twice, although gateways and the worker are killed while it runs.

The seed decides who is killed when; a failing one reproduces it.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest

from tests.guarantees.books import books_of, priced
from tests.house import House, Process, Team, apart, chat, eventually
from tests.stream_client import raw_request

pytestmark = pytest.mark.guarantee

REQUESTS = 300
AT_ONCE = 24
GATEWAY_DEATHS = 2
Strike = Callable[[int], Awaitable[None]]
LEASE = {"FAREBOX_HOLD_LEASE_SECONDS": "3", "FAREBOX_HOLD_RENEW_SECONDS": "0.5"}


@pytest.mark.parametrize("seed", [1, 2])
async def test_the_books_agree_after_gateways_and_the_worker_were_killed(
    seed: int, house: House, team: Team
) -> None:
    dice = random.Random(seed)
    gateways = [await asyncio.to_thread(house.start_gateway, **LEASE) for _ in range(3)]
    workers = [house.start_worker()]
    deaths = sorted(dice.sample(range(REQUESTS // 6, REQUESTS), 3))
    completed: list[str] = []

    async def strike(position: int) -> None:
        if position == deaths[0]:
            gateways[0].kill()
            gateways[0] = await asyncio.to_thread(house.start_gateway, **LEASE)
        elif position == deaths[1]:
            workers[0].kill()
            workers[0] = house.start_worker()
        elif position == deaths[2]:
            gateways[1].kill()
            gateways[1] = await asyncio.to_thread(house.start_gateway, **LEASE)

    await load(gateways, team, dice, completed, strike)
    await apart(wait_until_settled, team, len(completed))

    books = await apart(books_of, house, team)
    whole = [books.events[number] for number in completed]
    recovered = [event for event in books.events.values() if event.ending == "recovered"]
    assert len(completed) == len(set(completed))
    # The last byte leaves before its settlement: who was killed in between left it to the reaper.
    assert {event.ending for event in whole} <= {"completed", "recovered"}
    assert sum(event.ending == "recovered" for event in whole) <= GATEWAY_DEATHS * AT_ONCE
    assert set(books.differing()) <= {str(event.id) for event in recovered}
    assert all(event.charge_usd <= priced(books.invoiced[str(event.id)]) for event in recovered)
    assert books.events_usd == books.ledger_usd
    for process in [*gateways, *workers]:
        process.stop()


async def load(
    gateways: list[Process], team: Team, dice: random.Random, completed: list[str], strike: Strike
) -> None:
    places = asyncio.Semaphore(AT_ONCE)
    kinds = ["stream", "buffered"]
    plans = [(dice.randrange(3), dice.choice(kinds), dice.randint(1, 20)) for _ in range(REQUESTS)]

    async def one(position: int) -> None:
        number, kind, tokens = plans[position]
        body = chat("ten-chunks@fake", f"[[tokens {tokens}]] [[pace 10]]", stream=kind == "stream")
        async with places:
            await strike(position)
            with suppress(OSError, asyncio.IncompleteReadError):
                async with raw_request(gateways[number].url, body, key=team.key) as stream:
                    if await stream.read_head() == 200:
                        answer = await stream.read_rest()
                        if is_whole(answer, kind):
                            completed.append(stream.headers["x-farebox-event-id"])

    await asyncio.gather(*(one(position) for position in range(REQUESTS)))


def is_whole(answer: bytes, kind: str) -> bool:
    if kind == "stream":
        return b"data: [DONE]\n\n" in answer and b"event: error" not in answer
    return answer.endswith(b"}")


def wait_until_settled(team: Team, completed: int) -> None:
    """Until every lease has run out and the number of events has come to rest."""
    seen: list[int] = []

    def at_rest() -> bool:
        seen.append(len(team.events()))
        return seen[-1] >= completed and len(seen) > 100 and len(set(seen[-100:])) == 1

    eventually(at_rest, "the events to come to rest", seconds=60)
