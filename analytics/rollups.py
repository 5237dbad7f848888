"""Hourly sums of usage events: adding what is new, building again, and exact sums over any span.

What lies up to the watermark stands in the rollups; what lies behind it is read from the events,
and so are hours that a span cuts. So a figure is exact for every time zone, and holds an event
from the moment it is ingested. What pages make of the sums is in `analytics.selectors`.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import connection, transaction

from analytics.histograms import BOUNDS_MS
from analytics.models import Dimension, RollupWatermark
from billing.event_store import INGEST_LOCK_ID

MAX_EVENTS_PER_STEP = 50_000
HOUR = timedelta(hours=1)

_IS_ERROR = "ending NOT IN ('completed', 'client_left', 'replayed', 'race_leg')"
# What each event adds to a row, by column of analytics_usagehour.
_FACTS = {
    "requests": "count(*)",
    "errors": f"count(*) FILTER (WHERE {_IS_ERROR})",
    "estimated_requests": "count(*) FILTER (WHERE is_estimated)",
    "prompt_tokens": "sum(input_tokens + cached_input_tokens + cache_write_tokens + cache_write_1h_tokens"
    " + audio_input_tokens + image_input_tokens)",
    "cached_tokens": "sum(cached_input_tokens)",
    "completion_tokens": "sum(output_tokens + reasoning_tokens + audio_output_tokens)",
    "charge_usd": "sum(charge_usd)",
    "cost_usd": "sum(cost_usd)",
}
_MONEY = frozenset({"charge_usd", "cost_usd"})
_COLUMNS = ", ".join(_FACTS)
_SUMS_OF_EVENTS = ", ".join(f"{fact} AS {column}" for column, fact in _FACTS.items())
_SUMS_OF_SUMS = ", ".join(f"sum({column})" for column in _FACTS)
_ADDED = ", ".join(f"{column} = kept.{column} + EXCLUDED.{column}" for column in _FACTS)

# The rows that an event counts in: one for each dimension, one for each of its tags, one if it failed.
_PLACES = f"""CROSS JOIN LATERAL (
    VALUES ('organization', ''), ('project', project_id::text), ('key', key_id::text),
           ('model', model), ('provider', provider)
    UNION ALL
    SELECT 'tag', unnest(CASE WHEN cardinality(tags) = 0 THEN ARRAY['']::varchar[] ELSE tags END)
    UNION ALL
    SELECT 'cause', COALESCE(NULLIF(error_code, ''), ending) WHERE {_IS_ERROR}
) AS place (dimension, value)"""
_TIMES = """CROSS JOIN LATERAL (VALUES ('duration', duration_ms), ('first_token', first_token_ms))
    AS taken (measure, taken_ms)"""
_IS_TIMED = "ending = 'completed' AND taken_ms IS NOT NULL AND dimension NOT IN ('tag', 'cause')"
_BUCKET = "width_bucket(taken_ms, %(bounds_ms)s::float8[])"

_ADD_USAGE = f"""
INSERT INTO analytics_usagehour AS kept (organization_id, dimension, value, hour, {_COLUMNS})
SELECT organization_id, dimension, value, date_trunc('hour', occurred_at, 'UTC'), {_SUMS_OF_EVENTS}
  FROM billing_usageevent {_PLACES} WHERE {{which}} GROUP BY 1, 2, 3, 4
    ON CONFLICT (organization_id, dimension, hour, value) DO UPDATE SET {_ADDED}
"""
# Corrections by re-rating: they are money of their event's hour and groups, and no request.
_CORRECTIONS = """(
    SELECT correction.organization_id, correction.occurred_at, correction.sequence,
           correction.charge_usd, correction.cost_usd, event.project_id, event.key_id, event.model,
           event.provider, event.tags, event.ending, event.error_code
      FROM billing_eventadjustment correction
      JOIN billing_usageevent event
        ON event.id = correction.event_id AND event.occurred_at = correction.occurred_at
) AS correction"""
_NO_REQUESTS = ", ".join(
    f"sum({column}) AS {column}" if column in _MONEY else f"0 AS {column}" for column in _FACTS
)
_ADD_CORRECTIONS = f"""
INSERT INTO analytics_usagehour AS kept (organization_id, dimension, value, hour, {_COLUMNS})
SELECT organization_id, dimension, value, date_trunc('hour', occurred_at, 'UTC'), {_NO_REQUESTS}
  FROM {_CORRECTIONS} {_PLACES} WHERE {{which}} GROUP BY 1, 2, 3, 4
    ON CONFLICT (organization_id, dimension, hour, value) DO UPDATE SET {_ADDED}
"""
_ADD_LATENCY = f"""
INSERT INTO analytics_latencyhour AS kept
       (organization_id, dimension, value, hour, measure, bucket, requests)
SELECT organization_id, dimension, value, date_trunc('hour', occurred_at, 'UTC'), measure, {_BUCKET}, count(*)
  FROM billing_usageevent {_PLACES} {_TIMES} WHERE {{which}} AND {_IS_TIMED} GROUP BY 1, 2, 3, 4, 5, 6
    ON CONFLICT (organization_id, dimension, value, hour, measure, bucket)
       DO UPDATE SET requests = kept.requests + EXCLUDED.requests
"""
_NEW = "sequence > %(after)s AND sequence <= %(up_to)s"
_AGAIN = "occurred_at >= %(since)s AND occurred_at < %(until)s AND sequence <= %(up_to)s"

# Events that the rollups cannot give: behind the watermark, and in hours that an edge cuts. OFFSET 0
# keeps the planner from turning the few hours into one scan of the whole span.
_EVENTS = """(
    SELECT * FROM billing_usageevent
     WHERE organization_id = %(organization_id)s AND sequence > %(watermark)s
       AND occurred_at >= %(start)s AND occurred_at < %(end)s
    UNION ALL
    SELECT event.* FROM unnest(%(cut_hours)s::timestamptz[]) AS cut CROSS JOIN LATERAL (
        SELECT * FROM billing_usageevent
         WHERE occurred_at >= cut AND occurred_at < cut + interval '1 hour'
           AND organization_id = %(organization_id)s AND sequence <= %(watermark)s
           AND occurred_at >= %(start)s AND occurred_at < %(end)s
        OFFSET 0
    ) AS event
) AS event"""
_WHOLE_HOURS = """organization_id = %(organization_id)s AND dimension = ANY(%(dimensions)s)
   AND hour >= %(start)s AND hour < %(end)s AND hour <> ALL(%(cut_hours)s::timestamptz[])
   AND (%(values)s::text[] IS NULL OR value = ANY(%(values)s::text[]))"""
_WANTED = """dimension = ANY(%(dimensions)s)
   AND (%(values)s::text[] IS NULL OR value = ANY(%(values)s::text[]))"""
_SLOT = "width_bucket({moment}, %(edges)s::timestamptz[]) - 1 AS slot"

_READ_USAGE = f"""
SELECT dimension, value, slot, {_SUMS_OF_SUMS} FROM (
    SELECT dimension, value, {_SLOT.format(moment="hour")}, {_COLUMNS}
      FROM analytics_usagehour WHERE {_WHOLE_HOURS}
    UNION ALL
    SELECT dimension, value, {_SLOT.format(moment="occurred_at")}, {_SUMS_OF_EVENTS}
      FROM {_EVENTS} {_PLACES} WHERE {_WANTED} GROUP BY 1, 2, 3
    UNION ALL
    SELECT dimension, value, {_SLOT.format(moment="occurred_at")}, {_NO_REQUESTS}
      FROM {_CORRECTIONS} {_PLACES}
     WHERE {_WANTED} AND organization_id = %(organization_id)s
       AND occurred_at >= %(start)s AND occurred_at < %(end)s
       AND (sequence > %(watermark)s
            OR date_trunc('hour', occurred_at, 'UTC') = ANY(%(cut_hours)s::timestamptz[]))
     GROUP BY 1, 2, 3
) AS part GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
"""
_READ_LATENCY = f"""
SELECT slot, measure, bucket, sum(requests) FROM (
    SELECT {_SLOT.format(moment="hour")}, measure, bucket, requests
      FROM analytics_latencyhour WHERE {_WHOLE_HOURS}
    UNION ALL
    SELECT {_SLOT.format(moment="occurred_at")}, measure, {_BUCKET}, count(*)
      FROM {_EVENTS} {_PLACES} {_TIMES} WHERE {_WANTED} AND {_IS_TIMED} GROUP BY 1, 2, 3
) AS part GROUP BY 1, 2, 3
"""


@dataclass(frozen=True, slots=True)
class Sums:
    """Counts and money of some requests. `errors` neither completed nor were left by the client."""

    requests: int = 0
    errors: int = 0
    estimated_requests: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    charge_usd: Decimal = Decimal(0)
    cost_usd: Decimal = Decimal(0)

    @property
    def tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens

    def __add__(self, other: "Sums") -> "Sums":
        return Sums(*(mine + theirs for mine, theirs in zip(astuple(self), astuple(other), strict=True)))


@dataclass(frozen=True, slots=True)
class Span:
    """Whose events between which edges: slot n lies from edge n to edge n + 1; None means every value."""

    organization_id: UUID
    edges: tuple[datetime, ...]
    values: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class UsageCell:
    dimension: str
    value: str
    slot: int
    sums: Sums


@dataclass(frozen=True, slots=True)
class LatencyCell:
    slot: int
    measure: str
    bucket: int
    requests: int


@contextmanager
def one_snapshot() -> Iterator[None]:
    """Every reading inside sees the same instant, so that the figures of a page agree.

    Inside another transaction it is that transaction's isolation that counts.
    """
    is_outermost = not connection.in_atomic_block
    with transaction.atomic():
        if is_outermost:
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        yield


def read_usage(span: Span, dimensions: Sequence[Dimension]) -> list[UsageCell]:
    """Exact sums of each slot and value of the dimensions; call it within `one_snapshot`."""
    rows = _read(_READ_USAGE, span, dimensions)
    return [UsageCell(dimension, value, slot, _sums(facts)) for dimension, value, slot, *facts in rows]


def read_latency(span: Span, dimension: Dimension) -> list[LatencyCell]:
    """How many completed requests of each slot fell into which bucket; call it within `one_snapshot`.

    `dimension` is neither tag nor cause: a request may have several of the first.
    """
    rows = _read(_READ_LATENCY, span, [dimension])
    return [LatencyCell(slot, measure, bucket, int(requests)) for slot, measure, bucket, requests in rows]


def roll_up(*, max_events: int = MAX_EVENTS_PER_STEP) -> int:
    """Add the next events to the rollups and give their number; 0 if there are none or another run is at it.

    The number is of sequence values passed, so it counts gaps that rolled-back writers left.
    """
    newest = _newest_sequence()
    with transaction.atomic():
        watermark = _locked_watermark()
        if watermark is None or newest <= watermark.sequence:
            return 0
        after, up_to = watermark.sequence, min(newest, watermark.sequence + max_events)
        _add(_NEW, {"after": after, "up_to": up_to})
        watermark.sequence = up_to
        watermark.save(update_fields=["sequence", "moved_at"])
    return up_to - after


def rebuild(*, since: datetime, until: datetime) -> None:
    """Build the rollups of these whole hours (UTC) again from the events, up to the watermark.

    Raises ValueError if a border is not a whole hour. Days beyond the events' retention lose their rows.
    """
    if any(border != _hour_of(border) for border in (since, until)):
        raise ValueError("since and until must be whole hours")
    with transaction.atomic():
        watermark = RollupWatermark.objects.select_for_update().first()
        span: dict[str, Any] = {
            "since": since,
            "until": until,
            "up_to": watermark.sequence if watermark else 0,
        }
        with connection.cursor() as cursor:
            for table in ("analytics_usagehour", "analytics_latencyhour"):
                cursor.execute(f"DELETE FROM {table} WHERE hour >= %(since)s AND hour < %(until)s", span)
        _add(_AGAIN, span)


def _add(which: str, parameters: dict[str, Any]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(_ADD_USAGE.format(which=which), parameters)
        cursor.execute(_ADD_CORRECTIONS.format(which=which), parameters)
        cursor.execute(_ADD_LATENCY.format(which=which), parameters | {"bounds_ms": list(BOUNDS_MS)})


def _newest_sequence() -> int:
    """The highest sequence below which no writer is still at work.

    Writers hold the lock shared until they commit; once it was held alone, all that was given out
    is stored or gone.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [INGEST_LOCK_ID])
        cursor.execute("SELECT last_value, is_called FROM billing_usageevent_sequence")
        last_value, is_called = cursor.fetchone()
    return int(last_value) if is_called else 0


def _locked_watermark() -> RollupWatermark | None:
    """The watermark, locked until the transaction ends; None if another run holds it."""
    RollupWatermark.objects.bulk_create([RollupWatermark()], ignore_conflicts=True)
    return RollupWatermark.objects.select_for_update(skip_locked=True).first()


def _read(statement: str, span: Span, dimensions: Sequence[Dimension]) -> list[tuple[Any, ...]]:
    start, end = span.edges[0], span.edges[-1]
    watermark = RollupWatermark.objects.values_list("sequence", flat=True).first()
    parameters: dict[str, Any] = {
        "organization_id": span.organization_id,
        "dimensions": [dimension.value for dimension in dimensions],
        "values": None if span.values is None else list(span.values),
        "edges": list(span.edges),
        "cut_hours": sorted({_hour_of(edge) for edge in span.edges if edge != _hour_of(edge)}),
        "start": start,
        "end": end,
        "watermark": watermark or 0,
        "bounds_ms": list(BOUNDS_MS),
    }
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return list(cursor.fetchall())


def _sums(facts: Sequence[Any]) -> Sums:
    named: dict[str, Any] = dict(zip(_FACTS, facts, strict=True))
    counts = {name: int(fact) for name, fact in named.items() if name not in _MONEY}
    return Sums(**named | counts)


def _hour_of(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)
