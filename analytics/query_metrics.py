"""Requests, times and speeds by intervals of time, as Unify's `/v0/metrics` gives them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import reduce
from operator import add
from typing import Any

from django.db.models import Aggregate, Count, DateTimeField, F, FloatField, Func, Q, Sum
from django.db.models.functions import Cast

from analytics.queries import SUCCEEDED, Reader, between
from analytics.query_inputs import shown_time

MAX_BINS = 10_000
DEFAULT_SPAN = timedelta(days=7)
MS_PER_SECOND = 1000
DIGITS = 6

_PROMPT_COLUMNS = (
    "input_tokens", "cached_input_tokens", "cache_write_tokens", "cache_write_1h_tokens",
    "audio_input_tokens", "image_input_tokens",
)  # fmt: skip
_COMPLETION_COLUMNS = ("output_tokens", "reasoning_tokens", "audio_output_tokens")
_COMPLETION = reduce(add, map(F, _COMPLETION_COLUMNS))
_SECONDS = F("duration_ms") / MS_PER_SECOND
# Times of failures say nothing about a model, nor do speeds of answers without tokens.
_IS_TIMED = Q(status=SUCCEEDED, duration_ms__gt=0)
_HAS_SPEED = _IS_TIMED & (Q(output_tokens__gt=0) | Q(reasoning_tokens__gt=0) | Q(audio_output_tokens__gt=0))


class _TimeBin(Func):
    """The start of the interval that a moment lies in; intervals are counted from the Unix epoch."""

    template = "date_bin(%(seconds)s * interval '1 second', %(expressions)s, timestamptz 'epoch')"
    output_field = DateTimeField()


class _Percentile(Aggregate):
    """The value below which a part of all values lies, between two of them in proportion."""

    template = "percentile_cont(%(part)s) WITHIN GROUP (ORDER BY %(expressions)s)"
    output_field = FloatField()


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsWanted:
    """Which requests, in bins of how many seconds. Without a user those without one count."""

    start_time: datetime
    end_time: datetime
    interval_seconds: int
    models: Sequence[str] = ()
    providers: Sequence[str] = ()
    end_user: str = ""

    @property
    def has_too_many_bins(self) -> bool:
        return self.end_time - self.start_time > timedelta(seconds=self.interval_seconds) * MAX_BINS


def metrics_of(reader: Reader, wanted: MetricsWanted) -> list[dict[str, Any]]:
    """One row for each interval with requests, in order; times in seconds, None where nothing tells."""
    condition = between(wanted.start_time, wanted.end_time) & Q(end_user=wanted.end_user)
    if wanted.models:
        condition &= Q(model__in=wanted.models)
    if wanted.providers:
        condition &= Q(provider__in=wanted.providers)
    time_bin = _TimeBin(F("occurred_at"), seconds=int(wanted.interval_seconds))
    binned = reader.events().filter(condition).annotate(time_bin=time_bin).values("time_bin")
    speed = Cast(_COMPLETION, FloatField()) / _SECONDS
    rows = binned.annotate(
        request_count=Count("id"),
        generation_time_p50=_Percentile(_SECONDS, part=0.5, filter=_IS_TIMED),
        generation_time_p95=_Percentile(_SECONDS, part=0.95, filter=_IS_TIMED),
        tokens_per_sec_p50=_Percentile(speed, part=0.5, filter=_HAS_SPEED),
        tokens_per_sec_p95=_Percentile(speed, part=0.95, filter=_HAS_SPEED),
        total_prompt_tokens=Sum(reduce(add, map(F, _PROMPT_COLUMNS))),
        total_completion_tokens=Sum(_COMPLETION),
    ).order_by("time_bin")
    return [_shown(dict(row)) for row in rows]


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    return {
        name: shown_time(value)
        if isinstance(value, datetime)
        else round(value, DIGITS)
        if isinstance(value, float)
        else value
        for name, value in {**row, **_whole(row)}.items()
    }


def _whole(row: dict[str, Any]) -> dict[str, int]:
    return {name: int(row[name] or 0) for name in ("total_prompt_tokens", "total_completion_tokens")}
