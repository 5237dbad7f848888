"""A money counter that Redis has lost comes back from the ledger and the stream, and is never zero."""

import signal

import httpx
import redis
from django.conf import settings

from billing.models import Budget
from billing.money import usd_to_nano
from gateway.policy import shard_of, shard_prefix
from tests.house import House, Process, Team, apart, chat

PROMPT, ANSWER = 5, 8
COST_NANO = PROMPT * 1_000 + ANSWER * 2_000


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
    assert await apart(spent_nano, team, forgotten) == [6 * COST_NANO, 6 * COST_NANO]
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


async def spend(gateway: Process, key: str, *, times: int) -> int:
    headers = {"authorization": f"Bearer {key}"}
    async with httpx.AsyncClient(headers=headers) as client:
        for _ in range(times):
            answer = await client.post(
                f"{gateway.url}/v0/chat/completions", json=chat("echo@fake", max_tokens=ANSWER)
            )
    return answer.status_code


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
