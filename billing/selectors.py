"""Reading usage events, balances and budgets of one organization. The ledger's pages: `billing.statements`.

Callers come through `accounts.tenancy`; every query here is bound to the organization it is given.
"""

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from django.db import connection
from django.db.models import Exists, Max, OuterRef, Q, QuerySet, Subquery, Sum

from accounts.models import Organization
from billing.event_filters import EventFilters
from billing.event_store import INGEST_LOCK_ID
from billing.models import Budget, EventAdjustment, LedgerAccount, UsageBody, UsageEvent
from billing.money import ZERO_USD

EVENTS_PER_PAGE = 50
# An event's id tells when it was made; its arrival lies near enough to skip all other days.
ID_TIME_TOLERANCE = timedelta(days=1)
UNIX_TIME_SHIFT_BITS = 80
TIME_ORDERED_UUID_VERSION = 7


@dataclass(frozen=True, slots=True)
class EventPage:
    """A page of the request log, newest first; `older` continues after it, "" at the end."""

    events: tuple[UsageEvent, ...]
    older: str


def credit_granted_usd(organization: Organization) -> Decimal:
    """All that was ever credited, which is the wallet's limit."""
    account = _prepaid(organization)
    return account.balance_usd + account.charged_usd if account else ZERO_USD


def balance_usd(organization: Organization) -> Decimal:
    """What is left of the prepaid credit."""
    account = _prepaid(organization)
    return account.balance_usd if account else ZERO_USD


def charged_usd(organization: Organization) -> Decimal:
    """All that usage has ever taken from the prepaid credit."""
    account = _prepaid(organization)
    return account.charged_usd if account else ZERO_USD


def budgets_of(organization: Organization) -> QuerySet[Budget]:
    """The organization's budgets, widest scope first."""
    return Budget.objects.filter(organization=organization).order_by("scope", "scope_id", "window")


def spend_by_key(organization: Organization, *, since: datetime) -> Mapping[uuid.UUID, Decimal]:
    """What each key was charged since a moment, corrections included; keys without events are missing."""
    return _spend_by("key_id", organization, Q(occurred_at__gte=since))


def spend_by_project(
    organization: Organization, *, start: datetime, end: datetime
) -> Mapping[uuid.UUID, Decimal]:
    """What each project was charged in a span, corrections included; those without events are missing."""
    return _spend_by("project_id", organization, Q(occurred_at__gte=start, occurred_at__lt=end))


def events(
    organization: Organization, *, filters: EventFilters, older: str = "", limit: int = EVENTS_PER_PAGE
) -> EventPage:
    """A page of the request log; `older` is a previous page's mark, and an unreadable one starts anew."""
    rows = filters.apply(UsageEvent.objects.filter(organization_id=organization.pk))
    found = list(rows.filter(_before(older)).order_by("-occurred_at", "-id")[: limit + 1])
    page = tuple(found[:limit])
    return EventPage(page, _mark(page[-1]) if len(found) > limit else "")


def events_in_order(
    organization: Organization, *, filters: EventFilters, after: str = "", limit: int = EVENTS_PER_PAGE
) -> tuple[tuple[UsageEvent, ...], str]:
    """The events that pass, oldest first, and the mark to go on after; "" at the end."""
    rows = filters.apply(UsageEvent.objects.filter(organization_id=organization.pk))
    found = list(rows.filter(_after(after)).order_by("occurred_at", "id")[: limit + 1])
    page = tuple(found[:limit])
    return page, _mark(page[-1]) if len(found) > limit else ""


def adjustments_of(
    organization: Organization, event_ids: Iterable[uuid.UUID]
) -> Mapping[uuid.UUID, tuple[EventAdjustment, ...]]:
    """The corrections of these events, in order; events without any are missing."""
    found: dict[uuid.UUID, tuple[EventAdjustment, ...]] = {}
    rows = EventAdjustment.objects.filter(organization_id=organization.pk, event_id__in=list(event_ids))
    for row in rows.order_by("event_id", "ordinal"):
        found[row.event_id] = (*found.get(row.event_id, ()), row)
    return found


def adjusted_total(
    organization: Organization, events: "QuerySet[UsageEvent] | None" = None
) -> Mapping[str, Decimal]:
    """What re-rating has added to these events of the organization, or to all: `charge_usd`, `cost_usd`."""
    rows = EventAdjustment.objects.filter(organization_id=organization.pk)
    if events is not None:
        same = events.order_by().filter(id=OuterRef("event_id"), occurred_at=OuterRef("occurred_at"))
        rows = rows.filter(Exists(same.values("id")))
    sums = rows.order_by().aggregate(charge_usd=Sum("charge_usd"), cost_usd=Sum("cost_usd"))
    return {name: amount_usd or ZERO_USD for name, amount_usd in sums.items()}


def events_total(organization: Organization, *, filters: EventFilters) -> Mapping[str, Decimal]:
    """The sums over all pages, corrections included: `charge_usd` and `cost_usd`."""
    rows = filters.apply(UsageEvent.objects.filter(organization_id=organization.pk))
    sums = rows.order_by().aggregate(charge_usd=Sum("charge_usd"), cost_usd=Sum("cost_usd"))
    added = adjusted_total(organization, rows)
    return {name: (amount_usd or ZERO_USD) + added[name] for name, amount_usd in sums.items()}


def event(organization: Organization, event_id: uuid.UUID) -> UsageEvent | None:
    """The organization's event of this id."""
    rows = UsageEvent.objects.filter(organization_id=organization.pk, id=event_id)
    return rows.filter(_near_its_id(event_id)).first() or rows.first()


def bodies_of(found: UsageEvent) -> UsageBody | None:
    """The stored request and answer of an event, sealed; None when they were not logged or have expired."""
    rows = UsageBody.objects.filter(organization_id=found.organization_id)
    return rows.filter(event_id=found.id, occurred_at=found.occurred_at).first()


def highest_ingested_sequence() -> int:
    """The highest sequence number of all events, with none below it still to come.

    Waits for the running writers of events and keeps new ones out until the caller's transaction
    ends, so it belongs into a short one. 0 when there are no events.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [INGEST_LOCK_ID])
    return UsageEvent.objects.order_by().aggregate(highest=Max("sequence"))["highest"] or 0


def _spend_by(column: str, organization: Organization, span: Q) -> Mapping[uuid.UUID, Decimal]:
    of_organization = Q(organization_id=organization.pk) & span
    events = UsageEvent.objects.filter(of_organization).order_by()
    spend: dict[uuid.UUID, Decimal] = dict(events.values_list(column).annotate(Sum("charge_usd")))
    event = UsageEvent.objects.filter(id=OuterRef("event_id"), occurred_at=OuterRef("occurred_at"))
    corrections = EventAdjustment.objects.filter(of_organization).order_by()
    grouped = corrections.annotate(place=Subquery(event.values(column)[:1])).values_list("place")
    for place, charge_usd in grouped.annotate(Sum("charge_usd")):
        if place in spend:
            spend[place] += charge_usd
    return spend


def _prepaid(organization: Organization) -> LedgerAccount | None:
    return LedgerAccount.objects.filter(
        organization=organization, kind=LedgerAccount.Kind.PREPAID_CREDIT
    ).first()


def _near_its_id(event_id: uuid.UUID) -> Q:
    if event_id.version != TIME_ORDERED_UUID_VERSION:
        return Q()
    try:
        made_at = datetime.fromtimestamp((event_id.int >> UNIX_TIME_SHIFT_BITS) / 1000, UTC)
        span = made_at - ID_TIME_TOLERANCE, made_at + ID_TIME_TOLERANCE
    except (ValueError, OverflowError):
        # The id's time lies beyond the calendar's last year, 9999.
        return Q()
    return Q(occurred_at__range=span)


def _mark(last: UsageEvent) -> str:
    return f"{last.occurred_at.isoformat()}~{last.id.hex}"


def _before(older: str) -> Q:
    place = _place(older)
    if place is None:
        return Q()
    occurred_at, event_id = place
    return Q(occurred_at__lte=occurred_at) & (Q(occurred_at__lt=occurred_at) | Q(id__lt=event_id))


def _after(newer: str) -> Q:
    place = _place(newer)
    if place is None:
        return Q()
    occurred_at, event_id = place
    return Q(occurred_at__gte=occurred_at) & (Q(occurred_at__gt=occurred_at) | Q(id__gt=event_id))


def _place(mark: str) -> tuple[datetime, uuid.UUID] | None:
    moment, _, identifier = mark.partition("~")
    try:
        occurred_at, event_id = datetime.fromisoformat(moment), uuid.UUID(identifier)
    except ValueError:
        return None
    return None if occurred_at.tzinfo is None else (occurred_at, event_id)
