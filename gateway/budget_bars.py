"""Budgets as pages show them: spent, held and left of each in its period. Ready values."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from accounts.models import Organization
from accounts.tenancy import scoped
from billing.budgets import zone_named
from billing.models import Budget
from billing.money import ZERO_USD, format_usd
from gateway.budget_counts import Place, counts_of, place_of
from gateway.budget_texts import window_text
from gateway.counters import MoneyCount

WHOLE = Decimal(100)


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
    places = [place_of(budget, now) for budget in budgets.order_by("created_at")]
    bars: defaultdict[UUID, list[Bar]] = defaultdict(list)
    for place, bar in zip(places, bars_at(organization, places), strict=True):
        bars[place.budget.scope_id].append(bar)
    return bars


def bars_at(organization: Organization, places: Sequence[Place]) -> list[Bar]:
    """The bar of each of these budgets, in their order."""
    counts = counts_of(organization, places)
    return [_bar(place, count) for place, count in zip(places, counts, strict=True)]


def _bar(place: Place, count: MoneyCount) -> Bar:
    budget = place.budget
    limit_usd, taken_usd = budget.amount_usd, count.spent_usd + count.held_usd
    return Bar(
        limit_usd=limit_usd,
        spent_usd=count.spent_usd,
        held_usd=count.held_usd,
        left_usd=max(limit_usd - taken_usd, ZERO_USD),
        spent_percent=_percent(count.spent_usd, limit_usd),
        taken_percent=_percent(taken_usd, limit_usd),
        window_text=f"{format_usd(limit_usd)} {window_text(budget)}",
        renews_text=_renewal(place),
    )


def _percent(part_usd: Decimal, limit_usd: Decimal) -> Decimal:
    if part_usd >= limit_usd:
        return WHOLE
    return (part_usd * WHOLE / limit_usd).quantize(Decimal("0.01"))


def _renewal(place: Place) -> str:
    """`renews 1 Dec, 00:00 Europe/Berlin`, `frees up as time passes`; empty for a budget that never does."""
    budget = place.budget
    if budget.is_rolling:
        return "frees up as time passes"
    if place.period.ends_at is None:
        return ""
    local = place.period.ends_at.astimezone(zone_named(budget.time_zone))
    return f"renews {local.day} {local:%b, %H:%M} {budget.time_zone}"
