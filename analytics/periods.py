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

_MINUTE, _HOUR, _DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
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
    def slot_name(self) -> str:
        """How the slots are cut: minute, hour or day."""
        length = self.end - self.start
        if length <= _LONGEST_IN_MINUTES:
            return "minute"
        return "hour" if length <= _LONGEST_IN_HOURS else "day"

    def edges(self) -> tuple[datetime, ...]:
        """The borders of the slots, from start to end; the first and the last slot may be partial."""
        if self.slot_name == "day":
            inner = self._midnights()
        else:
            inner = self._steps(_MINUTE if self.slot_name == "minute" else _HOUR)
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
    """The span that the URL asks for: `range=24h`, or `from=` and `to=`; the default for anything unclear.

    `from` and `to` are days (the last one included) or moments (ISO 8601; local without an offset).
    """
    start = _moment(query.get("from", ""), zone, is_end=False)
    end = _moment(query.get("to", ""), zone, is_end=True)
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


def _moment(text: str, zone: ZoneInfo, *, is_end: bool) -> datetime | None:
    try:
        if len(text) == len("YYYY-MM-DD"):
            day = date.fromisoformat(text)
            return first_instant(day + _DAY if is_end else day, zone)
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _floor(moment: datetime, step: timedelta, zone: ZoneInfo) -> datetime:
    """The last whole `step` of the zone's wall clock at or before the moment, in UTC."""
    offset = moment.astimezone(zone).utcoffset() or timedelta()
    wall = moment.astimezone(UTC).replace(tzinfo=None) + offset
    return (wall - (wall - datetime.min) % step - offset).replace(tzinfo=UTC)  # noqa: DTZ901  # arithmetic only
