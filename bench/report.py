"""The report as Markdown: a table for each case, and what the books say. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from bench.books import Books
from bench.cases import Case, Kind
from bench.figures import Spread
from bench.results import DIRECT, Results

FAREBOX = "farebox"
RATIO_CASES = ("plain-32", "stream-32", "burst-32")
MEGABYTE, KILOBYTE = 1_000_000, 1_000


@dataclass(frozen=True, slots=True)
class Column:
    """One figure as the reader sees it: divided by `unit`, with so many decimals."""

    heading: str
    figure: str
    decimals: int = 0
    unit: float = 1.0


RATE = Column("per second", "per_second")
CPU = Column("CPU µs each", "cpu_us")
RSS = Column("RSS MB", "rss_bytes", unit=MEGABYTE)
ERRORS = Column("errors", "errors")
TOTALS = (
    Column("p50 ms", "total_p50_ms", 2),
    Column("p95 ms", "total_p95_ms", 2),
    Column("p99 ms", "total_p99_ms", 2),
)
ADDED_TOTALS = tuple(Column(f"added {c.heading}", f"added_{c.figure}", 2) for c in TOTALS)
FIRSTS = (Column("first token p50 ms", "first_p50_ms", 2), Column("first token p99 ms", "first_p99_ms", 2))
ADDED_FIRSTS = tuple(Column(f"added {c.heading}", f"added_{c.figure}", 2) for c in FIRSTS)

COLUMNS: Mapping[Kind, tuple[Column, ...]] = {
    Kind.TURNS: (*TOTALS, *ADDED_TOTALS, CPU, ERRORS),
    Kind.FLOOD: (RATE, *TOTALS, CPU, RSS, ERRORS),
    Kind.PACED: (
        Column("streams per second", "per_second"),
        *FIRSTS,
        *ADDED_FIRSTS,
        Column("whole stream p50 ms", "total_p50_ms"),
        CPU,
        RSS,
        ERRORS,
    ),
    Kind.LEAVING: (RATE, Column("left", "left"), *FIRSTS, *ADDED_FIRSTS, CPU, RSS, ERRORS),
    Kind.OPEN: (
        Column("cold start s", "start_seconds", 1),
        Column("opened", "requests"),
        Column("RSS idle MB", "idle_rss_bytes", unit=MEGABYTE),
        Column("RSS open MB", "open_rss_bytes", unit=MEGABYTE),
        Column("KB a stream", "stream_bytes", 1, KILOBYTE),
        ERRORS,
    ),
}
STREAM_TURNS = (*FIRSTS, *ADDED_FIRSTS, TOTALS[0], ADDED_TOTALS[0], CPU, ERRORS)
BUDGET = (Column("admitted", "requests"), Column("refused", "refused"), ERRORS)


def render(results: Results, *, plot: str) -> str:
    """The whole report; `plot` is the picture's address, seen from the report."""
    lines = [
        *_head(results),
        f"![The figures of this run as bars]({plot})",
        "",
        *(line for case in results.cases for line in _case(results, case)),
        *_ratios(results),
        *_busy(results),
        *_books(results.books),
    ]
    return "\n".join(lines)


def cell(spread: Spread | None, column: Column) -> str:
    """The median with its range, `2,870 (2,801 to 2,911)`; a range that rounds to nothing is left out."""
    if spread is None:
        return "-"
    median, low, high = (
        f"{value / column.unit:,.{column.decimals}f}" for value in (spread.median, spread.low, spread.high)
    )
    return median if low == high else f"{median} ({low} to {high})"


def _head(results: Results) -> Iterator[str]:
    yield "# A run"
    yield ""
    yield (
        f"Medians of {results.rounds} interleaved rounds of {results.seconds:g} seconds each, "
        "with the least and the greatest in brackets. Written by `make bench`; the method is in "
        "[benchmarks.md](benchmarks.md)."
    )
    yield ""
    for name, value in results.machine.items():
        yield f"- {name}: {value}"
    for entrant in results.entrants:
        yield f"- {entrant.title}{f': {entrant.version}' if entrant.version else ''}"
    for name, reason in results.absent.items():
        yield f"- not run: {name} ({reason})"
    for note in results.notes:
        yield f"- **{note}**"
    yield ""


def _case(results: Results, case: Case) -> Iterator[str]:
    columns = _columns(case)
    yield f"## {case.title[0].upper()}{case.title[1:]}"
    yield ""
    yield _row(["", *(column.heading for column in columns)])
    yield _row(["---", *("--:" for _ in columns)])
    for entrant in results.entrants:
        found = results.spreads_of(case.name, entrant.name)
        if found:
            yield _row([entrant.title, *(cell(found.get(column.figure), column) for column in columns)])
    yield ""
    for entrant in results.entrants:
        for failure in results.failures_of(case.name, entrant.name):
            yield f"{entrant.title} failed: {failure}"
            yield ""


def _columns(case: Case) -> tuple[Column, ...]:
    if case.is_budget:
        return BUDGET
    if case.kind is Kind.TURNS and case.is_stream:
        return STREAM_TURNS
    return COLUMNS[case.kind]


def _ratios(results: Results) -> Iterator[str]:
    """How many times a peer's throughput Farebox has, by the medians."""
    peers = [entrant for entrant in results.entrants if entrant.name not in (DIRECT, FAREBOX)]
    cases = [case for case in results.cases if case.name in RATIO_CASES]
    if not peers or not cases:
        return
    yield "## Farebox against its peers"
    yield ""
    yield "How many times the peer's requests per second."
    yield ""
    yield _row(["", *(case.title for case in cases)])
    yield _row(["---", *("--:" for _ in cases)])
    for peer in peers:
        yield _row([peer.title, *(_ratio(results, case.name, peer.name) for case in cases)])
    yield ""


def _ratio(results: Results, case: str, peer: str) -> str:
    ours, theirs = (results.spreads_of(case, name).get("per_second") for name in (FAREBOX, peer))
    if ours is None or theirs is None or not theirs.median:
        return "-"
    return f"{ours.median / theirs.median:,.1f}"


def _busy(results: Results) -> Iterator[str]:
    """Whether the upstream or the load was the bottleneck: processors kept busy while measuring."""
    yield "## Who was busy"
    yield ""
    yield (
        "Processors kept busy by the contestant, by its worker and stores, by the upstream and by the load, "
        "in hundredths of one."
    )
    yield ""
    yield _row(["", *(entrant.title for entrant in results.entrants)])
    yield _row(["---", *("--:" for _ in results.entrants)])
    for case in results.cases:
        found = [results.spreads_of(case.name, entrant.name) for entrant in results.entrants]
        yield _row([case.title, *map(_busy_cell, found)])
    yield ""


def _busy_cell(found: Mapping[str, Spread]) -> str:
    names = ("busy", "backstage_busy", "upstream_busy", "load_busy")
    if not all(name in found for name in names):
        return "-"
    return " / ".join(f"{found[name].median * 100:.0f}" for name in names)


def _books(books: Books | None) -> Iterator[str]:
    if books is None:
        return
    yield "## The books"
    yield ""
    yield f"- **Budget overshoot in all of it: ${books.overshoot_usd:f}**"
    yield f"- events: {', '.join(f'{count:,} {ending}' for ending, count in books.events.items())}"
    yield f"- sum of all events: ${books.events_usd:f}; charged in the ledger: ${books.ledger_usd:f}"
    yield f"- counted in Redis: ${books.counted_usd:f}; still held: ${books.held_usd:f}"
    yield (
        f"- on the upstream's invoice: ${books.invoiced_usd:f}, of which ${books.in_flight_usd:f} for tokens "
        "that were on their way to us when a client left and we broke the call off"
    )
    yield (
        f"- completed requests that are charged otherwise than invoiced: {books.differing:,}; "
        f"charged without an invoice: {books.uninvoiced:,}"
    )
    yield f"- `manage.py auditledger`: {'no difference' if books.is_ledger_proven else '**differences**'}"
    yield ""


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"
