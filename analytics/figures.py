"""Figures as people read them: counts, times, shares, moments. Pure; money is `billing.money`.

Each short form has an exact one, which pages show on hover and in the detail.
"""

from datetime import datetime, tzinfo
from itertools import pairwise

NO_FIGURE = "\N{EN DASH}"

_UNITS_SECONDS = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))


def count_short(count: int) -> str:
    """`1,234` up to ten thousand, then `18.3k` and `2.1M`."""
    for floor, unit, letter in (
        (999_950_000, 1_000_000_000, "B"),
        (999_950, 1_000_000, "M"),
        (10_000, 1_000, "k"),
    ):
        if abs(count) >= floor:
            return f"{count / unit:.1f}{letter}"
    return f"{count:,}"


def count_exact(count: int) -> str:
    return f"{count:,}"


def plural(count: int, noun: str) -> str:
    """`1 request`, `1,234 requests`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def milliseconds(duration_ms: float | None) -> str:
    """`0.8 ms`, `820 ms`, `1.42 s`, `12.4 s`, `3 min 5 s`, `9 d 4 h`; a dash for none."""
    if duration_ms is None:
        return NO_FIGURE
    if duration_ms < 9.95:
        return f"{duration_ms:.1f} ms"
    if duration_ms < 999.5:
        return f"{duration_ms:.0f} ms"
    seconds = duration_ms / 1_000
    if seconds < 59.95:
        return f"{seconds:.2f} s" if seconds < 9.995 else f"{seconds:.1f} s"
    whole_seconds = round(seconds)
    for (large, large_seconds), (small, small_seconds) in pairwise(_UNITS_SECONDS):
        if whole_seconds >= large_seconds:
            count, rest = divmod(whole_seconds, large_seconds)
            return f"{count:,} {large} {rest // small_seconds} {small}"
    return f"{whole_seconds} s"


def percent(share: float | None) -> str:
    """A share of one as `0 %`, `<0.1 %`, `3.4 %`, `42 %`; a dash for none."""
    if share is None:
        return NO_FIGURE
    hundredths = share * 100
    if 0 < hundredths < 0.1:
        return "<0.1 %"
    if 99.9 < hundredths < 100:
        return ">99.9 %"
    return f"{hundredths:.1f} %" if 0 < hundredths < 10 or 90 < hundredths < 100 else f"{hundredths:.0f} %"


def clock(moment: datetime, zone: tzinfo, *, now: datetime) -> str:
    """The moment on the wall clock of the zone: `14:03:22` today, else `21 Nov, 14:03:22`."""
    local, today = moment.astimezone(zone), now.astimezone(zone)
    if local.date() == today.date():
        return f"{local:%H:%M:%S}"
    if local.year == today.year:
        return f"{local.day} {local:%b, %H:%M:%S}"
    return f"{local.day} {local:%b %Y, %H:%M}"


def clock_exact(moment: datetime, zone: tzinfo) -> str:
    """The moment in full: `Sat 21 Nov 2026, 14:03:22.481 UTC+01:00`."""
    local = moment.astimezone(zone)
    clock_ms = f"{local:%H:%M:%S}.{local.microsecond // 1000:03d}"
    offset = f"{local:%z}"
    return f"{local:%a} {local.day} {local:%b %Y}, {clock_ms} UTC{offset[:3]}:{offset[3:5]}"


def ago(moment: datetime, *, now: datetime) -> str:
    """`just now`, `40 s ago`, `4 min ago`, `3 h ago`, `12 d ago`."""
    seconds = (now - moment).total_seconds()
    if seconds < 5:
        return "just now"
    for unit_seconds, limit, name in ((1, 60, "s"), (60, 3600, "min"), (3600, 86_400, "h")):
        if seconds < limit:
            return f"{int(seconds // unit_seconds)} {name} ago"
    return f"{int(seconds // 86_400):,} d ago"
