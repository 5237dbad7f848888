"""Usage in the management API: exact sums of a span, by group and by slot."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime, timedelta
from functools import reduce
from operator import add
from typing import Any
from zoneinfo import ZoneInfo

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.failures import Refused
from accounts.api.views import ManagementView
from accounts.rules import is_time_zone
from accounts.tenancy import Tenant
from analytics.api.shapes import UsageOutput, UsageQuery
from analytics.models import Dimension
from analytics.periods import MAX_DAYS, Period
from analytics.seen import only_key_ids
from analytics.selectors import NOTHING, Group, usage_groups

DEFAULT_SPAN = timedelta(days=7)
MAX_SLOTS = 1_000


class UsageView(ManagementView):
    subject = "Usage"
    serializer_class = UsageOutput
    pagination_class = None
    queries = {"retrieve": UsageQuery}

    @extend_schema(responses=UsageOutput)
    def retrieve(self, request: Request, slug: str) -> Response:
        """Requests, tokens and money of a span. Who may not see all spend gets their own keys, by key."""
        now = timezone.now()
        period = period_of(self.query, now=now)
        edges = edges_of(period, self.query["interval"])
        own = only_key_ids(self.tenant)
        unasked = Dimension.ORGANIZATION if own is None else Dimension.KEY
        dimension = Dimension(self.query.get("group_by", unasked))
        if own is not None and dimension != Dimension.KEY:
            raise Refused("group_by must be key, as your role sees its own keys alone.", param="group_by")
        total, groups = usage_groups(self.tenant.organization, edges=edges, dimension=dimension, key_ids=own)
        listed, left_off = groups[: self.query["limit"]], groups[self.query["limit"] :]
        names = _names(self.tenant, dimension)
        has_slots = self.query["interval"] != "none"
        answer = {
            "start": period.start,
            "end": period.end,
            "as_of": now,
            "group_by": dimension,
            "interval": self.query["interval"],
            "total": asdict(total),
            "groups": [_group(group, names, edges if has_slots else ()) for group in listed],
            "rest": asdict(reduce(add, (group.sums for group in left_off), NOTHING)),
            "groups_left_off": len(left_off),
        }
        return Response(UsageOutput(answer).data)


def period_of(query: Mapping[str, Any], *, now: datetime) -> Period:
    """The span that was asked for; raises Refused."""
    if not is_time_zone(query["time_zone"]):
        raise Refused("time_zone must be a time zone such as Europe/Berlin or UTC.", param="time_zone")
    end = query.get("end", now)
    try:
        start = query.get("start", end - DEFAULT_SPAN)
    except OverflowError as exc:
        raise Refused("end is too early.", param="end") from exc
    if not start < end:
        raise Refused("start must be before end.", param="start")
    if end - start > timedelta(days=MAX_DAYS):
        raise Refused(f"The span must be at most {MAX_DAYS} days long.", param="start")
    return Period(start=start, end=end, zone=ZoneInfo(query["time_zone"]))


def edges_of(period: Period, interval: str) -> tuple[datetime, ...]:
    """The borders of the slots; raises Refused if there were too many."""
    if interval == "none":
        return (period.start, period.end)
    try:
        edges = period.cut(interval)
    except (OverflowError, ValueError) as exc:
        raise Refused("start and end must lie within the years 3 to 9996.", param="start") from exc
    if len(edges) > MAX_SLOTS + 1:
        raise Refused(
            f"interval={interval} would cut the span into more than {MAX_SLOTS} slots; choose another.",
            param="interval",
        )
    return edges


def _group(group: Group, names: Mapping[str, str], edges: tuple[datetime, ...]) -> dict[str, Any]:
    slots = zip(edges, edges[1:], group.by_slot, strict=False)
    return {
        **asdict(group.sums),
        "value": group.value,
        "name": names.get(group.value, ""),
        "slots": [{**asdict(sums), "start": start, "end": end} for start, end, sums in slots],
    }


def _names(tenant: Tenant, dimension: Dimension) -> Mapping[str, str]:
    if dimension == Dimension.KEY:
        return {str(key.pk): key.name for key in tenant.keys().all()}
    if dimension == Dimension.PROJECT:
        return {str(project.pk): project.name for project in tenant.projects()}
    return {}
