"""`GET /v1/generation?id=`: one request of the key's organization, without what was said in it.

A key whose role does not let it see the spend of all finds its own requests alone; whatever else
there is reads as if there were nothing.
"""

from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.management import ManagementView
from accounts.permissions import Action
from accounts.tenancy import scoped
from billing.models import UsageEvent
from billing.money import ZERO_USD
from billing.selectors import adjustments_of, event
from gateway.errors import NotFound

MAX_ID_CHARACTERS = 128
COMPLETION_ID_PREFIX = "chatcmpl-"
NOT_FOUND = (
    "There is no such request of this organization. A request is found here some seconds after it has ended."
)
PROMPT_FIELDS = (
    "input_tokens",
    "cached_input_tokens",
    "cache_write_tokens",
    "cache_write_1h_tokens",
    "audio_input_tokens",
    "image_input_tokens",
)
COMPLETION_FIELDS = ("output_tokens", "reasoning_tokens", "audio_output_tokens")


class GenerationInput(serializers.Serializer[None]):
    id = serializers.CharField(max_length=MAX_ID_CHARACTERS)


class Generation(ManagementView):
    """By our own id, by the id of its answer (`chatcmpl-…`) or by the `x-request-id` it was sent with."""

    def get(self, request: Request) -> Response:
        found = self._find(self.parameters(GenerationInput)["id"])
        if found is None:
            raise NotFound(NOT_FOUND, param="id")
        return Response({"data": shown(found, self._corrections_usd(found))})

    def _find(self, text: str) -> UsageEvent | None:
        event_id = _event_id(text)
        own = event(self.bearer.organization, event_id) if event_id is not None else None
        found = own or self._events().filter(request_id=text).order_by("-occurred_at").first()
        return found if found is not None and self._may_see(found) else None

    def _events(self) -> QuerySet[UsageEvent]:
        events = scoped(UsageEvent.objects.all(), self.bearer.organization)
        if self.bearer.may(Action.VIEW_SPEND):
            return events
        return events.filter(key_id__in=self.bearer.keys().values("pk"))

    def _may_see(self, found: UsageEvent) -> bool:
        return self.bearer.may(Action.VIEW_SPEND) or self.bearer.keys().filter(pk=found.key_id).exists()

    def _corrections_usd(self, found: UsageEvent) -> tuple[Decimal, Decimal]:
        rows = adjustments_of(self.bearer.organization, [found.id]).get(found.id, ())
        charge_usd = sum((row.charge_usd for row in rows), ZERO_USD)
        return charge_usd, sum((row.cost_usd for row in rows), ZERO_USD)


def shown(found: UsageEvent, corrections_usd: tuple[Decimal, Decimal]) -> dict[str, Any]:
    """What is told of a request: what was asked, who served it, what it used, cost and took."""
    charge_usd, cost_usd = found.charge_usd + corrections_usd[0], found.cost_usd + corrections_usd[1]
    return {
        "id": str(found.id),
        "request_id": found.request_id,
        "created_at": found.occurred_at.isoformat(),
        "route": found.route,
        "api_key_id": str(found.key_id),
        "project_id": str(found.project_id),
        "requested_model": found.requested_model,
        "model": found.model or None,
        "provider": found.provider or None,
        "provider_name": found.provider or None,
        "status": found.status,
        "ending": found.ending,
        "error": {"code": found.error_code, "message": found.error_message} if found.error_code else None,
        "finish_reason": found.finish_reason or None,
        "streamed": found.is_stream,
        "cancelled": found.ending == UsageEvent.Ending.CLIENT_LEFT,
        "cached": bool(found.cache_hit) or found.ending == UsageEvent.Ending.REPLAYED,
        "cache_hit": found.cache_hit or None,
        "is_byok": found.is_own_credential,
        **_usage(found),
        **_cost(found, charge_usd, cost_usd),
        **_times(found),
        "routing": found.attempts,
        "tags": found.tags,
        "user": found.end_user or None,
        "session_id": found.session_id or None,
        "agent": found.agent or None,
        "origin": found.source or None,
    }


def _usage(found: UsageEvent) -> dict[str, Any]:
    prompt = sum(getattr(found, name) for name in PROMPT_FIELDS)
    completion = sum(getattr(found, name) for name in COMPLETION_FIELDS)
    return {
        "tokens_prompt": prompt,
        "tokens_completion": completion,
        "usage": {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
            "cached_tokens": found.cached_input_tokens,
            "reasoning_tokens": found.reasoning_tokens,
            "searches": found.searches,
        },
        "is_estimated": found.is_estimated,
    }


def _cost(found: UsageEvent, charge_usd: Decimal, cost_usd: Decimal) -> dict[str, Any]:
    return {
        "total_cost": float(charge_usd),
        "upstream_cost": float(cost_usd),
        "cost": {
            "charge_usd": f"{charge_usd:f}",
            "cost_usd": f"{cost_usd:f}",
            "parts_usd": found.cost_parts,
            "price_version": found.price_version or None,
        },
    }


def _times(found: UsageEvent) -> dict[str, Any]:
    first_token_ms, duration_ms = found.first_token_ms, found.duration_ms
    generation_ms = None
    if first_token_ms is not None and duration_ms is not None:
        generation_ms = duration_ms - first_token_ms
    return {
        "latency": first_token_ms if first_token_ms is not None else duration_ms,
        "generation_time": generation_ms,
        "duration_ms": duration_ms,
        "overhead_ms": found.overhead_ms,
    }


def _event_id(text: str) -> UUID | None:
    try:
        return UUID(text.removeprefix(COMPLETION_ID_PREFIX))
    except ValueError:
        return None
