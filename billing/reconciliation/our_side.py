"""Our side of a day: what our events of one provider account used and cost, by model, and what is doubtful.

Only rows of the day are read. What can make a provider's bill differ from ours has a name here.
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, TypeVar

from django.db import connection
from django.db.models import BooleanField, QuerySet
from django.db.models.expressions import RawSQL

from billing.models import ProviderDay, ProviderStatement, UsageEvent

_Row = TypeVar("_Row", ProviderStatement, ProviderDay)

DAY = timedelta(days=1)
# No stream lasts longer (FAREBOX_STREAM_TOTAL_TIMEOUT_SECONDS is 20 minutes by default).
LONGEST_CALL = timedelta(hours=2)

# Doubts by name, as conditions on an event of the day or shortly before it.
_OF_THE_DAY = "occurred_at >= %(start)s"
_ENDED_AT = "occurred_at + make_interval(secs => COALESCE(duration_ms, 0) / 1000)"
DOUBTS: Mapping[str, str] = {
    "estimated": f"{_OF_THE_DAY} AND is_estimated AND ending NOT IN ('recovered', 'client_left', 'cut')",
    "recovered": f"{_OF_THE_DAY} AND ending = 'recovered'",
    "cancelled": f"{_OF_THE_DAY} AND ending IN ('client_left', 'cut')",
    "over_midnight": f"CASE WHEN {_OF_THE_DAY} THEN {_ENDED_AT} >= %(end)s ELSE {_ENDED_AT} >= %(start)s END",
}
COUNT_NAMES = ("requests", "input_tokens", "cached_input_tokens", "cache_write_tokens", "output_tokens")
FAILED_ATTEMPTS = "failed_attempts"
# Attempts that gave us nothing and that the provider may bill all the same: it may have begun to answer.
_MAY_BE_BILLED = """(attempt ->> 'succeeded') = 'false' AND attempt ->> 'provider' = %(provider)s
    AND COALESCE(attempt ->> 'error_type', '') <> 'request_cancelled'
    AND COALESCE((attempt ->> 'status_code')::int, 500) NOT BETWEEN 300 AND 499"""

_ACCOUNT = """provider = %(provider)s AND is_own_credential = %(is_own)s
   AND (%(organization_id)s::uuid IS NULL OR organization_id = %(organization_id)s)"""
_DOUBT_COLUMNS = ", ".join(
    f"count(*) FILTER (WHERE {condition}), COALESCE(sum(cost_usd) FILTER (WHERE {condition}), 0)"
    for condition in DOUBTS.values()
)
# Re-rating leaves events as they are and adds to what they cost.
_EVENTS = """(
    SELECT model, provider, is_own_credential, organization_id, occurred_at, duration_ms, ending,
           is_estimated, input_tokens, audio_input_tokens, image_input_tokens, cached_input_tokens,
           cache_write_tokens, cache_write_1h_tokens, output_tokens, reasoning_tokens, audio_output_tokens,
           recorded.cost_usd + COALESCE(added.cost_usd, 0) AS cost_usd
      FROM billing_usageevent recorded
      LEFT JOIN (SELECT event_id, sum(cost_usd) AS cost_usd FROM billing_eventadjustment
                  WHERE occurred_at >= %(before)s AND occurred_at < %(end)s GROUP BY event_id) added
        ON added.event_id = recorded.id
     WHERE occurred_at >= %(before)s AND occurred_at < %(end)s
) AS event"""
_SUMS = f"""
SELECT model,
       count(*) FILTER (WHERE {_OF_THE_DAY} AND ending <> 'upstream_error'),
       COALESCE(sum(cost_usd) FILTER (WHERE {_OF_THE_DAY}), 0),
       COALESCE(sum(input_tokens + audio_input_tokens + image_input_tokens) FILTER (WHERE {_OF_THE_DAY}), 0),
       COALESCE(sum(cached_input_tokens) FILTER (WHERE {_OF_THE_DAY}), 0),
       COALESCE(sum(cache_write_tokens + cache_write_1h_tokens) FILTER (WHERE {_OF_THE_DAY}), 0),
       COALESCE(sum(output_tokens + reasoning_tokens + audio_output_tokens) FILTER (WHERE {_OF_THE_DAY}), 0),
       {_DOUBT_COLUMNS}
  FROM {_EVENTS}
 WHERE {_ACCOUNT} AND ending <> 'refused'
 GROUP BY model
"""
_FAILED = f"""
SELECT attempt ->> 'model', count(*)
  FROM billing_usageevent CROSS JOIN LATERAL jsonb_array_elements(attempts) AS attempt
 WHERE occurred_at >= %(start)s AND occurred_at < %(end)s AND is_own_credential = %(is_own)s
   AND (%(organization_id)s::uuid IS NULL OR organization_id = %(organization_id)s)
   AND {_MAY_BE_BILLED}
 GROUP BY 1
"""


@dataclass(frozen=True, slots=True)
class Account:
    """An account with a provider: an organization's own, or the operator's (None)."""

    provider: str
    organization_id: uuid.UUID | None = None

    def rows(self, rows: "QuerySet[_Row]") -> "QuerySet[_Row]":
        """Those that are of this account."""
        return rows.filter(provider=self.provider, organization=self.organization_id)


@dataclass(frozen=True, slots=True)
class Counts:
    """Disjoint token counts and requests; None where a side does not count them."""

    requests: int | None = None
    input_tokens: int | None = None
    cached_input_tokens: int | None = None
    cache_write_tokens: int | None = None
    output_tokens: int | None = None

    @property
    def tokens(self) -> tuple[int | None, ...]:
        return self.input_tokens, self.cached_input_tokens, self.cache_write_tokens, self.output_tokens

    def plus(self, other: "Counts") -> "Counts":
        return Counts(*(_sum(getattr(self, name), getattr(other, name)) for name in COUNT_NAMES))


@dataclass(frozen=True, slots=True)
class Doubt:
    """Events whose part of the bill is not certain, and what they cost by our books."""

    events: int = 0
    cost_usd: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class OurModel:
    """One model of ours on one day."""

    cost_usd: Decimal = Decimal(0)
    counts: Counts = Counts(0, 0, 0, 0, 0)
    doubts: Mapping[str, Doubt] = field(default_factory=dict)

    def plus(self, other: "OurModel") -> "OurModel":
        """Both under one name."""
        names = {*self.doubts, *other.doubts}
        return OurModel(
            self.cost_usd + other.cost_usd,
            self.counts.plus(other.counts),
            {name: _sum_of_doubts(self.doubts.get(name), other.doubts.get(name)) for name in names},
        )


def our_models(account: Account, day: date) -> dict[str, OurModel]:
    """What our events of this UTC day say, by our name of the model."""
    parameters = _parameters(account, day)
    found: dict[str, OurModel] = {}
    with connection.cursor() as cursor:
        cursor.execute(_SUMS, parameters)
        for model, requests, cost_usd, *rest in cursor.fetchall():
            counts, doubted = [int(count) for count in rest[:4]], rest[4:]
            doubts = {
                name: Doubt(doubted[2 * place], doubted[2 * place + 1])
                for place, name in enumerate(DOUBTS)
                if doubted[2 * place]
            }
            found[model] = OurModel(cost_usd, Counts(requests, *counts), doubts)
        cursor.execute(_FAILED, parameters)
        for model, attempts in cursor.fetchall():
            failed = OurModel(doubts={FAILED_ATTEMPTS: Doubt(attempts)})
            found[model] = found.get(model, OurModel()).plus(failed)
    return found


def events_behind(account: Account, day: date, *, models: list[str], doubt: str) -> QuerySet[UsageEvent]:
    """The events of a doubt ("" for all of the day), newest first; `models` are our names."""
    parameters = _parameters(account, day)
    events = UsageEvent.objects.filter(
        is_own_credential=parameters["is_own"], occurred_at__lt=parameters["end"]
    )
    if account.organization_id is not None:
        events = events.filter(organization_id=account.organization_id)
    if doubt == FAILED_ATTEMPTS:
        having = (
            "EXISTS (SELECT 1 FROM jsonb_array_elements(attempts) AS attempt"
            f" WHERE {_MAY_BE_BILLED} AND attempt ->> 'model' = ANY(%(models)s))"
        )
        events = events.filter(occurred_at__gte=parameters["start"])
        return events.filter(_condition(having, parameters | {"models": models}))
    events = events.filter(
        provider=account.provider, model__in=models, occurred_at__gte=parameters["before"]
    ).exclude(ending="refused")
    return events.filter(_condition(DOUBTS.get(doubt, _OF_THE_DAY), parameters))


def _condition(sql: str, parameters: Mapping[str, Any]) -> RawSQL:
    """A condition with named parameters as an expression of a query, which knows only places."""
    pieces = sql.split("%(")
    names = [piece.partition(")s")[0] for piece in pieces[1:]]
    placed = pieces[0] + "".join(f"%s{piece.partition(')s')[2]}" for piece in pieces[1:])
    return RawSQL(f"({placed})", [parameters[name] for name in names], output_field=BooleanField())


def _parameters(account: Account, day: date) -> dict[str, Any]:
    start = datetime.combine(day, time.min, tzinfo=UTC)
    return {
        "provider": account.provider,
        "organization_id": account.organization_id,
        "is_own": account.organization_id is not None,
        "before": start - LONGEST_CALL,
        "start": start,
        "end": start + DAY,
    }


def _sum(first: int | None, second: int | None) -> int | None:
    return first if second is None else second if first is None else first + second


def _sum_of_doubts(first: Doubt | None, second: Doubt | None) -> Doubt:
    one, other = first or Doubt(), second or Doubt()
    return Doubt(one.events + other.events, one.cost_usd + other.cost_usd)
