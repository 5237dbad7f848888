"""Windows of budgets as arithmetic: which period a moment belongs to. No job resets anything.

Pure; read by the data plane on every request. Budgets are stored by `billing.budget_services`, and
counted by the gateway's scripts under the period's number.

A rolling window is made of sixty equal buckets. What was spent in a bucket counts until the whole
bucket has left the window, so that the last window of any moment never holds more than the limit;
for that, money comes back up to a sixtieth of the window late.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from billing.errors import InvalidBudget

WINDOWS = ("hour", "day", "week", "month", "quarter", "total")
MONTHS_PER_YEAR = 12
MONTHS_PER_QUARTER = 3
DAYS_PER_WEEK = 7
SECONDS_PER_HOUR = 3_600
SECONDS_PER_MINUTE = 60

ROLLING_BUCKETS = 60
ROLLING_SECONDS = {
    "hour": 3_600,
    "day": 86_400,
    "week": 7 * 86_400,
    "month": 30 * 86_400,
    "quarter": 90 * 86_400,
}

_ONE_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Period:
    """One window: `starts_at` ≤ moment < `ends_at`, both in UTC; None where it never starts or ends.

    Numbers of a window's periods ascend; two windows' numbers mean different things.
    """

    number: int
    starts_at: datetime | None
    ends_at: datetime | None

    def contains(self, moment: datetime) -> bool:
        """Whether the moment lies in this period."""
        is_started = self.starts_at is None or self.starts_at <= moment
        return is_started and (self.ends_at is None or moment < self.ends_at)


def period_of(window: str, time_zone: str, moment: datetime) -> Period:
    """The period of `window` that holds `moment`, by the calendar of `time_zone`.

    Hours start with the local hour, days at the first instant of the local day, weeks on Monday,
    months on the first, quarters in January, April, July and October. `moment` must be aware.
    Raises InvalidBudget for an unknown window or time zone.
    """
    if window == "total":
        return Period(0, None, None)
    zone = zone_named(time_zone)
    if window == "hour":
        return _hour_of(moment.astimezone(UTC), zone)
    today = moment.astimezone(zone).date()
    number, first_day, next_first_day = _days_of(window, today)
    return Period(number, first_instant(first_day, zone), first_instant(next_first_day, zone))


def rolling_period(window: str, moment: datetime) -> Period:
    """The rolling window that ends with `moment`: sixty whole buckets before it, and the running one."""
    seconds = bucket_seconds(window)
    number = int(moment.timestamp()) // seconds
    return Period(number, datetime.fromtimestamp((number - ROLLING_BUCKETS) * seconds, UTC), None)


def bucket_seconds(window: str) -> int:
    """How long one bucket of a rolling window is. Raises InvalidBudget for a window that cannot roll."""
    if window not in ROLLING_SECONDS:
        allowed = ", ".join(ROLLING_SECONDS)
        raise InvalidBudget(f"A rolling window must be one of {allowed}, got {window!r}.", field="window")
    return ROLLING_SECONDS[window] // ROLLING_BUCKETS


def zone_named(time_zone: str) -> ZoneInfo:
    """The time zone of this IANA name. Raises InvalidBudget if there is none."""
    try:
        return ZoneInfo(time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as exc:
        raise InvalidBudget(
            f"{time_zone!r} is not a time zone; write it as Europe/Berlin or UTC.", field="time_zone"
        ) from exc


def first_instant(day: date, zone: ZoneInfo) -> datetime:
    """The first moment (UTC) at which the local date is `day` or later.

    That is midnight, but where clocks jump over midnight it is the jump.
    """
    midnight = datetime(day.year, day.month, day.day, tzinfo=zone)
    earliest, latest = sorted(midnight.replace(fold=fold).astimezone(UTC) for fold in (0, 1))
    if earliest.astimezone(zone).date() >= day:
        return earliest
    while latest - earliest > _ONE_SECOND:
        middle = earliest + (latest - earliest) // (2 * _ONE_SECOND) * _ONE_SECOND
        if middle.astimezone(zone).date() >= day:
            latest = middle
        else:
            earliest = middle
    return latest


def _hour_of(moment: datetime, zone: ZoneInfo) -> Period:
    """The local hour; where clocks move by half an hour it is cut short by the change."""
    second = int(moment.timestamp())
    past_seconds = (second + _offset_seconds(moment, zone)) % SECONDS_PER_HOUR
    start = datetime.fromtimestamp(second - past_seconds, UTC)
    end = start + timedelta(seconds=SECONDS_PER_HOUR)
    start = _last_change(start, moment, zone) or start
    end = _last_change(moment, end - _ONE_SECOND, zone) or end
    return Period(int(start.timestamp()) // SECONDS_PER_MINUTE, start, end)


def _last_change(earlier: datetime, later: datetime, zone: ZoneInfo) -> datetime | None:
    """When the minutes of the clock are moved between two moments of one hour, if they are."""
    offset_seconds = _offset_seconds(later, zone)
    if _offset_seconds(earlier, zone) == offset_seconds:
        return None
    while later - earlier > _ONE_SECOND:
        middle = earlier + (later - earlier) / 2
        if _offset_seconds(middle, zone) == offset_seconds:
            later = middle
        else:
            earlier = middle
    return later.replace(microsecond=0)


def _offset_seconds(moment: datetime, zone: ZoneInfo) -> int:
    """How far the local hour begins from the hour of UTC."""
    offset = moment.astimezone(zone).utcoffset() or timedelta()
    return int(offset.total_seconds()) % SECONDS_PER_HOUR


def _days_of(window: str, today: date) -> tuple[int, date, date]:
    """The period's number, its first day and the first day after it."""
    if window == "day":
        return today.toordinal(), today, today + timedelta(days=1)
    if window == "week":
        monday = today - timedelta(days=today.weekday())
        return monday.toordinal() // DAYS_PER_WEEK, monday, monday + timedelta(days=DAYS_PER_WEEK)
    if window == "month":
        months = today.year * MONTHS_PER_YEAR + today.month - 1
        next_year, next_month = divmod(months + 1, MONTHS_PER_YEAR)
        return months, today.replace(day=1), date(next_year, next_month + 1, 1)
    if window == "quarter":
        quarter = (today.year * MONTHS_PER_YEAR + today.month - 1) // MONTHS_PER_QUARTER
        return quarter, _first_of_quarter(quarter), _first_of_quarter(quarter + 1)
    raise InvalidBudget(f"window must be one of {', '.join(WINDOWS)}, got {window!r}.", field="window")


def _first_of_quarter(number: int) -> date:
    year, month = divmod(number * MONTHS_PER_QUARTER, MONTHS_PER_YEAR)
    return date(year, month + 1, 1)
