"""Admission: may this request start now?

One Redis call decides requests, tokens, concurrency and money of the key, its project, its
organization and its labels together, so that two processes cannot both grant the last of anything.
What a request costs at most is decided by the caller; how a hold ends is in `gateway.settlement`.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import UTC, datetime
from importlib.resources import files
from uuid import UUID

import orjson
from msgspec.structs import astuple, replace

from billing.budgets import ROLLING_BUCKETS, Period, bucket_seconds, period_of, rolling_period
from gateway.away import Reserves
from gateway.errors import TemporarilyUnavailable
from gateway.label_budgets import Labels, bound_subjects, counter_part
from gateway.limits import Check, HeldCheck, Hold, MoneyCounter, Need, Standing, UsageRecord
from gateway.policy import BudgetRule, Policy, Scope, shard_prefix
from gateway.redis_pipeline import Argument, RedisAway, RedisPipeline, Script
from gateway.refusals import Refusal, refusal_of
from gateway.routing.target import Target
from gateway.settings import GatewaySettings

MINUTE_US = 60_000_000
SECOND_MS, SECOND_US = 1_000, 1_000_000
COUNTER_GRACE_MS = 24 * 3600 * 1000
# A budget without renewal that nobody uses for so long is counted from the ledger when it is used again.
TOTAL_LIFE_MS = 90 * 24 * 3600 * 1000
MAX_REBUILDS_PER_REQUEST = 8
# More than any budget: what is only observed never stands in the way of a longer answer.
NO_LIMIT_NANO = 2**53

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
        reserves: Reserves | None = None,
        clock: Clock = utc_now,
    ) -> None:
        self._redis = redis
        self._reserves = reserves
        self._release = release
        self._lease_ms = round(settings.hold_lease_seconds * 1000)
        self._burst_minutes = settings.rate_burst_seconds / 60
        self._rebuild = rebuild
        self._clock = clock
        self._periods: dict[UUID, Period] = {}
        self.clock_offset_ms = 0
        """How far Redis' clock is taken to be off: for tests of what takes hours."""

    async def admit(
        self,
        policy: Policy,
        *,
        request_id: UUID,
        need: Need,
        event: UsageRecord,
        targets: Sequence[Target] = (),
    ) -> Hold:
        """Hold `need` in every scope that binds the request. `event` is what the reaper records if we die.

        Raises RateLimited (429), InsufficientCredits, BudgetExceeded or KeyLimitExceeded (402),
        TemporarilyUnavailable (503) when Redis is away, unless the organization lets some through
        then. A refusal has written nothing.
        """
        checks = tuple(self._checks(policy, need, event, targets))
        hold = _hold(policy.shard, request_id, need, checks)
        for _ in range(MAX_REBUILDS_PER_REQUEST):
            try:
                answer = await self._ask(hold, checks, hold_record(hold, event))
            except RedisAway as exc:
                return self._let_through(policy, hold, exc)
            if answer[0] != MISSING:
                break
            for index in answer[1:]:
                await self._rebuild(_lost(policy, checks[index - 1]))
        if answer[0] == REFUSED:
            raise refusal_of(checks[answer[1] - 1], Refusal(*map(int, answer[3:8])), now=self._clock())
        if answer[0] == MISSING:
            raise TemporarilyUnavailable(reason="counters_rebuilding")
        standing = _standing(checks, answer)
        if policy.redis_away_nano and self._reserves is not None:
            self._reserves.fill(policy, standing)
        return replace(hold, standing=standing, would_refuse=_would_refuse(checks, answer))

    def _let_through(self, policy: Policy, hold: Hold, exc: RedisAway) -> Hold:
        """The hold as if it had been granted, if the organization's allowance covers it."""
        reservation = self._reserves.take(policy, hold.need) if self._reserves is not None else None
        if reservation is None:
            # It may have been carried out all the same: then what it holds must be given back.
            self._release(hold)
            raise TemporarilyUnavailable(reason="limits_unavailable") from exc
        return replace(hold, reservation=reservation)

    async def _ask(self, hold: Hold, checks: tuple[Check, ...], record: bytes) -> list[int]:
        prefix = shard_prefix(hold.shard)
        keys = [f"{prefix}holds", hold_key(hold.shard, hold.request_id), f"{prefix}since"]
        keys.extend(check.key for check in checks)
        arguments: list[Argument] = [hold.request_id.hex, self._lease_ms, record, self.clock_offset_ms]
        for check in checks:
            arguments.append(check.kind)
            arguments.extend(check.arguments)
        try:
            answer: list[int] = await admission_script.run(self._redis, keys, arguments)
        except asyncio.CancelledError:
            self._release(hold)
            raise
        return answer

    def _checks(
        self, policy: Policy, need: Need, event: UsageRecord, targets: Sequence[Target]
    ) -> Iterator[Check]:
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
        if policy.label_scopes:
            labels = Labels(event.get("tags", ()), event.get("end_user", ""), targets)
            for scope in policy.label_scopes:
                for subject in bound_subjects(scope, scope.budgets[0], labels):
                    yield self._budget(prefix, scope, scope.budgets[0], need.budget_nano, subject)

    def _rate(self, kind: str, key: str, scope: Scope, per_minute: int, quantity: int) -> Check:
        capacity = max(1.0, per_minute * self._burst_minutes)
        return Check(kind, key, scope, (repr(MINUTE_US / per_minute), repr(capacity), quantity, 0))

    def _budget(
        self, prefix: str, scope: Scope, rule: BudgetRule, hold_nano: int, subject: str = ""
    ) -> Check:
        if rule.is_wallet:
            kind, counter, period = "b", wallet_counter(rule.id), None
            third, fourth = -1, 0
        elif rule.is_rolling:
            kind, counter = "w", rolling_counter(rule.id, counter_part(rule, subject))
            period = rolling_period(rule.window, self._clock())
            third, fourth = math.ceil(rule.created_at.timestamp() * SECOND_MS), bucket_seconds(rule.window)
        else:
            period = self._period(rule)
            kind, counter = "b", budget_counter(rule.id, period, counter_part(rule, subject))
            third, fourth = _blank_from_ms(rule, period), self._life_ms(period)
        if rule.is_observed:
            kind += "o"
        arguments = (rule.amount_nano, hold_nano, third, fourth)
        return Check(kind, f"{prefix}money:{counter}", scope, arguments, rule, counter, period, subject)

    def _life_ms(self, period: Period) -> int:
        if period.ends_at is None:
            return TOTAL_LIFE_MS
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


def budget_counter(budget_id: UUID, period: Period, subject: str = "") -> str:
    """The name of one budget in one period; the period's number is part of it, so nothing is ever reset.

    `subject` is what `gateway.label_budgets` tells the counters of a budget for each apart by.
    """
    return f"{budget_id.hex}{subject}:{period.number}"


def budget_id_of(key: str) -> str:
    """Whose counter lies there: the budget's id, or the organization's for the wallet."""
    return key.partition("}:money:")[2].removeprefix("wallet:")[:32]


def limit_nano_of(rule: BudgetRule) -> int:
    """What a running request may come to hold in this budget, with all others."""
    return NO_LIMIT_NANO if rule.is_observed else rule.amount_nano


def rolling_counter(budget_id: UUID, subject: str = "") -> str:
    """The name of one budget with a rolling window, whose buckets are fields of the counter."""
    return f"{budget_id.hex}{subject}:rolling"


def wallet_of(policy: Policy) -> MoneyCounter:
    """The counter of what the organization has spent of its credit."""
    scope, rule = next((scope, rule) for scope in policy.scopes for rule in scope.budgets if rule.is_wallet)
    counter = wallet_counter(rule.id)
    key = f"{shard_prefix(policy.shard)}money:{counter}"
    return MoneyCounter(policy, scope, rule, key, counter, None, 0)


def hold_record(hold: Hold, event: UsageRecord) -> bytes:
    """What Redis keeps beside a hold, so that anyone can settle it: its checks and its event so far."""
    checks = [astuple(check) for check in hold.checks]
    return orjson.dumps({"checks": checks, "event": observed(hold, event)})


def observed(hold: Hold, event: UsageRecord) -> UsageRecord:
    """The event with the observe-only budgets that do not cover it, if there are any."""
    return {**event, "would_refuse": hold.would_refuse} if hold.would_refuse else event


def _hold(shard: int, request_id: UUID, need: Need, checks: tuple[Check, ...]) -> Hold:
    held = []
    for check in checks:
        if check.budget is not None:
            held.append(_held_money(check, check.budget))
        elif check.kind == "t":
            held.append(HeldCheck("t", check.key, float(check.arguments[0]), int(check.arguments[2])))
        elif check.kind == "c":
            held.append(HeldCheck("c", check.key, 0, 0))
    return Hold(request_id, shard, need, tuple(held), {})


def _held_money(check: Check, rule: BudgetRule) -> HeldCheck:
    bucket_us = bucket_seconds(rule.window) * SECOND_US if rule.is_rolling else 0
    family = rule.subject if check.scope.kind == "model" else ""
    return HeldCheck(
        check.kind[0],
        check.key,
        bucket_us,
        int(check.arguments[1]),
        is_wallet=rule.is_wallet,
        limit_nano=limit_nano_of(rule),
        family=family,
    )


def _standing(checks: tuple[Check, ...], answer: list[int]) -> Standing:
    standing: dict[str, dict[str, int]] = {}
    for position, check in enumerate(checks):
        label = check.label
        if label in standing and check.budget is not None:
            label = f"{label}:{check.counter}"
        standing[label] = {
            "limit": check.limit,
            "left": int(answer[1 + 2 * position]),
            "reset_ms": int(answer[2 + 2 * position]),
        }
    return standing


def _would_refuse(checks: tuple[Check, ...], answer: list[int]) -> tuple[str, ...]:
    """The observe-only budgets that are overdrawn by this request, each once."""
    overdrawn = (
        check.budget.id.hex
        for position, check in enumerate(checks)
        if check.budget is not None and check.budget.is_observed and int(answer[1 + 2 * position]) < 0
    )
    return tuple(dict.fromkeys(overdrawn))


def _lost(policy: Policy, check: Check) -> MoneyCounter:
    rule = check.budget
    assert rule is not None, "only money counters are rebuilt"
    life_ms = int(check.arguments[3])
    if rule.is_rolling:
        life_ms = bucket_seconds(rule.window) * SECOND_MS * (ROLLING_BUCKETS + 2)
    return MoneyCounter(
        policy, check.scope, rule, check.key, check.counter, check.period, life_ms, check.subject
    )


def _blank_from_ms(rule: BudgetRule, period: Period) -> int:
    """From when a missing counter means that nothing was spent: never, if the budget came later."""
    if period.starts_at is None or rule.created_at > period.starts_at:
        return -1
    return math.floor(period.starts_at.timestamp() * 1000)
