"""An explained choice as JSON: what a request would do, and why (`POST /v0/route/explain`).

Everything is taken from the very choice that a completion would make; nothing is called or held.
"""

from decimal import Decimal
from typing import Any

from msgspec import structs

from billing.money import nano_to_usd
from gateway.errors import GatewayError
from gateway.router import need_of
from gateway.routing.health_view import TargetHealth
from gateway.routing.printer import print_selector
from gateway.routing.reach import measured_tokens
from gateway.routing.score import Scoring
from gateway.routing.select import Choice, Considered
from gateway.routing.target import Target
from gateway.routing.tree import Branch, Chain, Selector, Single, Weighted
from gateway.wire.chat_request import ChatRequest
from gateway.wire.shapes import JsonObject


def explained(choice: Choice, request: ChatRequest, *, health: TargetHealth, scoring: Scoring) -> JsonObject:
    """The whole explanation."""
    selector = choice.parsed.selector
    own = request.request_context_tokens
    answer: JsonObject = {
        "object": "route.explanation",
        "model": request.model,
        "selector": {
            "normal_form": print_selector(selector),
            "kind": type(selector).__name__.lower(),
            "branches": _branches(selector),
        },
        "prompt": {
            "tokens": measured_tokens(request),
            "source": "estimate" if own is None else "request_context_tokens",
        },
        "outcome": "refuse" if choice.refusal else "route",
        "error": _error(choice.refusal) if choice.refusal else None,
        "targets": [
            _target(position, target, request, health) for position, target in enumerate(choice.targets, 1)
        ],
        "considered": [_considered(one) for one in choice.considered],
        "score_weights": structs.asdict(scoring),
        "notes": list(dict.fromkeys(choice.notes)),
        "hold": None,
    }
    if choice.targets:
        need = need_of(request, choice.targets)
        answer["hold"] = {
            "budget_usd": _usd(need.budget_nano),
            "wallet_usd": _usd(need.wallet_nano),
            "tokens": need.tokens,
        }
    return answer


def _branches(selector: Selector) -> list[JsonObject]:
    """The parts of a composite with what was written of them; a leaf has none."""
    if isinstance(selector, Chain):
        return [{"selector": print_selector(step)} for step in selector.steps]
    if isinstance(selector, Single):
        return [_branch(selector.branch, None)]
    branches: tuple[Branch, ...] = getattr(selector, "branches", ())
    total = sum(branch.weight for branch in branches) if isinstance(selector, Weighted) else None
    return [_branch(branch, total) for branch in branches]


def _branch(branch: Branch, total_weight: int | None) -> JsonObject:
    written: dict[str, Any] = {
        "max_context": branch.max_context,
        "first": branch.is_first or None,
        "thinker": branch.is_thinker or None,
        "handicap_seconds": branch.handicap_seconds or None,
        "ttft_timeout_seconds": branch.ttft_timeout_seconds or None,
    }
    if total_weight is not None:
        written |= {"weight": branch.weight, "share": round(branch.weight / total_weight, 4)}
    shown = {name: value for name, value in written.items() if value is not None}
    return {"selector": print_selector(branch.selector), **shown}


def _target(position: int, target: Target, request: ChatRequest, health: TargetHealth) -> JsonObject:
    need = need_of(request, (target,))
    return {
        "position": position,
        "provider": target.provider,
        "model": target.model,
        "region": target.region or None,
        "credential": "own" if target.is_own_credential else "operator",
        "role": _role(target),
        "handicap_seconds": target.handicap_seconds if target.is_race_leg else None,
        "ttft_timeout_seconds": target.ttft_timeout_seconds if target.is_race_leg else None,
        "is_breaker_open": health.is_open(target.provider, target.model, target.connection_id),
        "overrides": _overrides(target, request),
        "price_version": target.price.version,
        "bound_usd": _usd(need.budget_nano),
    }


def _role(target: Target) -> str:
    if target.is_race_leg:
        return "race leg"
    if target.is_thinker:
        return "thinker"
    return "alternative" if target.is_alternative else "asked for"


def _overrides(target: Target, request: ChatRequest) -> JsonObject:
    """Parameters that this target is sent instead of the request's own."""
    asked = target.request
    if asked is None:
        return {}
    names = ("temperature", "top_p", "top_k", "verbosity")
    changed = {
        name: asked.forwarded[name]
        for name in names
        if name in asked.forwarded and asked.forwarded[name] != request.forwarded.get(name)
    }
    if asked.reasoning_effort != request.reasoning_effort:
        changed["reasoning_effort"] = asked.reasoning_effort
    return changed


def _considered(one: Considered) -> JsonObject:
    offer = one.offer
    return {
        "selector": print_selector(one.leaf),
        "provider": offer.provider if offer else None,
        "model": offer.model if offer else None,
        "is_accepted": one.refusal is None,
        "refusal": _error(one.refusal) if one.refusal else None,
        "figures": {name: _figure(value) for name, value in one.figures.items()},
    }


def _error(error: GatewayError) -> JsonObject:
    return {
        "status": error.status,
        "code": error.code,
        "message": error.message,
        "param": error.param,
        "details": error.details,
    }


def _figure(value: Decimal | float | None) -> float | None:
    return None if value is None else float(value)


def _usd(nano: int) -> str:
    return format(nano_to_usd(nano), "f")
