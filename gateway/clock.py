"""Clock: the time of day by Redis' clock, which rules all processes of a house.

Leases and rates are decided inside Redis. What a process computes itself, the periods of budgets
and the moments of events, follows Redis' clock too, so that a machine whose own clock is an hour
off neither spends tomorrow's budget nor books into yesterday.
"""

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import hiredis

from gateway.redis_pipeline import RedisAway, RedisPipeline

logger = logging.getLogger(__name__)

# Less than this is the way to Redis and back, or not worth a jump.
TOLERATED = timedelta(seconds=1)
NO_DIFFERENCE = timedelta(0)


def own_now() -> datetime:
    """This machine's own clock."""
    return datetime.now(UTC)


class RedisClock:
    """Gives Redis' time without asking it: the difference is measured now and then."""

    def __init__(
        self, redis: RedisPipeline, *, measure_seconds: float, own_clock: Callable[[], datetime] = own_now
    ) -> None:
        self._redis = redis
        self._measure_seconds = measure_seconds
        self._own_clock = own_clock
        self._difference = NO_DIFFERENCE

    def now(self) -> datetime:
        return self._own_clock() + self._difference

    async def measure(self) -> None:
        """Compare the clocks. Raises RedisAway."""
        before = self._own_clock()
        seconds, microseconds = await self._redis.call("TIME")
        halfway = before + (self._own_clock() - before) / 2
        at_redis = datetime.fromtimestamp(int(seconds), UTC) + timedelta(microseconds=int(microseconds))
        difference = at_redis - halfway
        if abs(difference - self._difference) < TOLERATED:
            return
        self._difference = difference if abs(difference) >= TOLERATED else NO_DIFFERENCE
        logger.warning("clock differs from redis", extra={"seconds": difference.total_seconds()})

    async def run(self) -> None:
        """Measure again and again, for ever."""
        while True:
            try:
                await self.measure()
            except (RedisAway, hiredis.ReplyError):
                logger.warning("clock not measured")
            await asyncio.sleep(self._measure_seconds)
