"""Windows of budgets as arithmetic: which period a moment belongs to. No job resets anything.

Pure; read by the data plane on every request. Budgets are stored by `billing.services`, and
counted by the gateway's scripts under the period's number.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from billing.errors import InvalidBudget

WINDOWS = ("day", "week", "month", "total")
MONTHS_PER_YEAR = 12
DAYS_PER_WEEK = 7

_ONE_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Period:
    """One window: `starts_at` ≤ moment < `ends_at`, both in UTC; None where it never starts or ends.

    Numbers of a window's periods ascend by one; two windows' numbers mean different things.
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

    Days start at the first instant of the local day, weeks on Monday, months on the first.
    `moment` must be aware. Raises InvalidBudget for an unknown window or time zone.
    """
    if window == "total":
        return Period(0, None, None)
    zone = zone_named(time_zone)
    today = moment.astimezone(zone).date()
    number, first_day, next_first_day = _days_of(window, today)
    return Period(number, first_instant(first_day, zone), first_instant(next_first_day, zone))


def zone_named(time_zone: str) -> ZoneInfo:
    """The time zone of this IANA name. Raises InvalidBudget if there is none."""
    try:
        return ZoneInfo(time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as exc:
        raise InvalidBudget(f"{time_zone!r} is not a time zone; write it as Europe/Berlin or UTC.") from exc


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
    raise InvalidBudget(f"window must be one of {', '.join(WINDOWS)}, got {window!r}.")
