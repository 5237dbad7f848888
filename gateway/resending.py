"""Re-sending: what a Redis that forgot may not have recorded is told to it once more.

A process keeps what it has settled in its last seconds, for that is how long an event is in Redis
alone. Another server at Redis' address, or the same one started again, may lack some of it; the id
of each event makes it harmless where it does not. Delivery itself is in `gateway.settlement`.
"""

import asyncio
import logging
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import hiredis
import psycopg
from psycopg_pool import PoolTimeout

from gateway.policy import shard_prefix
from gateway.policy_store import PolicyStore
from gateway.redis_pipeline import RedisAway, RedisPipeline
from gateway.settings import GatewaySettings
from gateway.settlement import SETTLED_MARK_MS, Settlement, usage_stream

logger = logging.getLogger(__name__)

MILLISECONDS = 1000
# Our clock may differ from Redis' by this much without being corrected (`gateway.clock`).
CLOCKS_DIFFER_SECONDS = 1.0

ENTRIES_PER_READ = 500
# No request takes longer from its moment to its settlement.
LONGEST_REQUEST = timedelta(days=2)

_KNOWN = "SELECT id FROM billing_usageevent WHERE id = ANY(%s) AND occurred_at > %s"

# When it was confirmed, and the settlement as a line: one piece of memory, where its parts would be dozens.
Kept = tuple[float, bytes]
Timed = tuple[float, Settlement]


class Resender:
    """The last settlements of this process, and when they are sent again."""

    def __init__(
        self,
        redis: RedisPipeline,
        policies: PolicyStore,
        *,
        settings: GatewaySettings,
        clock: Callable[[], datetime],
        hand_over: Callable[[Settlement], None],
    ) -> None:
        self._redis = redis
        self._policies = policies
        self._clock = clock
        self._hand_over = hand_over
        self._kept_seconds = settings.resend_seconds
        self._limit_bytes = settings.resend_limit_bytes
        self._round_seconds = settings.settle_retry_seconds
        self._kept: deque[Kept] = deque()
        self._bytes = 0
        self._server_id = ""
        self.sent_again = 0

    def keep(self, settlement: Settlement) -> None:
        """Remember for a while what Redis has just confirmed."""
        if not settlement.event:
            return
        self._server_id = self._server_id or self._redis.server_id
        now, line = self._clock().timestamp(), settlement.to_line()
        self._kept.append((now, line))
        self._bytes += len(line)
        while self._bytes > self._limit_bytes or self._kept[0][0] < now - self._kept_seconds:
            self._bytes -= len(self._kept.popleft()[1])

    async def run(self) -> None:
        """Look for another server at Redis' address, for ever."""
        while True:
            await asyncio.sleep(self._round_seconds)
            server_id = self._redis.server_id
            if not self._server_id or server_id == self._server_id:
                continue
            try:
                await self._send_again()
                self._server_id = server_id
            except (RedisAway, hiredis.ReplyError, psycopg.Error, PoolTimeout) as exc:
                logger.warning("settlements not sent again yet", extra={"reason": str(exc)[:200]})

    async def _send_again(self) -> None:
        kept: defaultdict[int, list[Timed]] = defaultdict(list)
        for at, line in self._kept:
            settlement = Settlement.from_line(line)
            kept[settlement.shard].append((at, settlement))
        lacking = [each for shard, of_shard in kept.items() for each in await self._lacking(shard, of_shard)]
        for settlement in lacking:
            self._hand_over(settlement)
        self.sent_again += len(lacking)
        if lacking:
            logger.warning("settlements sent again", extra={"settlements": len(lacking)})

    async def _lacking(self, shard: int, kept: Sequence[Timed]) -> Sequence[Settlement]:
        """What this shard may lack.

        A memory that goes on has lost its last moments at most, the counters' with the events'; what it has
        it knows by the mark, as long as that lives. One that has begun since is filled from the ledger, so
        what the ledger has must not be counted once more, nor what is older than its mark could be.
        """
        since = await self._redis.call("GET", f"{shard_prefix(shard)}since")
        began_at = int(since) / MILLISECONDS + CLOCKS_DIFFER_SECONDS if since is not None else float("inf")
        marked_from = self._clock().timestamp() - SETTLED_MARK_MS / MILLISECONDS + CLOCKS_DIFFER_SECONDS
        sure_from = max(began_at, marked_from)
        # In the order that events go: one that is ingested meanwhile is found twice, not missed.
        known = await self._in_stream(shard, [each for each in kept if each[0] < marked_from])
        known |= await self._in_ledger([each for each in kept if each[0] < sure_from])
        return [each for at, each in kept if at >= sure_from or each.request_id not in known]

    async def _in_stream(self, shard: int, kept: Sequence[Timed]) -> set[UUID]:
        if not kept:
            return set()
        ids = {settlement.event: settlement.request_id for _, settlement in kept}
        moments = [round(at * MILLISECONDS) for at, _ in kept]
        differ_ms = round(CLOCKS_DIFFER_SECONDS * MILLISECONDS)
        # A settlement that had to be sent twice was carried out before it was confirmed.
        start = f"{min(moments) - SETTLED_MARK_MS - differ_ms}"
        end = f"{max(moments) + differ_ms}"
        found: set[UUID] = set()
        while True:
            entries: list[tuple[bytes, list[bytes]]] = await self._redis.call(
                "XRANGE", usage_stream(shard), start, end, "COUNT", ENTRIES_PER_READ
            )
            found.update(ids[content] for _, (_, content) in entries if content in ids)
            if len(entries) < ENTRIES_PER_READ:
                return found
            start = f"({entries[-1][0].decode()}"

    async def _in_ledger(self, kept: Sequence[Timed]) -> set[UUID]:
        if not kept:
            return set()
        since = datetime.fromtimestamp(min(at for at, _ in kept), UTC) - LONGEST_REQUEST
        async with self._policies.pool.connection() as connection:
            found = await connection.execute(_KNOWN, [[each.request_id for _, each in kept], since])
            return {row[0] for row in await found.fetchall()}
