"""What every page's frame shows: the organization, what may be opened in it, and the person's own."""

from typing import Any
from urllib.parse import unquote

from django.http import HttpRequest

from accounts.models import Person
from accounts.permissions import Action
from accounts.rules import is_time_zone
from accounts.tenancy import Tenant, organizations_of

TIME_ZONE_COOKIE = "time_zone"


def tenant(request: HttpRequest) -> dict[str, Any]:
    """Template variables of the frame.

    `organizations`: of the person, lazily; `tenant`, `organization`, `role`: of a page below
    /o/<slug>/, else None; `may`: one boolean for each Action by its value; `time_zone`.
    """
    person = getattr(request, "user", None)
    current: Tenant | None = getattr(request, "tenant", None)
    return {
        "organizations": organizations_of(person) if isinstance(person, Person) else (),
        "tenant": current,
        "organization": current.organization if current else None,
        "role": current.role if current else None,
        "may": {action.value: current is not None and current.may(action) for action in Action},
        "time_zone": time_zone_of(request),
    }


def time_zone_of(request: HttpRequest) -> str:
    """The zone the person has chosen, else the one their browser told in a cookie, else UTC."""
    chosen = str(getattr(getattr(request, "user", None), "time_zone", ""))
    told = unquote(request.COOKIES.get(TIME_ZONE_COOKIE, ""))
    return next((zone for zone in (chosen, told) if is_time_zone(zone)), "UTC")
