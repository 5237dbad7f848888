"""The log as Unify's calls show it: pages of queries, and all tags.

Everything is bounded, since nobody has to name a span of time. Figures are in `analytics.query_metrics`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db.models import CharField, F, Func, Q, QuerySet

from accounts.models import Organization
from accounts.permissions import Action
from accounts.tenancy import KeyBearer
from analytics.conversation import open_json
from analytics.models import Dimension, RollupWatermark, UsageHour
from analytics.query_inputs import MAX_PAGES, shown_time
from analytics.request_rows import completion_tokens, prompt_tokens
from billing.external_events import EXTERNAL_ROUTE, is_external
from billing.models import UsageBody, UsageEvent
from billing.money import ZERO_USD
from billing.selectors import adjustments_of

QUERIES_PER_PAGE = 20
MAX_TAGS_SHOWN = 10_000
TAGGED_EVENTS_READ = 10_000
SUCCEEDED = 200
NOT_LOGGED = ""


@dataclass(frozen=True, slots=True)
class Reader:
    """Whoever shows a key: sees all requests of its organization if its role sees spend, else its own."""

    bearer: KeyBearer

    @property
    def organization(self) -> Organization:
        return self.bearer.organization

    @property
    def sees_all(self) -> bool:
        return self.bearer.may(Action.VIEW_SPEND)

    def events(self) -> QuerySet[UsageEvent]:
        rows = self.bearer.scoped(UsageEvent.objects.order_by())
        if self.sees_all:
            return rows
        return rows.filter(key_id__in=list(self.bearer.keys().values_list("pk", flat=True)))

    def may_read_text(self, event: UsageEvent) -> bool:
        """Its own it has sent itself; others' need the right to read bodies."""
        return event.key_id == self.bearer.api_key.pk or self.bearer.may(Action.VIEW_BODIES)


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryFilters:
    """All tags must match and one of the endpoints. `failures` is "false", "true" or "only"."""

    tags: Sequence[str] = ()
    endpoints: Sequence[str] = ()
    start_time: datetime | None = None
    end_time: datetime | None = None
    failures: str = "false"

    def apply(self, events: QuerySet[UsageEvent]) -> QuerySet[UsageEvent]:
        condition = between(self.start_time, self.end_time)
        if self.tags:
            condition &= Q(tags__contains=list(self.tags))
        if self.endpoints:
            condition &= any_endpoint(self.endpoints)
        if self.failures == "false":
            condition &= Q(status=SUCCEEDED)
        if self.failures == "only":
            condition &= ~Q(status=SUCCEEDED)
        return events.filter(condition)


def between(start_time: datetime | None, end_time: datetime | None) -> Q:
    """Strictly after the one and before the other (CONTRACT 3.6 #21)."""
    started = Q(occurred_at__gt=start_time) if start_time else Q()
    return started & Q(occurred_at__lt=end_time) if end_time else started


def any_endpoint(endpoints: Iterable[str]) -> Q:
    """What one of them served, or what was asked of it by this name and reached nobody here."""
    condition = Q()
    for endpoint in endpoints:
        model, _, provider = endpoint.rpartition("@")
        is_unserved = Q(provider="") | Q(route=EXTERNAL_ROUTE)
        condition |= Q(model=model, provider=provider) | (Q(requested_model=endpoint) & is_unserved)
    return condition


def page_of_queries(
    reader: Reader, *, filters: QueryFilters, page_number: int
) -> tuple[list[dict[str, Any]], int]:
    """One page, newest first, and how many pages there are, of which MAX_PAGES can be asked for."""
    rows = filters.apply(reader.events())
    count = rows[: QUERIES_PER_PAGE * MAX_PAGES].count()
    first = (page_number - 1) * QUERIES_PER_PAGE
    newest = rows.order_by("-occurred_at", "-id")
    page = list(newest[first : first + QUERIES_PER_PAGE]) if first < count else []
    texts = _texts_of(reader, page)
    corrections = adjustments_of(reader.organization, [event.id for event in page])
    queries = []
    for event in page:
        added_usd = sum((each.charge_usd for each in corrections.get(event.id, ())), ZERO_USD)
        queries.append(_query(event, texts.get(event.id, (None, None)), event.charge_usd + added_usd))
    return queries, -(-count // QUERIES_PER_PAGE)


def tags_seen_by(reader: Reader) -> list[str]:
    """The tags of all requests, sorted; for a key that sees its own alone, of its latest tagged ones."""
    if not reader.sees_all:
        tagged = reader.events().exclude(tags=[]).order_by("-occurred_at")[:TAGGED_EVENTS_READ]
        return sorted({tag for tags in tagged.values_list("tags", flat=True) for tag in tags})
    hours = reader.bearer.scoped(UsageHour.objects.filter(dimension=Dimension.TAG)).exclude(value="")
    known = hours.order_by("value").values_list("value", flat=True).distinct()[:MAX_TAGS_SHOWN]
    watermark = RollupWatermark.objects.first()
    fresh = reader.events().filter(sequence__gt=watermark.sequence if watermark else 0).exclude(tags=[])
    tag = Func(F("tags"), function="unnest", output_field=CharField())
    return sorted({*known, *fresh.values_list(tag, flat=True).distinct()[:MAX_TAGS_SHOWN]})


def _query(event: UsageEvent, texts: tuple[Any, Any], charge_usd: Decimal) -> dict[str, Any]:
    asked, answered = texts
    return {
        "endpoint": _endpoint_of(event),
        "query_body": NOT_LOGGED if asked is None else asked,
        "response_body": NOT_LOGGED if answered is None else _answer(event, answered),
        "at": shown_time(event.occurred_at),
        # The nearest number that JSON readers know; exact amounts are in the ledger.
        "credits": float(charge_usd),
        "status_code": event.status,
        "id": str(event.id),
        "tags": event.tags,
        "signature": event.signature,
        "is_external": is_external(event),
    }


def _endpoint_of(event: UsageEvent) -> str:
    if is_external(event) or not event.provider:
        return event.requested_model
    return f"{event.model}@{event.provider}"


def _answer(event: UsageEvent, answered: Any) -> Any:
    """The stored choices in the envelope that the client got; what was reported to us as it was."""
    if is_external(event) or not isinstance(answered, dict):
        return answered
    asked_tokens, answered_tokens = prompt_tokens(event), completion_tokens(event)
    return {
        "model": _endpoint_of(event),
        "created": int(event.occurred_at.timestamp()),
        "object": "chat.completion",
        "usage": {
            "prompt_tokens": asked_tokens,
            "completion_tokens": answered_tokens,
            "total_tokens": asked_tokens + answered_tokens,
        },
        **answered,
    }


def _texts_of(reader: Reader, page: Sequence[UsageEvent]) -> Mapping[UUID, tuple[Any, Any]]:
    """What was asked and answered, of those requests whose text is kept and may be read."""
    readable = {event.id: event for event in page if reader.may_read_text(event)}
    times = [event.occurred_at for event in readable.values()]
    if not times:
        return {}
    rows = reader.bearer.scoped(UsageBody.objects.filter(event_id__in=list(readable)))
    rows = rows.filter(occurred_at__range=(min(times), max(times)))
    opened = ((row.event_id, open_json(reader.organization, row)) for row in rows)
    return {event_id: texts for event_id, texts in opened if texts}
