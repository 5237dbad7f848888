"""G20: one Idempotency-Key and body is one upstream call, one charge and one answer, whoever asks when."""

import asyncio
import uuid
from collections import Counter
from typing import Any

import httpx
import openai
import pytest

from tests.flows.calls import Reply, call, get, soon
from tests.guarantees.books import books_of
from tests.house import House, Process, Team, apart, chat
from tests.stream_client import raw_request

pytestmark = pytest.mark.guarantee

TWINS = 50
LEASE = {"FAREBOX_HOLD_LEASE_SECONDS": "2", "FAREBOX_HOLD_RENEW_SECONDS": "0.5"}
TOKENS = 12


@pytest.fixture(scope="module")
def pair(house: House) -> list[Process]:
    """Two gateways of one house."""
    return [house.start_gateway(**LEASE) for _ in range(2)]


def body_of(*, tokens: int = TOKENS, pace: int = 20, **parameters: Any) -> dict[str, Any]:
    return chat("ten-chunks@fake", f"say it [[tokens {tokens}]] [[pace {pace}]]", **parameters)


def new_key() -> str:
    return uuid.uuid4().hex


@pytest.mark.parametrize("is_stream", [False, True], ids=["whole", "stream"])
async def test_fifty_twins_are_one_upstream_call_one_charge_and_one_answer(
    is_stream: bool, house: House, pair: list[Process], worker: Process, team: Team
) -> None:
    once, body = new_key(), body_of(stream=is_stream)
    refusals: list[Reply] = []

    async def twin(number: int) -> Reply:
        while (reply := await ask(pair[number % 2], team, body, once)).status == 409:
            refusals.append(reply)
            await asyncio.sleep(int(reply.headers["retry-after"]))
        return reply

    answers = await asyncio.gather(*(twin(number) for number in range(TWINS)))

    assert {answer.status for answer in answers} == {200}
    assert len({answer.body for answer in answers}) == 1
    replayed = [answer for answer in answers if answer.headers.get("idempotent-replayed") == "true"]
    assert len(replayed) == TWINS - 1
    assert refusals
    assert {refusal.error["code"] for refusal in refusals} == {"idempotency_in_progress"}
    events = await apart(team.wait_for_events, TWINS + len(refusals))
    endings = Counter(event.ending for event in events)
    assert endings == {"completed": 1, "replayed": TWINS - 1, "refused": len(refusals)}
    books = await apart(books_of, house, team)
    assert len(books.invoiced) == 1
    assert books.invoiced_usd == books.events_usd == books.ledger_usd > 0
    (original,) = {answer.headers["x-farebox-original-event-id"] for answer in replayed}
    assert set(books.invoiced) == {original}


async def test_the_official_sdk_waits_for_a_running_twin_and_gets_its_answer(
    pair: list[Process], worker: Process, team: Team
) -> None:
    once, body = new_key(), body_of(tokens=40, pace=25)
    first = asyncio.create_task(ask(pair[0], team, body, once))
    await soon(lambda: has_started(pair[0]), "the first twin to be running")

    async with openai.AsyncOpenAI(
        base_url=f"{pair[1].url}/v0", api_key=team.key, max_retries=5, http_client=plain_http()
    ) as client:
        second = await client.chat.completions.with_raw_response.create(
            **body, extra_headers={"Idempotency-Key": once}
        )

    assert second.retries_taken >= 1
    assert second.headers["idempotent-replayed"] == "true"
    assert second.content == (await first).body


async def test_after_a_kill_the_key_is_free_with_the_lease_and_the_retry_runs(
    house: House, pair: list[Process], worker: Process, team: Team
) -> None:
    once, body = new_key(), body_of(tokens=100, pace=20, stream=True)
    doomed = await asyncio.to_thread(house.start_gateway, **LEASE)
    async with raw_request(doomed.url, body, key=team.key, idempotency_key=once) as stream:
        assert await stream.read_head() == 200
        await stream.read_events(20)
        during = await ask(pair[0], team, body, once)
        doomed.kill()

    waiting = await ask(pair[0], team, body, once)
    replies = [waiting]

    async def is_served() -> bool:
        replies.append(await ask(pair[0], team, body, once))
        return replies[-1].status == 200

    await soon(is_served, "the killed process' lease to end")

    assert (during.status, waiting.status) == (409, 409)
    answer = replies[-1]
    assert "idempotent-replayed" not in answer.headers
    assert answer.is_done
    while (again := await ask(pair[1], team, body, once)).status == 409:
        replies.append(again)
    assert again.body == answer.body
    events = await apart(team.wait_for_events, len(replies) + 3)
    assert Counter(event.ending for event in events) == {
        "recovered": 1, "completed": 1, "replayed": 1, "refused": len(replies),
    }  # fmt: skip
    assert sum(event.charge_usd for event in events) == await apart(team.charged_usd)


async def test_a_client_that_left_finds_the_whole_answer_when_it_comes_back(
    house: House, pair: list[Process], worker: Process, team: Team
) -> None:
    once, body = new_key(), body_of(tokens=40, pace=20, stream=True)
    async with raw_request(pair[0].url, body, key=team.key, idempotency_key=once) as stream:
        assert await stream.read_head() == 200
        await stream.read_events(5)

    replies: list[Reply] = []

    async def is_served() -> bool:
        replies.append(await ask(pair[1], team, body, once))
        return replies[-1].status == 200

    await soon(is_served, "the answer to be complete")

    assert replies[-1].headers["idempotent-replayed"] == "true"
    assert replies[-1].is_done
    assert replies[-1].text == "".join(f"w{number:02d} " for number in range(1, 41))
    events = await apart(team.wait_for_events, len(replies) + 1)
    assert Counter(event.ending for event in events)["completed"] == 1
    books = await apart(books_of, house, team)
    assert len(books.invoiced) == 1
    assert books.invoiced_usd == books.ledger_usd


async def test_an_answer_is_given_again_until_its_hours_are_over(
    house: House, worker: Process, team: Team
) -> None:
    gateway = await asyncio.to_thread(house.start_gateway, FAREBOX_IDEMPOTENCY_HOURS="0.0005")
    once, body = new_key(), body_of(tokens=2, pace=1)
    first, second = [await ask(gateway, team, body, once) for _ in range(2)]

    async def is_run_anew() -> bool:
        return "idempotent-replayed" not in (await ask(gateway, team, body, once)).headers

    await soon(is_run_anew, "the answer to be forgotten")

    assert (first.status, second.headers["idempotent-replayed"]) == (200, "true")
    gateway.stop()


async def ask(gateway: Process, team: Team, body: dict[str, Any], once: str) -> Reply:
    return await call(gateway, team.key, body, idempotency_key=once)


async def has_started(gateway: Process) -> bool:
    return b"farebox_running_requests 1.0" in (await get(gateway, "", "/metrics")).body


def plain_http() -> httpx.AsyncClient:
    return openai.DefaultAsyncHttpxClient(verify=False)
