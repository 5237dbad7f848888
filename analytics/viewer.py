"""Who looks: the time zone in which a person sees days and clocks. What they may see is accounts.tenancy."""

from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.http import HttpRequest

UTC_NAME = "UTC"
TIME_ZONE_COOKIE = "time_zone"
MAX_NAME_CHARACTERS = 64


def time_zone_of(request: HttpRequest) -> str:
    """The zone the person has chosen, else the one their browser told in a cookie, else UTC."""
    chosen = getattr(request.user, "time_zone", UTC_NAME)
    if chosen != UTC_NAME and is_zone(chosen):
        return str(chosen)
    told = request.COOKIES.get(TIME_ZONE_COOKIE, UTC_NAME).replace("%2F", "/")
    return told if is_zone(told) else UTC_NAME


def is_zone(name: str) -> bool:
    return zone_named(name).key == name


@lru_cache(maxsize=512)
def zone_named(name: str) -> ZoneInfo:
    """The zone of this IANA name; UTC if there is none."""
    if len(name) > MAX_NAME_CHARACTERS:
        return ZoneInfo(UTC_NAME)
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return ZoneInfo(UTC_NAME)
