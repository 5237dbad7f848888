"""The budgets of an organization as their page shows them. Ready values."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlencode
from uuid import UUID

from django.urls import reverse

from accounts.models import Organization
from accounts.tenancy import Tenant, scoped
from billing.models import Budget, UsageEvent
from gateway.alert_models import BudgetAlert
from gateway.budget_bars import Bar, bars_at
from gateway.budget_counts import place_of, top_subjects
from gateway.budget_rights import right_to_set
from gateway.budget_texts import alerts_text, sentence_of, whom_text

# How far back an observe-only budget without renewal is looked at.
OBSERVED_DAYS = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class SubjectRow:
    """One tag or end user of a budget for each."""

    name: str
    bar: Bar


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetRow:
    """One budget. `bar` is None for a budget for each, which has one for each of its `subjects`.

    `href` is empty for those who may not change it.
    """

    id: UUID
    title: str
    sentence: str
    whom: str
    alerts: str
    last_alert: int | None
    last_alert_at: datetime | None
    is_observed: bool
    would_refuse: int
    would_refuse_href: str
    href: str
    bar: Bar | None
    subjects: Sequence[SubjectRow]


def budget_rows(tenant: Tenant, *, now: datetime) -> list[BudgetRow]:
    """All budgets of the organization, the widest scope first."""
    organization = tenant.organization
    budgets = sorted(
        scoped(Budget.objects.all(), organization).order_by("created_at"),
        key=lambda budget: Budget.Scope.values.index(budget.scope),
    )
    plain = [place_of(budget, now) for budget in budgets if not budget.is_each]
    bars = {place.budget.pk: bar for place, bar in zip(plain, bars_at(organization, plain), strict=True)}
    names = names_of(organization)
    return [_row(tenant, budget, bar=bars.get(budget.pk), names=names, now=now) for budget in budgets]


def names_of(organization: Organization) -> dict[object, str]:
    """The names of the organization's keys and projects by id."""
    names: dict[object, str] = dict(organization.projects.values_list("pk", "name"))
    return names | dict(organization.api_keys.values_list("pk", "name"))


def _row(
    tenant: Tenant, budget: Budget, *, bar: Bar | None, names: dict[object, str], now: datetime
) -> BudgetRow:
    organization, may_change = tenant.organization, tenant.may(right_to_set(budget.scope))
    whom = whom_text(budget, names=names)
    alert = BudgetAlert.objects.filter(budget=budget).order_by("-created_at", "-percent").first()
    count, href = _would_refuse(organization, budget, now) if budget.is_observed else (0, "")
    return BudgetRow(
        id=budget.pk,
        title=budget.name or whom,
        sentence=sentence_of(budget),
        whom=whom,
        alerts=alerts_text(budget),
        last_alert=alert.percent if alert else None,
        last_alert_at=alert.created_at if alert else None,
        is_observed=budget.is_observed,
        would_refuse=count,
        would_refuse_href=href,
        href=reverse("budget_detail", args=[organization.slug, budget.pk]) if may_change else "",
        bar=bar,
        subjects=_subjects(organization, budget, now) if budget.is_each else (),
    )


def _subjects(organization: Organization, budget: Budget, now: datetime) -> list[SubjectRow]:
    """Those who spent the most in this period."""
    period = place_of(budget, now).period
    found = top_subjects(organization, budget, since=period.starts_at)
    places = [place_of(budget, now, subject=subject) for subject in found]
    bars = bars_at(organization, places)
    return [SubjectRow(name=place.subject, bar=bar) for place, bar in zip(places, bars, strict=True)]


def _would_refuse(organization: Organization, budget: Budget, now: datetime) -> tuple[int, str]:
    """How many requests of this period the budget did not cover, and the address that lists them."""
    start = place_of(budget, now).period.starts_at or now - timedelta(days=OBSERVED_DAYS)
    events = scoped(UsageEvent.objects.filter(occurred_at__gte=start, occurred_at__lt=now), organization)
    count = events.filter(would_refuse__contains=[budget.pk]).count()
    query = urlencode({"would_refuse": str(budget.pk), "start": start.isoformat(), "end": now.isoformat()})
    return count, f"{reverse('requests', args=[organization.slug])}?{query}"
