"""Away: what an organization lets through while Redis does not answer. By default nothing.

Its owner may allow an amount for each outage. Every gateway process has an equal share of it, and
may use the share only if it holds one of a fixed number of places, taken in Redis while that was
there: so all processes together stay within the amount, also when some start or die meanwhile.
What is let through is settled as any other request once Redis is back.
"""

import asyncio
import logging
from uuid import UUID, uuid4

import hiredis

from billing.money import NANO_PER_USD
from gateway.limits import Need, Reservation, Reserve, Standing
from gateway.policy import Policy
from gateway.redis_pipeline import RedisAway, RedisPipeline, Script
from gateway.settings import GatewaySettings

logger = logging.getLogger(__name__)

PLACE_KEY = "fb:{away}:place"
WALLET_LABEL = "organization:budget:wallet"
MINUTE_SECONDS = 60
MAX_RESERVES = 10_000

# KEYS the places; ARGV 1 this process, 2 how long it keeps a place (ms). Gives the place, 0 if none is free.
place_script = Script("""
local free = 0
for i, key in ipairs(KEYS) do
  local holder = redis.call('GET', key)
  if holder == ARGV[1] then
    redis.call('PEXPIRE', key, ARGV[2])
    return i
  end
  if not holder and free == 0 then free = i end
end
if free > 0 then redis.call('SET', KEYS[free], ARGV[1], 'PX', ARGV[2]) end
return free
""")
leave_script = Script("""
for _, key in ipairs(KEYS) do
  if redis.call('GET', key) == ARGV[1] then redis.call('DEL', key) end
end
""")


class Reserves:
    """This process' shares, filled by admissions while Redis answers, used while it does not.

    A share is also never more than the credit that the last admission saw: who has nothing left
    gets nothing. An outage is over when Redis has answered for a lease's time without a failure.
    """

    def __init__(self, redis: RedisPipeline, *, settings: GatewaySettings) -> None:
        self._redis = redis
        self._processes = settings.redis_away_processes
        self._limit_nano = settings.redis_away_limit_usd * NANO_PER_USD
        self._keep_seconds = settings.redis_away_minutes * MINUTE_SECONDS
        self._renew_seconds = settings.hold_renew_seconds
        self._quiet_seconds = settings.hold_lease_seconds
        self._loop = asyncio.get_running_loop()
        self._process = uuid4().hex
        self._places = [f"{PLACE_KEY}:{number}" for number in range(1, self._processes + 1)]
        self._place_until = self._outage_until = 0.0
        self._reserves: dict[UUID, Reserve] = {}

    def fill(self, policy: Policy, standing: Standing) -> None:
        """Note what an admission by Redis has left, for the next outage."""
        if self._loop.time() < self._outage_until:
            return
        reserve = self._reserves.get(policy.organization_id)
        if reserve is None or reserve.taken_nano or reserve.wallet_taken_nano:
            while len(self._reserves) >= MAX_RESERVES:
                del self._reserves[next(iter(self._reserves))]
            fresh = self._reserves[policy.organization_id] = Reserve()
            fresh.wallet_limit_nano = reserve.wallet_limit_nano if reserve else 0
            reserve = fresh
        reserve.limit_nano = self._share(policy)
        if wallet := standing.get(WALLET_LABEL):
            reserve.wallet_limit_nano = max(0, min(reserve.limit_nano, wallet["left"]))

    def take(self, policy: Policy, need: Need) -> Reservation | None:
        """A reservation for a request that Redis did not answer for; None when it must be refused."""
        self._outage_until = self._loop.time() + self._quiet_seconds
        reserve = self._reserves.get(policy.organization_id)
        if reserve is None or not self.has_place:
            return None
        left_nano = min(reserve.limit_nano, self._share(policy)) - reserve.taken_nano
        wallet_left_nano = reserve.wallet_limit_nano - reserve.wallet_taken_nano
        if need.budget_nano > left_nano or need.wallet_nano > min(left_nano, wallet_left_nano):
            return None
        return Reservation(reserve, need)

    @property
    def has_place(self) -> bool:
        """Whether this process may let calls through now."""
        return self._loop.time() < self._place_until

    async def run(self) -> None:
        """Keep this process' place among those that may let calls through, once it needs one. For ever."""
        while True:
            try:
                if self._reserves:
                    await self.keep_place()
            except (RedisAway, hiredis.ReplyError) as exc:
                logger.warning("place not renewed", extra={"reason": str(exc)[:200]})
            await asyncio.sleep(self._renew_seconds)

    async def leave(self) -> None:
        """Give the place to another process."""
        self._place_until = 0.0
        try:
            await leave_script.run(self._redis, self._places, [self._process])
        except (RedisAway, hiredis.ReplyError):
            logger.warning("place not given back")

    def _share(self, policy: Policy) -> int:
        return min(policy.redis_away_nano, self._limit_nano) // self._processes

    async def keep_place(self) -> None:
        asked_at = self._loop.time()
        keep_ms = round(self._keep_seconds * 1000)
        place: int = await place_script.run(self._redis, self._places, [self._process, keep_ms])
        # Reckoned from before the question: Redis gives the place away no earlier than this.
        self._place_until = asked_at + self._keep_seconds if place else 0.0
