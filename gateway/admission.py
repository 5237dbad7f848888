"""Admission: may this request start now?

One Redis call decides requests, tokens, concurrency and money of the key, its project, its
organization and its labels together, so that two processes cannot both grant the last of anything.
What a request costs at most is decided by the caller; how a hold ends is in `gateway.settlement`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from importlib.resources import files
from uuid import UUID

import orjson
from msgspec.structs import astuple, replace

from billing.budgets import ROLLING_BUCKETS, bucket_seconds
from gateway.away import Reserves
from gateway.counter_names import wallet_counter
from gateway.errors import TemporarilyUnavailable
from gateway.label_budgets import Labels
from gateway.limits import Check, HeldCheck, Hold, MoneyCounter, Need, Standing, UsageRecord
from gateway.plans import Clock, Plans, utc_now
from gateway.policy import BudgetRule, Policy, shard_prefix
from gateway.redis_pipeline import Argument, RedisAway, RedisPipeline, Script
from gateway.refusals import Refusal, refusal_of
from gateway.routing.target import Target
from gateway.settings import GatewaySettings

SECOND_MS, SECOND_US = 1_000, 1_000_000
MAX_REBUILDS_PER_REQUEST = 8
# More than any budget: what is only observed never stands in the way of a longer answer.
NO_LIMIT_NANO = 2**53

REFUSED, MISSING = 0, 2

admission_script = Script(files("gateway").joinpath("admission.lua").read_text())


Rebuild = Callable[[MoneyCounter], Awaitable[None]]
Release = Callable[[Hold], None]


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
        self._rebuild = rebuild
        self._clock = clock
        self._plans = Plans(burst_seconds=settings.rate_burst_seconds, clock=clock)
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
        then, and InvalidValue (400) when its tags fall under too many budgets. A refusal has written
        nothing. An observe-only budget that cannot be counted is not held, and the request goes on.
        """
        labels = Labels(event.get("tags", ()), event.get("end_user", ""), targets)
        checks = self._plans.checks(policy, need, labels)
        hold = _hold(policy.shard, request_id, need, checks)
        for _ in range(MAX_REBUILDS_PER_REQUEST):
            try:
                answer = await self._ask(hold, checks, hold_record(hold, event))
            except RedisAway as exc:
                return self._let_through(policy, hold, exc)
            if answer[0] != MISSING:
                break
            unknown = await self._rebuild_all(policy, [checks[index - 1] for index in answer[1:]])
            if unknown:
                checks = tuple(check for check in checks if check.key not in unknown)
                hold = _hold(policy.shard, request_id, need, checks)
        if answer[0] == REFUSED:
            raise refusal_of(checks[answer[1] - 1], Refusal(*map(int, answer[3:8])), now=self._clock())
        if answer[0] == MISSING:
            raise TemporarilyUnavailable(reason="counters_rebuilding")
        standing = _standing(checks, answer)
        if policy.redis_away_nano and self._reserves is not None:
            self._reserves.fill(policy, standing)
        return replace(hold, standing=standing, would_refuse=_would_refuse(checks, answer))

    async def _rebuild_all(self, policy: Policy, lost: Sequence[Check]) -> set[str]:
        """Set up the counters of these checks, the binding ones first.

        Raises TemporarilyUnavailable if one of those cannot be counted. A budget that is only observed
        refuses nothing: if it cannot be counted, it and those after it are left out. Gives their keys.
        """
        binding = [check for check in lost if not check.is_observed]
        observed_only = [check for check in lost if check.is_observed]
        for check in binding:
            await self._rebuild(_lost(policy, check))
        for position, check in enumerate(observed_only):
            try:
                await self._rebuild(_lost(policy, check))
            except TemporarilyUnavailable:
                return {unknown.key for unknown in observed_only[position:]}
        return set()

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


def hold_key(shard: int, request_id: UUID) -> str:
    return f"{shard_prefix(shard)}hold:{request_id.hex}"


def limit_nano_of(rule: BudgetRule) -> int:
    """What a running request may come to hold in this budget, with all others."""
    return NO_LIMIT_NANO if rule.is_observed else rule.amount_nano


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
