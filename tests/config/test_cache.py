"""The cache lives beside the money counters and leaves them alone."""

import redis
from django.core.cache import cache


def test_clearing_the_cache_leaves_everything_else_in_redis(settings):
    with redis.Redis.from_url(settings.FAREBOX_REDIS_URL) as client:
        client.set("fb:{s07}:spent", "12345")
        cache.set("page", "cached")

        cache.clear()

        assert cache.get("page") is None
        assert client.get("fb:{s07}:spent") == b"12345"
        client.delete("fb:{s07}:spent")
