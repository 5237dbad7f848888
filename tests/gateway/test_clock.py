"""Redis' clock rules: a process whose own clock is off computes the periods and moments of the others."""

import os
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from accounts.keys import hmac_of, new_secret
from billing.price_book import load_price_book
from gateway.admission import Admission
from gateway.caller import Callers
from gateway.clock import RedisClock, own_now
from gateway.errors import InvalidApiKey
from gateway.limits import Need
from gateway.money_errors import KeyLimitExceeded
from gateway.policy import Policy
from gateway.policy_store import PolicyStore
from gateway.redis_pipeline import RedisAway, RedisPipeline
from gateway.router import Router
from tests.gateway.limits_bench import bench, budget, event, policy, settings

HOUR, DAY, MINUTE = timedelta(hours=1), timedelta(days=1), timedelta(minutes=1)


@asynccontextmanager
async def clock(off_by: timedelta) -> AsyncIterator[RedisClock]:
    """The clock of a machine that is off, after its first look at Redis."""
    redis = RedisPipeline(os.environ["REDIS_URL"], call_timeout_seconds=5, queue_limit=10)
    made = RedisClock(redis, measure_seconds=60, own_clock=lambda: datetime.now(UTC) + off_by)
    await made.measure()
    yield made
    await redis.close()


@pytest.mark.parametrize("off_by", [HOUR, -HOUR, DAY, -DAY])
async def test_a_clock_that_is_off_is_set_right(off_by: timedelta) -> None:
    async with clock(off_by) as made:
        assert abs(made.now() - datetime.now(UTC)) < MINUTE


async def test_a_clock_that_is_right_is_left_alone() -> None:
    async with clock(timedelta(milliseconds=300)) as made:
        assert made.now() - datetime.now(UTC) > timedelta(milliseconds=200)


async def test_a_clock_that_is_corrected_meanwhile_is_followed() -> None:
    redis = RedisPipeline(os.environ["REDIS_URL"], call_timeout_seconds=5, queue_limit=10)
    off = [HOUR]
    made = RedisClock(redis, measure_seconds=60, own_clock=lambda: datetime.now(UTC) + off[0])
    await made.measure()
    off[0] = timedelta(0)

    await made.measure()

    assert abs(made.now() - datetime.now(UTC)) < MINUTE
    await redis.close()


async def test_without_redis_the_last_difference_holds() -> None:
    redis = RedisPipeline("redis://127.0.0.1:1/0", call_timeout_seconds=0.05, queue_limit=10)
    made = RedisClock(redis, measure_seconds=60)

    with pytest.raises(RedisAway):
        await made.measure()

    assert abs(made.now() - own_now()) < MINUTE
    await redis.close()


@pytest.mark.parametrize("off_by", [DAY, -DAY])
async def test_a_process_that_is_a_day_off_spends_the_same_days_budget(off_by: timedelta) -> None:
    async with bench() as limits, clock(off_by) as made:
        who = policy(key={"budgets": (budget(1_000, "day"),)})
        off = Admission(
            limits.redis,
            settings=settings(),
            rebuild=limits.admission._rebuild,
            release=limits.released.append,
            clock=made.now,
        )

        await limits.admit(who, nano=600)
        await admit(off, who, nano=400)
        with pytest.raises(KeyLimitExceeded):
            await admit(off, who, nano=1)
        with pytest.raises(KeyLimitExceeded):
            await limits.admit(who, nano=1)


async def test_a_key_ends_by_redis_clock_on_a_machine_that_is_off() -> None:
    secret = new_secret()
    headers = {b"authorization": b"Bearer " + secret.encode()}
    policies = PolicyStore(settings())
    ends = replace(policy(), expires_at=datetime.now(UTC) + HOUR)
    policies._policies[hmac_of(secret, settings().key_pepper)] = ends
    off_by = [HOUR - MINUTE, HOUR + MINUTE]
    callers = Callers(policies, key_pepper=settings().key_pepper, clock=lambda: datetime.now(UTC) + off_by[0])

    assert await callers.identify(headers, peer="") is ends
    del off_by[0]
    with pytest.raises(InvalidApiKey, match="expired"):
        await callers.identify(headers, peer="")


async def test_prices_are_those_of_the_day_by_redis_clock() -> None:
    days = [datetime(2026, 11, 27, 12, tzinfo=UTC), datetime(2000, 1, 1, 12, tzinfo=UTC)]
    router = Router(load_price_book(), PolicyStore(settings()), targets_limit=1, clock=lambda: days[0])
    who = policy()

    today = router.catalogue(who).listing("openai", "gpt-4o")
    del days[0]
    long_ago = router.catalogue(who).listing("openai", "gpt-4o")

    assert today is not None
    assert today.price is not None
    assert long_ago is not None
    assert long_ago.price is None


async def admit(admission: Admission, who: Policy, *, nano: int) -> None:
    request_id = uuid.uuid4()
    need = Need(budget_nano=nano, wallet_nano=nano, tokens=0)
    await admission.admit(who, request_id=request_id, need=need, event=event(request_id, tokens=0, nano=0))
