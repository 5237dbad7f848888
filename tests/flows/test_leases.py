"""Holds whose process is gone or was taken for gone: settled once, with the last reading it left."""

import asyncio
import signal
from collections.abc import Iterator

import orjson
import pytest
import redis
from django.conf import settings

from gateway.policy import shard_of, shard_prefix
from tests.house import House, Process, Team, apart, chat, eventually
from tests.stream_client import raw_request

LEASE = {"FAREBOX_HOLD_LEASE_SECONDS": "1.5", "FAREBOX_HOLD_RENEW_SECONDS": "0.3"}
ENDLESS = chat("slow@fake", "[[tokens 2000]] [[pace 50]]", stream=True)


@pytest.fixture
def survivor(house: House) -> Iterator[Process]:
    """The process that reaps."""
    process = house.start_gateway(**LEASE)
    yield process
    process.stop()


@pytest.fixture
def other(house: House) -> Iterator[Process]:
    process = house.start_gateway(**LEASE)
    yield process
    process.signal(signal.SIGCONT)
    process.kill()


async def test_a_stream_whose_process_is_killed_is_settled_with_its_last_reading(
    house: House, survivor: Process, other: Process, worker: Process, team: Team
) -> None:
    async with raw_request(other.url, ENDLESS, key=team.key) as stream:
        await stream.read_until(b"w05 ")
        await apart(eventually, lambda: recorded_tokens(team) >= 5, "a renewal with a reading")
        other.kill()

    event = await apart(team.only_event)
    (billed,) = await apart(house.invoice, client_request_id=str(event.id))
    assert (event.ending, event.status, event.is_estimated) == ("recovered", 500, True)
    assert event.input_tokens == billed["prompt_tokens"]
    assert 5 <= event.output_tokens <= billed["completion_tokens"]
    assert event.charge_usd == event.cost_usd == await apart(team.charged_usd)
    assert await apart(held_nano, team) == 0


async def test_a_stream_that_was_taken_for_dead_is_cut_when_its_process_comes_back(
    house: House, survivor: Process, other: Process, worker: Process, team: Team
) -> None:
    async with raw_request(other.url, ENDLESS, key=team.key) as stream:
        await stream.read_until(b"w05 ")
        await apart(eventually, lambda: recorded_tokens(team) >= 5, "a renewal with a reading")
        other.signal(signal.SIGSTOP)
        event = await apart(team.only_event)
        other.signal(signal.SIGCONT)
        answer = await stream.read_rest()

    assert event.ending == "recovered"
    assert answer.count(b"data: [DONE]\n\n") == 1
    assert b"event: error\n" in answer
    assert stream.events()[-1]["error"]["code"] == "temporarily_unavailable"
    assert await apart(team.wait_for_events, 1) == [event]
    assert event.charge_usd == await apart(team.charged_usd)


async def test_a_stream_that_is_renewed_outlives_its_lease(
    survivor: Process, worker: Process, team: Team
) -> None:
    async with raw_request(survivor.url, ENDLESS, key=team.key) as stream:
        await asyncio.wait_for(stream.read_until(b"w45 "), timeout=30)

    event = await apart(team.only_event)
    assert event.ending == "client_left"
    assert event.output_tokens >= 45


def held_nano(team: Team) -> int:
    """What the organization's credit counter says is held."""
    with redis.Redis.from_url(settings.FAREBOX_REDIS_URL) as client:
        return int(client.hget(f"{_prefix(team)}money:wallet:{team.organization.pk.hex}", "h") or 0)


def recorded_tokens(team: Team) -> int:
    """How much output the record of the organization's open hold says was used."""
    with redis.Redis.from_url(settings.FAREBOX_REDIS_URL) as client:
        members = [member.decode() for member in client.zrange(f"{_prefix(team)}holds", 0, -1)]
        records = [client.get(f"{_prefix(team)}hold:{member}") or b"" for member in members]
    for record in records:
        if team.organization.pk.hex.encode() in record:
            return int(orjson.loads(record)["event"]["usage"].get("output", 0))
    return 0


def _prefix(team: Team) -> str:
    return shard_prefix(shard_of(team.organization.pk, settings.FAREBOX_SHARDS))
