"""The figures on top of the overview, as they are written."""

from datetime import timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from accounts.models import Organization
from analytics.breakdown import cause_rows, chart, chart_table, group_rows
from analytics.models import Dimension
from analytics.periods import Period
from analytics.selectors import Overview, overview
from analytics.tiles import tiles
from tests.analytics.conftest import NOON, Record

DAY = timedelta(days=1)
PERIOD = Period(NOON - 3 * DAY, NOON + DAY, ZoneInfo("Europe/Berlin"))
PATHS = {"requests_path": "/r/", "ledger_path": "/l/"}


def test_a_period_without_requests_claims_nothing(organization: Organization) -> None:
    spend, requests, tokens, errors, first_token, duration = tiles(_overview(organization), **PATHS)

    assert [tile.value for tile in (spend, requests, tokens, errors, first_token, duration)] == [
        "$0.00", "0", "0", "\N{EN DASH}", "\N{EN DASH}", "\N{EN DASH}",
    ]  # fmt: skip
    assert all(tile.change is None and tile.sparkline is None for tile in (spend, requests, errors))


def test_a_change_is_said_in_figures_and_in_words(organization: Organization, record: Record) -> None:
    record(at=PERIOD.start - DAY, charge_usd=Decimal(10))
    record(charge_usd=Decimal("11.2"))
    record(charge_usd=Decimal(0), ending="refused", error_code="rate_limit_exceeded")

    spend, requests, _, errors, *_ = tiles(_overview(organization), **PATHS)

    assert spend.change is not None
    assert (spend.change.text, spend.change.words, spend.change.tone) == (
        "+12 %",
        "up 12 % against the period before",
        "",
    )
    assert requests.change is not None
    assert requests.change.text == "+100 %"
    assert (errors.value, errors.exact, errors.change) == ("50 %", "1 of 2 requests", None)


def test_slower_is_worse(organization: Organization, record: Record) -> None:
    record(at=PERIOD.start - DAY, duration_ms=100.0)
    record(duration_ms=1000.0)

    duration = tiles(_overview(organization), **PATHS)[-1]

    assert duration.change is not None
    assert (duration.change.is_up, duration.change.tone) == (True, "worse")


def test_what_we_counted_wears_a_mark(organization: Organization, record: Record) -> None:
    record(is_estimated=True)

    spend, *_ = tiles(_overview(organization), **PATHS)

    assert spend.mark == "1 request counted by us, as the provider told no usage"


def test_own_provider_keys_cost_but_are_not_charged(organization: Organization, record: Record) -> None:
    record(cost_usd=Decimal("2.5"), charge_usd=Decimal(0), is_own_credential=True)

    spend, *_ = tiles(_overview(organization), **PATHS)

    assert (spend.value, spend.hint) == ("$0.00", "+ $2.50 on own keys")


def test_the_spend_leads_to_the_ledger_for_those_who_may_see_it(
    organization: Organization, record: Record
) -> None:
    found = _overview(organization)

    assert tiles(found, **PATHS)[0].href.startswith("/l/?start=2026-11-17T12%3A00%3A00%2B00%3A00")
    assert tiles(found, requests_path="/r/", ledger_path="")[0].href.startswith("/r/?")


def test_shares_are_of_the_spend(organization: Organization, record: Record) -> None:
    record(charge_usd=Decimal(3), model="dear")
    record(charge_usd=Decimal(1), model="cheap")

    rows, hidden = group_rows(_overview(organization), {"dear": "The dear one"}, requests_path="/r/")

    assert [(row.name, row.share_text, row.series) for row in rows] == [
        ("The dear one", "75 %", 1),
        ("cheap", "25 %", 2),
    ]
    assert hidden == 0


def test_the_ninth_group_shares_the_last_colour(organization: Organization, record: Record) -> None:
    for number in range(10):
        record(charge_usd=Decimal(number + 1), model=f"model-{number}")
    found = _overview(organization)

    drawn = chart(found, {})
    columns, rows = chart_table(found, {}, requests_path="/r/")

    assert len(drawn["series"]) == 8
    assert columns[-1] == "3 others"
    for row in rows:
        assert sum(row.charges_usd) == row.charge_usd
    assert sum(row.charge_usd for row in rows) == Decimal(55)


def test_causes_come_most_frequent_first(organization: Organization, record: Record) -> None:
    for code in ("provider_error", "timeout", "timeout"):
        record(ending="upstream_error", error_code=code)

    rows = cause_rows(_overview(organization), requests_path="/r/")

    assert [(row.name, row.requests, row.share_text) for row in rows] == [
        ("timeout", 2, "67 %"),
        ("provider_error", 1, "33 %"),
    ]


def _overview(organization: Organization) -> Overview:
    return overview(organization, period=PERIOD, group_by=Dimension.MODEL, now=NOON)
