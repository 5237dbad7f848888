"""What the request log shows: billing's filters, and what only the pages know of failure and of nothing.

Read from the address, written back into addresses. A figure that links to the log and the log
itself agree because both speak through here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.db.models import Q, QuerySet

from analytics.models import Dimension
from analytics.periods import Period
from billing.event_filters import GOOD_ENDINGS, EventFilters, filters_of, parsed_uuid
from billing.models import UsageEvent

SUCCEEDED, FAILED = "succeeded", "failed"

# Parameter of the address -> what it is called on the page; in the order of the form.
NAMES = {
    "outcome": "Outcome",
    "status": "Status",
    "ending": "Ending",
    "error_code": "Error",
    "model": "Model",
    "provider": "Provider",
    "key": "Key",
    "project": "Project",
    "tag": "Tag",
    "end_user": "User",
    "session_id": "Session",
    "agent": "Agent",
    "source": "Source",
    "signature": "Signature",
    "metadata": "Metadata",
    "finish_reason": "Finish reason",
    "least_cost_usd": "Cost from $",
    "least_duration_ms": "Duration from ms",
    "cache_hit": "From the cache",
    "would_refuse": "Beyond the budget",
    "search": "Id",
    "missing": "Without",
}
_FIELD_OF_MISSING = {
    "model": Q(model=""),
    "provider": Q(provider=""),
    "tag": Q(tags=[]),
    "error_code": Q(error_code=""),
}
_PARAMETER_OF_DIMENSION = {
    Dimension.PROJECT: "project",
    Dimension.KEY: "key",
    Dimension.MODEL: "model",
    Dimension.PROVIDER: "provider",
    Dimension.TAG: "tag",
}
_DIMENSIONS_OF_IDS = (Dimension.PROJECT, Dimension.KEY)


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestFilters(EventFilters):
    """`outcome` is "succeeded" or "failed"; `missing` names what a request must be without.

    `only_key_ids` binds people who may see their own keys alone; None binds nobody.
    """

    outcome: str = ""
    missing: str = ""
    only_key_ids: tuple[UUID, ...] | None = None

    def apply(self, events: QuerySet[UsageEvent]) -> QuerySet[UsageEvent]:
        condition = _FIELD_OF_MISSING.get(self.missing, Q())
        if self.outcome == SUCCEEDED:
            condition &= Q(ending__in=GOOD_ENDINGS)
        if self.outcome == FAILED:
            condition &= ~Q(ending__in=GOOD_ENDINGS)
        if self.only_key_ids is not None:
            condition &= Q(key_id__in=self.only_key_ids)
        return EventFilters.apply(self, events.filter(condition))


def request_filters_of(
    parameters: Mapping[str, str], *, only_key_ids: tuple[UUID, ...] | None = None, **span: Any
) -> RequestFilters:
    """The filters of an address; what cannot be read is left open. `span` is `start` and `end`."""
    known = filters_of(parameters, **span)
    outcome, missing = parameters.get("outcome", ""), parameters.get("missing", "")
    return RequestFilters(
        outcome=outcome if outcome in (SUCCEEDED, FAILED) else "",
        missing=missing if missing in _FIELD_OF_MISSING else "",
        only_key_ids=only_key_ids,
        **{field.name: getattr(known, field.name) for field in fields(EventFilters)},
    )


def query_of_group(dimension: Dimension, value: str) -> dict[str, str]:
    """The parameters that keep the requests of one group."""
    if dimension == Dimension.ORGANIZATION:
        return {}
    if dimension == Dimension.CAUSE:
        if value in UsageEvent.Ending.values:
            return {"ending": value, "missing": "error_code"}
        return {"error_code": value, "outcome": FAILED}
    name = _PARAMETER_OF_DIMENSION[dimension]
    return {name: value} if value else {"missing": name}


def group_of_query(parameters: Mapping[str, str]) -> tuple[Dimension, str] | None:
    """The one group whose requests the parameters keep, so that its sums stand in the rollups; else None."""
    given = {name: parameters[name] for name in NAMES if parameters.get(name)}
    if not given:
        return Dimension.ORGANIZATION, ""
    if len(given) > 1:
        return None
    [(name, value)] = given.items()
    if name == "tag" and "," in value:
        return None
    for dimension, parameter in _PARAMETER_OF_DIMENSION.items():
        if name == parameter and dimension in _DIMENSIONS_OF_IDS:
            found = parsed_uuid(value)
            return (dimension, str(found)) if found else None
        if name == parameter:
            return dimension, value
        if name == "missing" and value == parameter and value in _FIELD_OF_MISSING:
            return dimension, ""
    return None


def span_query(period: Period) -> dict[str, str]:
    """The parameters that name exactly this period, so that a list sums to the figure it explains."""
    return {"start": period.start.isoformat(), "end": period.end.isoformat()}


def address(path: str, parameters: Mapping[str, str]) -> str:
    """The path with those of the parameters that say something."""
    query = urlencode({name: value for name, value in parameters.items() if value})
    return f"{path}?{query}" if query else path
