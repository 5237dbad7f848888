"""Admission: may this request start now?

One Redis call decides requests, tokens, concurrency and money of the key, its project and its
organization together, so that two processes cannot both grant the last of anything. What a
request costs at most is decided by the caller; how a hold ends is in `gateway.settlement`.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from importlib.resources import files
from uuid import UUID

import orjson
from msgspec.structs import replace

from billing.budgets import Period, period_of
from gateway.errors import TemporarilyUnavailable
from gateway.limits import Check, HeldCheck, Hold, MoneyCounter, Need, Standing, UsageRecord
from gateway.policy import BudgetRule, Policy, Scope, shard_prefix
from gateway.redis_pipeline import Argument, RedisAway, RedisPipeline, Script
from gateway.refusals import Refusal, refusal_of
from gateway.settings import GatewaySettings

MINUTE_US = 60_000_000
COUNTER_GRACE_MS = 24 * 3600 * 1000
MAX_REBUILDS_PER_REQUEST = 8

REFUSED, MISSING = 0, 2

admission_script = Script(files("gateway").joinpath("admission.lua").read_text())


Rebuild = Callable[[MoneyCounter], Awaitable[None]]
Release = Callable[[Hold], None]
Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """The clock of budgets' periods."""
    return datetime.now(UTC)


class Admission:
    """Asks Redis, and turns its refusals into errors that say what is left and when to come back."""

    def __init__(
        self,
        redis: RedisPipeline,
        *,
        settings: GatewaySettings,
        rebuild: Rebuild,
        release: Release,
        clock: Clock = utc_now,
    ) -> None:
        self._redis = redis
        self._release = release
        self._lease_ms = round(settings.hold_lease_seconds * 1000)
        self._burst_minutes = settings.rate_burst_seconds / 60
        self._rebuild = rebuild
        self._clock = clock
        self._periods: dict[UUID, Period] = {}

    async def admit(self, policy: Policy, *, request_id: UUID, need: Need, event: UsageRecord) -> Hold:
        """Hold `need` in every scope of the key. `event` is what the reaper records if we die.

        Raises RateLimited (429), InsufficientCredits, BudgetExceeded or KeyLimitExceeded (402),
        TemporarilyUnavailable (503) when Redis is away. A refusal has written nothing.
        """
        checks = tuple(self._checks(policy, need))
        hold = _hold(policy.shard, request_id, need, checks)
        for _ in range(MAX_REBUILDS_PER_REQUEST):
            answer = await self._ask(hold, checks, hold_record(hold, event))
            if answer[0] != MISSING:
                break
            for index in answer[1:]:
                await self._rebuild(_lost(policy, checks[index - 1]))
        if answer[0] == REFUSED:
            raise refusal_of(checks[answer[1] - 1], Refusal(*map(int, answer[3:7])))
        if answer[0] == MISSING:
            raise TemporarilyUnavailable(reason="counters_rebuilding")
        return replace(hold, standing=_standing(checks, answer))

    async def _ask(self, hold: Hold, checks: tuple[Check, ...], record: bytes) -> list[int]:
        prefix = shard_prefix(hold.shard)
        keys = [f"{prefix}holds", hold_key(hold.shard, hold.request_id), f"{prefix}since"]
        keys.extend(check.key for check in checks)
        arguments: list[Argument] = [hold.request_id.hex, self._lease_ms, record, 0]
        for check in checks:
            arguments.append(check.kind)
            arguments.extend(check.arguments)
        try:
            answer: list[int] = await admission_script.run(self._redis, keys, arguments)
        except asyncio.CancelledError:
            self._release(hold)
            raise
        except RedisAway as exc:
            # It may have been carried out all the same: then what it holds must be given back.
            self._release(hold)
            raise TemporarilyUnavailable(reason="limits_unavailable") from exc
        return answer

    def _checks(self, policy: Policy, need: Need) -> Iterator[Check]:
        prefix = shard_prefix(policy.shard)
        for scope in policy.scopes:
            place = f"{prefix}{scope.kind}:{scope.id.hex}:"
            if scope.requests_per_minute is not None:
                yield self._rate("r", f"{place}requests", scope, scope.requests_per_minute, 1)
            if scope.tokens_per_minute is not None:
                yield self._rate("t", f"{place}tokens", scope, scope.tokens_per_minute, need.tokens)
            if scope.concurrent_requests is not None:
                yield Check("c", f"{place}running", scope, (scope.concurrent_requests, 0, 0, 0))
            for rule in scope.budgets:
                if not rule.is_wallet:
                    yield self._budget(prefix, scope, rule, need.budget_nano)
                elif need.wallet_nano:
                    yield self._budget(prefix, scope, rule, need.wallet_nano)

    def _rate(self, kind: str, key: str, scope: Scope, per_minute: int, quantity: int) -> Check:
        capacity = max(1.0, per_minute * self._burst_minutes)
        return Check(kind, key, scope, (repr(MINUTE_US / per_minute), repr(capacity), quantity, 0))

    def _budget(self, prefix: str, scope: Scope, rule: BudgetRule, hold_nano: int) -> Check:
        if rule.is_wallet:
            counter, period, blank_from_ms, life_ms = wallet_counter(rule.id), None, -1, 0
        else:
            period = self._period(rule)
            counter = budget_counter(rule.id, period)
            blank_from_ms, life_ms = _blank_from_ms(rule, period), self._life_ms(period)
        arguments = (rule.amount_nano, hold_nano, blank_from_ms, life_ms)
        return Check("b", f"{prefix}money:{counter}", scope, arguments, rule, counter, period)

    def _life_ms(self, period: Period) -> int:
        if period.ends_at is None:
            return 0
        left_ms = (period.ends_at - self._clock()).total_seconds() * 1000
        return max(0, math.ceil(left_ms)) + COUNTER_GRACE_MS

    def _period(self, rule: BudgetRule) -> Period:
        moment = self._clock()
        period = self._periods.get(rule.id)
        if period is None or not period.contains(moment):
            period = self._periods[rule.id] = period_of(rule.window, rule.time_zone, moment)
        return period


def hold_key(shard: int, request_id: UUID) -> str:
    return f"{shard_prefix(shard)}hold:{request_id.hex}"


def wallet_counter(organization_id: UUID) -> str:
    """The wallet's name in usage events and in Redis."""
    return f"wallet:{organization_id.hex}"


def budget_counter(budget_id: UUID, period: Period) -> str:
    """The name of one budget in one period; the period's number is part of it, so nothing is ever reset."""
    return f"{budget_id.hex}:{period.number}"


def wallet_of(policy: Policy) -> MoneyCounter:
    """The counter of what the organization has spent of its credit."""
    scope, rule = next((scope, rule) for scope in policy.scopes for rule in scope.budgets if rule.is_wallet)
    counter = wallet_counter(rule.id)
    key = f"{shard_prefix(policy.shard)}money:{counter}"
    return MoneyCounter(policy, scope, rule, key, counter, None, 0)


def hold_record(hold: Hold, event: UsageRecord) -> bytes:
    """What Redis keeps beside a hold, so that anyone can settle it: its checks and its event so far."""
    checks = [(c.kind, c.key, c.interval_us, c.amount, c.is_wallet) for c in hold.checks]
    return orjson.dumps({"checks": checks, "event": {**event, "budgets": hold.counters}})


def _hold(shard: int, request_id: UUID, need: Need, checks: tuple[Check, ...]) -> Hold:
    held = []
    for check in checks:
        if check.budget is not None:
            amount_nano, rule = int(check.arguments[1]), check.budget
            held.append(HeldCheck("b", check.key, 0, amount_nano, rule.is_wallet, rule.amount_nano))
        elif check.kind == "t":
            held.append(HeldCheck("t", check.key, float(check.arguments[0]), int(check.arguments[2])))
        elif check.kind == "c":
            held.append(HeldCheck("c", check.key, 0, 0))
    counters = tuple(check.counter for check in checks if check.counter)
    return Hold(request_id, shard, need, tuple(held), counters, {})


def _standing(checks: tuple[Check, ...], answer: list[int]) -> Standing:
    return {
        check.label: {
            "limit": check.limit,
            "left": int(answer[1 + 2 * position]),
            "reset_ms": int(answer[2 + 2 * position]),
        }
        for position, check in enumerate(checks)
    }


def _lost(policy: Policy, check: Check) -> MoneyCounter:
    assert check.budget is not None, "only money counters are rebuilt"
    return MoneyCounter(
        policy, check.scope, check.budget, check.key, check.counter, check.period, int(check.arguments[3])
    )


def _blank_from_ms(rule: BudgetRule, period: Period) -> int:
    """From when a missing counter means that nothing was spent: never, if the budget came later."""
    if period.starts_at is None or rule.created_at > period.starts_at:
        return -1
    return math.floor(period.starts_at.timestamp() * 1000)
