"""A small bench for the limits: policies made by hand, a pipeline to the suite's Redis, no HTTP."""

import os
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from gateway.admission import Admission
from gateway.leases import LeaseKeeper
from gateway.limits import Hold, MoneyCounter, Need
from gateway.policy import WALLET_WINDOW, BudgetRule, Policy, Reach, Scope, shard_of
from gateway.redis_pipeline import RedisPipeline
from gateway.routing.target import Target
from gateway.settings import GatewaySettings
from gateway.settlement import Settlement, settlement_of, settlement_script

SHARDS = 16
# Where settlement.lua is told how far its clock is off.
CLOCK_OFFSET = 4
NO_USAGE = {"input": 0, "output": 0, "searches": 0}


def settings(**changes: Any) -> GatewaySettings:
    return GatewaySettings(
        database_url=os.environ["DATABASE_URL"],
        redis_url=os.environ["REDIS_URL"],
        key_pepper=b"p" * 16,
        master_key=bytes(32),
        **{"redis_call_timeout_ms": 5000.0, "shards": SHARDS, **changes},
    )


def budget(amount_nano: int, window: str = "total", **terms: Any) -> BudgetRule:
    return BudgetRule(
        **{
            "id": uuid.uuid4(),
            "amount_nano": amount_nano,
            "window": window,
            "time_zone": "UTC",
            "created_at": datetime.now(UTC),
            **terms,
        }
    )


def policy(
    *,
    key: dict[str, Any] | None = None,
    wallet_nano: int = 10**15,
    labels: Sequence[tuple[str, BudgetRule]] = (),
    **project: Any,
) -> Policy:
    organization_id, project_id, key_id = uuid.uuid4(), uuid.uuid4(), uuid.uuid4()
    wallet = BudgetRule(
        id=organization_id,
        amount_nano=wallet_nano,
        window=WALLET_WINDOW,
        time_zone="UTC",
        created_at=datetime.now(UTC),
    )
    return Policy(
        secret_hmac=key_id.bytes,
        key_id=key_id,
        project_id=project_id,
        organization_id=organization_id,
        organization_name="Bench",
        epoch=1,
        shard=shard_of(organization_id, SHARDS),
        expires_at=None,
        revoked_at=None,
        is_organization_active=True,
        allowed_models=None,
        default_tags=(),
        project_mode="credits",
        is_body_logging_on=False,
        is_stream_cut_on_revocation=False,
        scopes=(
            Scope(kind="key", id=key_id, **(key or {})),
            Scope(kind="project", id=project_id, **project),
            Scope(kind="organization", id=organization_id, budgets=(wallet,)),
        ),
        own_reach=Reach(),
        wrapped_data_key=None,
        label_scopes=tuple(Scope(kind=kind, id=organization_id, budgets=(rule,)) for kind, rule in labels),
    )


class Bench:
    """Admits and settles without a network in front."""

    def __init__(self, redis: RedisPipeline, bench_settings: GatewaySettings) -> None:
        self.redis = redis
        self.rebuilt: list[str] = []
        self.released: list[Hold] = []
        self.ledger_nano: dict[str, int] = {}
        self.calendar_offset = timedelta()
        self.admission = Admission(
            redis,
            settings=bench_settings,
            rebuild=self._rebuild,
            release=self.released.append,
            clock=lambda: datetime.now(UTC) + self.calendar_offset,
        )
        self.leases = LeaseKeeper(redis, settings=bench_settings)

    async def _rebuild(self, counter: MoneyCounter) -> None:
        self.rebuilt.append(counter.counter)
        await self.redis.call("HSET", counter.key, "s", self.ledger_nano.get(counter.counter, 0))

    def travel(self, seconds: float) -> None:
        """Let time pass for everything: Redis' clock in the scripts, and the calendar."""
        self.admission.clock_offset_ms += round(seconds * 1000)
        self.calendar_offset += timedelta(seconds=seconds)

    async def admit(
        self, who: Policy, *, nano: int = 0, tokens: int = 0, targets: Sequence[Target] = (), **labels: Any
    ) -> Hold:
        request_id = uuid.uuid4()
        need = Need(budget_nano=nano, wallet_nano=nano, tokens=tokens)
        happened = {**event(request_id, tokens=0, nano=0), **labels}
        return await self.admission.admit(
            who, request_id=request_id, need=need, event=happened, targets=targets
        )

    async def settle(
        self, hold: Hold, *, nano: int = 0, tokens: int = 0, mode: str = "settle", **served: Any
    ) -> int:
        happened = {**event(hold.request_id, tokens=tokens, nano=nano), **served}
        settlement: Settlement = settlement_of(hold, happened)
        keys, arguments = settlement.command(mode)
        arguments[CLOCK_OFFSET] = self.admission.clock_offset_ms
        answer: int = await settlement_script.run(self.redis, keys, arguments)
        return answer

    async def money(self, hold: Hold) -> list[tuple[int, int]]:
        """Spent and held of each money counter of the hold."""
        counters = [check.key for check in hold.checks if check.kind in ("b", "w")]
        found = [await self.redis.call("HMGET", key, "s", "h") for key in counters]
        return [(int(spent or 0), int(held or 0)) for spent, held in found]


def event(request_id: uuid.UUID, *, tokens: int, nano: int) -> dict[str, Any]:
    usage = {**NO_USAGE, "output": tokens}
    labels = {"tags": [], "end_user": "", "provider": "", "model": ""}
    return {"id": request_id.hex, "usage": usage, "cost_nano": nano, "charge_nano": nano, **labels}


@asynccontextmanager
async def bench(**changes: Any) -> AsyncIterator[Bench]:
    bench_settings = settings(**changes)
    redis = RedisPipeline(
        bench_settings.redis_url,
        call_timeout_seconds=bench_settings.redis_call_timeout_ms / 1000,
        queue_limit=bench_settings.redis_queue_limit,
    )
    try:
        yield Bench(redis, bench_settings)
    finally:
        await redis.close()
