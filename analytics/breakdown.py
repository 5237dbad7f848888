"""An overview by group, by slot and by cause: the lines of its tables and the bars of its chart.

Values only; what the figures are is `analytics.selectors`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from analytics import figures
from analytics.models import Dimension
from analytics.periods import Period
from analytics.request_filters import address, query_of_group, span_query
from analytics.selectors import Group, Overview, Slot
from billing.money import format_usd_short

SERIES_ON_CHART = 8
ROWS_OF_GROUPS = 50
NO_VALUE = {Dimension.TAG: "no tag", Dimension.MODEL: "no model", Dimension.PROVIDER: "no provider"}


@dataclass(frozen=True, slots=True)
class GroupRow:
    """A line of the table under the chart; `series` is its colour, 8 for those that share the last one."""

    name: str
    href: str
    series: int
    requests: int
    errors: int
    prompt_tokens: int
    completion_tokens: int
    charge_usd: Decimal
    share: float
    share_text: str


@dataclass(frozen=True, slots=True)
class CauseRow:
    name: str
    requests: int
    href: str
    share_text: str


@dataclass(frozen=True, slots=True)
class SlotRow:
    """A line of the chart's table."""

    name: str
    href: str
    charge_usd: Decimal
    charges_usd: tuple[Decimal, ...]


def group_rows(
    overview: Overview, names: Mapping[str, str], *, requests_path: str
) -> tuple[tuple[GroupRow, ...], int]:
    """The dearest groups as lines, and how many more there are."""
    span = span_query(overview.period)
    total_usd = overview.total.charge_usd
    rows = tuple(
        GroupRow(
            name=_name(group, overview.group_by, names),
            href=address(requests_path, {**span, **query_of_group(overview.group_by, group.value)}),
            series=min(position, SERIES_ON_CHART),
            requests=group.sums.requests,
            errors=group.sums.errors,
            prompt_tokens=group.sums.prompt_tokens,
            completion_tokens=group.sums.completion_tokens,
            charge_usd=group.sums.charge_usd,
            share=_share(group.sums.charge_usd, total_usd),
            share_text=figures.percent(_share(group.sums.charge_usd, total_usd)),
        )
        for position, group in enumerate(overview.groups[:ROWS_OF_GROUPS], start=1)
    )
    return rows, max(0, len(overview.groups) - ROWS_OF_GROUPS)


def cause_rows(overview: Overview, *, requests_path: str) -> tuple[CauseRow, ...]:
    """Why requests failed, the most frequent first."""
    span = span_query(overview.period)
    frequent = sorted(overview.causes, key=lambda group: (-group.sums.requests, group.value))
    return tuple(
        CauseRow(
            name=group.value,
            requests=group.sums.requests,
            href=address(requests_path, {**span, **query_of_group(Dimension.CAUSE, group.value)}),
            share_text=figures.percent(group.sums.requests / overview.total.errors),
        )
        for group in frequent[:ROWS_OF_GROUPS]
    )


def chart(overview: Overview, names: Mapping[str, str]) -> dict[str, Any]:
    """What static/js/chart.js draws: bars of spend, stacked by group; the figures are for the eye only."""
    series = _series(overview, names)
    return {
        "starts": [slot.start.timestamp() for slot in overview.slots],
        "names": [_slot_name(slot, overview.period) for slot in overview.slots],
        "series": [
            {"name": name, "values": [float(amount_usd) for amount_usd in amounts_usd]}
            for name, amounts_usd in series
        ],
        "texts": [[format_usd_short(amount_usd) for amount_usd in amounts_usd] for _, amounts_usd in series],
        "totals": [format_usd_short(slot.sums.charge_usd) for slot in overview.slots],
    }


def chart_table(
    overview: Overview, names: Mapping[str, str], *, requests_path: str
) -> tuple[tuple[str, ...], tuple[SlotRow, ...]]:
    """The chart as a table: the names of its columns, and a line for each slot."""
    series = _series(overview, names)
    rows = tuple(
        SlotRow(
            name=_slot_name(slot, overview.period),
            href=address(requests_path, {"start": slot.start.isoformat(), "end": slot.end.isoformat()}),
            charge_usd=slot.sums.charge_usd,
            charges_usd=tuple(amounts_usd[position] for _, amounts_usd in series),
        )
        for position, slot in enumerate(overview.slots)
    )
    return tuple(name for name, _ in series), rows


def _series(overview: Overview, names: Mapping[str, str]) -> list[tuple[str, tuple[Decimal, ...]]]:
    """The groups that have a colour of their own, and the sum of the others."""
    has_rest = len(overview.groups) > SERIES_ON_CHART
    own_colour = overview.groups[: SERIES_ON_CHART - 1] if has_rest else overview.groups
    series = [
        (_name(group, overview.group_by, names), tuple(sums.charge_usd for sums in group.by_slot))
        for group in own_colour
    ]
    if has_rest:
        rest = overview.groups[SERIES_ON_CHART - 1 :]
        slots = range(len(overview.slots))
        sums = tuple(sum((group.by_slot[slot].charge_usd for group in rest), Decimal(0)) for slot in slots)
        series.append((f"{len(rest)} others", sums))
    return series


def _name(group: Group, dimension: Dimension, names: Mapping[str, str]) -> str:
    return names.get(group.value, group.value) or NO_VALUE.get(dimension, figures.NO_FIGURE)


def _slot_name(slot: Slot, period: Period) -> str:
    start = slot.start.astimezone(period.zone)
    if period.slot_name == "day":
        return f"{start:%a} {start.day} {start:%b}"
    return f"{start.day} {start:%b, %H:%M}"


def _share(part_usd: Decimal, whole_usd: Decimal) -> float:
    return float(part_usd / whole_usd) if whole_usd else 0.0
