"""A gateway that is told to stop: what runs may finish, what takes too long is cut, all of it is settled."""

import asyncio
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from decimal import Decimal
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
import redis
from django.conf import settings

from billing.models import UsageEvent
from gateway.policy import shard_of, shard_prefix
from tests.flows.calls import call, soon
from tests.flows.own_redis import OwnRedis
from tests.guarantees.books import priced
from tests.house import House, Process, Team, apart, chat
from tests.stream_client import RawStream, raw_request

# uvicorn ends itself by the signal that it was sent, once its shutdown is complete.
ORDERLY = {0, -signal.SIGTERM}
TOKENS = 20
WHOLE = "".join(f"w{number:02d} " for number in range(1, TOKENS + 1))
STREAM = chat("ten-chunks@fake", f"[[tokens {TOKENS}]] [[pace 50]]", stream=True)
ENDLESS = chat("slow@fake", "[[tokens 2000]]", stream=True)


async def test_running_requests_finish_and_no_new_one_is_taken(
    house: House, worker: Process, team: Team
) -> None:
    gateway = await asyncio.to_thread(house.start_gateway)
    buffered = asyncio.create_task(call(gateway, team.key, chat("echo@fake", "[[pace 100]]")))
    async with streams(gateway, team, STREAM, count=4) as running:
        gateway.signal(signal.SIGTERM)
        await soon(lambda: is_refused(gateway), "new connections to be refused")
        for stream in running:
            await stream.read_rest()
    answer = await buffered
    status = await asyncio.to_thread(gateway.stop)

    assert [stream.text for stream in running] == [WHOLE] * 4
    assert [stream.body.count(b"data: [DONE]\n\n") for stream in running] == [1] * 4
    assert answer.status == 200
    assert status in ORDERLY
    events = await apart(team.wait_for_events, 5)
    assert {event.ending for event in events} == {"completed"}
    assert await apart(invoiced, house, events) == await apart(team.charged_usd)
    assert await apart(held_nano, team) == 0


async def test_a_connection_that_is_kept_alive_is_closed(house: House, team: Team) -> None:
    gateway = await asyncio.to_thread(house.start_gateway)
    async with httpx.AsyncClient(headers=team.headers, timeout=30) as client:
        url = f"{gateway.url}/v0/chat/completions"
        first = await client.post(url, json=chat("echo@fake"))
        status = await asyncio.to_thread(gateway.stop)

        with pytest.raises(httpx.TransportError):
            await client.post(url, json=chat("echo@fake"))

    assert first.status_code == 200
    assert status in ORDERLY


async def test_what_takes_longer_than_the_drain_time_is_cut_told_and_settled(
    house: House, worker: Process, team: Team
) -> None:
    gateway = await asyncio.to_thread(house.start_gateway, FAREBOX_DRAIN_TIMEOUT_SECONDS="0.5")
    buffered = asyncio.create_task(call(gateway, team.key, chat("echo@fake", "[[delay 60000]]")))
    async with streams(gateway, team, ENDLESS, count=4) as running:
        stopping = asyncio.create_task(asyncio.to_thread(gateway.stop))
        for stream in running:
            await stream.read_rest()
        status = await stopping
    answer = await buffered

    assert {stream.body.count(b"event: error\n") for stream in running} == {1}
    assert {stream.body.count(b"data: [DONE]\n\n") for stream in running} == {1}
    reasons = [stream.events()[-1]["error"]["details"]["reason"] for stream in running]
    assert reasons == ["draining"] * 4
    assert (answer.status, answer.error["details"]["reason"]) == (503, "draining")
    assert answer.headers["retry-after"] == "1"
    assert status in ORDERLY
    events = await apart(team.wait_for_events, 5)
    assert {event.ending for event in events} == {"cut"}
    assert sorted(event.output_tokens > 0 for event in events) == [False, True, True, True, True]
    read = sorted(len(stream.text) // 4 for stream in running)
    assert sorted(event.output_tokens for event in events if event.output_tokens) == read
    assert await apart(held_nano, team) == 0
    assert sum(event.charge_usd for event in events) == await apart(team.charged_usd)


@pytest.mark.parametrize("is_killed", [False, True], ids=["stopped", "killed"])
async def test_what_redis_did_not_take_lies_on_disk_for_the_next_process(
    house: House, own_redis: OwnRedis, team: Team, tmp_path: Path, *, is_killed: bool
) -> None:
    spool = tmp_path / "spool"
    own = {
        "REDIS_URL": own_redis.url,
        "FAREBOX_SPOOL_DIR": str(spool),
        "FAREBOX_REDIS_CALL_TIMEOUT_MS": "1000",
    }
    gateway = await asyncio.to_thread(house.start_gateway, **own)
    async with streams(gateway, team, STREAM, count=3) as running:
        own_redis.pause()
        for stream in running:
            await stream.read_rest()
    await soon(lambda: has_lines(spool, 3), "the settlements to lie on disk")
    if is_killed:
        gateway.kill()
    else:
        assert await asyncio.to_thread(gateway.stop) in ORDERLY
    own_redis.resume()
    before = await apart(own_redis.wallet, team)

    following = await asyncio.to_thread(house.start_gateway, **own)

    events = await apart(own_redis.wait_for_events, team, 3)
    assert before["held"] > 0
    assert {(event.ending, event.output_tokens) for event in events} == {("completed", TOKENS)}
    assert await apart(invoiced, house, events) == await apart(team.charged_usd)
    await soon(lambda: has_lines(spool, 0), "the spool to be empty")
    assert (await apart(own_redis.wallet, team))["held"] == 0
    assert await asyncio.to_thread(following.stop) in ORDERLY


async def test_two_processes_share_a_spool_folder_without_taking_from_each_other(
    house: House, own_redis: OwnRedis, team: Team, tmp_path: Path
) -> None:
    spool = tmp_path / "spool"
    own = {
        "REDIS_URL": own_redis.url,
        "FAREBOX_SPOOL_DIR": str(spool),
        "FAREBOX_REDIS_CALL_TIMEOUT_MS": "1000",
    }
    gateway = await asyncio.to_thread(house.start_gateway, **own)
    async with streams(gateway, team, STREAM, count=3) as running:
        own_redis.pause()
        for stream in running:
            await stream.read_rest()
    await soon(lambda: has_lines(spool, 3), "the settlements to lie on disk")

    # It starts while Redis is away and the other still lives: what lies there is not its own.
    own_redis.resume()
    other = await asyncio.to_thread(house.start_gateway, **own)

    events = await apart(own_redis.wait_for_events, team, 3)
    assert {event.ending for event in events} == {"completed"}
    assert await apart(invoiced, house, events) == await apart(team.charged_usd)
    assert (gateway.is_running, other.is_running) == (True, True)


@asynccontextmanager
async def streams(
    gateway: Process, team: Team, body: dict[str, object], *, count: int
) -> AsyncIterator[list[RawStream]]:
    """Streams that have begun."""
    async with AsyncExitStack() as stack:
        running = []
        for _ in range(count):
            stream = await stack.enter_async_context(raw_request(gateway.url, body, key=team.key))
            assert await stream.read_head() == 200
            running.append(stream)
        for stream in running:
            await stream.read_events(3)
        yield running


async def is_refused(gateway: Process) -> bool:
    address = urlsplit(gateway.url)
    try:
        socket.create_connection((address.hostname or "", address.port or 0), timeout=1).close()
    except ConnectionRefusedError:
        return True
    return False


async def has_lines(spool: Path, count: int) -> bool:
    return await asyncio.to_thread(lines_in, spool) == count


def lines_in(spool: Path) -> int:
    return sum(len(path.read_bytes().splitlines()) for path in spool.glob("*.jsonl"))


def held_nano(team: Team) -> int:
    prefix = shard_prefix(shard_of(team.organization.pk, settings.FAREBOX_SHARDS))
    with redis.Redis.from_url(settings.FAREBOX_REDIS_URL) as client:
        return int(client.hget(f"{prefix}money:wallet:{team.organization.pk.hex}", "h") or 0)


def invoiced(house: House, events: list[UsageEvent]) -> Decimal:
    """What the provider bills for these requests; each is on its invoice once."""
    numbers = {str(event.id) for event in events}
    lines = [line for line in house.invoice() if line["client_request_id"] in numbers]
    assert sorted(line["client_request_id"] for line in lines) == sorted(numbers)
    return sum((priced(line) for line in lines), Decimal(0))
