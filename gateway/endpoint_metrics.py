"""What endpoints are measured at, for Unify's clients: own ones as their owner says, others by own traffic.

Times are medians of an organization's own completed streams, in milliseconds, by the hour; costs are
those of today in USD per million tokens.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db.models import Aggregate, ExpressionWrapper, F, FloatField, Max, QuerySet
from django.db.models.expressions import Combinable
from django.db.models.functions import Cast, TruncHour
from django.utils import timezone

from accounts.models import Organization
from accounts.tenancy import scoped
from billing.models import UsageEvent
from billing.price_book import load_price_book
from billing.stated_prices import operator_prices, own_prices
from gateway.endpoint_models import CustomEndpoint, EndpointMetric
from gateway.models import CustomModel

LATEST_WITHIN = timedelta(days=1)
LONGEST_SPAN = timedelta(days=31)
MOST_ROWS = 1_000
# The time between tokens needs two of them.
LEAST_TOKENS = 2
PICO_PER_MILLIONTH_USD = 1_000_000
COSTS = (EndpointMetric.Metric.INPUT_COST, EndpointMetric.Metric.OUTPUT_COST)

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Span:
    """From `start` until `end`; without a start only what is the latest."""

    start: datetime | None
    end: datetime


class Median(Aggregate):
    function = "percentile_cont"
    template = "%(function)s(0.5) WITHIN GROUP (ORDER BY %(expressions)s)"
    output_field = FloatField()


def stated(endpoint: CustomEndpoint, span: Span) -> list[Row]:
    """What the owner of an endpoint said of it, by the moment; the latest of each metric without a start."""
    metrics = endpoint.metrics.filter(measured_at__lte=span.end).order_by("measured_at")
    if span.start is not None:
        at: defaultdict[datetime, dict[str, Decimal]] = defaultdict(dict)
        for metric in metrics.filter(measured_at__gte=span.start)[: 4 * MOST_ROWS]:
            at[metric.measured_at][metric.metric] = metric.value
        return [_stated_row(endpoint, values, moment) for moment, values in at.items()][:MOST_ROWS]
    latest = {
        kind: found
        for kind in EndpointMetric.Metric.values
        if (found := metrics.filter(metric=kind).last()) is not None
    }
    if not latest:
        return []
    moment = max(found.measured_at for found in latest.values())
    return [_stated_row(endpoint, {kind: found.value for kind, found in latest.items()}, moment)]


def measured(organization: Organization, *, model: str, provider: str, span: Span) -> list[Row]:
    """What this organization's completed streams took there, the earliest hour first."""
    start = span.start if span.start is not None else span.end - LATEST_WITHIN
    streams = _streams(organization, model, provider).filter(
        occurred_at__gte=start, occurred_at__lte=span.end
    )
    facts = {"ttft": Median("first_token_ms"), "itl": Median(_itl_ms()), "measured_at": Max("occurred_at")}
    if span.start is None:
        found = [row for row in [streams.aggregate(**facts)] if row["measured_at"] is not None]
    else:
        by_hour = streams.annotate(hour=TruncHour("occurred_at")).values("hour").annotate(**facts)
        found = [dict(row) for row in by_hour.order_by("hour")[:MOST_ROWS]]
    costs = costs_of(organization, model=model, provider=provider)
    return [_row(f"{model}@{provider}", {**row, **costs}, measured_at=row["measured_at"]) for row in found]


def costs_of(organization: Organization, *, model: str, provider: str) -> Mapping[str, float | None]:
    """Today's prices; None where there is none."""
    declared = CustomModel.objects.filter(
        connection__organization=organization, connection__provider=provider, model=model
    ).first()
    if declared is not None:
        return {
            "input_cost": float(declared.input_usd_per_million),
            "output_cost": float(declared.output_usd_per_million),
        }
    listing = load_price_book().listing(provider, model)
    prices = replace(operator_prices(), own=own_prices(organization.pk))
    terms = prices.terms_at(provider, model, timezone.now().date(), listing=listing)
    price = terms and (terms.own_price or terms.price)
    return {
        "input_cost": _usd_per_million(price.input if price else None),
        "output_cost": _usd_per_million(price.output if price else None),
    }


def _streams(organization: Organization, model: str, provider: str) -> QuerySet[UsageEvent]:
    events = scoped(UsageEvent.objects.filter(provider=provider, model=model), organization)
    completed = events.filter(
        ending=UsageEvent.Ending.COMPLETED,
        is_stream=True,
        first_token_ms__isnull=False,
        duration_ms__isnull=False,
        output_tokens__gte=LEAST_TOKENS,
    )
    return completed.order_by()


def _itl_ms() -> Combinable:
    spent_ms = F("duration_ms") - F("first_token_ms")
    steps = Cast(F("output_tokens") + F("reasoning_tokens") - 1, FloatField())
    return ExpressionWrapper(spent_ms / steps, output_field=FloatField())


def _stated_row(endpoint: CustomEndpoint, values: Mapping[str, Decimal], moment: datetime) -> Row:
    numbers = {kind: float(value) for kind, value in values.items()}
    return _row(endpoint.name, numbers, measured_at=moment)


def _row(name: str, values: Mapping[str, Any], *, measured_at: datetime) -> Row:
    return {
        "endpoint": name,
        **{metric: _rounded(values.get(metric)) for metric in ("ttft", "itl", "input_cost", "output_cost")},
        "measured_at": measured_at.isoformat(),
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)


def _usd_per_million(rate_pico: int | None) -> float | None:
    return None if rate_pico is None else rate_pico / PICO_PER_MILLIONTH_USD
