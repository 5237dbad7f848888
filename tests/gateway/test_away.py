"""What one process lets through while Redis is away: its share and no more, from a place of its own."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from gateway.away import Reserves
from gateway.limits import Need, Standing
from gateway.policy import Policy
from gateway.redis_pipeline import RedisPipeline
from tests.gateway.limits_bench import policy, settings

DOLLAR = 10**9
LONG, NONE = 1_000.0, 0.0


def owner(allowance_nano: int = DOLLAR) -> Policy:
    return replace(policy(), redis_away_nano=allowance_nano)


def credit(left_nano: int) -> Standing:
    return {"organization:budget:wallet": {"limit": DOLLAR, "left": left_nano, "reset_ms": -1}}


def need(nano: int, *, is_own: bool = False) -> Need:
    return Need(budget_nano=nano, wallet_nano=0 if is_own else nano, tokens=1)


@asynccontextmanager
async def reserves(**changes: Any) -> AsyncIterator[Reserves]:
    """A process that has its place."""
    async with processes(1, **changes) as (only,):
        yield only


@asynccontextmanager
async def processes(count: int, **changes: Any) -> AsyncIterator[list[Reserves]]:
    chosen = settings(**{"hold_lease_seconds": LONG, "redis_away_processes": 1, **changes})
    redis = RedisPipeline(os.environ["REDIS_URL"], call_timeout_seconds=5, queue_limit=100)
    made = [Reserves(redis, settings=chosen) for _ in range(count)]
    for each in made:
        await each.keep_place()
    yield made
    for each in made:
        await each.leave()
    await redis.close()


async def test_an_organization_without_an_allowance_gets_nothing() -> None:
    async with reserves() as process:
        who = owner(0)
        process.fill(who, credit(DOLLAR))

        assert process.take(who, need(1)) is None


async def test_a_process_lets_through_its_share_and_not_a_nano_dollar_more() -> None:
    async with reserves(redis_away_processes=4) as process:
        who = owner(4_000)
        process.fill(who, credit(DOLLAR))

        assert process.take(who, need(1_001)) is None
        assert process.take(who, need(600)) is not None
        assert process.take(who, need(400)) is not None
        assert process.take(who, need(1)) is None


async def test_what_a_request_did_not_spend_comes_back() -> None:
    async with reserves() as process:
        who = owner(1_000)
        process.fill(who, credit(DOLLAR))
        taken = process.take(who, need(900))
        assert taken is not None

        taken.end(counted_nano=300, charge_nano=300)

        assert process.take(who, need(701)) is None
        assert process.take(who, need(700)) is not None


async def test_who_has_no_credit_left_gets_no_more_than_that() -> None:
    async with reserves() as process:
        who = owner(1_000)
        process.fill(who, credit(50))

        assert process.take(who, need(51)) is None
        assert process.take(who, need(50)) is not None
        assert process.take(who, need(900, is_own=True)) is not None


async def test_nobody_gets_more_than_the_operator_allows() -> None:
    async with reserves(redis_away_limit_usd=2) as process:
        who = owner(5 * DOLLAR)
        process.fill(who, credit(100 * DOLLAR))

        assert process.take(who, need(2 * DOLLAR + 1)) is None
        assert process.take(who, need(2 * DOLLAR)) is not None


async def test_an_owner_who_lowers_the_allowance_is_heard_at_once() -> None:
    async with reserves() as process:
        who = owner(1_000)
        process.fill(who, credit(DOLLAR))

        assert process.take(replace(who, redis_away_nano=10), need(11)) is None
        assert process.take(replace(who, redis_away_nano=10), need(10)) is not None


async def test_an_organization_that_was_not_admitted_before_gets_nothing() -> None:
    async with reserves() as process:
        assert process.take(owner(), need(1)) is None


async def test_a_redis_that_comes_and_goes_is_one_outage() -> None:
    async with reserves(hold_lease_seconds=LONG) as process:
        who = owner(1_000)
        process.fill(who, credit(DOLLAR))
        process.take(who, need(800))

        process.fill(who, credit(DOLLAR))

        assert process.take(who, need(201)) is None


async def test_the_next_outage_has_the_whole_allowance_again() -> None:
    async with reserves(hold_lease_seconds=NONE) as process:
        who = owner(1_000)
        process.fill(who, credit(DOLLAR))
        process.take(who, need(800))

        process.fill(who, credit(DOLLAR))

        assert process.take(who, need(1_000)) is not None


async def test_there_are_as_many_places_as_the_operator_says() -> None:
    async with processes(3, redis_away_processes=2) as (first, second, third):
        assert [first.has_place, second.has_place, third.has_place] == [True, True, False]
        who = owner()
        third.fill(who, credit(DOLLAR))
        assert third.take(who, need(1)) is None

        await first.leave()
        await third.keep_place()

        assert [first.has_place, second.has_place, third.has_place] == [False, True, True]
        assert third.take(who, need(1)) is not None


async def test_a_process_keeps_its_place_for_its_time_and_no_longer() -> None:
    async with processes(1, redis_away_minutes=0.0001) as (process,):
        who = owner()
        process.fill(who, credit(DOLLAR))

        await asyncio.sleep(0.006)

        assert process.take(who, need(1)) is None
