"""Budgets as pages show them: spent, held and left of each key, project or organization in its period.

Ready values; the live figures come from `gateway.counters`, and from the ledger when Redis does
not know them.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.db.models import Sum
from django.db.models.functions import Greatest

from accounts.models import Organization
from accounts.tenancy import scoped
from billing.budgets import Period, period_of, zone_named
from billing.models import Budget, UsageEvent
from billing.money import ZERO_USD, format_usd
from gateway.admission import budget_counter
from gateway.counters import MoneyCount, read_money

WHOLE = Decimal(100)
COLUMN_OF_SCOPE = {
    Budget.Scope.ORGANIZATION: "organization_id",
    Budget.Scope.PROJECT: "project_id",
    Budget.Scope.KEY: "key_id",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One budget in its period. Percentages are of the limit, between 0 and 100."""

    limit_usd: Decimal
    spent_usd: Decimal
    held_usd: Decimal
    left_usd: Decimal
    spent_percent: Decimal
    taken_percent: Decimal
    window_text: str
    renews_text: str


def bars_of_keys(
    organization: Organization, key_ids: Iterable[UUID], *, now: datetime
) -> Mapping[UUID, Sequence[Bar]]:
    """The budgets of each key that has any, in the periods that hold `now`."""
    return bars_of(organization, Budget.Scope.KEY, key_ids, now=now)


def bars_of(
    organization: Organization, scope: Budget.Scope, scope_ids: Iterable[UUID], *, now: datetime
) -> Mapping[UUID, Sequence[Bar]]:
    """The budgets of each of these keys, projects or organizations, in the periods that hold `now`."""
    budgets = scoped(Budget.objects.filter(scope=scope, scope_id__in=list(scope_ids)), organization)
    periods = {
        budget: period_of(budget.window, budget.time_zone, now) for budget in budgets.order_by("window")
    }
    counters = {budget: budget_counter(budget.pk, period) for budget, period in periods.items()}
    counted = read_money(organization.pk, [*counters.values()])
    unknown = {budget: periods[budget] for budget, name in counters.items() if name not in counted}
    known = _counted_in_ledger(organization, COLUMN_OF_SCOPE[scope], unknown)
    bars: defaultdict[UUID, list[Bar]] = defaultdict(list)
    for budget, period in periods.items():
        count = counted.get(counters[budget]) or MoneyCount(known[budget], ZERO_USD)
        bars[budget.scope_id].append(_bar(budget, period, count))
    return bars


def _counted_in_ledger(
    organization: Organization, column: str, periods: Mapping[Budget, Period]
) -> Mapping[Budget, Decimal]:
    """What the events below each budget sum to since its period began, as budgets count them."""
    ids_of_start: defaultdict[datetime | None, set[UUID]] = defaultdict(set)
    for budget, period in periods.items():
        ids_of_start[period.starts_at].add(budget.scope_id)
    sums = {start: _counted_by(column, organization, ids, start) for start, ids in ids_of_start.items()}
    return {
        budget: sums[period.starts_at].get(budget.scope_id, ZERO_USD) for budget, period in periods.items()
    }


def _counted_by(
    column: str, organization: Organization, ids: Iterable[UUID], start: datetime | None
) -> Mapping[UUID, Decimal]:
    events = UsageEvent.objects.filter(organization_id=organization.pk, **{f"{column}__in": list(ids)})
    if start is not None:
        events = events.filter(occurred_at__gte=start)
    counted = Sum(Greatest("charge_usd", "cost_usd"))
    return dict(events.order_by().values_list(column).annotate(counted_usd=counted))


def _bar(budget: Budget, period: Period, count: MoneyCount) -> Bar:
    limit_usd, taken_usd = budget.amount_usd, count.spent_usd + count.held_usd
    return Bar(
        limit_usd=limit_usd,
        spent_usd=count.spent_usd,
        held_usd=count.held_usd,
        left_usd=max(limit_usd - taken_usd, ZERO_USD),
        spent_percent=_percent(count.spent_usd, limit_usd),
        taken_percent=_percent(taken_usd, limit_usd),
        window_text=f"{format_usd(limit_usd)} {budget.get_window_display()}",
        renews_text=_renewal(period, budget.time_zone),
    )


def _percent(part_usd: Decimal, limit_usd: Decimal) -> Decimal:
    if part_usd >= limit_usd:
        return WHOLE
    return (part_usd * WHOLE / limit_usd).quantize(Decimal("0.01"))


def _renewal(period: Period, time_zone: str) -> str:
    """`renews 1 Dec, 00:00 Europe/Berlin`; empty for a budget that never does."""
    if period.ends_at is None:
        return ""
    local = period.ends_at.astimezone(zone_named(time_zone))
    return f"renews {local.day} {local:%b, %H:%M} {time_zone}"
