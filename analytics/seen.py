"""What one person sees of an organization's requests, and in which span of time: shared by the views."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID
from zoneinfo import ZoneInfo

from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils import timezone

from accounts.context import time_zone_of
from accounts.permissions import Action
from accounts.tenancy import Tenant, tenant_of
from analytics.periods import CUSTOM, PRESETS, Period, period_from_query
from analytics.request_filters import address

PERIOD_PARAMETERS = frozenset({"range", "from", "to", "start", "end"})
# What may be given several times; of everything else the last one counts.
_SEPARATOR_OF = {"tag": ","}


@dataclass(frozen=True, slots=True)
class Seen:
    """`only_key_ids` are the person's own keys if they may not see the whole organization, else None."""

    tenant: Tenant
    slug: str
    path: str
    parameters: Mapping[str, str]
    period: Period
    now: datetime
    only_key_ids: tuple[UUID, ...] | None

    @property
    def requests_path(self) -> str:
        return reverse("requests", args=[self.slug])

    @property
    def ledger_path(self) -> str:
        """The ledger for those who may see it, else nothing."""
        if self.only_key_ids is not None:
            return ""
        try:
            return reverse("ledger", args=[self.slug])
        except NoReverseMatch:
            return ""

    def names(self) -> dict[str, str]:
        """What keys and projects are called, by their id."""
        keys = self.tenant.keys()
        return {str(key.pk): f"{key.name} …{key.last_four}" for key in keys} | {
            str(project.pk): project.name for project in self.tenant.projects()
        }

    def with_parameters(self, without: Iterable[str] = (), **changes: str) -> str:
        """The address of this page with other parameters; paging starts anew."""
        dropped = {*without, "older", "format"}
        kept = {name: value for name, value in self.parameters.items() if name not in dropped}
        return address(self.path, kept | changes)

    def frame(self) -> dict[str, object]:
        """What the range picker and the marks of every page need."""
        return {
            "period": self.period,
            "is_custom": self.period.preset == CUSTOM,
            "presets": [
                (label, self.with_parameters(PERIOD_PARAMETERS, range=name), name == self.period.preset)
                for name, label in PRESETS
            ],
            "first_day": self.period.start.astimezone(self.period.zone).date().isoformat(),
            "last_day": self.period.last_day.isoformat(),
            "kept_parameters": [
                (name, value)
                for name, value in self.parameters.items()
                if value and name not in PERIOD_PARAMETERS | {"older", "format"}
            ],
            "as_of": self.now,
            "self_url": address(self.path, self.parameters),
        }


def seen_by(request: HttpRequest, slug: str) -> Seen:
    """What the person of this request sees of the organization; raises Http404 for strangers."""
    tenant, now = tenant_of(request, slug), timezone.now()
    parameters = {
        name: _SEPARATOR_OF.get(name, "").join(map(str, values if name in _SEPARATOR_OF else values[-1:]))
        for name, values in request.GET.lists()
    }
    parameters = {name: value.replace("\x00", "").strip() for name, value in parameters.items()}
    period = period_from_query(parameters, zone=ZoneInfo(time_zone_of(request)), now=now)
    return Seen(tenant, slug, request.path, parameters, period, now, only_key_ids(tenant))


def only_key_ids(tenant: Tenant) -> tuple[UUID, ...] | None:
    """The keys whose requests alone this person may see; None: they may see everything."""
    if tenant.may(Action.VIEW_SPEND):
        return None
    return tuple(tenant.keys().values_list("pk", flat=True))
