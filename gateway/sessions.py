"""Sessions: whether one has begun, and what its thinker said. For selectors with `first` or `thinker`.

Kept in Redis for an hour after the last request, by organization and session. Asked only where the
selector depends on it, and told after the answer. What a model said is sealed with the
organization's data key. Two first requests at once are both first: neither has been answered.
"""

import asyncio
import hashlib
import logging
from functools import lru_cache

from accounts.vault import SealBroken, Vault
from gateway.bodies import REMEMBERED_DATA_KEYS, Transcript
from gateway.policy import Policy, shard_prefix
from gateway.redis_pipeline import RedisAway, RedisPipeline
from gateway.router import Route, Router
from gateway.routing.views import Session
from gateway.settings import GatewaySettings
from gateway.wire.chat_request import ChatRequest

logger = logging.getLogger(__name__)

BEGUN = b"1"


class Sessions:
    """What the sessions of this gateway's organizations did before."""

    def __init__(self, redis: RedisPipeline, *, settings: GatewaySettings) -> None:
        self._redis = redis
        self._life_seconds = round(settings.session_minutes * 60)
        self._limit_characters = settings.thought_limit_characters
        self._data_key = lru_cache(maxsize=REMEMBERED_DATA_KEYS)(Vault(settings.master_key).unwrap)
        self._telling: set[asyncio.Task[None]] = set()

    async def rerouted(self, router: Router, request: ChatRequest, policy: Policy) -> Route:
        """The request's route, given what its session did before."""
        session = await self.state(policy, request.session_id)
        return router.route(request, policy, session=session)

    async def state(self, policy: Policy, session_id: str, *, is_kept_alive: bool = True) -> Session:
        """The session's state, which lives on from here. While Redis is away, nothing has begun."""
        key = _key(policy, session_id)
        life = ("EX", self._life_seconds) if is_kept_alive else ()
        try:
            kept = await self._redis.call("GETEX", key, *life)
        except RedisAway:
            return Session()
        if not kept:
            return Session()
        return Session(has_begun=True, thought="" if kept == BEGUN else self._opened(policy, key, kept))

    def tell(self, policy: Policy, session_id: str, *, thought_of: Transcript | None) -> None:
        """Note that a request was answered, and what its thinker said if it was one. Returns at once."""
        task = asyncio.create_task(self._tell(policy, session_id, thought_of))
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def _tell(self, policy: Policy, session_id: str, transcript: Transcript | None) -> None:
        key = _key(policy, session_id)
        thought = transcript.text()[: self._limit_characters] if transcript is not None else ""
        try:
            if thought and policy.wrapped_data_key is not None:
                data_key = self._data_key(policy.wrapped_data_key, policy.organization_id)
                sealed = data_key.encrypt(thought.encode(), context=_seal_context(key))
                await self._redis.call("SET", key, sealed, "EX", self._life_seconds)
            else:
                await self._redis.call("SET", key, BEGUN, "EX", self._life_seconds, "NX")
        except RedisAway:
            logger.warning("session not kept", extra={"organization": policy.organization_id.hex})

    def _opened(self, policy: Policy, key: str, sealed: bytes) -> str:
        if policy.wrapped_data_key is None:
            return ""
        data_key = self._data_key(policy.wrapped_data_key, policy.organization_id)
        try:
            return data_key.decrypt(sealed, context=_seal_context(key)).decode()
        except SealBroken:
            return ""


def _key(policy: Policy, session_id: str) -> str:
    digest = hashlib.sha256(session_id.encode()).hexdigest()
    return f"{shard_prefix(policy.shard)}session:{policy.organization_id.hex}:{digest}"


def _seal_context(key: str) -> str:
    return f"session-thought:{key}"
