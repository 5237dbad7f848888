"""Statements: pages of entries, totals of a filter, months in any zone, one transfer in full."""

import uuid
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from billing.event_filters import EventFilters
from billing.ingest import ingest_shard
from billing.ledger import AccountKind, TransferKind, credit_legs, post_transfer
from billing.statements import (
    LedgerFilters,
    ledger_entries,
    ledger_totals,
    months,
    transfer_detail,
)
from tests.billing.usage_events import append, event_of

EVERYTHING = LedgerFilters()
TURN = datetime(2026, 11, 1, tzinfo=UTC)


@pytest.fixture
def books(alice, redis_client, shard):
    """$10 in October, a charge on each side of November's first moment (UTC), one of a slow model."""
    post_transfer(
        organization_id=alice.organization.pk,
        kind=TransferKind.TOP_UP,
        legs=credit_legs(source=AccountKind.PAYMENTS, amount_usd=Decimal(10)),
        occurred_at=TURN - timedelta(days=10),
        description="Top-up",
    )
    charged = [
        event_of(alice, at=(TURN - timedelta(microseconds=1)).isoformat()),
        event_of(alice, at=TURN.isoformat()),
        event_of(alice, at=(TURN + timedelta(days=2)).isoformat(), model="slow"),
    ]
    append(redis_client, shard, *charged)
    ingest_shard(redis_client, shard)
    return charged


def test_lines_come_newest_first_with_their_balance(alice, books):
    lines = ledger_entries(alice.organization, filters=EVERYTHING).lines

    assert [(line.kind, line.amount_usd, line.balance_after_usd) for line in lines] == [
        ("charge", Decimal("-0.000027"), Decimal("9.999919")),
        ("charge", Decimal("-0.000027"), Decimal("9.999946")),
        ("charge", Decimal("-0.000027"), Decimal("9.999973")),
        ("top_up", Decimal("10"), Decimal("10")),
    ]
    assert lines[0].description == "fake/slow"
    assert lines[0].kind_label == "Usage"
    assert [line.is_charge for line in lines] == [True, True, True, False]


def test_pages_follow_each_other_without_gap_or_overlap(alice, books):
    first = ledger_entries(alice.organization, filters=EVERYTHING, limit=3)
    second = ledger_entries(alice.organization, filters=EVERYTHING, limit=3, before=first.older)

    assert first.lines + second.lines == ledger_entries(alice.organization, filters=EVERYTHING).lines
    assert second.older is None


@pytest.mark.parametrize(
    ("filters", "count", "credited", "charged"),
    [
        (EVERYTHING, 4, "10", "0.000081"),
        (LedgerFilters(start=TURN), 2, "0", "0.000054"),
        (LedgerFilters(end=TURN), 2, "10", "0.000027"),
        (LedgerFilters(start=TURN, end=TURN + timedelta(days=1)), 1, "0", "0.000027"),
        (LedgerFilters(kind="top_up"), 1, "10", "0"),
        (LedgerFilters(kind="refund"), 0, "0", "0"),
        (LedgerFilters(events=EventFilters(model="slow")), 1, "0", "0.000027"),
        (LedgerFilters(events=EventFilters()), 4, "10", "0.000081"),
    ],
)
def test_totals_are_those_of_the_filter(alice, books, filters, count, credited, charged):
    totals = ledger_totals(alice.organization, filters=filters)

    assert (totals.credited_usd, totals.charged_usd) == (Decimal(credited), Decimal(charged))
    lines = ledger_entries(alice.organization, filters=filters).lines
    assert len(lines) == count
    assert sum(line.amount_usd for line in lines) == totals.net_usd


@pytest.mark.parametrize(
    ("zone", "closings", "charges"),
    [
        ("UTC", ["9.999919", "9.999973"], ["0.000054", "0.000027"]),
        ("Pacific/Kiritimati", ["9.999919", "10"], ["0.000081", "0"]),
        ("Etc/GMT+12", ["9.999919", "9.999946"], ["0.000027", "0.000054"]),
    ],
)
def test_months_are_those_of_the_viewers_calendar(alice, books, zone, closings, charges):
    statement = months(alice.organization, zone=ZoneInfo(zone))

    assert [month.closing_usd for month in statement] == [Decimal(amount) for amount in closings]
    assert [month.charged_usd for month in statement] == [Decimal(amount) for amount in charges]
    assert statement[0].opening_usd == statement[1].closing_usd
    assert statement[1].credited_usd == Decimal(10)


def test_a_charge_shows_its_legs_and_its_request(alice, books):
    detail = transfer_detail(alice.organization, uuid.UUID(books[2]["id"]))

    assert detail.event.model == "slow"
    assert sum(leg.amount_usd for leg in detail.legs) == 0
    assert len(detail.legs) == 4


def test_a_top_up_has_no_request(alice, books):
    line = ledger_entries(alice.organization, filters=LedgerFilters(kind="top_up")).lines[0]

    assert transfer_detail(alice.organization, line.transfer_id).event is None


def test_a_stranger_sees_nothing(alice, charlie, books):
    assert ledger_entries(charlie.organization, filters=EVERYTHING).lines == ()
    assert ledger_totals(charlie.organization, filters=EVERYTHING).net_usd == 0
    assert months(charlie.organization, zone=ZoneInfo("UTC")) == ()
    assert transfer_detail(charlie.organization, uuid.UUID(books[0]["id"])) is None
