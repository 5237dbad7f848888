"""Spans of time that pages show, cut into slots on the viewer's wall clock. Pure.

A span is half open and ends now at the latest. Days begin at the first instant of the local day,
so a day with a clock change is 23 or 25 hours long.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from billing.budgets import first_instant

MAX_DAYS = 366
PRESETS = (("1h", "1 h"), ("24h", "24 h"), ("7d", "7 d"), ("30d", "30 d"))
CUSTOM = "custom"
DEFAULT_PRESET = "7d"

_MINUTE, _HOUR = timedelta(minutes=1), timedelta(hours=1)
_LONGEST_IN_MINUTES = timedelta(hours=2)
_LONGEST_IN_HOURS = timedelta(hours=73)


@dataclass(frozen=True, slots=True)
class Period:
    """`start` <= moment < `end`, both in UTC; `preset` is its name in the URL or `custom`."""

    start: datetime
    end: datetime
    zone: ZoneInfo
    preset: str = CUSTOM

    @property
    def before(self) -> "Period":
        """The span of the same length right before this one."""
        return replace(self, start=self.start - (self.end - self.start), end=self.start, preset=CUSTOM)

    @property
    def last_day(self) -> date:
        """The day of the zone in which the last moment lies."""
        return (self.end - timedelta(microseconds=1)).astimezone(self.zone).date()

    @property
    def slot_name(self) -> str:
        """How the slots are cut: minute, hour or day."""
        length = self.end - self.start
        if length <= _LONGEST_IN_MINUTES:
            return "minute"
        return "hour" if length <= _LONGEST_IN_HOURS else "day"

    @property
    def words(self) -> str:
        """`14 Nov, 00:00 to 21 Nov, 11:20, Europe/Berlin`."""
        start, end = self.start.astimezone(self.zone), self.end.astimezone(self.zone)
        return f"{start.day} {start:%b, %H:%M} to {end.day} {end:%b, %H:%M}, {self.zone.key}"

    def edges(self) -> tuple[datetime, ...]:
        """The borders of the slots, from start to end; the first and the last slot may be partial."""
        return self.cut(self.slot_name)

    def cut(self, slot_name: str) -> tuple[datetime, ...]:
        """The borders of slots of a minute, an hour or a day; the first and the last may be partial."""
        if slot_name == "day":
            inner = self._midnights()
        else:
            inner = self._steps(_MINUTE if slot_name == "minute" else _HOUR)
        return (self.start, *inner, self.end)

    def _midnights(self) -> list[datetime]:
        first_day = self.start.astimezone(self.zone).date()
        last_day = self.end.astimezone(self.zone).date()
        days = (first_day + timedelta(days=number) for number in range(1, (last_day - first_day).days + 1))
        midnights = (first_instant(day, self.zone) for day in days)
        return [midnight for midnight in midnights if self.start < midnight < self.end]

    def _steps(self, step: timedelta) -> list[datetime]:
        edge = _floor(self.start, step, self.zone) + step
        edges = []
        while edge < self.end:
            edges.append(edge)
            edge += step
        return edges


def period_from_query(query: Mapping[str, str], *, zone: ZoneInfo, now: datetime) -> Period:
    """The span that the URL asks for; the default for anything unclear.

    `range=24h`; or `start=` and `end=`, which may also be called `from=` and `to=`: moments (ISO 8601,
    local without an offset), the end left out, or days, the last one included.
    """
    first, last = query.get("from") or query.get("start", ""), query.get("to") or query.get("end", "")
    start = _day(first, zone) or _moment(first, zone)
    end = _day(last, zone, days_later=1) or _moment(last, zone)
    if start is not None:
        end = end or now
        start = max(start, end - timedelta(days=MAX_DAYS))
        if start < end:
            return Period(start=start, end=end, zone=zone)
    return preset_period(query.get("range", DEFAULT_PRESET), zone=zone, now=now)


def preset_period(preset: str, *, zone: ZoneInfo, now: datetime) -> Period:
    """The span up to now, begun at a whole minute, hour or day of the zone."""
    if preset == "1h":
        start = _floor(now, _MINUTE, zone) - 59 * _MINUTE
    elif preset == "24h":
        start = _floor(now, _HOUR, zone) - 23 * _HOUR
    else:
        preset = "30d" if preset == "30d" else DEFAULT_PRESET
        days = 30 if preset == "30d" else 7
        start = first_instant(now.astimezone(zone).date() - timedelta(days=days - 1), zone)
    return Period(start=start, end=now, zone=zone, preset=preset)


def _day(text: str, zone: ZoneInfo, *, days_later: int = 0) -> datetime | None:
    try:
        day = date.fromisoformat(text)
        return first_instant(day + timedelta(days=days_later), zone) if _is_plain(day.year) else None
    except (ValueError, OverflowError):
        return None


def _moment(text: str, zone: ZoneInfo) -> datetime | None:
    try:
        # A plus sign that was not escaped arrives as a space.
        moment = datetime.fromisoformat(text.replace(" ", "+"))
    except ValueError:
        return None
    if not _is_plain(moment.year):
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)


def _is_plain(year: int) -> bool:
    """The calendar's ends have no days around them."""
    return date.min.year + 2 < year < date.max.year - 2


def _floor(moment: datetime, step: timedelta, zone: ZoneInfo) -> datetime:
    """The last whole `step` of the zone's wall clock at or before the moment, in UTC."""
    offset = moment.astimezone(zone).utcoffset() or timedelta()
    wall = moment.astimezone(UTC).replace(tzinfo=None) + offset
    return (wall - (wall - datetime.min) % step - offset).replace(tzinfo=UTC)  # noqa: DTZ901  # arithmetic only
