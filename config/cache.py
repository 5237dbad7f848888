"""Django's cache in the Redis that also holds money counters: clearing it removes the cache alone."""

from typing import Any

from django.core.cache.backends.redis import RedisCache

KEYS_PER_SCAN = 500


class SharedRedisCache(RedisCache):
    """Django's own `clear` would empty the whole Redis database."""

    def clear(self) -> None:
        client: Any = self._cache.get_client(None, write=True)
        keys = list(client.scan_iter(f"{self.key_prefix}:*", count=KEYS_PER_SCAN))
        for start in range(0, len(keys), KEYS_PER_SCAN):
            client.unlink(*keys[start : start + KEYS_PER_SCAN])
