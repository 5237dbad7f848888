"""What every page's frame shows: the organization, what may be opened in it, and the person's own."""

from typing import Any

from django.http import HttpRequest

from accounts.models import Person
from accounts.permissions import Action
from accounts.tenancy import Tenant, organizations_of


def tenant(request: HttpRequest) -> dict[str, Any]:
    """Template variables of the frame.

    `organizations`: of the person, lazily; `tenant`, `organization`, `role`: of a page below
    /o/<slug>/, else None; `may`: one boolean for each Action by its value; `theme`.
    """
    person = getattr(request, "user", None)
    current: Tenant | None = getattr(request, "tenant", None)
    return {
        "organizations": organizations_of(person) if isinstance(person, Person) else (),
        "tenant": current,
        "organization": current.organization if current else None,
        "role": current.role if current else None,
        "may": {action.value: current is not None and current.may(action) for action in Action},
        "theme": person.theme if isinstance(person, Person) else Person.Theme.SYSTEM,
    }
