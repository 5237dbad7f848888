"""Cache calls: an organization's key forgets answers that its organization keeps (CONTRACT 1.2.8).

`DELETE /api/cache/clear/{cache_id}` forgets one, `DELETE /api/cache/clear-by-key/{key}` all that were kept
under an `x-bf-cache-key`. What is not there, or is somebody else's, is 404 or nothing to clear.
"""

import re
from typing import Any
from urllib.parse import unquote

from gateway.answer_cache import CACHE_ID, scope_digest
from gateway.errors import InvalidValue, NotFound, TemporarilyUnavailable
from gateway.listing import ListingConsumer
from gateway.policy import Policy
from gateway.redis_pipeline import RedisAway
from gateway.reuse import scope_of_key
from gateway.wire.cache_wish import checked_cache_key

ONE_PATH, SCOPE_PATH = "/api/cache/clear", "/api/cache/clear-by-key"


class CacheClearOne(ListingConsumer):
    """`DELETE /api/cache/clear/{cache_id}`."""

    async def content(self, policy: Policy) -> Any:
        cache_id = self.scope["path"].removeprefix(f"{ONE_PATH}/").rstrip("/")
        if not re.fullmatch(CACHE_ID, cache_id):
            raise InvalidValue("cache_id must be the `cache_debug.cache_id` of an answer.", param="cache_id")
        try:
            cleared = await self.plane.reuse.cache.clear_one(policy, cache_id)
        except RedisAway as exc:
            raise TemporarilyUnavailable(reason="cache_unavailable") from exc
        if not cleared:
            raise NotFound("Your organization keeps no answer with this id.", param="cache_id")
        return {"message": "Cache cleared successfully", "cleared": cleared}


class CacheClearScope(ListingConsumer):
    """`DELETE /api/cache/clear-by-key/{key}`."""

    async def content(self, policy: Policy) -> Any:
        path = self.scope.get("raw_path") or self.scope["path"].encode()
        named = path.decode("ascii", "replace").partition("?")[0].partition(f"{SCOPE_PATH}/")[2]
        key = checked_cache_key(unquote(named).encode())
        try:
            cleared = await self.plane.reuse.cache.clear_scope(policy, scope_digest(scope_of_key(key)))
        except RedisAway as exc:
            raise TemporarilyUnavailable(reason="cache_unavailable") from exc
        return {"message": "Cache cleared successfully", "cleared": cleared}
