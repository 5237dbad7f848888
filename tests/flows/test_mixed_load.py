"""2,000 mixed requests: the provider's invoice, the usage events, the ledger and the page agree."""

import asyncio
import random
from decimal import Decimal
from typing import Any

import httpx

from tests.guarantees.books import audit_report, books_of, overview_usd
from tests.house import House, Process, Team, apart, chat

REQUESTS = 2_000
AT_ONCE = 32
TEXTS = (
    "hello",
    "a longer question about the price of tea in many places",
    "[[cached 2]] again",
    "[[tokens 3]]",
    "Grüße, 你好",
    "[[tokens 40]]",
)


async def test_2000_mixed_requests_cost_the_same_in_every_book(
    house: House, gateway: Process, worker: Process, team: Team
) -> None:
    dice = random.Random(2000)
    bodies = [body(dice) for _ in range(REQUESTS)]

    statuses = await send_all(gateway, team, bodies)
    await apart(team.wait_for_events, REQUESTS)

    books = await apart(books_of, house, team)
    assert statuses == {200: REQUESTS}
    assert books.differing() == []
    assert books.invoiced_usd == books.events_usd == books.ledger_usd > Decimal(0)
    assert await apart(overview_usd, gateway, team) == books.ledger_usd
    assert "DIFFER" not in await apart(audit_report)


def body(dice: random.Random) -> dict[str, Any]:
    model = dice.choice(["echo@fake", "fake/echo", "fifty-two@fake", "reasoner@fake", "echo"])
    parameters: dict[str, Any] = {"stream": True} if dice.random() < 0.5 else {}
    if dice.random() < 0.3:
        parameters["n"] = dice.randint(1, 3)
    if dice.random() < 0.3:
        parameters["max_tokens"] = dice.randint(1, 60)
    return chat(model, dice.choice(TEXTS), tags=[dice.choice("abc")], **parameters)


async def send_all(gateway: Process, team: Team, bodies: list[dict[str, Any]]) -> dict[int, int]:
    statuses: dict[int, int] = {}
    waiting = iter(bodies)

    async def caller() -> None:
        async with httpx.AsyncClient(headers=team.headers, timeout=60) as client:
            for each in waiting:
                answer = await client.post(f"{gateway.url}/v0/chat/completions", json=each)
                statuses[answer.status_code] = statuses.get(answer.status_code, 0) + 1

    await asyncio.gather(*(caller() for _ in range(AT_ONCE)))
    return statuses
