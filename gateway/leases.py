"""Leases: running requests renew their holds; what nobody renews any more is settled.

One task a process does both for all its requests. A hold whose process died is settled with
the last reading that it left in Redis (`gateway.admission.hold_record`).
"""

import asyncio
import logging
from collections.abc import Callable
from importlib.resources import files
from uuid import UUID

import hiredis

from gateway.admission import hold_key, hold_record
from gateway.limits import Hold, UsageRecord
from gateway.policy import shard_prefix
from gateway.redis_pipeline import Argument, RedisAway, RedisPipeline, Script
from gateway.settings import GatewaySettings
from gateway.settlement import settlement_of_record, settlement_script

logger = logging.getLogger(__name__)

REAPED_PER_ROUND = 200
# A record that cannot be read stays for somebody to look at, and takes nobody's place in the rounds.
UNREAD_AGAIN_MS = 24 * 3_600_000

renewal_script = Script(files("gateway").joinpath("renewal.lua").read_text())
restore_script = Script(files("gateway").joinpath("restore.lua").read_text())
expired_script = Script(
    "local t = redis.call('TIME') return redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', "
    "t[1] * 1000 + math.floor(t[2] / 1000), 'LIMIT', 0, ARGV[1])"
)

Reading = Callable[[], UsageRecord]
OnReaped = Callable[[], None]
OnTop = Callable[[], tuple[int, int]]
LOST, REAPED = 0, -1


def _nothing() -> None: ...


def _nothing_on_top() -> tuple[int, int]:
    return 0, 0


class LeaseKeeper:
    """Keeps the holds of this process alive, and ends those of processes that are gone."""

    def __init__(self, redis: RedisPipeline, *, settings: GatewaySettings) -> None:
        self._redis = redis
        self._lease_seconds = settings.hold_lease_seconds
        self._renew_seconds = settings.hold_renew_seconds
        self._shards = settings.shards
        self._running: dict[UUID, tuple[Hold, Reading, OnReaped, OnTop]] = {}
        self._reap_from = 0.0

    def watch(
        self,
        hold: Hold,
        reading: Reading,
        on_reaped: OnReaped = _nothing,
        on_top: OnTop = _nothing_on_top,
    ) -> None:
        """Renew this hold with what `reading` gives, until `forget`.

        `on_reaped` is called if it was taken for dead and settled: what it uses now is paid by nobody.
        `on_top` is what it came to hold since, in budgets and in the wallet, should Redis lose it.
        """
        self._running[hold.request_id] = (hold, reading, on_reaped, on_top)

    def forget(self, hold: Hold) -> None:
        self._running.pop(hold.request_id, None)

    async def run(self) -> None:
        """Renew and reap, for ever."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self._renew_seconds)
            try:
                await self.renew()
                if loop.time() >= self._reap_from:
                    await self.reap()
                else:
                    await self._redis.call("PING")
            except (RedisAway, hiredis.ReplyError) as exc:
                logger.warning("leases not renewed", extra={"reason": str(exc)[:200]})
                # While Redis is away nobody can renew: then whoever lives gets another lease's time.
                self._reap_from = loop.time() + self._lease_seconds

    async def renew(self) -> None:
        """Tell Redis that the running requests live, what they have used so far, and what it has lost."""
        watched, renewals = [], []
        for entry in list(self._running.values()):
            hold, reading, _, _ = entry
            if (record := _record(hold, reading)) is None:
                continue
            prefix = shard_prefix(hold.shard)
            keys = [f"{prefix}holds", hold_key(hold.shard, hold.request_id)]
            keys.extend(check.key for check in hold.checks if check.kind == "c")
            arguments: list[Argument] = [hold.request_id.hex, round(self._lease_seconds * 1000), record]
            watched.append(entry)
            renewals.append(renewal_script.run(self._redis, keys, arguments))
        answers = await asyncio.gather(*renewals)
        for (hold, _, on_reaped, _), answer in zip(watched, answers, strict=True):
            if answer == REAPED and hold.request_id in self._running:
                on_reaped()
        lost = [
            hold.request_id for (hold, *_), answer in zip(watched, answers, strict=True) if answer == LOST
        ]
        await asyncio.gather(*(self._restore(request_id) for request_id in lost))

    async def _restore(self, request_id: UUID) -> None:
        """Hold again what Redis has lost with its memory."""
        if request_id not in self._running:
            return
        hold, reading, _, on_top = self._running[request_id]
        if (record := _record(hold, reading)) is None:
            return
        prefix = shard_prefix(hold.shard)
        keys = [f"{prefix}holds", hold_key(hold.shard, request_id)]
        lease_ms = round(self._lease_seconds * 1000)
        arguments: list[Argument] = [request_id.hex, lease_ms, record, *on_top()]
        for check in hold.checks:
            if check.kind != "t":
                keys.append(check.key)
                arguments += [check.kind, check.amount, int(check.is_wallet)]
        if await restore_script.run(self._redis, keys, arguments):
            logger.warning("hold restored", extra={"request": request_id.hex, "shard": hold.shard})

    async def reap(self) -> None:
        """Settle every hold whose lease has run out."""
        for shard in range(self._shards):
            expired: list[bytes] = await expired_script.run(
                self._redis, [f"{shard_prefix(shard)}holds"], [REAPED_PER_ROUND]
            )
            for member in expired:
                await self._reap_or_put_off(shard, member)

    async def _reap_or_put_off(self, shard: int, member: bytes) -> None:
        try:
            await self._reap_one(shard, UUID(member.decode()))
        except (RedisAway, hiredis.ReplyError):
            raise
        except Exception:
            logger.exception("expired hold not read", extra={"request": member.decode(errors="replace")})
            await self._redis.call("ZINCRBY", f"{shard_prefix(shard)}holds", UNREAD_AGAIN_MS, member)

    async def _reap_one(self, shard: int, request_id: UUID) -> None:
        record = await self._redis.call("GET", hold_key(shard, request_id))
        if record is None or record == b"settled":
            await self._redis.call("ZREM", f"{shard_prefix(shard)}holds", request_id.hex)
            return
        keys, arguments = settlement_of_record(shard, request_id, record).command("reap")
        if await settlement_script.run(self._redis, keys, arguments) == 1:
            logger.warning("expired hold settled", extra={"request": request_id.hex, "shard": shard})


def _record(hold: Hold, reading: Reading) -> bytes | None:
    """The hold record with the newest reading, or None if it cannot be written: the others go on."""
    try:
        return hold_record(hold, reading())
    except Exception:
        logger.exception("hold record not written", extra={"request": hold.request_id.hex})
        return None
