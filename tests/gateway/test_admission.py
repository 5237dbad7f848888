"""Admission and settlement against a real Redis: every limit at once, all or nothing."""

import asyncio
import time
import uuid

import pytest

from gateway.admission import hold_key
from gateway.errors import RateLimited, TemporarilyUnavailable
from gateway.limits import Need
from gateway.money_errors import InsufficientCredits, KeyLimitExceeded
from gateway.redis_pipeline import RedisPipeline
from tests.gateway.limits_bench import bench, budget, event, policy


async def test_a_hold_takes_the_worst_case_and_settlement_leaves_the_real_cost() -> None:
    async with bench() as limits:
        who = policy(key={"budgets": (budget(1_000),)})

        hold = await limits.admit(who, nano=400)
        held = await limits.money(hold)
        await limits.settle(hold, nano=150)

        assert held == [(0, 400), (0, 400)]
        assert await limits.money(hold) == [(150, 0), (150, 0)]


async def test_a_budget_admits_up_to_its_last_nano_dollar_and_not_one_more() -> None:
    async with bench() as limits:
        who = policy(key={"budgets": (budget(1_000),)})
        await limits.admit(who, nano=600)

        await limits.admit(who, nano=400)
        with pytest.raises(KeyLimitExceeded) as refused:
            await limits.admit(who, nano=1)

        assert refused.value.details is not None
        assert refused.value.details["scope"] == "key"
        assert refused.value.headers == {"x-should-retry": "false"}


async def test_a_refusal_by_one_limit_takes_nothing_from_the_others() -> None:
    async with bench() as limits:
        who = policy(
            key={"requests_per_minute": 10, "tokens_per_minute": 1_000, "concurrent_requests": 10},
            wallet_nano=100,
        )
        first = await limits.admit(who, nano=50, tokens=100)
        with pytest.raises(InsufficientCredits):
            await limits.admit(who, nano=51, tokens=100)

        second = await limits.admit(who, nano=50, tokens=100)

        assert first.standing["key:requests"]["left"] == 9
        assert second.standing["key:requests"]["left"] == 8
        assert second.standing["key:tokens"]["left"] == pytest.approx(800, abs=20)
        assert second.standing["key:concurrency"]["left"] == 8


async def test_requests_beyond_the_limit_are_told_when_to_come_back() -> None:
    async with bench() as limits:
        who = policy(key={"requests_per_minute": 60})
        for _ in range(60):
            await limits.admit(who)

        with pytest.raises(RateLimited) as refused:
            await limits.admit(who)

        assert refused.value.details is not None
        assert refused.value.details["dimension"] == "requests"
        assert refused.value.retry_after_seconds is not None
        assert 0 < refused.value.retry_after_seconds <= 1.0


async def test_a_retry_after_the_stated_time_is_admitted() -> None:
    async with bench(rate_burst_seconds=1.0) as limits:
        who = policy(key={"requests_per_minute": 60})
        await limits.admit(who)
        with pytest.raises(RateLimited) as refused:
            await limits.admit(who)

        await asyncio.sleep(refused.value.retry_after_seconds or 0)

        assert (await limits.admit(who)).standing["key:requests"]["left"] == 0


async def test_tokens_are_held_then_corrected_to_what_was_used() -> None:
    async with bench() as limits:
        who = policy(key={"tokens_per_minute": 1_000})
        hold = await limits.admit(who, tokens=900)

        await limits.settle(hold, tokens=100)

        standing = (await limits.admit(who, tokens=800)).standing
        assert standing["key:tokens"]["left"] == pytest.approx(100, abs=20)


async def test_one_request_larger_than_its_token_limit_is_told_that_waiting_is_useless() -> None:
    async with bench() as limits:
        who = policy(key={"tokens_per_minute": 1_000})

        with pytest.raises(RateLimited) as refused:
            await limits.admit(who, tokens=1_001)

        assert refused.value.headers == {"x-should-retry": "false"}


async def test_a_place_among_concurrent_requests_comes_back_with_the_settlement() -> None:
    async with bench() as limits:
        who = policy(concurrent_requests=1)
        hold = await limits.admit(who)
        with pytest.raises(RateLimited):
            await limits.admit(who)

        await limits.settle(hold)

        standing = (await limits.admit(who)).standing
        assert standing["project:concurrency"] == {"limit": 1, "left": 0, "reset_ms": 0}


async def test_the_place_of_a_process_that_died_comes_back_when_its_lease_ends() -> None:
    async with bench(hold_lease_seconds=0.05) as limits:
        who = policy(concurrent_requests=1, key={"budgets": (budget(1_000),)})
        dead = await limits.admit(who, nano=300)
        await asyncio.sleep(0.06)

        await limits.leases.reap()

        assert await limits.money(dead) == [(0, 0), (0, 0)]
        await limits.admit(who, nano=1_000)


async def test_a_record_that_cannot_be_read_keeps_no_other_hold_from_its_end() -> None:
    async with bench(hold_lease_seconds=0.05) as limits:
        who = policy()
        bad, good = [await limits.admit(who, nano=300) for _ in range(2)]
        await limits.redis.call("SET", hold_key(bad.shard, bad.request_id), "{}")
        await asyncio.sleep(0.06)

        await limits.leases.reap()
        expires_ms = await limits.redis.call("ZSCORE", f"fb:{{s{who.shard:02d}}}:holds", bad.request_id.hex)

        assert await limits.money(good) == [(0, 300)]
        assert float(expires_ms) / 1000 > time.time() + 3_600


async def test_a_process_that_comes_back_within_a_day_learns_that_its_hold_was_reaped() -> None:
    async with bench(hold_lease_seconds=0.05) as limits:
        who = policy(key={"budgets": (budget(1_000),)})
        hold = await limits.admit(who, nano=300)
        told: list[str] = []
        await asyncio.sleep(0.06)
        await limits.leases.reap()
        mark_ms = await limits.redis.call("PTTL", hold_key(hold.shard, hold.request_id))

        limits.leases.watch(hold, lambda: event(hold.request_id, tokens=3, nano=0), lambda: told.append("it"))
        await limits.leases.renew()
        answer = await limits.settle(hold, nano=150)

        assert mark_ms > 3_600_000
        assert (told, answer) == (["it"], 0)
        assert await limits.money(hold) == [(0, 0), (0, 0)]


async def test_a_hold_is_settled_once_however_often_it_is_sent() -> None:
    async with bench() as limits:
        who = policy(key={"budgets": (budget(1_000),)})
        hold = await limits.admit(who, nano=400)

        answers = [await limits.settle(hold, nano=150) for _ in range(3)]

        assert answers == [1, 0, 0]
        assert await limits.money(hold) == [(150, 0), (150, 0)]


async def test_the_reaper_leaves_a_hold_whose_lease_still_runs() -> None:
    async with bench() as limits:
        hold = await limits.admit(policy(), nano=400)

        answer = await limits.settle(hold, nano=1, mode="reap")

        assert answer == -1
        assert await limits.money(hold) == [(0, 400)]


async def test_a_settlement_appends_its_event_to_the_shards_stream() -> None:
    async with bench() as limits:
        who = policy()
        hold = await limits.admit(who, nano=400)

        await limits.settle(hold, nano=150)

        entries = await limits.redis.call("XRANGE", f"fb:{{s{who.shard:02d}}}:usage", "-", "+")
        assert any(hold.request_id.hex.encode() in fields[1] for _, fields in entries)


async def test_a_counter_that_redis_does_not_hold_is_rebuilt_and_never_taken_for_zero() -> None:
    async with bench() as limits:
        rule = budget(1_000)
        who = policy(key={"budgets": (rule,)})
        limits.ledger_nano[f"{rule.id.hex}:0"] = 990

        with pytest.raises(KeyLimitExceeded):
            await limits.admit(who, nano=11)

        assert f"{rule.id.hex}:0" in limits.rebuilt
        await limits.admit(who, nano=10)


async def test_500_racing_requests_against_a_balance_for_100_admit_exactly_100() -> None:
    async with bench() as limits:
        who = policy(wallet_nano=100 * 7)

        racing = (limits.admit(who, nano=7) for _ in range(500))
        answers = await asyncio.gather(*racing, return_exceptions=True)

        refused = [answer for answer in answers if isinstance(answer, InsufficientCredits)]
        assert (len(answers) - len(refused), len(refused)) == (100, 400)


async def test_without_redis_nothing_is_admitted() -> None:
    redis = RedisPipeline("redis://127.0.0.1:1/0", call_timeout_seconds=0.05, queue_limit=10)
    async with bench() as limits:
        limits.admission._redis = redis
        with pytest.raises(TemporarilyUnavailable) as refused:
            await limits.admission.admit(
                policy(),
                request_id=uuid.uuid4(),
                need=Need(1, 1, 1),
                event=event(uuid.uuid4(), tokens=0, nano=0),
            )

    assert refused.value.details == {"reason": "limits_unavailable"}
    assert len(limits.released) == 1
    await redis.close()
