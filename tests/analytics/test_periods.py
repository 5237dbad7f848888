"""Spans of time: what the URL asks for, on the viewer's wall clock."""

import itertools
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from analytics.periods import Period, period_from_query, preset_period

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 11, 21, 10, 20, 30, tzinfo=UTC)


def test_the_last_hour_is_sixty_minutes_with_the_running_one() -> None:
    period = preset_period("1h", zone=BERLIN, now=NOW)

    assert period.start == datetime(2026, 11, 21, 9, 21, tzinfo=UTC)
    assert period.end == NOW
    assert len(period.edges()) == 61


def test_the_last_day_is_24_hours_with_the_running_one() -> None:
    period = preset_period("24h", zone=BERLIN, now=NOW)

    assert period.start == datetime(2026, 11, 20, 11, tzinfo=UTC)
    assert len(period.edges()) == 25


def test_hours_begin_on_the_wall_clock_of_a_half_hour_zone() -> None:
    period = preset_period("24h", zone=ZoneInfo("Asia/Kolkata"), now=NOW)

    assert period.start == datetime(2026, 11, 20, 10, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("preset", "start", "days"),
    [
        ("7d", datetime(2026, 11, 14, 23, tzinfo=UTC), 7),
        ("30d", datetime(2026, 10, 22, 22, tzinfo=UTC), 30),
    ],
)
def test_days_begin_at_local_midnight_and_end_now(preset: str, start: datetime, days: int) -> None:
    period = preset_period(preset, zone=BERLIN, now=NOW)

    assert (period.start, period.end) == (start, NOW)
    assert len(period.edges()) == days + 1


def test_the_day_of_a_clock_change_has_25_hours() -> None:
    days = {"from": "2026-10-23", "to": "2026-10-26"}

    edges = period_from_query(days, zone=BERLIN, now=NOW).edges()

    lengths = [(high - low) / timedelta(hours=1) for low, high in itertools.pairwise(edges)]
    assert lengths == [24, 24, 25, 24]


def test_custom_days_include_the_last_one() -> None:
    period = period_from_query({"from": "2026-11-01", "to": "2026-11-10"}, zone=BERLIN, now=NOW)

    assert period.start == datetime(2026, 10, 31, 23, tzinfo=UTC)
    assert period.end == datetime(2026, 11, 10, 23, tzinfo=UTC)
    assert period.last_day == date(2026, 11, 10)
    assert period.preset == "custom"


def test_moments_with_an_offset_are_taken_as_they_are() -> None:
    query = {"start": "2026-11-21T09:00:00.5+00:00", "end": "2026-11-21T09:30:00 00:00"}

    period = period_from_query(query, zone=BERLIN, now=NOW)

    assert period.start == datetime(2026, 11, 21, 9, 0, 0, 500_000, tzinfo=UTC)
    assert period.end == datetime(2026, 11, 21, 9, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"range": "a year"},
        {"from": "yesterday"},
        {"from": "2026-11-21", "to": "2026-11-01"},
        {"to": "2026-11-01"},
        {"from": "9999-12-31", "to": "9999-12-31"},
        {"start": "0001-01-01T00:00:00+14:00"},
        {"start": "9999-12-31T23:59:59-14:00"},
        {"from": "nine"},
    ],
)
def test_what_is_unclear_becomes_the_last_seven_days(query: dict[str, str]) -> None:
    assert period_from_query(query, zone=BERLIN, now=NOW).preset == "7d"


def test_a_span_is_cut_to_a_year() -> None:
    period = period_from_query({"from": "2001-01-01", "to": "2026-11-20"}, zone=BERLIN, now=NOW)

    assert period.end - period.start == timedelta(days=366)


def test_the_period_before_has_the_same_length_and_touches() -> None:
    period = Period(NOW - timedelta(hours=5), NOW, BERLIN)

    assert period.before.end == period.start
    assert period.before.start == NOW - timedelta(hours=10)
