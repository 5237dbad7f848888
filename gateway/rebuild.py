"""Rebuild: a money counter that Redis does not hold comes back from the ledger.

A missing counter is never taken for zero, unless Redis is known to have held everything since
before its period began (`admission.lua`). Here PostgreSQL is asked once, and Redis adds what
its stream holds behind the ledger's cursor, in the same step that sets the counter up.
"""

import asyncio
from importlib.resources import files
from typing import Any

import psycopg
from psycopg_pool import PoolTimeout

from billing.budgets import bucket_seconds
from billing.counted import Counted, charged_ever, counted_of, counted_since
from billing.families import lua_pattern
from gateway.errors import TemporarilyUnavailable
from gateway.limits import MoneyCounter
from gateway.policy import shard_prefix
from gateway.policy_store import PolicyStore
from gateway.redis_pipeline import Argument, RedisAway, RedisPipeline, Script
from gateway.settings import GatewaySettings
from gateway.settlement import usage_stream

# Ingestion moves on about once a second, so the second reading is nearly always in time.
MAX_READINGS = 20
HOLDS_MISSING = -2

rebuild_script = Script(files("gateway").joinpath("rebuild.lua").read_text())


class Rebuilder:
    """Sets lost counters up again, each once however many requests wait for it."""

    def __init__(self, redis: RedisPipeline, policies: PolicyStore, *, settings: GatewaySettings) -> None:
        self._redis = redis
        self._policies = policies
        self._timeout_seconds = settings.policy_load_timeout_seconds
        # Within two rounds every process has noticed that its holds are gone.
        self._restore_ms = round(settings.hold_renew_seconds * 2000)
        self._under_way: dict[str, asyncio.Task[None]] = {}

    async def rebuild(self, counter: MoneyCounter) -> None:
        """Set the counter up. Raises TemporarilyUnavailable when the ledger or Redis does not answer."""
        task = self._under_way.get(counter.key)
        if task is None:
            task = self._under_way[counter.key] = asyncio.create_task(self._rebuild(counter))
            task.add_done_callback(lambda done: self._end(counter, done))
        # Awaited from outside and abandoned when late: cancelling a query would wait for the server.
        await asyncio.wait({task}, timeout=self._timeout_seconds)
        if not task.done():
            raise _unavailable()
        task.result()

    def _end(self, counter: MoneyCounter, task: "asyncio.Task[None]") -> None:
        del self._under_way[counter.key]
        if not task.cancelled():
            task.exception()  # retrieved here: whoever waited for it may have given up

    async def _rebuild(self, counter: MoneyCounter) -> None:
        try:
            for _ in range(MAX_READINGS):
                answer = await self._set_up(counter, await self._ledger_knows(counter))
                if answer >= 0:
                    return
                if answer <= HOLDS_MISSING:
                    await asyncio.sleep((HOLDS_MISSING - answer) / 1000)
        except (psycopg.Error, PoolTimeout, RedisAway) as exc:
            raise _unavailable() from exc
        raise _unavailable()

    async def _set_up(self, counter: MoneyCounter, known: Counted) -> int:
        """What rebuild.lua says: below zero the counter does not stand yet."""
        prefix = shard_prefix(counter.policy.shard)
        keys = [counter.key, usage_stream(counter.policy.shard), f"{prefix}since", f"{prefix}whole"]
        is_rolling = counter.rule.is_rolling
        starts_at = counter.period.starts_at if counter.period and not is_rolling else None
        arguments: list[Argument] = [
            known.amount_nano,
            known.stream_id,
            counter.policy.organization_id.hex,
            *_whom(counter),
            starts_at.isoformat() if starts_at else "",
            counter.life_ms,
            bucket_seconds(counter.rule.window) * 1000 if is_rolling else 0,
            self._restore_ms,
        ]
        for bucket, amount_nano in known.buckets:
            arguments += [bucket, amount_nano]
        answer: int = await rebuild_script.run(self._redis, keys, arguments)
        return answer

    async def _ledger_knows(self, counter: MoneyCounter) -> Counted:
        query, parameters = _statement(counter)
        async with self._policies.pool.connection() as connection:
            cursor: psycopg.AsyncCursor[Any] = await connection.execute(query, parameters)
            row = await cursor.fetchone()
        assert row is not None, "a sum has a row"
        return counted_of(row)


def _statement(counter: MoneyCounter) -> tuple[str, dict[str, Any]]:
    policy, scope, rule = counter.policy, counter.scope, counter.rule
    if rule.is_wallet:
        return charged_ever(shard=policy.shard, organization_id=policy.organization_id)
    return counted_since(
        shard=policy.shard,
        organization_id=policy.organization_id,
        scope=scope.kind,
        scope_id=scope.id,
        subject=counter.subject,
        since=counter.period.starts_at if counter.period else None,
        bucket_seconds=bucket_seconds(rule.window) if rule.is_rolling else None,
    )


def _whom(counter: MoneyCounter) -> tuple[str, str]:
    """Scope and subject, as rebuild.lua looks for them in events."""
    if counter.rule.is_wallet:
        return "wallet", ""
    kind = counter.scope.kind
    if kind == "model":
        return kind, lua_pattern(counter.subject)
    return kind, counter.subject if kind in ("tag", "end_user") else counter.scope.id.hex


def _unavailable() -> TemporarilyUnavailable:
    return TemporarilyUnavailable(reason="counters_rebuilding")
