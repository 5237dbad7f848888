"""A Redis that comes back without its memory hears once more what was settled in the last seconds."""

import asyncio
import dataclasses
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pytest
import redis
from django.conf import settings

from billing.ingest import ingest_shard
from billing.models import UsageEvent
from billing.money import nano_to_usd
from gateway.limits import HeldCheck
from gateway.policy import shard_of, shard_prefix
from gateway.policy_store import PolicyStore
from gateway.redis_pipeline import RedisAway, RedisPipeline
from gateway.resending import Resender
from gateway.settlement import Settlement, Settler, usage_stream
from gateway.spool import Spool
from tests.flows.calls import call, get, is_at_rest, soon
from tests.flows.own_redis import OwnRedis
from tests.gateway.limits_bench import settings as bench_settings
from tests.guarantees.books import priced
from tests.house import House, Process, Team, apart, chat, database_url, eventually

# Longer than a start of Redis takes on a busy machine; renewals bound how long lost counters wait.
PATIENT = {"FAREBOX_RESEND_SECONDS": "120", "FAREBOX_HOLD_RENEW_SECONDS": "0.5"}


@pytest.fixture
def gateway(house: House, own_redis: OwnRedis, tmp_path: Path) -> Process:
    own = {"REDIS_URL": own_redis.url, "FAREBOX_SPOOL_DIR": str(tmp_path / "spool")}
    return house.start_gateway(**own, **PATIENT)


async def test_events_that_only_a_forgetful_redis_had_are_not_lost(
    house: House, gateway: Process, own_redis: OwnRedis, team: Team
) -> None:
    await spend(gateway, team, calls=4)

    await apart(forget, own_redis)

    events = await apart(completed, own_redis, team, 4)
    assert await apart(invoiced, house, events) == await apart(team.charged_usd)


async def test_what_the_ledger_has_is_not_counted_once_more(
    gateway: Process, own_redis: OwnRedis, team: Team
) -> None:
    await spend(gateway, team, calls=3)
    await apart(completed, own_redis, team, 3)
    await spend(gateway, team, calls=2)

    await apart(forget, own_redis)
    await soon(lambda: is_served(gateway, team), "the counters to be restored")
    await soon(lambda: is_at_rest(gateway), "the last call to be settled")

    events = await apart(completed, own_redis, team, 6)
    spent_usd = nano_to_usd((await apart(own_redis.wallet, team))["spent"])
    assert spent_usd == sum(event.charge_usd for event in events) == await apart(team.charged_usd)


async def test_a_redis_that_forgot_nothing_is_told_nothing_twice(
    gateway: Process, own_redis: OwnRedis, team: Team
) -> None:
    await spend(gateway, team, calls=3)

    await apart(own_redis.kill)
    await apart(own_redis.start_again)
    await soon(lambda: is_served(gateway, team), "Redis to be back")
    await soon(lambda: has_sent_again(gateway), "the settlements to be sent again")

    events = await apart(completed, own_redis, team, 4)
    spent_usd = nano_to_usd((await apart(own_redis.wallet, team))["spent"])
    assert spent_usd == sum(event.charge_usd for event in events) == await apart(team.charged_usd)


async def test_what_is_older_than_its_mark_is_sent_again_only_if_nobody_has_it(
    gateway: Process, own_redis: OwnRedis, team: Team, tmp_path: Path
) -> None:
    await spend(gateway, team, calls=2)
    of_ledger = await apart(settled, own_redis, team)
    await apart(completed, own_redis, team, 2)
    await spend(gateway, team, calls=1)
    of_stream = await apart(settled, own_redis, team)
    gateway.kill()
    now = [datetime.now(UTC)]

    async with resending(own_redis, now, tmp_path / "own") as resender:
        for settlement in (*of_ledger, *of_stream, lost(of_stream[0])):
            resender.keep(settlement)
        now[0] += timedelta(seconds=121)
        await apart(forget_marks, own_redis)
        await apart(own_redis.kill)
        await apart(own_redis.start_again)
        events = await apart(completed, own_redis, team, 4)

    assert resender.sent_again == 1
    spent_usd = nano_to_usd((await apart(own_redis.wallet, team))["spent"])
    assert spent_usd == sum(event.charge_usd for event in events) == await apart(team.charged_usd)


async def spend(gateway: Process, team: Team, *, calls: int) -> None:
    for _ in range(calls):
        assert (await call(gateway, team.key, chat("echo@fake"))).status == 200
    await soon(lambda: is_at_rest(gateway), "the calls to be settled")


def completed(own_redis: OwnRedis, team: Team, count: int) -> list[UsageEvent]:
    """The calls that were answered, once as many are in the ledger; others were refused meanwhile."""
    shard = shard_of(team.organization.pk, settings.FAREBOX_SHARDS)

    def found() -> list[UsageEvent]:
        with redis.Redis.from_url(own_redis.url) as client:
            ingest_shard(client, shard)
        return [event for event in team.events() if event.ending == "completed"]

    eventually(lambda: len(found()) >= count, lambda: f"{count} completed, got {len(found())}")
    events = found()
    assert len(events) == count
    return events


def forget(own_redis: OwnRedis) -> None:
    own_redis.kill()
    own_redis.start_again(is_empty=True)


async def is_served(gateway: Process, team: Team) -> bool:
    return (await call(gateway, team.key, chat("echo@fake"))).status == 200


async def has_sent_again(gateway: Process) -> bool:
    metrics = (await get(gateway, "", "/metrics")).body
    return b"farebox_sent_again 0.0" not in metrics


def invoiced(house: House, events: list[Any]) -> Decimal:
    numbers = {str(event.id) for event in events}
    return sum((priced(line) for line in house.invoice() if line["client_request_id"] in numbers), Decimal(0))


@asynccontextmanager
async def resending(own_redis: OwnRedis, now: Sequence[datetime], spool: Path) -> AsyncIterator[Resender]:
    """A process that serves nothing and has the time that it is told."""
    own = dataclasses.replace(
        bench_settings(settle_retry_seconds=0.05), database_url=database_url(), redis_url=own_redis.url
    )
    pipeline = RedisPipeline(own.redis_url, call_timeout_seconds=5, queue_limit=100)
    policies, settler = PolicyStore(own), Settler(pipeline, settings=own, spool=Spool(spool))
    await policies.open()
    resender = Resender(pipeline, policies, settings=own, clock=lambda: now[0], hand_over=settler.hand_over)
    await pipeline.call("PING")
    tasks = [asyncio.create_task(work()) for work in (resender.run, settler.run, lambda: asks(pipeline))]
    try:
        yield resender
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        await policies.close()
        await pipeline.close()


async def asks(pipeline: RedisPipeline) -> None:
    """What a process does that lives: only so it notices another server."""
    while True:
        with suppress(RedisAway):
            await pipeline.call("PING")
        await asyncio.sleep(0.05)


def settled(own_redis: OwnRedis, team: Team) -> list[Settlement]:
    """How the events that wait for ingestion came to be counted in the wallet."""
    shard = shard_of(team.organization.pk, settings.FAREBOX_SHARDS)
    wallet = HeldCheck(
        "b", f"{shard_prefix(shard)}money:wallet:{team.organization.pk.hex}", 0, 0, is_wallet=True
    )
    with redis.Redis.from_url(own_redis.url) as client:
        contents: list[bytes] = [fields[b"e"] for _, fields in client.xrange(usage_stream(shard))]
    events = [orjson.loads(content) for content in contents]
    return [
        Settlement(uuid.UUID(event["id"]), shard, (wallet,), content, 0, event["charge_nano"], 0)
        for event, content in zip(events, contents, strict=True)
    ]


def lost(like: Settlement) -> Settlement:
    """One that Redis confirmed and does not know."""
    request_id = uuid.uuid4()
    event = orjson.dumps({**orjson.loads(like.event), "id": str(request_id)})
    return Settlement(request_id, like.shard, like.checks, event, 0, like.charge_nano, 0)


def forget_marks(own_redis: OwnRedis) -> None:
    """Let the time of the marks run out."""
    with redis.Redis.from_url(own_redis.url) as client:
        client.delete(*client.scan_iter("fb:*:hold:*"))
