"""The request log in the management API: filters as on its page, and one request in full."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.http import Http404
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.views import ManagementView
from accounts.permissions import Action
from analytics.api.shapes import (
    CorrectionOutput,
    LogDetailOutput,
    LogDetailQuery,
    LogOutput,
    LogQuery,
)
from analytics.conversation import open_bodies
from analytics.request_filters import RequestFilters
from analytics.request_rows import completion_tokens, prompt_tokens
from analytics.request_story import TOKEN_FIELDS
from analytics.seen import only_key_ids
from billing import selectors
from billing.models import EventAdjustment, UsageEvent
from billing.money import ZERO_USD


class LogView(ManagementView):
    subject = "Request log"
    serializer_class = LogOutput
    queryset = UsageEvent.objects.none()
    moment_field, key_field = "occurred_at", "id"
    queries = {"list": LogQuery, "retrieve": LogDetailQuery}

    @extend_schema(responses=LogOutput(many=True))
    def list(self, request: Request, slug: str) -> Response:
        """The requests that pass the filters. Who may not see all spend sees those of their own keys."""
        filters = filters_of(self.query, only_key_ids=only_key_ids(self.tenant))
        events = filters.apply(self.tenant.scoped(UsageEvent.objects.all()))
        found = self.paginate_queryset(events) or []
        corrections = selectors.adjustments_of(self.tenant.organization, [event.id for event in found])
        rows = [_facts(event, corrections.get(event.id, ())) for event in found]
        return self.get_paginated_response(LogOutput(rows, many=True).data)

    @extend_schema(responses=LogDetailOutput)
    def retrieve(self, request: Request, slug: str, event_id: UUID) -> Response:
        """One request: what happened, what it used and cost, and its messages if they are stored."""
        event = selectors.event(self.tenant.organization, event_id)
        own = only_key_ids(self.tenant)
        if event is None or (own is not None and event.key_id not in own):
            raise Http404
        corrections = selectors.adjustments_of(self.tenant.organization, [event.id]).get(event.id, ())
        return Response(LogDetailOutput(self._detail(event, corrections)).data)

    def _detail(self, event: UsageEvent, corrections: Sequence[EventAdjustment]) -> dict[str, Any]:
        may_read = self.query["bodies"] and self.tenant.may(Action.VIEW_BODIES)
        stored = selectors.bodies_of(event) if may_read else None
        bodies = open_bodies(self.tenant.organization, stored)
        return {
            **_facts(event, corrections),
            **{name: getattr(event, name) for name in ("error_message", "price_version", "overhead_ms")},
            "tokens": {name: getattr(event, name) for _, name in TOKEN_FIELDS if getattr(event, name)},
            "cost_parts": {name: format(Decimal(amount), "f") for name, amount in event.cost_parts.items()},
            "corrections": CorrectionOutput(corrections, many=True).data,
            "timeline": event.timeline,
            "attempts": event.attempts,
            "limits": event.limits,
            "parameters": event.parameters,
            "request_body": bodies.request if bodies else None,
            "response_body": bodies.response if bodies else None,
        }


def filters_of(query: Mapping[str, Any], *, only_key_ids: tuple[UUID, ...] | None) -> RequestFilters:
    """The checked parameters as the request log's page has them."""
    status = str(query["status"]) if "status" in query else ""
    return RequestFilters(**{**query, "status": status}, only_key_ids=only_key_ids)


def _facts(event: UsageEvent, corrections: Sequence[EventAdjustment]) -> dict[str, Any]:
    names = {str(field.source) for field in LogOutput().fields.values()}
    own = {name: getattr(event, name) for name in names if hasattr(event, name)}
    return own | {
        "prompt_tokens": prompt_tokens(event),
        "completion_tokens": completion_tokens(event),
        "charge_usd": event.charge_usd + sum((each.charge_usd for each in corrections), ZERO_USD),
        "cost_usd": event.cost_usd + sum((each.cost_usd for each in corrections), ZERO_USD),
    }
