"""The plot of a run as SVG: one panel for each figure, one bar for each gateway. Pure.

The yardsticks, direct and nginx, are in the tables alone: beside them no gateway's bar would be seen.
Ink follows the reader's light or dark page; whiskers span the rounds.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from bench.figures import Spread
from bench.results import Results

WIDTH, PADDING = 880, 20
LABEL_WIDTH, VALUE_WIDTH = 190, 110
BAR_HEIGHT, BAR_GAP, TITLE_HEIGHT, PANEL_GAP = 16, 8, 34, 18
YARDSTICKS = ("direct", "nginx")
STYLE = """
text { font: 13px system-ui, sans-serif; fill: #1f2430 }
.title { font-weight: 600 }
.bar { fill: #9aa4b5 } .ours { fill: #0b7a5d }
.whisker { stroke: #1f2430; stroke-width: 1.5 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6e8ee } .whisker { stroke: #e6e8ee } .ours { fill: #2fb58e }
}
"""


@dataclass(frozen=True, slots=True)
class Panel:
    """One figure of one case."""

    title: str
    case: str
    figure: str
    decimals: int = 0
    unit: float = 1.0


PANELS = (
    Panel("Whole answers per second, 32 clients", "plain-32", "per_second"),
    Panel("52-chunk streams per second, 32 clients", "stream-32", "per_second"),
    Panel("Gateway CPU per whole answer, µs", "plain-32", "cpu_us"),
    Panel("Gateway CPU per 52-chunk stream, µs", "stream-32", "cpu_us"),
    Panel("Added time, one client, p50 ms", "plain-1", "added_total_p50_ms", 2),
    Panel("Added time, one client, p99 ms", "plain-1", "added_total_p99_ms", 2),
    Panel("Added time to first token, 500 paced streams, p99 ms", "paced-500", "added_first_p99_ms", 1),
    Panel("Added time to first token, 2,000 paced streams, p99 ms", "paced-2000", "added_first_p99_ms", 1),
    Panel("Memory of one open stream at 5,000, KB", "open-5000", "stream_bytes", 1, 1000.0),
)

Bar = tuple[str, str, Spread]


def render_plot(results: Results) -> str:
    """The picture. Panels without a bar are left out."""
    pieces: list[str] = []
    top = float(PADDING)
    for panel in PANELS:
        bars = _bars(results, panel)
        if bars:
            pieces.extend(_panel(panel, bars, top))
            top += TITLE_HEIGHT + len(bars) * (BAR_HEIGHT + BAR_GAP) + PANEL_GAP
    height = top + PADDING - PANEL_GAP
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:g}" role="img">',
            "<title>Farebox and its peers in one benchmark run</title>",
            f"<style>{STYLE}</style>",
            *pieces,
            "</svg>",
            "",
        ]
    )


def _bars(results: Results, panel: Panel) -> list[Bar]:
    found = [
        (entrant.name, entrant.title, results.spreads_of(panel.case, entrant.name).get(panel.figure))
        for entrant in results.entrants
        if entrant.name not in YARDSTICKS
    ]
    return [(name, title, spread) for name, title, spread in found if spread is not None]


def _panel(panel: Panel, bars: Sequence[Bar], top: float) -> Iterator[str]:
    yield f'<text class="title" x="{PADDING}" y="{top + 16:g}">{escape(panel.title)}</text>'
    most = max(max(spread.high for _, _, spread in bars), 1e-9)
    room = WIDTH - 2 * PADDING - LABEL_WIDTH - VALUE_WIDTH
    for index, (name, title, spread) in enumerate(bars):
        y = top + TITLE_HEIGHT + index * (BAR_HEIGHT + BAR_GAP)
        yield from _bar(name, title, spread, y=y, scale=room / most, panel=panel)


def _bar(name: str, title: str, spread: Spread, *, y: float, scale: float, panel: Panel) -> Iterator[str]:
    left, middle = PADDING + LABEL_WIDTH, y + BAR_HEIGHT / 2
    length, low, high = (max(0.0, value) * scale for value in (spread.median, spread.low, spread.high))
    kind = "bar ours" if name == "farebox" else "bar"
    value = f"{spread.median / panel.unit:,.{panel.decimals}f}"
    yield f'<text x="{PADDING}" y="{middle + 4.5:g}">{escape(title)}</text>'
    yield f'<rect class="{kind}" x="{left}" y="{y:g}" width="{max(length, 1):.1f}" height="{BAR_HEIGHT}"/>'
    if high - low > 1:
        yield (
            f'<line class="whisker" x1="{left + low:.1f}" x2="{left + high:.1f}" '
            f'y1="{middle:g}" y2="{middle:g}"/>'
        )
    yield f'<text x="{left + max(length, high) + 8:.1f}" y="{middle + 4.5:g}">{value}</text>'
