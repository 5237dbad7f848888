"""Health from live traffic: what is counted, how it ages, how processes share it, whom it leaves out."""

import asyncio
import uuid
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from msgspec import structs
from prometheus_client import CollectorRegistry, generate_latest

from gateway.health import Health, key_of
from gateway.health_figures import BUCKET_SECONDS, Figures, figures_of, merged
from gateway.health_metrics import HealthMetrics
from gateway.redis_pipeline import Argument, RedisAway, RedisPipeline
from gateway.routing.target import Target
from tests.gateway.limits_bench import Bench, bench, settings
from tests.gateway.shelf import Shelf, chosen, connection, offer, request

NOTHING = Figures(None, None, None, None)


def target(provider: str = "p", *, is_own: bool = False) -> Target:
    """A target of a provider that no other test measures."""
    shelf = Shelf([offer(provider, "m")], [connection(provider, is_own=is_own)])
    return chosen(request(f"{provider}/m"), shelf=shelf)[0]


class Clock:
    """A time that only a test moves: in hours of its own, since all share one Redis."""

    def __init__(self) -> None:
        self.now = float(uuid.uuid4().int % 2**40 // 3600 * 3600 + 100)

    def __call__(self) -> float:
        return self.now


def health_of(limits: Bench, clock: Clock, **changes: float) -> Health:
    return Health(limits.redis, settings=settings(**changes), clock=clock)


def test_a_ratio_of_nothing_is_unknown() -> None:
    assert figures_of({100: {("p", "m"): [0] * 8}}, now=100 * BUCKET_SECONDS) == {("p", "m"): NOTHING}


def test_a_quarter_of_an_hour_weighs_half_and_an_hour_nothing() -> None:
    now = 1_000 * BUCKET_SECONDS
    failed, answered = [1, 0, *[0] * 6], [1, 1, *[0] * 6]

    def uptime(minutes_ago: int) -> float | None:
        then = 1_000 - minutes_ago // 5
        return figures_of({1_000: {("p", "m"): failed}, then: {("p", "m"): answered}}, now=now)[
            "p", "m"
        ].uptime

    assert uptime(15) == pytest.approx(1 / 3)
    assert uptime(55) == pytest.approx(0.0730, abs=0.0001)
    assert uptime(60) == 0


def test_counts_of_two_processes_add_up() -> None:
    one, other = {("p", "m"): [1] * 8}, {("p", "m"): [2] * 8, ("q", "m"): [5] * 8}

    assert merged((one, other)) == {("p", "m"): [3] * 8, ("q", "m"): [5] * 8}


async def test_what_one_process_has_seen_all_know() -> None:
    async with bench() as limits:
        clock, seen = Clock(), target("seen")
        one, other = health_of(limits, clock), health_of(limits, clock)
        for _ in range(3):
            one.note_answering(seen)
        one.note_failure(seen)
        one.note_answer(seen, tokens=11, answer_ms=1_200, ttft_ms=200)
        one.note_answer(seen, tokens=9, answer_ms=800, ttft_ms=None)
        await one.share()

        await other.share()

        figures = Figures(uptime=0.75, ttft_ms=200, inter_token_ms=100, throughput_tokens_per_second=10)
        assert one.figures("seen", "m") == other.figures("seen", "m") == figures
        assert (other.uptime("seen", "m"), other.ttft_ms("seen", "m")) == (0.75, 200)
        assert (other.inter_token_ms("seen", "m"), other.throughput_tokens_per_second("seen", "m")) == (
            100,
            10,
        )
        assert other.figures("unseen", "m") == NOTHING


async def test_a_stream_that_breaks_was_no_success_after_all() -> None:
    async with bench() as limits:
        health, broken = health_of(limits, Clock()), target("broken")
        for _ in range(4):
            health.note_answering(broken)

        health.note_failure(broken, has_answered=True)

        await health.share()
        assert health.uptime("broken", "m") == 0.75


async def test_what_was_counted_is_shared_once_and_fades_with_time() -> None:
    async with bench() as limits:
        clock, fading = Clock(), target("fading")
        health = health_of(limits, clock)
        health.note_answering(fading)
        await health.share()
        await health.share()

        clock.now += 15 * 60
        health.note_failure(fading)
        await health.share()

        assert health.uptime("fading", "m") == pytest.approx(1 / 3)
        clock.now += 60 * 60
        await health.share()
        assert health.uptime("fading", "m") is None


async def test_a_process_that_starts_later_knows_the_last_hour() -> None:
    async with bench() as limits:
        clock, early = Clock(), target("early")
        first = health_of(limits, clock)
        first.note_answering(early)
        await first.share()
        clock.now += 30 * 60
        late = health_of(limits, clock)

        await late.share()

        assert late.uptime("early", "m") == 1


class Interrupted(RedisPipeline):
    """A way to Redis that a test interrupts."""

    is_away = False

    def submit(self, command: Sequence[Argument]) -> "asyncio.Future[Any]":
        if not self.is_away:
            return super().submit(command)
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        future.set_exception(RedisAway("interrupted"))
        return future


async def test_without_redis_a_process_knows_what_it_has_seen_itself_and_tells_it_later() -> None:
    clock, alone = Clock(), target("alone")
    redis = Interrupted(settings().redis_url, call_timeout_seconds=5.0, queue_limit=100)
    one, other = (Health(redis, settings=settings(), clock=clock) for _ in range(2))
    one.note_answering(alone)
    redis.is_away = True
    with pytest.raises(RedisAway):
        await one.share()
    assert one.uptime("alone", "m") == 1

    redis.is_away = False
    one.note_failure(alone)
    await one.share()
    await other.share()
    await redis.close()

    assert other.uptime("alone", "m") == 0.5


async def test_nobody_makes_a_name_look_bad_that_is_not_the_operators() -> None:
    async with bench() as limits:
        health = health_of(limits, Clock())
        own = target("shared-name", is_own=True)
        listed = target("shared-name")
        made_up = structs.replace(listed, price=replace(listed.price, is_ceiling=True))
        for _ in range(10):
            health.note_failure(own)
            health.note_failure(made_up)

        await health.share()

        assert health.figures("shared-name", "m") == NOTHING
        assert health.is_open("shared-name", "m", own.connection_id)


async def test_the_breaker_of_an_own_key_does_not_close_the_operators_way() -> None:
    async with bench() as limits:
        health = health_of(limits, Clock())
        own, operators = target("two-ways", is_own=True), target("two-ways")

        for _ in range(5):
            health.note_failure(own)

        assert health.is_open("two-ways", "m", own.connection_id)
        assert not health.is_open("two-ways", "m", operators.connection_id)
        health.note_answering(own)
        assert not health.breakers.any_is_open


async def test_the_metrics_show_every_figure_and_how_many_breakers_are_open() -> None:
    async with bench() as limits:
        health, shown = health_of(limits, Clock()), target("shown")
        health.note_answering(shown)
        health.note_answer(shown, tokens=11, answer_ms=1_200, ttft_ms=200)
        for _ in range(5):
            health.breakers.fail(key_of(target("down")))
        await health.share()
        registry = CollectorRegistry()

        registry.register(HealthMetrics(health))

        text = generate_latest(registry).decode()
        labels = '{model="m",provider="shown"}'
        assert f"farebox_target_uptime{labels} 1.0" in text
        assert f"farebox_target_ttft_ms{labels} 200.0" in text
        assert f"farebox_target_inter_token_ms{labels} 100.0" in text
        assert f"farebox_target_tokens_per_second{labels} 9.1" in text
        assert "farebox_open_breakers 1.0" in text
