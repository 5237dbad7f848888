"""How often one token or person may call the management API in a minute."""

import time

from django.conf import settings
from django.core.cache import cache
from redis.exceptions import RedisError
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle
from rest_framework.views import APIView

WINDOW_SECONDS = 60


class ManagementThrottle(BaseThrottle):
    """A counter for each minute. Without Redis nothing is counted: keys must be revocable then."""

    def allow_request(self, request: Request, view: APIView) -> bool:
        most = settings.FAREBOX_CONSOLE.management_requests_per_minute
        who = request.auth if request.auth is not None else request.user
        minute = int(time.time()) // WINDOW_SECONDS
        name = f"management:{getattr(who, 'pk', '')}:{minute}"
        try:
            if cache.add(name, 1, timeout=2 * WINDOW_SECONDS):
                return True
            return cache.incr(name) <= most
        except (RedisError, ValueError):
            return True

    def wait(self) -> float:
        """Seconds until the next minute."""
        return WINDOW_SECONDS - time.time() % WINDOW_SECONDS
