"""A Redis that comes back without its memory hears once more what was settled in the last seconds."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import redis
from django.conf import settings

from billing.ingest import ingest_shard
from billing.models import UsageEvent
from billing.money import nano_to_usd
from gateway.policy import shard_of
from tests.flows.calls import call, get, is_at_rest, soon
from tests.flows.own_redis import OwnRedis
from tests.guarantees.books import priced
from tests.house import House, Process, Team, apart, chat, eventually

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
