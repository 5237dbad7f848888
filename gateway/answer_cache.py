"""The answers that Redis keeps: found by their id, sealed with the data key of their organization.

Every key holds the organization, and the seal is bound to the place, so that an answer can be read by
nobody else wherever it ends up. What counts as the same request is `gateway.wire.sameness`, when the
cache is asked and what a hit costs is `gateway.reuse`.
"""

import asyncio
import hashlib
import logging
import re
import zlib
from functools import lru_cache
from importlib.resources import files
from typing import Any

import msgspec

from accounts.vault import SealBroken, Vault
from gateway.bodies import REMEMBERED_DATA_KEYS
from gateway.policy import Policy, shard_prefix
from gateway.redis_pipeline import RedisAway, RedisPipeline, Script
from gateway.settings import GatewaySettings
from gateway.treatment import Ticket
from gateway.wire.kept_answer import KeptAnswer

logger = logging.getLogger(__name__)

CACHE_ID = re.compile(r"[0-9a-f]{64}")
QUICKEST = 1

store_script = Script(files("gateway").joinpath("cache_store.lua").read_text())
clear_script = Script(files("gateway").joinpath("cache_clear.lua").read_text())


class AnswerCache:
    """Each organization's cache. What goes wrong with it never fails a request."""

    def __init__(self, redis: RedisPipeline, *, settings: GatewaySettings) -> None:
        self._redis = redis
        self._answer_limit_bytes = settings.cache_answer_limit_bytes
        self._room_bytes = settings.cache_organization_limit_bytes
        self._data_key = lru_cache(maxsize=REMEMBERED_DATA_KEYS)(Vault(settings.master_key).unwrap)

    async def find(self, policy: Policy, entry_key: str) -> KeptAnswer | None:
        """The answer that is kept there, if there is one that can be read."""
        try:
            sealed = await self._redis.call("GET", entry_key)
        except RedisAway:
            return None
        return None if sealed is None else self._opened(policy, entry_key, sealed)

    def keep(self, policy: Policy, ticket: Ticket, kept: KeptAnswer) -> None:
        """Store an answer. Returns at once; one that is too large or that Redis does not take is not kept."""
        content = _encoded(kept)
        if content is None or len(content) > self._answer_limit_bytes or policy.wrapped_data_key is None:
            return
        data_key = self._data_key(policy.wrapped_data_key, policy.organization_id)
        sealed = data_key.encrypt(zlib.compress(content, QUICKEST), context=_seal_context(ticket.entry_key))
        place = _place(policy)
        keys = [ticket.entry_key, f"{place}ids", f"{place}sizes", scope_key(policy, ticket.scope_digest)]
        arguments = (ticket.cache_id, sealed, ticket.ttl_ms, self._room_bytes, f"{place}answer:")
        # A whole call: nobody waits here who could send the script again to a Redis that does not know it.
        self._redis.submit(store_script.whole_call(keys, arguments)).add_done_callback(_log_failure)

    async def clear_one(self, policy: Policy, cache_id: str) -> int:
        """Forget one answer; gives how many there were. Raises RedisAway."""
        place = _place(policy)
        keys = [f"{place}ids", f"{place}sizes"]
        return int(await clear_script.run(self._redis, keys, (f"{place}answer:", cache_id)))

    async def clear_scope(self, policy: Policy, scope_digest: str) -> int:
        """Forget the answers of one scope; gives how many there were. Raises RedisAway."""
        place = _place(policy)
        keys = [f"{place}ids", f"{place}sizes", scope_key(policy, scope_digest)]
        return int(await clear_script.run(self._redis, keys, (f"{place}answer:", "")))

    def _opened(self, policy: Policy, entry_key: str, sealed: bytes) -> KeptAnswer | None:
        if policy.wrapped_data_key is None:
            return None
        data_key = self._data_key(policy.wrapped_data_key, policy.organization_id)
        try:
            content = data_key.decrypt(sealed, context=_seal_context(entry_key))
            return KeptAnswer.from_bytes(zlib.decompress(content))
        except (SealBroken, zlib.error, msgspec.DecodeError) as exc:
            logger.warning("kept answer cannot be read", extra={"reason": type(exc).__name__})
            return None


def entry_key(policy: Policy, cache_id: str) -> str:
    return f"{_place(policy)}answer:{cache_id}"


def scope_key(policy: Policy, scope_digest: str) -> str:
    return f"{_place(policy)}scope:{scope_digest}"


def scope_digest(scope: str) -> str:
    """A scope's name as it may stand in a key, whatever the client chose."""
    return hashlib.sha256(scope.encode()).hexdigest()[:32]


def _place(policy: Policy) -> str:
    return f"{shard_prefix(policy.shard)}cache:{policy.organization_id.hex}:"


def _seal_context(key: str) -> str:
    return f"kept-answer:{key}"


def _encoded(kept: KeptAnswer) -> bytes | None:
    try:
        return kept.to_bytes()
    except (TypeError, ValueError, RecursionError) as exc:
        logger.warning("answer cannot be kept", extra={"reason": type(exc).__name__})
        return None


def _log_failure(reply: "asyncio.Future[Any]") -> None:
    if not reply.cancelled() and (failure := reply.exception()) is not None:
        logger.warning("answer not kept", extra={"reason": type(failure).__name__})
