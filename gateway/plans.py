"""Plans: which limits bind the requests of one key, and how the script is asked about each.

Made once for a policy and used for all its requests, which differ in what they need. What is decided
with them is in `gateway.admission`; which label budgets bind a request in `gateway.label_budgets`.
"""

import math
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

from msgspec import Struct

from billing.budgets import Period, bucket_seconds, period_of, rolling_period
from gateway.counter_names import budget_counter, rolling_counter, wallet_counter
from gateway.errors import InvalidValue
from gateway.label_budgets import Labels, bound_subjects, counter_part
from gateway.limits import DIMENSIONS, Check, Need
from gateway.policy import BudgetRule, Policy, Scope, shard_prefix

MINUTE_US = 60_000_000
SECOND_MS = 1_000
COUNTER_GRACE_MS = 24 * 3600 * 1000
# A budget without renewal that nobody uses for so long is counted from the ledger when it is used again.
TOTAL_LIFE_MS = 90 * 24 * 3600 * 1000
REMEMBERED_PLANS = 4_096
# How long counters live is told to Redis with each request; a plan is too old for that at some time.
PLAN_LIFE = timedelta(minutes=10)
# Each tag has a counter in each budget of every tag, and all are decided in one step that Redis does alone.
# End users and model families have one a budget, of which an organization has a hundred at most.
TAG_COUNTERS_LIMIT = 64

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """The clock of budgets' periods."""
    return datetime.now(UTC)


class _Plan(Struct, frozen=True):
    """The checks of all requests but for their quantities. Holds until a period ends or it is old."""

    policy: Policy
    checks: tuple[Check, ...]
    begins_at: datetime
    ends_at: datetime


class Plans:
    """Gives each request the checks that bind it."""

    def __init__(self, *, burst_seconds: float, clock: Clock) -> None:
        self._burst_minutes = burst_seconds / 60
        self._clock = clock
        self._plans: dict[UUID, _Plan] = {}

    def checks(self, policy: Policy, need: Need, labels: Labels) -> tuple[Check, ...]:
        """The limits of key, project and organization, then the budgets of the request's labels.

        Raises InvalidValue when its tags would be counted in too many budgets.
        """
        now = self._clock()
        plan = self._plans.get(policy.key_id)
        if plan is None or plan.policy is not policy or not plan.begins_at <= now < plan.ends_at:
            plan = self._remember(policy, now)
        checks = [check.of(need) for check in plan.checks if need.wallet_nano or not check.is_wallet]
        counted_tags = 0
        for scope in policy.label_scopes:
            rule = scope.budgets[0]
            subjects = list(bound_subjects(scope, rule, labels))
            counted_tags += len(subjects) if scope.kind == "tag" else 0
            if counted_tags > TAG_COUNTERS_LIMIT:
                raise _too_many_tags(labels)
            checks.extend(_budget(policy, scope, rule, now, subject=subject).of(need) for subject in subjects)
        return tuple(checks)

    def _remember(self, policy: Policy, now: datetime) -> _Plan:
        while len(self._plans) >= REMEMBERED_PLANS:
            del self._plans[next(iter(self._plans))]
        checks = tuple(self._planned(policy, now))
        ends = [check.period.ends_at for check in checks if check.period and check.period.ends_at]
        plan = self._plans[policy.key_id] = _Plan(policy, checks, now, min([now + PLAN_LIFE, *ends]))
        return plan

    def _planned(self, policy: Policy, now: datetime) -> Iterator[Check]:
        for scope in policy.scopes:
            place = f"{shard_prefix(policy.shard)}{scope.kind}:{scope.id.hex}:"
            if scope.requests_per_minute is not None:
                yield self._rate("r", f"{place}requests", scope, scope.requests_per_minute)
            if scope.tokens_per_minute is not None:
                yield self._rate("t", f"{place}tokens", scope, scope.tokens_per_minute)
            if scope.concurrent_requests is not None:
                arguments = (scope.concurrent_requests, 0, 0, 0)
                yield Check("c", f"{place}running", scope, arguments, label=_label(scope, "c"))
            for rule in scope.budgets:
                yield _budget(policy, scope, rule, now)

    def _rate(self, kind: str, key: str, scope: Scope, per_minute: int) -> Check:
        capacity = max(1.0, per_minute * self._burst_minutes)
        arguments = (repr(MINUTE_US / per_minute), repr(capacity), 1, 0)
        return Check(kind, key, scope, arguments, label=_label(scope, kind))


def _too_many_tags(labels: Labels) -> InvalidValue:
    return InvalidValue(
        f"The {len(labels.tags)} tags of this request, with those of its key, are counted in more than "
        f"{TAG_COUNTERS_LIMIT} budgets, which is the most: send fewer tags.",
        param="tags",
    )


def _label(scope: Scope, kind: str) -> str:
    return f"{scope.kind}:{DIMENSIONS[kind]}"


def _budget(policy: Policy, scope: Scope, rule: BudgetRule, now: datetime, *, subject: str = "") -> Check:
    kind, counter, period, third, fourth = _counted(rule, now, subject)
    return Check(
        kind + "o" if rule.is_observed else kind,
        f"{shard_prefix(policy.shard)}money:{counter}",
        scope,
        (rule.amount_nano, 0, third, fourth),
        budget=rule,
        counter=counter,
        period=period,
        subject=subject,
        label=f"{_label(scope, kind)}:{rule.window}",
    )


def _counted(rule: BudgetRule, now: datetime, subject: str) -> tuple[str, str, Period | None, int, int]:
    """The kind of check, the counter's name, its period, and the script's last two arguments."""
    part = counter_part(rule, subject)
    if rule.is_wallet:
        return "b", wallet_counter(rule.id), None, -1, 0
    if rule.is_rolling:
        begun_ms = math.ceil(rule.created_at.timestamp() * SECOND_MS)
        period = rolling_period(rule.window, now)
        return "w", rolling_counter(rule.id, part), period, begun_ms, bucket_seconds(rule.window)
    period = period_of(rule.window, rule.time_zone, now)
    counter = budget_counter(rule.id, period, part)
    return "b", counter, period, _blank_from_ms(rule, period), _life_ms(period, now)


def _life_ms(period: Period, now: datetime) -> int:
    if period.ends_at is None:
        return TOTAL_LIFE_MS
    return max(0, math.ceil((period.ends_at - now).total_seconds() * 1000)) + COUNTER_GRACE_MS


def _blank_from_ms(rule: BudgetRule, period: Period) -> int:
    """From when a missing counter means that nothing was spent: never, if the budget came later."""
    if period.starts_at is None or rule.created_at > period.starts_at:
        return -1
    return math.floor(period.starts_at.timestamp() * 1000)
