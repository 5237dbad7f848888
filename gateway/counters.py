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
NOTHING_ROLLS: Mapping[str, int] = {}

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class MoneyCount:
    """What a budget or a wallet has spent, and what running requests hold of it."""

    spent_usd: Decimal
    held_usd: Decimal


def read_money(
    organization_id: UUID, counters: Sequence[str], *, live_from: Mapping[str, int] = NOTHING_ROLLS
) -> Mapping[str, MoneyCount]:
    """The counters of this organization by name; those that Redis does not hold are left out.

    Names are those that `gateway.admission` gives. `live_from`: the first bucket that still counts of
    each counter with a rolling window.
    """
    if not counters:
        return {}
    prefix = _prefix(organization_id)
    try:
        with _client(settings.FAREBOX_REDIS_URL).pipeline(transaction=False) as pipe:
            for counter in counters:
                pipe.hgetall(f"{prefix}money:{counter}")
            answers = pipe.execute()
    except redis.RedisError as failure:
        logger.warning("counters not read", extra={"reason": type(failure).__name__})
        return {}
    return {
        counter: _money_count(fields, live_from.get(counter))
        for counter, fields in zip(counters, answers, strict=True)
        if b"s" in fields
    }


def _money_count(fields: Mapping[bytes, bytes], live_from: int | None) -> MoneyCount:
    spent_nano = int(fields[b"s"])
    if live_from is not None:
        spent_nano = sum(int(n) for name, n in fields.items() if name.isdigit() and int(name) >= live_from)
    return MoneyCount(nano_to_usd(spent_nano), nano_to_usd(int(fields.get(b"h", 0))))


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
