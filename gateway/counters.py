"""What Redis counts at this moment, read for pages: money spent and held, requests that are running.

Read-only and short-tempered: without Redis, or for counters that it does not hold, the answer is
missing and the page asks the ledger. Who writes them: `gateway.admission`, `gateway.settlement`.
"""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from uuid import UUID

import redis
from django.conf import settings

from billing.money import nano_to_usd
from gateway.policy import shard_of, shard_prefix

REDIS_TIMEOUT_SECONDS = 0.25

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class MoneyCount:
    """What a budget or a wallet has spent, and what running requests hold of it."""

    spent_usd: Decimal
    held_usd: Decimal


def read_money(organization_id: UUID, counters: Sequence[str]) -> Mapping[str, MoneyCount]:
    """The counters of this organization by name; those that Redis does not hold are left out.

    Names are those of `gateway.admission.budget_counter` and `wallet_counter`.
    """
    if not counters:
        return {}
    prefix = _prefix(organization_id)
    try:
        with _client(settings.FAREBOX_REDIS_URL).pipeline(transaction=False) as pipe:
            for counter in counters:
                pipe.hmget(f"{prefix}money:{counter}", "s", "h")
            answers = pipe.execute()
    except redis.RedisError as failure:
        logger.warning("counters not read", extra={"reason": type(failure).__name__})
        return {}
    return {
        counter: MoneyCount(nano_to_usd(int(spent)), nano_to_usd(int(held or 0)))
        for counter, (spent, held) in zip(counters, answers, strict=True)
        if spent is not None
    }


def read_running(organization_id: UUID, key_id: UUID) -> int | None:
    """How many requests of a key with a concurrency limit are running; None when Redis is away."""
    now_ms = time.time_ns() // 1_000_000
    leases = f"{_prefix(organization_id)}key:{key_id.hex}:running"
    try:
        return int(_client(settings.FAREBOX_REDIS_URL).zcount(leases, f"({now_ms}", "+inf"))
    except redis.RedisError as failure:
        logger.warning("running requests not read", extra={"reason": type(failure).__name__})
        return None


def _prefix(organization_id: UUID) -> str:
    return shard_prefix(shard_of(organization_id, settings.FAREBOX_SHARDS))


@cache
def _client(url: str) -> redis.Redis:
    return redis.Redis.from_url(
        url,
        socket_timeout=REDIS_TIMEOUT_SECONDS,
        socket_connect_timeout=REDIS_TIMEOUT_SECONDS,
        retry=None,
    )
