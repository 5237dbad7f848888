"""Figures as people read them."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from analytics import figures

NOW = datetime(2026, 11, 21, 13, 3, 22, 481_000, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0"),
        (9_999, "9,999"),
        (10_000, "10.0k"),
        (18_349, "18.3k"),
        (999_999, "1.0M"),
        (2_100_000, "2.1M"),
        (3_000_000_000, "3.0B"),
    ],
)
def test_counts_are_whole_up_to_ten_thousand(count: int, text: str) -> None:
    assert figures.count_short(count) == text


@pytest.mark.parametrize(
    ("duration_ms", "text"),
    [
        (None, "\N{EN DASH}"),
        (0.8, "0.8 ms"),
        (9.96, "10 ms"),
        (999.4, "999 ms"),
        (999.6, "1.00 s"),
        (1_420, "1.42 s"),
        (12_400, "12.4 s"),
        (59_960, "1 min 0 s"),
        (185_000, "3 min 5 s"),
        (7_200_000, "2 h 0 min"),
        (777_600_000, "9 d 0 h"),
    ],
)
def test_durations_have_the_unit_that_fits(duration_ms: float | None, text: str) -> None:
    assert figures.milliseconds(duration_ms) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (None, "\N{EN DASH}"),
        (0, "0 %"),
        (0.0004, "<0.1 %"),
        (0.034, "3.4 %"),
        (0.42, "42 %"),
        (0.995, "99.5 %"),
        (0.9996, ">99.9 %"),
        (1, "100 %"),
    ],
)
def test_a_share_is_never_rounded_to_none_or_all(share: float | None, text: str) -> None:
    assert figures.percent(share) == text


def test_a_moment_of_today_is_a_clock_and_an_older_one_has_its_day() -> None:
    assert figures.clock(NOW, BERLIN, now=NOW) == "14:03:22"
    assert figures.clock(NOW - timedelta(days=2), BERLIN, now=NOW) == "19 Nov, 14:03:22"
    assert figures.clock(NOW - timedelta(days=400), BERLIN, now=NOW) == "17 Oct 2025, 15:03"


def test_a_moment_in_full_says_its_offset() -> None:
    assert figures.clock_exact(NOW, BERLIN) == "Sat 21 Nov 2026, 14:03:22.481 UTC+01:00"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "just now"), (40, "40 s ago"), (240, "4 min ago"), (7_300, "2 h ago"), (1_000_000, "11 d ago")],
)
def test_how_long_ago(seconds: int, text: str) -> None:
    assert figures.ago(NOW - timedelta(seconds=seconds), now=NOW) == text


def test_a_noun_follows_its_number() -> None:
    assert figures.plural(1, "request") == "1 request"
    assert figures.plural(1_234, "request") == "1,234 requests"
