"""A run becomes a report, a picture and JSON."""

import json
from decimal import Decimal
from xml.etree import ElementTree

import pytest

from bench.books import Books
from bench.cases import chosen
from bench.figures import Spread
from bench.plot import render_plot
from bench.report import RATE, Column, cell, render
from bench.results import Entrant, Measurement, Results, to_json

BOOKS = Books(
    events={"client_left": 3, "completed": 1000},
    differing=0,
    uninvoiced=0,
    in_flight_usd=Decimal("0.000006"),
    events_usd=Decimal("0.021"),
    ledger_usd=Decimal("0.021"),
    counted_usd=Decimal("0.021"),
    held_usd=Decimal(0),
    invoiced_usd=Decimal("0.021006"),
    overshoot_usd=Decimal(0),
    is_ledger_proven=True,
)


def flooded(contestant, round_index, per_second, p50_ms):
    figures = {"requests": 10, "per_second": per_second, "total_p50_ms": p50_ms, "cpu_us": 250.0, "errors": 0}
    busy = {"busy": 0.9, "backstage_busy": 0.2, "upstream_busy": 0.1, "load_busy": 0.05}
    return Measurement("plain-32", contestant, round_index, figures | busy)


def results(*measurements, absent=None):
    return Results(
        machine={"machine": "2 cores"},
        rounds=3,
        seconds=5.0,
        cases=chosen(("plain-32",), is_quick=False),
        entrants=[
            Entrant("direct", "Direct"),
            Entrant("farebox", "Farebox"),
            Entrant("peer", "A peer", "1.0"),
        ],
        measurements=measurements,
        absent=absent or {},
        notes=[],
        books=BOOKS,
    )


THREE_ROUNDS = results(
    flooded("direct", 0, 9000.0, 0.5),
    flooded("farebox", 0, 2000.0, 11.5),
    flooded("peer", 0, 100.0, 200.0),
    flooded("direct", 1, 9500.0, 0.25),
    flooded("farebox", 1, 2100.0, 10.25),
    flooded("direct", 2, 8000.0, 1.0),
    flooded("farebox", 2, 1900.0, 14.0),
)


def test_a_cell_is_the_median_with_its_range():
    assert cell(Spread(2100.4, 2000.0, 2911.0), RATE) == "2,100 (2,000 to 2,911)"


def test_a_range_that_rounds_to_nothing_is_left_out():
    assert cell(Spread(1.201, 1.196, 1.204), Column("p50 ms", "total_p50_ms", 2)) == "1.20"


def test_a_figure_that_was_not_measured_is_a_dash():
    assert cell(None, RATE) == "-"


def test_a_unit_divides():
    assert cell(Spread(30_000.0, 30_000.0, 30_000.0), Column("KB", "stream_bytes", 1, 1000)) == "30.0"


def test_what_is_added_is_taken_within_each_round():
    found = THREE_ROUNDS.spreads_of("plain-32", "farebox")

    assert found["added_total_p50_ms"] == Spread(11.0, 10.0, 13.0)


def test_the_report_has_a_row_for_each_contestant():
    lines = render(THREE_ROUNDS, plot="plot.svg").splitlines()

    heading = lines.index("## Whole answers, 32 clients")
    assert lines[heading + 2 : heading + 7] == [
        "|  | per second | p50 ms | p95 ms | p99 ms | CPU µs each | RSS MB | errors |",
        "| --- | --: | --: | --: | --: | --: | --: | --: |",
        "| Direct | 9,000 (8,000 to 9,500) | 0.50 (0.25 to 1.00) | - | - | 250 | - | 0 |",
        "| Farebox | 2,000 (1,900 to 2,100) | 11.50 (10.25 to 14.00) | - | - | 250 | - | 0 |",
        "| A peer | 100 | 200.00 | - | - | 250 | - | 0 |",
    ]


def test_the_report_compares_with_peers_but_not_with_direct():
    lines = render(THREE_ROUNDS, plot="plot.svg").splitlines()

    heading = lines.index("## Farebox against its peers")
    assert lines[heading + 4 : heading + 8] == [
        "|  | whole answers, 32 clients |",
        "| --- | --: |",
        "| A peer | 20.0 |",
        "",
    ]


def test_the_report_says_what_failed_and_what_did_not_run():
    failed = results(
        flooded("farebox", 0, 2000.0, 11.5),
        Measurement("plain-32", "peer", 0, failure="the clients failed: refused"),
        absent={"nginx": "nginx is missing"},
    )

    report = render(failed, plot="plot.svg")

    assert "A peer failed: the clients failed: refused" in report
    assert "- not run: nginx (nginx is missing)" in report


def test_the_report_states_the_overshoot_and_every_book():
    report = render(THREE_ROUNDS, plot="plot.svg")

    assert "- **Budget overshoot in all of it: $0**" in report
    assert "- events: 3 client_left, 1,000 completed" in report
    assert "- sum of all events: $0.021; charged in the ledger: $0.021" in report
    assert "otherwise than invoiced: 0; charged without an invoice: 0" in report


def test_the_plot_is_a_picture_with_a_bar_for_each_gateway():
    picture = ElementTree.fromstring(render_plot(THREE_ROUNDS))

    bars = picture.findall(".//{http://www.w3.org/2000/svg}rect")
    # Two panels have figures: requests per second and processor time.
    assert [bar.get("class") for bar in bars] == ["bar ours", "bar", "bar ours", "bar"]


def test_the_json_holds_every_measurement_and_money_as_text():
    kept = json.loads(to_json(THREE_ROUNDS))

    assert len(kept["measurements"]) == 7
    assert kept["books"]["in_flight_usd"] == "0.000006"


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (("plain",), ["plain-1", "plain-16", "plain-32", "plain-64"]),
        (("leaving", "open-500"), ["leaving", "open-500"]),
    ],
)
def test_cases_are_chosen_by_their_name_or_its_beginning(wanted, expected):
    assert [case.name for case in chosen(wanted, is_quick=False)] == expected


def test_an_unknown_case_is_refused():
    with pytest.raises(ValueError, match="no case is called 'fast'"):
        chosen(("fast",), is_quick=False)
