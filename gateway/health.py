"""Health: how targets do, from live traffic, for the choice among them.

A request leaves plain calls here, one an attempt and one an answer; nothing is awaited. One task a
process adds what was counted to a hash in Redis every few seconds and reads the sum of all processes.
Figures are of the operator's connections alone: whoever connects a provider of its own must not be able
to make everybody's look bad. Breakers know every connection, and stay in this process.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from importlib.resources import files
from uuid import UUID

import hiredis

from gateway.breaker import BreakerRules, Breakers, TargetKey
from gateway.health_figures import (
    ANSWER_MS,
    ANSWERED,
    ATTEMPTS,
    BUCKET_SECONDS,
    BUCKETS,
    FIRST_MS,
    FIRST_TOKENS,
    GAP_MS,
    GAPS,
    TOKENS,
    Counts,
    Figures,
    ModelKey,
    bucket_at,
    figures_of,
    merged,
    no_counts,
)
from gateway.redis_pipeline import Argument, RedisAway, RedisPipeline, Script
from gateway.routing.target import Target
from gateway.settings import GatewaySettings

logger = logging.getLogger(__name__)

KEY_PREFIX = "fb:health:"
LIFE_SECONDS = BUCKET_SECONDS * (BUCKETS + 1)
# Operators declare or the price book lists what is measured; this only bounds what goes wrong with that.
MODELS_LIMIT = 2_000

health_script = Script(files("gateway").joinpath("health.lua").read_text())

NOTHING_SEEN = Figures(None, None, None, None)


class Health:
    """The health of all targets, as this process knows it."""

    def __init__(
        self,
        redis: RedisPipeline,
        *,
        settings: GatewaySettings,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._redis = redis
        self._clock = clock
        self._share_seconds = settings.health_share_seconds
        self.breakers = Breakers(
            BreakerRules(
                failures=settings.breaker_failures,
                share=settings.breaker_failure_share,
                window_seconds=settings.breaker_window_seconds,
                open_seconds=settings.breaker_open_seconds,
            )
        )
        self._unshared: dict[ModelKey, Counts] = {}
        self._shared: dict[int, dict[ModelKey, Counts]] = {}
        self._figures: dict[ModelKey, Figures] = {}

    def note_answering(self, target: Target) -> None:
        """An attempt has begun to give its answer."""
        self.breakers.succeed(key_of(target))
        if counts := self._counts(target):
            counts[ATTEMPTS] += 1
            counts[ANSWERED] += 1

    def note_failure(self, target: Target, *, has_answered: bool = False) -> None:
        """The target failed, before its answer began or, with `has_answered`, in the middle of it."""
        self.breakers.fail(key_of(target))
        if counts := self._counts(target):
            if has_answered:
                counts[ANSWERED] -= 1
            else:
                counts[ATTEMPTS] += 1

    def note_answer(self, target: Target, *, tokens: int, answer_ms: float, ttft_ms: float | None) -> None:
        """An answer has arrived whole; `ttft_ms` if it was a stream. Both times are from the call on."""
        counts = self._counts(target)
        if counts is None or not tokens:
            return
        counts[TOKENS] += tokens
        counts[ANSWER_MS] += round(answer_ms)
        if ttft_ms is not None:
            counts[FIRST_TOKENS] += 1
            counts[FIRST_MS] += round(ttft_ms)
            counts[GAPS] += tokens - 1
            counts[GAP_MS] += round(answer_ms - ttft_ms)

    def figures(self, provider: str, model: str) -> Figures:
        """All figures of one model at one provider."""
        return self._figures.get((provider, model), NOTHING_SEEN)

    @property
    def all_figures(self) -> dict[ModelKey, Figures]:
        return self._figures

    def ttft_ms(self, provider: str, model: str) -> float | None:
        return self.figures(provider, model).ttft_ms

    def inter_token_ms(self, provider: str, model: str) -> float | None:
        return self.figures(provider, model).inter_token_ms

    def uptime(self, provider: str, model: str) -> float | None:
        return self.figures(provider, model).uptime

    def throughput_tokens_per_second(self, provider: str, model: str) -> float | None:
        return self.figures(provider, model).throughput_tokens_per_second

    def is_open(self, provider: str, model: str, connection_id: UUID | None) -> bool:
        return self.breakers.any_is_open and self.breakers.is_open((provider, model, connection_id))

    async def run(self) -> None:
        """Share what was counted and read what all have counted, for ever."""
        while True:
            try:
                await self.share()
            except (RedisAway, hiredis.ReplyError) as exc:
                logger.warning("health not shared", extra={"reason": str(exc)[:200]})
            await asyncio.sleep(self._share_seconds)

    async def share(self) -> None:
        """One exchange with the other processes. Raises RedisAway; what was counted is then kept."""
        now = self._clock()
        current = bucket_at(now)
        oldest = current - BUCKETS + 1
        # What is over changes no more once it was read after its end.
        wanted = [number for number in range(oldest, current) if number not in self._shared]
        if current - 1 in self._shared and current not in self._shared:
            wanted.append(current - 1)
        counted, self._unshared = self._unshared, {}
        try:
            shared = {number: await self._exchange(number, {}) for number in wanted}
            shared[current] = await self._exchange(current, counted)
        except (RedisAway, hiredis.ReplyError):
            self._unshared = merged((counted, self._unshared))
            self._figures = figures_of({**self._shared, current: self._unshared}, now=now)
            raise
        kept = {number: bucket for number, bucket in self._shared.items() if number >= oldest}
        self._shared = {**kept, **shared}
        self._figures = figures_of(self._shared, now=now)

    async def _exchange(self, bucket: int, counted: dict[ModelKey, Counts]) -> dict[ModelKey, Counts]:
        arguments: list[Argument] = [LIFE_SECONDS, MODELS_LIMIT * len(no_counts())]
        for (provider, model), counts in counted.items():
            for position, count in enumerate(counts):
                if count:
                    arguments += (f"{provider}\n{model}\n{position}", count)
        flat: list[bytes] = await health_script.run(self._redis, [f"{KEY_PREFIX}{bucket}"], arguments)
        total: dict[ModelKey, Counts] = {}
        for name, count_text in zip(flat[::2], flat[1::2], strict=True):
            provider, model, position_text = name.decode().split("\n")
            total.setdefault((provider, model), no_counts())[int(position_text)] = int(count_text)
        return total

    def _counts(self, target: Target) -> Counts | None:
        """Where this target is counted; None if it is not: an own key's, or a name that a client made up."""
        if target.is_own_credential or target.price.is_ceiling:
            return None
        key = (target.provider, target.model)
        counts = self._unshared.get(key)
        if counts is None and len(self._unshared) < MODELS_LIMIT:
            counts = self._unshared[key] = no_counts()
        return counts


def key_of(target: Target) -> TargetKey:
    """What a breaker is of."""
    return target.provider, target.model, target.connection_id
