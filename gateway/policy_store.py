"""Policies in memory: found by key hash, loaded once on a miss, dropped when they change.

The one place where the two planes meet. A change reaches every process twice: at once as a
message on Redis, and by polling the epochs of the organizations it holds, so that a lost
message costs at most one poll. While PostgreSQL is away, what is in memory goes on serving.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable
from typing import Any
from uuid import UUID

import psycopg
import redis.asyncio
from psycopg_pool import AsyncConnectionPool, PoolTimeout
from redis.exceptions import RedisError

from accounts.vault import SealBroken, Vault
from billing.price_list import PriceList
from gateway.errors import TemporarilyUnavailable
from gateway.policy import Policy, Reach
from gateway.policy_rows import load_operator_prices, load_operator_reach, load_policy
from gateway.settings import GatewaySettings

logger = logging.getLogger(__name__)

EPOCH_CHANNEL = "fb:epochs"
CONNECT_TIMEOUT_SECONDS = 2
LISTEN_PAUSE_SECONDS = 1.0

EPOCHS_SQL = """
SELECT organization_id, epoch FROM accounts_organizationepoch WHERE organization_id = ANY(%s)
"""
# Rows of prices and markups are only added, so their number tells whether any came.
OPERATOR_MARK_SQL = """
SELECT (SELECT COALESCE(md5(string_agg(id::text || updated_at::text, ',' ORDER BY id)), '')
          FROM gateway_providerconnection WHERE organization_id IS NULL),
       (SELECT count(*) FROM billing_pricefact WHERE source <> 'shipped' AND organization_id IS NULL),
       (SELECT count(*) FROM billing_markup)
"""

OnChange = Callable[[UUID], None]


class PolicyStore:
    """Gives the policy of a key, from memory wherever possible."""

    def __init__(self, settings: GatewaySettings) -> None:
        self._settings = settings
        self._vault = Vault(settings.master_key)
        self._pool = AsyncConnectionPool(
            settings.database_url,
            min_size=1,
            max_size=settings.database_pool_connections,
            open=False,
            timeout=settings.policy_load_timeout_seconds,
            kwargs={
                "autocommit": True,
                "connect_timeout": CONNECT_TIMEOUT_SECONDS,
                "prepare_threshold": None,
            },
        )
        self._policies: dict[bytes, Policy] = {}
        self._hashes: defaultdict[UUID, set[bytes]] = defaultdict(set)
        self._newest_epoch: dict[UUID, int] = {}
        self._unknown: dict[bytes, float] = {}
        self._loading: dict[bytes, asyncio.Task[Policy | None]] = {}
        self._operator_mark: tuple[str, int, int] | None = None
        self._observers: list[OnChange] = []
        self.operator_reach = Reach()
        self.operator_prices = PriceList()

    @property
    def pool(self) -> AsyncConnectionPool[psycopg.AsyncConnection[Any]]:
        """The data plane's PostgreSQL connections."""
        return self._pool

    def observe(self, observer: OnChange) -> None:
        """Have `observer` called with each organization whose policies were dropped."""
        self._observers.append(observer)

    def remembered(self, secret_hmac: bytes) -> Policy | None:
        """The key's policy if it is in memory."""
        return self._policies.get(secret_hmac)

    async def find(self, secret_hmac: bytes) -> Policy | None:
        """The key's policy, or None for an unknown key.

        Raises TemporarilyUnavailable when it is not in memory and PostgreSQL does not answer.
        """
        policy = self._policies.get(secret_hmac)
        if policy is not None or self._is_known_unknown(secret_hmac):
            return policy
        loading = self._loading.get(secret_hmac)
        if loading is None:
            loading = self._loading[secret_hmac] = asyncio.create_task(self._load(secret_hmac))
            loading.add_done_callback(lambda done: self._end_loading(secret_hmac, done))
        # The load is awaited from outside and abandoned when it is late: cancelling a query on a
        # stalled server would itself wait for the server.
        await asyncio.wait({loading}, timeout=self._settings.policy_load_timeout_seconds)
        if not loading.done():
            raise TemporarilyUnavailable(reason="policies_unavailable")
        return loading.result()

    async def open(self) -> None:
        """Open the pool and load the operator's connections; waits for PostgreSQL as long as it takes."""
        await self._pool.open(wait=False)

    async def close(self) -> None:
        await self._pool.close()

    async def check(self) -> None:
        """Raise psycopg.Error or PoolTimeout unless PostgreSQL answers and the operator's rows are loaded."""
        async with self._pool.connection() as connection:
            await self._refresh_operator_reach(connection)

    async def run_polling(self) -> None:
        """Ask for changed epochs, for ever."""
        while True:
            try:
                async with self._pool.connection() as connection:
                    await self._refresh_operator_reach(connection)
                    await self._drop_changed(connection)
            except (psycopg.Error, PoolTimeout, SealBroken) as exc:
                logger.warning("epochs not polled", extra={"reason": type(exc).__name__})
            await asyncio.sleep(self._settings.epoch_poll_seconds)

    async def run_listening(self) -> None:
        """Hear of changed epochs on Redis, for ever."""
        while True:
            client = redis.asyncio.Redis.from_url(self._settings.redis_url)
            try:
                async with client.pubsub(ignore_subscribe_messages=True) as channel:
                    await channel.subscribe(EPOCH_CHANNEL)
                    async for message in channel.listen():
                        self._hear(message["data"])
            except (RedisError, OSError) as exc:
                logger.warning("epochs not heard", extra={"reason": type(exc).__name__})
            finally:
                await client.aclose()
            await asyncio.sleep(LISTEN_PAUSE_SECONDS)

    def _end_loading(self, secret_hmac: bytes, loading: "asyncio.Task[Policy | None]") -> None:
        del self._loading[secret_hmac]
        if not loading.cancelled():
            loading.exception()  # retrieved here: whoever waited for it may have given up

    async def _load(self, secret_hmac: bytes) -> Policy | None:
        settings = self._settings
        try:
            async with self._pool.connection() as connection:
                policy = await load_policy(
                    connection, secret_hmac=secret_hmac, vault=self._vault, shards=settings.shards
                )
        except (psycopg.Error, PoolTimeout) as exc:
            raise TemporarilyUnavailable(reason="policies_unavailable") from exc
        except SealBroken as exc:
            logger.error("stored secrets cannot be opened: is FAREBOX_MASTER_KEY the right one?")
            raise TemporarilyUnavailable(reason="policies_unavailable") from exc
        if policy is None:
            self._remember_unknown(secret_hmac)
        elif policy.epoch >= self._newest_epoch.get(policy.organization_id, 0):
            self._remember(secret_hmac, policy)
        return policy

    def _remember(self, secret_hmac: bytes, policy: Policy) -> None:
        while len(self._policies) >= self._settings.policy_cache_entries:
            oldest = next(iter(self._policies))
            self._hashes[self._policies.pop(oldest).organization_id].discard(oldest)
        self._policies[secret_hmac] = policy
        self._hashes[policy.organization_id].add(secret_hmac)

    def _remember_unknown(self, secret_hmac: bytes) -> None:
        while len(self._unknown) >= self._settings.unknown_key_cache_entries:
            del self._unknown[next(iter(self._unknown))]
        loop_time = asyncio.get_running_loop().time()
        self._unknown[secret_hmac] = loop_time + self._settings.unknown_key_cache_seconds

    def _is_known_unknown(self, secret_hmac: bytes) -> bool:
        until = self._unknown.get(secret_hmac)
        if until is None:
            return False
        if asyncio.get_running_loop().time() < until:
            return True
        del self._unknown[secret_hmac]
        return False

    async def _refresh_operator_reach(self, connection: psycopg.AsyncConnection[Any]) -> None:
        mark = await (await connection.execute(OPERATOR_MARK_SQL)).fetchone()
        if mark != self._operator_mark:
            self.operator_reach = await load_operator_reach(connection, self._vault)
            self.operator_prices = await load_operator_prices(connection)
            self._operator_mark = mark

    async def _drop_changed(self, connection: psycopg.AsyncConnection[Any]) -> None:
        held = [organization_id for organization_id, hashes in self._hashes.items() if hashes]
        if not held:
            return
        cursor = await connection.execute(EPOCHS_SQL, (held,))
        epochs = dict(await cursor.fetchall())
        for organization_id in held:
            self._notice(organization_id, epochs.get(organization_id))

    def _hear(self, message: bytes) -> None:
        organization, _, epoch = message.decode().partition(":")
        try:
            self._notice(UUID(organization), int(epoch))
        except ValueError:
            logger.warning("unreadable epoch message")

    def _notice(self, organization_id: UUID, epoch: int | None) -> None:
        """Drop what is older than this epoch; None says that the organization is gone."""
        hashes = self._hashes.get(organization_id)
        if not hashes:
            return
        if epoch is not None:
            self._newest_epoch[organization_id] = max(epoch, self._newest_epoch.get(organization_id, 0))
        stale = [each for each in hashes if epoch is None or self._policies[each].epoch < epoch]
        for each in stale:
            del self._policies[each]
            hashes.discard(each)
        if not hashes:
            del self._hashes[organization_id]
        if stale:
            for observer in self._observers:
                observer(organization_id)
