"""Which usage events a page or an export shows: one value, read from the address, applied to rows.

Times are half-open `[start, end)`. Rows come scoped to their organization from `billing.selectors`.
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from decimal import Decimal, InvalidOperation

from django.db.models import Q, QuerySet

from billing.models import UsageEvent

# What did not go wrong: a client that leaves has changed its mind, a stream cut after a 200 has failed, and
# whoever loses a race was only slower.
GOOD_ENDINGS = (
    UsageEvent.Ending.COMPLETED,
    UsageEvent.Ending.CLIENT_LEFT,
    UsageEvent.Ending.REPLAYED,
    UsageEvent.Ending.RACE_LEG,
)
SUCCEEDED, FAILED = "ok", "error"
ANY_HIT, NO_HIT = "any", "none"
STATUS_DIGITS = 3
# More decimals than any cost has; PostgreSQL refuses a number with 20,000 of them.
MAX_EXPONENT = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class EventFilters:
    """None or empty leaves a field open. `status` is "ok", "error" or a number; `search` an id.

    `tag` is one tag or several with commas, which must all be there; `metadata` a name that must be
    there, or `name=value`. `cache_hit` is "any", "none" or a kind of hit; `would_refuse` is an
    observe-only budget that did not cover the request.
    """

    start: datetime | None = None
    end: datetime | None = None
    status: str = ""
    ending: str = ""
    model: str = ""
    provider: str = ""
    key_id: uuid.UUID | None = None
    project_id: uuid.UUID | None = None
    tag: str = ""
    end_user: str = ""
    session_id: str = ""
    agent: str = ""
    source: str = ""
    signature: str = ""
    metadata: str = ""
    finish_reason: str = ""
    error_code: str = ""
    least_cost_usd: Decimal | None = None
    least_duration_ms: int | None = None
    would_refuse: uuid.UUID | None = None
    cache_hit: str = ""
    search: str = ""

    @property
    def is_open(self) -> bool:
        """Whether everything passes."""
        return self == EventFilters()

    def apply(self, events: QuerySet[UsageEvent]) -> QuerySet[UsageEvent]:
        """Those of the events that pass."""
        return events.filter(self._times() & self._equalities() & self._status() & self._search())

    def _times(self) -> Q:
        started = Q(occurred_at__gte=self.start) if self.start else Q()
        return started & Q(occurred_at__lt=self.end) if self.end else started

    def _equalities(self) -> Q:
        condition = Q()
        for name in _EQUAL_FIELDS:
            value = getattr(self, name)
            if value:
                condition &= Q(**{name: value})
        if self.tag:
            condition &= _has_tags(self.tag)
        if self.metadata:
            condition &= _has_metadata(self.metadata)
        if self.least_cost_usd is not None:
            condition &= Q(cost_usd__gte=self.least_cost_usd)
        if self.least_duration_ms is not None:
            condition &= Q(duration_ms__gte=self.least_duration_ms)
        if self.cache_hit in (ANY_HIT, NO_HIT):
            condition &= Q(cache_hit="") if self.cache_hit == NO_HIT else ~Q(cache_hit="")
        elif self.cache_hit:
            condition &= Q(cache_hit=self.cache_hit)
        if self.would_refuse is not None:
            condition &= Q(would_refuse__contains=[self.would_refuse])
        return condition

    def _status(self) -> Q:
        if self.status == SUCCEEDED:
            return Q(ending__in=GOOD_ENDINGS)
        if self.status == FAILED:
            return ~Q(ending__in=GOOD_ENDINGS)
        return Q(status=int(self.status)) if _is_status_code(self.status) else Q()

    def _search(self) -> Q:
        if not self.search:
            return Q()
        by_id = parsed_uuid(self.search)
        return Q(request_id=self.search) | (Q(id=by_id) if by_id else Q())


_EQUAL_FIELDS = (
    "ending", "model", "provider", "key_id", "project_id", "end_user", "session_id", "agent", "source",
    "signature", "finish_reason", "error_code",
)  # fmt: skip
_TEXT_FIELDS = tuple(
    field.name for field in fields(EventFilters) if field.type is str and field.name != "status"
)


def filters_of(
    parameters: Mapping[str, str], *, start: datetime | None = None, end: datetime | None = None
) -> EventFilters:
    """The filters named in an address; what cannot be read is left open, never an error."""
    status = parameters.get("status", "")
    return EventFilters(
        start=start,
        end=end,
        status=status if status in (SUCCEEDED, FAILED) or _is_status_code(status) else "",
        key_id=parsed_uuid(parameters.get("key", "")),
        project_id=parsed_uuid(parameters.get("project", "")),
        would_refuse=parsed_uuid(parameters.get("would_refuse", "")),
        least_cost_usd=_parsed_amount(parameters.get("least_cost_usd", "")),
        least_duration_ms=_parsed_count(parameters.get("least_duration_ms", "")),
        **{name: parameters.get(name, "").replace("\x00", "").strip() for name in _TEXT_FIELDS},
    )


def parsed_uuid(text: str) -> uuid.UUID | None:
    """The UUID that the text writes, with or without dashes."""
    try:
        return uuid.UUID(text)
    except ValueError:
        return None


def _has_tags(text: str) -> Q:
    """All tags of the list; a tag may hold a comma itself."""
    tags = [tag.strip() for tag in text.split(",") if tag.strip()]
    whole = Q(tags__contains=[text])
    return whole | Q(tags__contains=tags) if tags and tags != [text] else whole


def _has_metadata(text: str) -> Q:
    name, sign, value = text.partition("=")
    # Said although it follows: the index leaves out requests without metadata.
    has_any = ~Q(metadata={})
    return has_any & (Q(metadata__contains={name: value}) if sign else Q(metadata__has_key=name))


def _is_status_code(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= STATUS_DIGITS


def _parsed_amount(text: str) -> Decimal | None:
    try:
        amount = Decimal(text)
    except InvalidOperation:
        return None
    # That of an amount that is not finite is a letter.
    exponent = amount.as_tuple().exponent
    is_written_out = isinstance(exponent, int) and abs(exponent) <= MAX_EXPONENT
    return amount if is_written_out and 0 <= amount < 10**9 else None


def _parsed_count(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None
