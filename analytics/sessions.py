"""Sessions: the requests that a client said belong together, with their sums."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.contrib.postgres.aggregates import ArrayAgg
from django.db.models import Count, Max, Min, OuterRef, Q, QuerySet, Subquery, Sum

from accounts.models import Organization
from analytics.request_filters import RequestFilters
from billing.event_filters import GOOD_ENDINGS
from billing.models import EventAdjustment, UsageEvent
from billing.money import ZERO_USD

MAX_SESSIONS = 100
MAX_NAMES = 10


@dataclass(frozen=True, slots=True)
class SessionRow:
    """One session of the list, with what it comes to after corrections."""

    session_id: str
    requests: int
    errors: int
    first_at: datetime
    last_at: datetime
    charge_usd: Decimal


@dataclass(frozen=True, slots=True)
class SessionStory:
    """How long a session lasted and who took part; of many names the first ones."""

    first_at: datetime
    last_at: datetime
    agents: tuple[str, ...]
    end_users: tuple[str, ...]
    models: tuple[str, ...]


def latest_sessions(organization: Organization, *, filters: RequestFilters) -> list[SessionRow]:
    """The sessions with requests that pass, the one with the latest request first."""
    events = filters.apply(UsageEvent.objects.filter(organization_id=organization.pk)).exclude(session_id="")
    grouped = events.order_by().values("session_id")
    found = grouped.annotate(
        requests=Count("id"),
        errors=Count("id", filter=~Q(ending__in=GOOD_ENDINGS)),
        first_at=Min("occurred_at"),
        last_at=Max("occurred_at"),
        charge_usd=Sum("charge_usd"),
    ).order_by("-last_at", "session_id")[:MAX_SESSIONS]
    rows = list(found)
    added = _corrections(organization, events) if rows else {}
    return [
        SessionRow(**{**row, "charge_usd": row["charge_usd"] + added.get(row["session_id"], ZERO_USD)})
        for row in rows
    ]


def story_of(organization: Organization, *, filters: RequestFilters) -> SessionStory | None:
    """What the requests that pass have in common; None if there are none."""
    events = filters.apply(UsageEvent.objects.filter(organization_id=organization.pk)).order_by()
    facts = events.aggregate(
        first_at=Min("occurred_at"),
        last_at=Max("occurred_at"),
        **{f"{name}s": ArrayAgg(name, distinct=True, default=[]) for name in ("agent", "end_user", "model")},
    )
    if facts["first_at"] is None:
        return None
    names = {name: tuple(filter(None, facts[name]))[:MAX_NAMES] for name in ("agents", "end_users", "models")}
    return SessionStory(first_at=facts["first_at"], last_at=facts["last_at"], **names)


def _corrections(organization: Organization, events: QuerySet[UsageEvent]) -> dict[str, Decimal]:
    """What re-rating has added, by session."""
    same = events.order_by().filter(id=OuterRef("event_id"), occurred_at=OuterRef("occurred_at"))
    rows = EventAdjustment.objects.filter(organization_id=organization.pk).order_by()
    placed = rows.annotate(place=Subquery(same.values("session_id")[:1])).exclude(place=None)
    return dict(placed.values_list("place").annotate(Sum("charge_usd")))
