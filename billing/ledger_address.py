"""The ledger's filter as it stands in the address, and in words. Pages are in `billing.views`."""

from collections.abc import Mapping
from dataclasses import fields
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from billing.budgets import first_instant
from billing.event_filters import filters_of
from billing.models import LedgerTransfer
from billing.statements import LedgerFilters


def ledger_filters_of(parameters: Mapping[str, str], zone: ZoneInfo) -> LedgerFilters:
    """The filter in the address: `day`, or `start` and `end`; `kind`; and any field of a request."""
    start, end = _span(parameters, zone)
    kind = parameters.get("kind", "")
    return LedgerFilters(
        start=start,
        end=end,
        kind=kind if kind in LedgerTransfer.Kind.values else "",
        known_at=_moment(parameters.get("known_at", ""), zone),
        events=filters_of(parameters),
    )


def entry_id_of(text: str) -> int | None:
    """The entry id that the text writes; None if it is none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


def period_words(filters: LedgerFilters, zone: ZoneInfo) -> str:
    """The filter's span for people, in the zone."""
    if filters.start is None and filters.end is None:
        return "all time"
    start, end = (
        f"{at.astimezone(zone):%d %b %Y %H:%M}" if at else "" for at in (filters.start, filters.end)
    )
    words = " ".join(["from", start] * bool(start) + ["until", end] * bool(end))
    return f"{words} ({zone.key})"


def known_words(filters: LedgerFilters, zone: ZoneInfo) -> str:
    """Since when nothing is counted that was posted later; empty for the ledger as it stands now."""
    if filters.known_at is None:
        return ""
    return f"{filters.known_at.astimezone(zone):%d %b %Y %H:%M:%S} ({zone.key})"


def labels_of(filters: LedgerFilters) -> list[str]:
    """The fields of requests that the filter names, for people."""
    if filters.events is None:
        return []
    named = {field.name: getattr(filters.events, field.name) for field in fields(filters.events)}
    return [f"{name.replace('_', ' ')}: {value}" for name, value in named.items() if value not in ("", None)]


def _span(parameters: Mapping[str, str], zone: ZoneInfo) -> tuple[datetime | None, datetime | None]:
    day = _day(parameters.get("day", ""))
    if day is not None:
        return first_instant(day, zone), first_instant(day + timedelta(days=1), zone)
    return _moment(parameters.get("start", ""), zone), _moment(parameters.get("end", ""), zone)


def _moment(text: str, zone: ZoneInfo) -> datetime | None:
    """A moment, or the start of a day in the zone; None if it is neither."""
    day = _day(text)
    if day is not None:
        return first_instant(day, zone)
    try:
        moment = datetime.fromisoformat(text.replace(" ", "+"))
    except ValueError:
        return None
    if not _is_plain_year(moment.year):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=zone)


def _day(text: str) -> date | None:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return None
    return day if _is_plain_year(day.year) else None


def _is_plain_year(year: int) -> bool:
    """The calendar's ends have no day before or after them."""
    return date.min.year < year < date.max.year
