"""API keys as pages show them: one row per key, and what it did in the last 30 days.

Ready values; rows come in through `accounts.tenancy`. Budget bars are in `gateway.budget_bars`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from urllib.parse import urlencode
from uuid import UUID

from django.db.models import Count, Q, Sum
from django.urls import reverse
from django.utils import timezone

from accounts.models import ApiKey, Limits, Organization
from billing.budgets import first_instant, zone_named
from billing.event_filters import GOOD_ENDINGS, EventFilters
from billing.models import UsageEvent
from billing.money import ZERO_USD
from billing.selectors import adjusted_total, spend_by_key
from gateway.budget_bars import Bar, bars_of_keys

SHOWN_DAYS = 30
LIMIT_TEXTS = (
    ("requests_per_minute", "requests/min"),
    ("tokens_per_minute", "tokens/min"),
    ("concurrent_requests", "at once"),
)


@dataclass(frozen=True, slots=True)
class RecentDays:
    """The last 30 days of the viewer's calendar, today included, up to `as_of`."""

    start: datetime
    as_of: datetime
    time_zone: str

    @property
    def period_text(self) -> str:
        return f"last {SHOWN_DAYS} days, {self.time_zone}"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRow:
    """One key. Models and networks None allow all; `budget` is the first of its budgets."""

    id: UUID
    name: str
    last_four: str
    href: str
    project_name: str
    created_by_name: str
    created_at: datetime
    last_used_at: datetime | None
    expires_at: datetime | None
    revoked_at: datetime | None
    status: str
    limits_text: str
    allowed_models: list[str] | None
    allowed_networks: list[str] | None
    default_tags: list[str]
    budget: Bar | None
    spend_usd: Decimal


@dataclass(frozen=True, slots=True)
class KeyUsage:
    """What one key did in a span of time; `requests_href` leads to just those requests."""

    spend_usd: Decimal
    requests: int
    errors: int
    requests_href: str


def recent_days(time_zone: str) -> RecentDays:
    now = timezone.now()
    zone = zone_named(time_zone)
    first_day = now.astimezone(zone).date() - timedelta(days=SHOWN_DAYS - 1)
    return RecentDays(first_instant(first_day, zone), now, time_zone)


def key_rows(organization: Organization, keys: Iterable[ApiKey], *, days: RecentDays) -> list[KeyRow]:
    """The rows of these keys of the organization, in their order."""
    found = list(keys)
    spend = spend_by_key(organization, since=days.start)
    bars = bars_of_keys(organization, [key.pk for key in found], now=days.as_of)
    return [
        key_row(
            key,
            slug=organization.slug,
            now=days.as_of,
            budget=next(iter(bars.get(key.pk, ())), None),
            spend_usd=spend.get(key.pk, ZERO_USD),
        )
        for key in found
    ]


def key_row(key: ApiKey, *, slug: str, now: datetime, budget: Bar | None, spend_usd: Decimal) -> KeyRow:
    return KeyRow(
        id=key.pk,
        name=key.name,
        last_four=key.last_four,
        href=reverse("key_detail", args=[slug, key.pk]),
        project_name=key.project.name,
        created_by_name=key.created_by.get_full_name() if key.created_by else "",
        created_at=key.created_at,
        last_used_at=key.last_used_at,
        expires_at=key.expires_at,
        revoked_at=key.revoked_at,
        status=status_of(key, now=now),
        limits_text=limits_text(key),
        allowed_models=key.allowed_models,
        allowed_networks=key.allowed_networks,
        default_tags=key.default_tags,
        budget=budget,
        spend_usd=spend_usd,
    )


def status_of(key: ApiKey, *, now: datetime) -> str:
    """`revoked`, `expired` or `active`."""
    if key.revoked_at is not None:
        return "revoked"
    return "expired" if key.expires_at is not None and key.expires_at <= now else "active"


def limits_text(limits: Limits) -> str:
    """`60 requests/min · 5 at once`; empty without any."""
    stated = ((getattr(limits, name), unit) for name, unit in LIMIT_TEXTS)
    return " · ".join(f"{number:,} {unit}" for number, unit in stated if number is not None)


def usage_of_key(organization: Organization, key: ApiKey, *, days: RecentDays) -> KeyUsage:
    """The key's charges, requests and failed requests of these days."""
    events = EventFilters(start=days.start, end=days.as_of, key_id=key.pk).apply(
        UsageEvent.objects.filter(organization_id=organization.pk)
    )
    sums = events.aggregate(
        spend_usd=Sum("charge_usd"),
        requests=Count("*"),
        errors=Count("id", filter=~Q(ending__in=GOOD_ENDINGS)),
    )
    added = adjusted_total(organization, events)
    query = {"key": str(key.pk), "from": days.start.isoformat(), "to": days.as_of.isoformat()}
    href = f"{reverse('requests', args=[organization.slug])}?{urlencode(query)}"
    spend_usd = (sums["spend_usd"] or ZERO_USD) + added["charge_usd"]
    return KeyUsage(spend_usd, sums["requests"], sums["errors"], href)
