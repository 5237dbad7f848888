"""What pages ask about requests: an overview of a period, and the total of a filter.

Every figure is exact and of one instant (`analytics.rollups`). How figures look is `analytics.tiles`.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import reduce
from operator import add
from uuid import UUID

from django.db.models import BigIntegerField, Count, Q, Sum
from django.db.models.functions import Cast, Coalesce

from accounts.models import Organization
from analytics.histograms import quantile_ms
from analytics.models import Dimension, LatencyHour
from analytics.periods import Period
from analytics.request_filters import RequestFilters
from analytics.rollups import LatencyCell, Span, Sums, UsageCell, one_snapshot, read_latency, read_usage
from billing.event_filters import GOOD_ENDINGS
from billing.models import UsageEvent
from billing.money import ZERO_USD
from billing.selectors import adjusted_total

NOTHING = Sums()
_BEFORE_SLOT = 0
_FACTS = {
    "requests": Count("*"),
    "errors": Count("id", filter=~Q(ending__in=GOOD_ENDINGS)),
    "estimated_requests": Count("id", filter=Q(is_estimated=True)),
    **{
        name: Coalesce(Cast(reduce(add, (Sum(column) for column in columns)), BigIntegerField()), 0)
        for name, columns in {
            "prompt_tokens": (
                "input_tokens",
                "cached_input_tokens",
                "cache_write_tokens",
                "cache_write_1h_tokens",
                "audio_input_tokens",
                "image_input_tokens",
            ),
            "cached_tokens": ("cached_input_tokens",),
            "completion_tokens": ("output_tokens", "reasoning_tokens", "audio_output_tokens"),
        }.items()
    },
    "charge_usd": Coalesce(Sum("charge_usd"), ZERO_USD),
    "cost_usd": Coalesce(Sum("cost_usd"), ZERO_USD),
}


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Of completed requests, in milliseconds; None where there were none."""

    duration_p50: float | None
    duration_p95: float | None
    first_token_p50: float | None
    first_token_p95: float | None


@dataclass(frozen=True, slots=True)
class Slot:
    """One bar of a chart: `start` <= moment < `end`."""

    start: datetime
    end: datetime
    sums: Sums
    percentiles: Percentiles


@dataclass(frozen=True, slots=True)
class Group:
    """The requests of one value of the dimension, in sum and by slot."""

    value: str
    sums: Sums
    by_slot: tuple[Sums, ...]


@dataclass(frozen=True, slots=True)
class Overview:
    """A period in figures. `earlier` is None when the period before has no requests.

    Groups come dearest first; by tag they may sum to more than the total, as a request has several.
    """

    period: Period
    as_of: datetime
    group_by: Dimension
    total: Sums
    percentiles: Percentiles
    earlier: Sums | None
    earlier_percentiles: Percentiles | None
    slots: tuple[Slot, ...]
    groups: tuple[Group, ...]
    causes: tuple[Group, ...]


def overview(
    organization: Organization,
    *,
    period: Period,
    group_by: Dimension,
    now: datetime,
    key_ids: Sequence[UUID] | None = None,
) -> Overview:
    """The period of the organization, or of those keys alone, which can be grouped by key only."""
    edges = (period.before.start, *period.edges())
    if key_ids is None:
        span, whole, dimensions = (
            Span(organization.pk, edges),
            Dimension.ORGANIZATION,
            [group_by, Dimension.CAUSE],
        )
    else:
        span = Span(organization.pk, edges, values=tuple(str(key_id) for key_id in key_ids))
        whole, group_by, dimensions = Dimension.KEY, Dimension.KEY, [Dimension.KEY]
    with one_snapshot():
        usage = read_usage(span, [*{whole, *dimensions}])
        latency = read_latency(span, whole)
    slot_count = len(edges) - 1
    sums_of_slot = _by_slot((cell for cell in usage if cell.dimension == whole), slot_count)
    latency_of_slot: defaultdict[int, list[LatencyCell]] = defaultdict(list)
    for cell in latency:
        latency_of_slot[cell.slot].append(cell)
    percentiles = [_percentiles(latency_of_slot[slot]) for slot in range(slot_count)]
    has_earlier = sums_of_slot[_BEFORE_SLOT].requests > 0
    return Overview(
        period=period,
        as_of=now,
        group_by=group_by,
        total=_total(sums_of_slot[1:]),
        percentiles=_percentiles(cell for cell in latency if cell.slot != _BEFORE_SLOT),
        earlier=sums_of_slot[_BEFORE_SLOT] if has_earlier else None,
        earlier_percentiles=percentiles[_BEFORE_SLOT] if has_earlier else None,
        slots=tuple(
            Slot(edges[slot], edges[slot + 1], sums_of_slot[slot], percentiles[slot])
            for slot in range(1, slot_count)
        ),
        groups=_groups(usage, group_by, slot_count),
        causes=_groups(usage, Dimension.CAUSE, slot_count),
    )


def usage_groups(
    organization: Organization,
    *,
    edges: Sequence[datetime],
    dimension: Dimension,
    key_ids: Sequence[UUID] | None = None,
) -> tuple[Sums, tuple[Group, ...]]:
    """The sum of the span between the first and the last edge, and its groups by slot, dearest first.

    With `key_ids` the dimension is the key's, and only those count.
    """
    slots = (edges[0], *edges)
    values = None if key_ids is None else tuple(str(key_id) for key_id in key_ids)
    whole = Dimension.ORGANIZATION if key_ids is None else Dimension.KEY
    with one_snapshot():
        cells = read_usage(Span(organization.pk, slots, values=values), [*{whole, dimension}])
    total = _total(cell.sums for cell in cells if cell.dimension == whole)
    return total, _groups(cells, dimension, len(slots) - 1)


def total_of_group(
    organization: Organization, *, dimension: Dimension, value: str, start: datetime, end: datetime
) -> Sums:
    """The sums of one value of a dimension between two moments, through the rollups."""
    with one_snapshot():
        cells = read_usage(Span(organization.pk, (start, end), values=(value,)), [dimension])
    return _total(cell.sums for cell in cells)


def total_of_filters(organization: Organization, *, filters: RequestFilters) -> Sums:
    """The sums of what passes the filters, from the events themselves."""
    events = filters.apply(UsageEvent.objects.filter(organization_id=organization.pk)).order_by()
    added = adjusted_total(organization, events)
    corrections = Sums(charge_usd=added["charge_usd"], cost_usd=added["cost_usd"])
    return Sums(**events.aggregate(**_FACTS)) + corrections


def _groups(cells: Iterable[UsageCell], dimension: Dimension, slot_count: int) -> tuple[Group, ...]:
    cells_of_value: defaultdict[str, list[UsageCell]] = defaultdict(list)
    for cell in cells:
        if cell.dimension == dimension and cell.slot != _BEFORE_SLOT:
            cells_of_value[cell.value].append(cell)
    groups = [
        Group(value, _total(cell.sums for cell in of_value), _by_slot(of_value, slot_count)[1:])
        for value, of_value in cells_of_value.items()
    ]
    return tuple(
        sorted(groups, key=lambda group: (-group.sums.charge_usd, -group.sums.requests, group.value))
    )


def _by_slot(cells: Iterable[UsageCell], slot_count: int) -> tuple[Sums, ...]:
    sums = [NOTHING] * slot_count
    for cell in cells:
        sums[cell.slot] += cell.sums
    return tuple(sums)


def _total(sums: Iterable[Sums]) -> Sums:
    return reduce(add, sums, NOTHING)


def _percentiles(cells: Iterable[LatencyCell]) -> Percentiles:
    counts: defaultdict[str, Counter[int]] = defaultdict(Counter)
    for cell in cells:
        counts[cell.measure][cell.bucket] += cell.requests
    duration, first_token = (counts[LatencyHour.Measure.DURATION], counts[LatencyHour.Measure.FIRST_TOKEN])
    return Percentiles(
        duration_p50=quantile_ms(duration, 0.5),
        duration_p95=quantile_ms(duration, 0.95),
        first_token_p50=quantile_ms(first_token, 0.5),
        first_token_p95=quantile_ms(first_token, 0.95),
    )
