"""The figures on top of the overview: each with its period before, its course and what lies behind it.

Values only; what the figures are is `analytics.selectors`, how they are written `analytics.figures`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from analytics import figures
from analytics.request_filters import FAILED, address, span_query
from analytics.rollups import Sums
from analytics.selectors import Overview, Percentiles, Slot
from billing.models import LedgerTransfer
from billing.money import format_usd, format_usd_short

SPARKLINE_WIDTH, SPARKLINE_HEIGHT = 100, 24

Measure = Callable[[Slot], float | None]


@dataclass(frozen=True, slots=True)
class Change:
    """Against the period before: `+12 %`, in words for screen readers, and whether that is good."""

    text: str
    words: str
    is_up: bool
    tone: str


@dataclass(frozen=True, slots=True)
class Sparkline:
    """Points in a box of 100 by 24; `area` closes them along the bottom."""

    line: str
    area: str


@dataclass(frozen=True, slots=True)
class Tile:
    label: str
    value: str
    exact: str
    hint: str
    href: str
    change: Change | None
    sparkline: Sparkline | None
    mark: str = ""


def tiles(overview: Overview, *, requests_path: str, ledger_path: str) -> tuple[Tile, ...]:
    """The six figures of the period, each with the requests or entries behind it."""
    period, total, earlier = overview.period, overview.total, overview.earlier
    span = span_query(period)
    requests_href = address(requests_path, span)
    return (
        Tile(
            "Spend",
            format_usd_short(total.charge_usd),
            format_usd(total.charge_usd),
            _own_cost(total.cost_usd - total.charge_usd),
            address(ledger_path, {**span, "kind": LedgerTransfer.Kind.CHARGE})
            if ledger_path
            else requests_href,
            _change(total.charge_usd, earlier.charge_usd if earlier else None),
            _sparkline(overview.slots, lambda slot: float(slot.sums.charge_usd)),
            mark=_estimated(total.estimated_requests),
        ),
        Tile(
            "Requests",
            figures.count_short(total.requests),
            figures.count_exact(total.requests),
            "",
            requests_href,
            _change(total.requests, earlier.requests if earlier else None),
            _sparkline(overview.slots, lambda slot: slot.sums.requests),
        ),
        Tile(
            "Tokens",
            figures.count_short(total.tokens),
            figures.count_exact(total.tokens),
            _in_and_out(total),
            requests_href,
            _change(total.tokens, earlier.tokens if earlier else None),
            _sparkline(overview.slots, lambda slot: slot.sums.tokens),
        ),
        Tile(
            "Errors",
            figures.percent(_rate(total.errors, total.requests)),
            f"{total.errors:,} of {figures.plural(total.requests, 'request')}",
            f"{total.errors:,} of {total.requests:,}",
            address(requests_path, {**span, "outcome": FAILED}),
            _change(
                _rate(total.errors, total.requests),
                _rate(earlier.errors, earlier.requests) if earlier else None,
                is_less_better=True,
            ),
            _sparkline(overview.slots, lambda slot: slot.sums.errors),
        ),
        _latency_tile(overview, "First token, p95", "first_token", requests_href),
        _latency_tile(overview, "Duration, p95", "duration", requests_href),
    )


def _latency_tile(overview: Overview, label: str, measure: str, href: str) -> Tile:
    def of(percentiles: Percentiles | None, rank: str) -> float | None:
        return getattr(percentiles, f"{measure}_{rank}") if percentiles else None

    slow, middle = of(overview.percentiles, "p95"), of(overview.percentiles, "p50")
    return Tile(
        label,
        figures.milliseconds(slow),
        f"95 % of completed requests took at most {figures.milliseconds(slow)}",
        f"p50 {figures.milliseconds(middle)}",
        href,
        _change(slow, of(overview.earlier_percentiles, "p95"), is_less_better=True),
        _sparkline(overview.slots, lambda slot: of(slot.percentiles, "p95")),
    )


def _own_cost(amount_usd: Decimal) -> str:
    return f"+ {format_usd_short(amount_usd)} on own keys" if amount_usd > 0 else ""


def _estimated(requests: int) -> str:
    if not requests:
        return ""
    return f"{figures.plural(requests, 'request')} counted by us, as the provider told no usage"


def _in_and_out(sums: Sums) -> str:
    return f"{figures.count_short(sums.prompt_tokens)} in, {figures.count_short(sums.completion_tokens)} out"


def _change(
    value: Decimal | float | None, before: Decimal | float | None, *, is_less_better: bool = False
) -> Change | None:
    if value is None or not before:
        return None
    ratio = float(value) / float(before) - 1
    percent = round(ratio * 100)
    if percent == 0:
        return None
    is_up = percent > 0
    size = f"{abs(percent):,} %" if abs(percent) < 1000 else f"{float(value) / float(before):,.0f} times"
    tone = ("worse" if is_up else "better") if is_less_better else ""
    sign = "+" if is_up else "\N{MINUS SIGN}"
    text = f"{sign}{size}" if abs(percent) < 1000 else size.replace(" times", "\N{MULTIPLICATION SIGN}")
    return Change(text, f"{'up' if is_up else 'down'} {size} against the period before", is_up, tone)


def _sparkline(slots: Sequence[Slot], measure: Measure) -> Sparkline | None:
    values = [measure(slot) or 0.0 for slot in slots]
    highest = max(values, default=0.0)
    if len(values) < 2 or highest <= 0:
        return None
    step = SPARKLINE_WIDTH / (len(values) - 1)
    line = " ".join(
        f"{position * step:.1f},{SPARKLINE_HEIGHT - 1 - value / highest * (SPARKLINE_HEIGHT - 3):.1f}"
        for position, value in enumerate(values)
    )
    return Sparkline(line, f"0,{SPARKLINE_HEIGHT} {line} {SPARKLINE_WIDTH},{SPARKLINE_HEIGHT}")


def _rate(part: int, whole: int) -> float | None:
    return part / whole if whole else None
