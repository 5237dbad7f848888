"""Redis stops answering: calls are refused at once and clearly, what runs goes on, and nothing is lost."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from billing.money import nano_to_usd
from tests.flows.calls import call, get, is_at_rest, soon
from tests.flows.own_redis import OwnRedis
from tests.guarantees.books import priced
from tests.house import House, Process, Team, apart, chat
from tests.stream_client import RawStream, raw_request

# Far more patience than by default: a busy machine must not be taken for an absent Redis.
CALM = {"FAREBOX_REDIS_CALL_TIMEOUT_MS": "1000"}
# For callers who are content with a refusal at any time.
IMPATIENT = {"FAREBOX_REDIS_CALL_TIMEOUT_MS": "120"}
LEASE_SECONDS = 2.0
# A Redis that begins with nothing makes calls wait for two renewals; two seconds would be too long for them.
LEASE = {"FAREBOX_HOLD_LEASE_SECONDS": str(LEASE_SECONDS), "FAREBOX_HOLD_RENEW_SECONDS": "0.5"}
# Looks for expired leases ten times as often as others renew theirs.
EAGER = {"FAREBOX_HOLD_LEASE_SECONDS": str(LEASE_SECONDS), "FAREBOX_HOLD_RENEW_SECONDS": "0.1"}
TOKENS = 80
STREAM = chat("ten-chunks@fake", f"[[tokens {TOKENS}]] [[pace 50]]", stream=True)


@pytest.fixture
def start(house: House, own_redis: OwnRedis, tmp_path: Path) -> Any:
    def start(**environment: str) -> Process:
        own = {"REDIS_URL": own_redis.url, "FAREBOX_SPOOL_DIR": str(tmp_path / "spool")}
        return house.start_gateway(**{**own, **environment})

    return start


async def test_a_call_is_refused_at_once_and_told_to_come_back(
    house: House, start: Any, own_redis: OwnRedis, team: Team, tmp_path: Path
) -> None:
    gateway = start(**CALM)
    before = await call(gateway, team.key, chat("echo@fake"))
    await soon(lambda: is_at_rest(gateway), "the first call to be settled")

    # It answers nothing until all are refused: nobody has waited for it longer than it is told to.
    own_redis.pause()
    refused = await asyncio.gather(*(call(gateway, team.key, chat("echo@fake")) for _ in range(9)))
    on_disk = await asyncio.to_thread(lambda: list((tmp_path / "spool").rglob("*")))
    own_redis.resume()

    assert before.status == 200
    assert on_disk == []
    assert {answer.status for answer in refused} == {503}
    assert {answer.error["code"] for answer in refused} == {"temporarily_unavailable"}
    assert {answer.error["details"]["reason"] for answer in refused} == {"limits_unavailable"}
    assert {answer.headers["retry-after"] for answer in refused} == {"1"}
    await soon(lambda: is_served(gateway, team), "calls to be served again")
    ids = {answer.headers["x-farebox-event-id"] for answer in refused}
    assert [line for line in await apart(house.invoice) if line["client_request_id"] in ids] == []


async def test_the_sdk_comes_back_as_told_and_is_served(start: Any, own_redis: OwnRedis, team: Team) -> None:
    gateway = start(**CALM)
    await call(gateway, team.key, chat("echo@fake"))
    own_redis.pause()

    async with openai.AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key=team.key, max_retries=4) as client:
        calling = asyncio.create_task(
            client.chat.completions.with_raw_response.create(
                model="fake/echo", messages=[{"role": "user", "content": "hello"}]
            )
        )
        await soon(lambda: has_refused(gateway), "the first refusal")
        own_redis.resume()
        answer = await calling

    assert (answer.status_code, answer.retries_taken >= 1) == (200, True)


async def test_running_streams_go_on_and_are_settled_when_it_is_back(
    house: House, start: Any, own_redis: OwnRedis, team: Team
) -> None:
    gateway = start(**CALM)
    async with streams(gateway, team, 4) as running:
        own_redis.pause()
        for stream in running:
            await stream.read_rest()

    assert [stream.text == whole_text(TOKENS) for stream in running] == [True] * 4
    assert [stream.body.count(b"data: [DONE]\n\n") for stream in running] == [1] * 4
    own_redis.resume()
    events = await apart(own_redis.wait_for_events, team, 4)
    assert {(event.ending, event.output_tokens) for event in events} == {("completed", TOKENS)}
    await soon(lambda: is_settled(own_redis, team, events), "the counter to agree with the events")
    assert await apart(invoiced, house, events) == await apart(team.charged_usd)


async def test_a_stream_whose_lease_ran_out_meanwhile_is_not_taken_for_dead(
    house: House, start: Any, own_redis: OwnRedis, team: Team
) -> None:
    gateway, reaper = start(**CALM, **LEASE), start(**CALM, **EAGER)
    async with streams(gateway, team, 3) as running:
        own_redis.pause()
        await asyncio.sleep(1.1 * LEASE_SECONDS)
        own_redis.resume()
        for stream in running:
            await stream.read_rest()

    events = await apart(own_redis.wait_for_events, team, 3)
    assert {(event.ending, event.output_tokens) for event in events} == {("completed", TOKENS)}
    assert await apart(invoiced, house, events) == await apart(team.charged_usd)
    assert reaper.is_running


async def test_nothing_is_lost_and_nothing_is_billed_twice_although_it_stops_again_and_again(
    house: House, start: Any, own_redis: OwnRedis, team: Team
) -> None:
    gateway = start(**IMPATIENT, **EAGER)
    dice = random.Random(20261121)
    statuses: list[int] = []

    async def caller() -> None:
        async with httpx.AsyncClient(headers=team.headers, timeout=30) as client:
            for _ in range(40):
                text = f"[[tokens {dice.randint(1, 8)}]] [[pace 5]]"
                body = chat("echo@fake", text, stream=dice.random() < 0.5)
                answer = await client.post(f"{gateway.url}/v0/chat/completions", json=body)
                statuses.append(answer.status_code)
                if answer.status_code == 503:
                    await asyncio.sleep(0.05)

    async with asyncio.TaskGroup() as group:
        callers = [group.create_task(caller()) for _ in range(6)]
        while not all(each.done() for each in callers):
            await asyncio.sleep(dice.uniform(0.05, 0.3))
            own_redis.pause()
            await asyncio.sleep(dice.uniform(0.05, 0.3))
            own_redis.resume()

    events = await apart(own_redis.wait_for_events, team, len(statuses))
    endings = [event.ending for event in events]
    assert {200, 503} == set(statuses)
    assert endings.count("completed") == statuses.count(200)
    assert endings.count("refused") == statuses.count(503)
    await soon(lambda: is_settled(own_redis, team, events), "the counter to agree with the events")
    assert await apart(invoiced, house, events) == await apart(team.charged_usd)


@asynccontextmanager
async def streams(gateway: Process, team: Team, count: int) -> AsyncIterator[list[RawStream]]:
    """Streams that have begun."""
    async with AsyncExitStack() as stack:
        running = []
        for _ in range(count):
            stream = await stack.enter_async_context(raw_request(gateway.url, STREAM, key=team.key))
            assert await stream.read_head() == 200
            running.append(stream)
        for stream in running:
            await stream.read_events(3)
        yield running


async def is_served(gateway: Process, team: Team) -> bool:
    return (await call(gateway, team.key, chat("echo@fake"))).status == 200


async def has_refused(gateway: Process) -> bool:
    metrics = (await get(gateway, "", "/metrics")).body
    return b'farebox_requests_total{ending="refused",status="503"}' in metrics


async def is_settled(own_redis: OwnRedis, team: Team, events: list[Any]) -> bool:
    wallet = await apart(own_redis.wallet, team)
    charged_usd = sum((event.charge_usd for event in events), Decimal(0))
    return wallet["held"] == 0 and nano_to_usd(wallet["spent"]) == charged_usd


def whole_text(tokens: int) -> str:
    return "".join(f"w{number:02d} " for number in range(1, tokens + 1))


def invoiced(house: House, events: list[Any]) -> Decimal:
    """What the provider bills for these requests; each is on its invoice at most once."""
    numbers = {str(event.id) for event in events}
    lines = [line for line in house.invoice() if line["client_request_id"] in numbers]
    assert len({line["client_request_id"] for line in lines}) == len(lines)
    return sum((priced(line) for line in lines), Decimal(0))
