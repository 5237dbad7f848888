"""A money counter that Redis has lost comes back from the ledger and the stream, and is never zero."""

import asyncio
import signal
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
import redis
from django.conf import settings

from billing.models import Budget
from billing.money import usd_to_nano
from gateway.policy import shard_of, shard_prefix
from tests.flows.calls import call, soon
from tests.flows.own_redis import OwnRedis
from tests.house import House, Process, Team, apart, chat, eventually
from tests.stream_client import raw_request

PROMPT, ANSWER = 5, 8
COST_NANO = PROMPT * 1_000 + ANSWER * 2_000
QUICK = {"FAREBOX_HOLD_LEASE_SECONDS": "5", "FAREBOX_HOLD_RENEW_SECONDS": "0.2"}
# Enough for one answer of 100 tokens at two thousand nano-dollars, not for two.
LIMIT_NANO = 400_000
LONG = chat("ten-chunks@fake", "[[tokens 90]] [[pace 60]]", stream=True, max_tokens=100)


async def test_spent_money_is_remembered_although_redis_forgot_it(
    house: House, gateway: Process, team: Team
) -> None:
    worker = house.start_worker()
    _, key = await apart(team.new_key, budget_usd="1")
    await spend(gateway, key, times=3)
    await apart(team.wait_for_events, 3)
    worker.signal(signal.SIGSTOP)
    await spend(gateway, key, times=2)

    forgotten = await apart(forget_counters, team)
    await spend(gateway, key, times=1)

    assert len(forgotten) == 2
    # An answer is there before its settlement has reached Redis.
    everything = [6 * COST_NANO, 6 * COST_NANO]
    await apart(eventually, lambda: spent_nano(team, forgotten) == everything, "all six calls to be counted")
    worker.signal(signal.SIGCONT)
    await apart(team.wait_for_events, 6)
    assert usd_to_nano(await apart(team.charged_usd)) == 6 * COST_NANO
    worker.stop()


async def test_a_budget_that_came_later_counts_what_was_spent_before(
    gateway: Process, worker: Process, team: Team
) -> None:
    await spend(gateway, team.key, times=2)
    await apart(team.wait_for_events, 2)

    await apart(limit_to_three_calls, team)
    statuses = [await spend(gateway, team.key, times=1) for _ in range(3)]

    assert statuses == [200, 402, 402]


@pytest.mark.parametrize("loss", ["flushed", "empty after a restart"])
async def test_running_requests_still_hold_their_money_although_redis_forgot_it(
    loss: str, house: House, own_redis: OwnRedis, team: Team, tmp_path: Path
) -> None:
    own = {"REDIS_URL": own_redis.url, "FAREBOX_SPOOL_DIR": str(tmp_path / "spool"), **QUICK}
    gateways = [house.start_gateway(**own) for _ in range(2)]
    row, key = await apart(team.new_key)
    await apart(team.budget, row, amount_nano=LIMIT_NANO, window="total")
    assert (await call(gateways[0], key, chat("echo@fake", max_tokens=1))).status == 200
    await apart(own_redis.wait_for_events, team, 1)
    sums: list[int] = []

    async with raw_request(gateways[0].url, LONG, key=key) as running, asyncio.TaskGroup() as group:
        assert await running.read_head() == 200
        watching = group.create_task(watch(own_redis, team, sums))
        await apart(lose_memory, own_redis, loss)
        decided = await first_decision(gateways[1], key)
        assert b"[DONE]" not in running.body
        await running.read_rest()
        await soon(lambda: is_spent(own_redis, team), "the stream to be settled")
        watching.cancel()

    assert decided == 402
    assert running.body.count(b"data: [DONE]") == 1
    assert 0 < max(sums) <= LIMIT_NANO
    for gateway in gateways:
        gateway.stop()


async def first_decision(gateway: Process, key: str) -> int:
    """The first answer that is not about an absent Redis or counters that are being restored."""
    statuses: list[int] = []

    async def is_decided() -> bool:
        statuses.append((await call(gateway, key, chat("ten-chunks@fake", max_tokens=100))).status)
        return statuses[-1] != 503

    await soon(is_decided, "the counters to be restored")
    return statuses[-1]


async def spend(gateway: Process, key: str, *, times: int) -> int:
    headers = {"authorization": f"Bearer {key}"}
    async with httpx.AsyncClient(headers=headers) as client:
        for _ in range(times):
            answer = await client.post(
                f"{gateway.url}/v0/chat/completions", json=chat("echo@fake", max_tokens=ANSWER)
            )
    return answer.status_code


async def watch(own_redis: OwnRedis, team: Team, sums: list[int]) -> None:
    """Note what the key's budget has spent and held, again and again."""
    while True:
        with suppress(redis.RedisError):
            sums += [spent + held for spent, held in await apart(money, own_redis, team)]
        await asyncio.sleep(0.02)


async def is_spent(own_redis: OwnRedis, team: Team) -> bool:
    """Whether nothing is held, and the counter knows both requests."""
    counted = await apart(money, own_redis, team)
    return bool(counted) and all(held == 0 and spent >= 90 * 2_000 for spent, held in counted)


def money(own_redis: OwnRedis, team: Team) -> list[tuple[int, int]]:
    """Spent and held of the key's budget; nothing while Redis does not know it."""
    with redis.Redis.from_url(own_redis.url, socket_timeout=1) as client:
        found = [client.hmget(name, "s", "h") for name in counters(client, team)[1:]]
    return [(int(spent), int(held or 0)) for spent, held in found if spent is not None]


def lose_memory(own_redis: OwnRedis, loss: str) -> None:
    if loss == "flushed":
        with redis.Redis.from_url(own_redis.url) as client:
            client.flushall()
    else:
        own_redis.kill()
        own_redis.start_again(is_empty=True)


def limit_to_three_calls(team: Team) -> None:
    """A month's budget for what was spent and one call at its upper bound."""
    row = team.somebody.key_row
    bound_nano = 30 * 1_000 + ANSWER * 2_000
    team.budget(row, amount_nano=2 * COST_NANO + bound_nano, window=Budget.Window.MONTH)


def forget_counters(team: Team) -> list[bytes]:
    with redis.Redis.from_url(settings.FAREBOX_REDIS_URL) as client:
        names = [name for name in counters(client, team) if client.hexists(name, "s")]
        client.delete(*names)
        return names


def spent_nano(team: Team, names: list[bytes]) -> list[int]:
    with redis.Redis.from_url(settings.FAREBOX_REDIS_URL) as client:
        return [int(client.hget(name, "s") or 0) for name in names]


def counters(client: "redis.Redis", team: Team) -> list[bytes]:
    prefix = shard_prefix(shard_of(team.organization.pk, settings.FAREBOX_SHARDS))
    budgets = [row.pk.hex for row in Budget.objects.filter(organization=team.organization)]
    names = [f"wallet:{team.organization.pk.hex}", *(f"{budget}:0" for budget in budgets)]
    return [f"{prefix}money:{name}".encode() for name in names]
