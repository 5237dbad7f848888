"""Holds that grow: by the same in every budget or not at all, and given back whoever settles them."""

import asyncio
from typing import Any

import pytest

from gateway.admission import hold_key
from gateway.extension import extension_script
from gateway.limits import Hold
from tests.gateway.limits_bench import Bench, bench, budget, event, policy


async def extend(limits: Bench, hold: Hold, nano: int, **options: Any) -> int:
    """Ask for more as the extender does."""
    keys, arguments = [hold_key(hold.shard, hold.request_id)], [nano]
    for check in hold.checks:
        if options.get("takes_wallet", True) or not check.is_wallet:
            keys.append(check.key)
            arguments += [check.limit_nano, int(check.is_wallet)]
    return int(await extension_script.run(limits.redis, keys, arguments))


@pytest.mark.parametrize(("wanted", "granted"), [(1, 1), (299, 299), (300, 300), (301, 300), (10**9, 300)])
async def test_a_hold_grows_as_far_as_the_tightest_budget_goes(wanted: int, granted: int) -> None:
    async with bench() as limits:
        who = policy(key={"budgets": (budget(1_000), budget(700, "day"))}, wallet_nano=5_000)
        hold = await limits.admit(who, nano=400)

        answer = await extend(limits, hold, wanted)

        assert answer == granted
        assert await limits.money(hold) == [(0, 400 + granted)] * 3


async def test_a_budget_with_nothing_left_gives_nothing_in_any() -> None:
    async with bench() as limits:
        who = policy(key={"budgets": (budget(1_000), budget(400, "day"))})
        hold = await limits.admit(who, nano=400)

        assert await extend(limits, hold, 1) == 0
        assert await limits.money(hold) == [(0, 400)] * 3


async def test_what_was_added_is_given_back_although_the_settlement_does_not_know_of_it() -> None:
    async with bench() as limits:
        who = policy(key={"budgets": (budget(1_000),)})
        hold = await limits.admit(who, nano=400)
        await extend(limits, hold, 100)
        await extend(limits, hold, 50)

        await limits.settle(hold, nano=550)

        assert await limits.money(hold) == [(550, 0), (550, 0)]


@pytest.mark.parametrize(("used", "spent"), [(549, 549), (550, 550), (551, 550), (10**12, 550)])
async def test_no_counter_is_charged_more_than_was_held_in_it(used: int, spent: int) -> None:
    async with bench() as limits:
        who = policy(key={"budgets": (budget(1_000),)})
        hold = await limits.admit(who, nano=400)
        await extend(limits, hold, 150)

        await limits.settle(hold, nano=used)

        assert await limits.money(hold) == [(spent, 0), (spent, 0)]


async def test_an_own_credential_takes_nothing_more_from_the_credit() -> None:
    async with bench() as limits:
        who = policy(key={"budgets": (budget(1_000),)}, wallet_nano=400)
        hold = await limits.admit(who, nano=400)

        assert await extend(limits, hold, 100, takes_wallet=False) == 100
        held = await limits.money(hold)
        await limits.settle(hold, nano=0)

        assert held == [(0, 500), (0, 400)]
        assert await limits.money(hold) == [(0, 0), (0, 0)]


async def test_a_renewal_keeps_what_was_added_and_the_reaper_gives_it_back() -> None:
    async with bench(hold_lease_seconds=0.2) as limits:
        who = policy(key={"budgets": (budget(1_000),)})
        hold = await limits.admit(who, nano=400)
        await extend(limits, hold, 100)
        limits.leases.watch(hold, lambda: event(hold.request_id, tokens=3, nano=480))
        await limits.leases.renew()
        limits.leases.forget(hold)
        await asyncio.sleep(0.25)

        await limits.leases.reap()

        assert await limits.money(hold) == [(480, 0), (480, 0)]


async def test_a_hold_that_is_settled_or_lost_does_not_grow() -> None:
    async with bench() as limits:
        settled = await limits.admit(policy(), nano=400)
        await limits.settle(settled, nano=100)
        lost = await limits.admit(policy(), nano=400)
        await limits.redis.call("DEL", hold_key(lost.shard, lost.request_id))

        assert [await extend(limits, hold, 1) for hold in (settled, lost)] == [-1, -1]
        assert await limits.money(settled) == [(100, 0)]


async def test_a_counter_that_redis_has_lost_gives_nothing() -> None:
    async with bench() as limits:
        who = policy(key={"budgets": (budget(1_000),)})
        hold = await limits.admit(who, nano=400)
        await limits.redis.call("DEL", hold.checks[0].key)

        assert await extend(limits, hold, 1) == -1
        assert (await limits.money(hold))[1] == (0, 400)


async def test_racing_extensions_never_pass_the_limit() -> None:
    async with bench() as limits:
        who = policy(key={"budgets": (budget(1_000),)})
        holds = [await limits.admit(who, nano=100) for _ in range(5)]

        granted = await asyncio.gather(*(extend(limits, hold, 70) for hold in holds * 4))

        assert sum(granted) == 500
        assert (await limits.money(holds[0]))[0] == (0, 1_000)


async def test_a_hold_that_somebody_else_settled_is_noticed_at_its_renewal() -> None:
    async with bench() as limits:
        hold, gone = await limits.admit(policy(), nano=400), await limits.admit(policy(), nano=400)
        noticed: list[str] = []
        for each, name in ((hold, "kept"), (gone, "gone")):
            record = event(each.request_id, tokens=0, nano=0)
            limits.leases.watch(each, lambda r=record: r, on_reaped=lambda n=name: noticed.append(n))
        await limits.settle(gone)

        await limits.leases.renew()

        assert noticed == ["gone"]
