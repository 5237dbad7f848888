"""Retries: whether a target that failed is called once more, and how long is waited before. Pure.

Another target is always better than the same one again, so this is asked when none is left. The
pauses are those of CONTRACT 1.2.7; a provider that says how long it wants to be left alone is believed.
"""

from random import Random

from msgspec import Struct

from gateway.errors import GatewayError, UpstreamRateLimited
from gateway.settings import GatewaySettings

JITTER = (0.8, 1.2)
# What the provider will say of us again: it does not take our credential, or knows no such model.
LASTING = frozenset({400, 401, 402, 403, 404, 413, 422})


class RetryRules(Struct, frozen=True, kw_only=True):
    """How often one target is called again, and the pauses in between."""

    retries: int
    pause_seconds: float
    longest_pause_seconds: float
    retry_after_limit_seconds: float

    @classmethod
    def of(cls, settings: GatewaySettings) -> "RetryRules":
        return cls(
            retries=settings.upstream_retries,
            pause_seconds=settings.upstream_retry_pause_seconds,
            longest_pause_seconds=settings.upstream_retry_longest_pause_seconds,
            retry_after_limit_seconds=settings.upstream_retry_after_limit_seconds,
        )

    def pause_before(self, retry: int, error: GatewayError, *, luck: Random) -> float | None:
        """Seconds to wait before this retry (the first one is 1); None if there is none.

        There is none for what would fail again, and none where the provider asks for more patience than
        is allowed: then the client hears of that.
        """
        if retry > self.retries or not error.may_fall_back or error.upstream_status in LASTING:
            return None
        wish_seconds = error.retry_after_seconds
        if isinstance(error, UpstreamRateLimited) and wish_seconds is not None:
            return wish_seconds if wish_seconds <= self.retry_after_limit_seconds else None
        pause_seconds = min(self.pause_seconds * 2 ** (retry - 1), self.longest_pause_seconds)
        return float(pause_seconds * luck.uniform(*JITTER))
