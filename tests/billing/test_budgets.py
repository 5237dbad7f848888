"""Windows of budgets: calendar arithmetic in any time zone, through changes of the clock."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.budgets import ROLLING_SECONDS, Period, bucket_seconds, period_of, rolling_period
from billing.errors import InvalidBudget

ZONES = (
    "UTC", "Europe/Berlin", "America/New_York", "Etc/GMT+12", "Pacific/Kiritimati", "Pacific/Apia",
    "Australia/Lord_Howe", "America/Sao_Paulo", "Africa/Cairo", "Asia/Kathmandu", "America/St_Johns",
    "Antarctica/Troll", "Asia/Beirut",
)  # fmt: skip
# Seconds from 1990 to 2040.
moments = st.integers(631_152_000, 2_208_988_800).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def test_a_day_is_the_local_day():
    period = period_of("day", "Europe/Berlin", at("2026-11-21T23:30:00+00:00"))

    assert (period.starts_at, period.ends_at) == (
        at("2026-11-21T23:00:00+00:00"),
        at("2026-11-22T23:00:00+00:00"),
    )


@pytest.mark.parametrize(
    ("moment", "hours"), [("2026-03-29T12:00:00+00:00", 23), ("2026-10-25T12:00:00+00:00", 25)]
)
def test_a_day_of_clock_change_is_shorter_or_longer(moment, hours):
    period = period_of("day", "Europe/Berlin", at(moment))

    assert period.ends_at - period.starts_at == timedelta(hours=hours)


def test_a_week_starts_on_monday():
    sunday = period_of("week", "UTC", at("2026-11-22T23:59:59.999999+00:00"))
    monday = period_of("week", "UTC", at("2026-11-23T00:00:00+00:00"))

    assert (sunday.starts_at, sunday.ends_at) == (
        at("2026-11-16T00:00:00+00:00"),
        at("2026-11-23T00:00:00+00:00"),
    )
    assert monday.number == sunday.number + 1


@pytest.mark.parametrize(
    ("moment", "start", "end"),
    [
        ("2026-12-31T23:59:59+00:00", "2026-12-01T00:00:00+00:00", "2027-01-01T00:00:00+00:00"),
        ("2028-02-29T12:00:00+00:00", "2028-02-01T00:00:00+00:00", "2028-03-01T00:00:00+00:00"),
        ("2027-01-01T00:00:00+00:00", "2027-01-01T00:00:00+00:00", "2027-02-01T00:00:00+00:00"),
    ],
)
def test_a_month_goes_from_the_first_to_the_first(moment, start, end):
    period = period_of("month", "UTC", at(moment))

    assert (period.starts_at, period.ends_at) == (at(start), at(end))


def test_december_and_january_have_neighbouring_numbers():
    december = period_of("month", "UTC", at("2026-12-15T00:00:00+00:00"))
    january = period_of("month", "UTC", at("2027-01-15T00:00:00+00:00"))

    assert january.number == december.number + 1


@pytest.mark.parametrize(
    ("zone", "start", "end"),
    [
        ("UTC", "2026-11-21T10:00:00+00:00", "2026-11-21T11:00:00+00:00"),
        ("Asia/Kathmandu", "2026-11-21T10:15:00+00:00", "2026-11-21T11:15:00+00:00"),
    ],
)
def test_an_hour_starts_with_the_local_hour(zone, start, end):
    period = period_of("hour", zone, at("2026-11-21T10:20:00+00:00"))

    assert (period.starts_at, period.ends_at) == (at(start), at(end))


def test_where_clocks_move_by_half_an_hour_the_hour_is_cut_short():
    # Lord Howe goes from +11 to +10:30 at 15:00 UTC.
    before = period_of("hour", "Australia/Lord_Howe", at("2026-04-04T14:59:59.999999+00:00"))
    after = period_of("hour", "Australia/Lord_Howe", at("2026-04-04T15:00:00+00:00"))

    assert (before.starts_at, before.ends_at) == (
        at("2026-04-04T14:00:00+00:00"),
        at("2026-04-04T15:00:00+00:00"),
    )
    assert (after.starts_at, after.ends_at) == (
        at("2026-04-04T15:00:00+00:00"),
        at("2026-04-04T15:30:00+00:00"),
    )


@pytest.mark.parametrize(
    ("moment", "start", "end"),
    [
        ("2026-12-31T22:59:59+00:00", "2026-09-30T22:00:00+00:00", "2026-12-31T23:00:00+00:00"),
        ("2026-12-31T23:00:00+00:00", "2026-12-31T23:00:00+00:00", "2027-03-31T22:00:00+00:00"),
        ("2026-05-05T00:00:00+00:00", "2026-03-31T22:00:00+00:00", "2026-06-30T22:00:00+00:00"),
    ],
)
def test_a_quarter_is_three_months_of_the_calendar(moment, start, end):
    period = period_of("quarter", "Europe/Berlin", at(moment))

    assert (period.starts_at, period.ends_at) == (at(start), at(end))


@pytest.mark.parametrize(
    ("window", "seconds"),
    [("hour", 60), ("day", 1_440), ("week", 10_080), ("month", 43_200), ("quarter", 129_600)],
)
def test_a_rolling_window_has_sixty_buckets(window, seconds):
    assert bucket_seconds(window) == seconds


@given(st.sampled_from(list(ROLLING_SECONDS)), moments)
def test_a_rolling_window_is_never_shorter_than_it_says(window, moment):
    period = rolling_period(window, moment)

    covered = (moment - period.starts_at).total_seconds()
    assert ROLLING_SECONDS[window] <= covered < ROLLING_SECONDS[window] + bucket_seconds(window)


def test_what_never_ends_cannot_roll():
    with pytest.raises(InvalidBudget, match="rolling window must be one of hour, day, week, month, quarter"):
        bucket_seconds("total")


def test_in_total_there_is_one_period_without_end():
    assert period_of("total", "UTC", at("2026-11-21T00:00:00+00:00")) == Period(0, None, None)
    assert period_of("total", "UTC", at("1999-01-01T00:00:00+00:00")).contains(
        at("2050-01-01T00:00:00+00:00")
    )


def test_where_the_clock_jumps_over_midnight_the_day_starts_at_the_jump():
    period = period_of("day", "Africa/Cairo", at("2026-04-24T12:00:00+00:00"))

    assert period.starts_at == at("2026-04-23T22:00:00+00:00")
    assert period.ends_at - period.starts_at == timedelta(hours=23)


def test_both_ends_of_the_world_are_a_day_and_two_hours_apart():
    moment = at("2026-11-21T11:30:00+00:00")

    east = period_of("day", "Pacific/Kiritimati", moment)
    west = period_of("day", "Etc/GMT+12", moment)

    assert east.number - west.number == 2


@given(st.sampled_from(["hour", "day", "week", "month", "quarter"]), st.sampled_from(ZONES), moments)
def test_every_moment_lies_in_exactly_one_period(window, zone, moment):
    period = period_of(window, zone, moment)

    assert period.contains(moment)
    assert not period.contains(period.ends_at)
    assert period_of(window, zone, period.starts_at) == period
    assert period_of(window, zone, period.ends_at - timedelta(microseconds=1)) == period
    following = period_of(window, zone, period.ends_at)
    assert following.starts_at == period.ends_at
    assert following.number > period.number


@given(st.sampled_from(ZONES), moments)
def test_the_first_instant_of_a_day_has_the_day_before_before_it(zone, moment):
    start = period_of("day", zone, moment).starts_at

    before, after = (edge.astimezone(ZoneInfo(zone)).date() for edge in (start - timedelta(seconds=1), start))
    assert before < after


@pytest.mark.parametrize("zone", ["Europe/Atlantis", "", "../../etc/passwd", "Europe", "\x00"])
def test_an_unknown_time_zone_is_refused(zone):
    with pytest.raises(InvalidBudget, match="is not a time zone"):
        period_of("day", zone, at("2026-11-21T00:00:00+00:00"))


def test_an_unknown_window_is_refused():
    with pytest.raises(InvalidBudget, match="window must be one of hour, day, week, month, quarter, total"):
        period_of("year", "UTC", at("2026-11-21T00:00:00+00:00"))
