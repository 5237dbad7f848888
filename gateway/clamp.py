"""The budget clamp: a shorter answer instead of a refusal, where the client or its key asked for it. Pure.

The refusal tells what the tightest of all limits has left. Admission is then asked once more, with
the largest output cap that this buys; only a request that was refused costs that second call, and a
third one if a limit that is tighter still had to be counted first.
"""

from msgspec.structs import replace

from gateway.money_errors import OutOfMoney
from gateway.policy import Policy
from gateway.router import Route, need_of
from gateway.routing.target import Target
from gateway.wire.chat_request import ChatRequest


def shortened(
    request: ChatRequest, route: Route, policy: Policy, refusal: OutOfMoney
) -> tuple[ChatRequest, Route] | None:
    """The request and its route with the cap that the money covers; None if it is to be refused.

    That is when nobody asked for a shorter answer, or when not a single token of output is covered.
    """
    wants_clamp = policy.is_budget_clamped if request.budget_clamp is None else request.budget_clamp
    left_nano = refusal.shortage.least_left_nano
    if not wants_clamp or left_nano <= 0:
        return None
    affordable, too_much = 0, max(_cap(target.request or request, target) for target in route.targets)
    while too_much - affordable > 1:
        middle = (affordable + too_much) // 2
        if need_of(_capped(request, middle), _all_capped(route.targets, middle)).budget_nano <= left_nano:
            affordable = middle
        else:
            too_much = middle
    if not affordable:
        return None
    capped, targets = _capped(request, affordable), _all_capped(route.targets, affordable)
    return capped, replace(route, targets=targets, need=need_of(capped, targets))


def _cap(request: ChatRequest, target: Target) -> int:
    return request.max_output_tokens or target.output_tokens_bound(request)


def _capped(request: ChatRequest, output_tokens: int) -> ChatRequest:
    own_cap = request.max_output_tokens
    return replace(request, max_output_tokens=min(own_cap, output_tokens) if own_cap else output_tokens)


def _all_capped(targets: tuple[Target, ...], output_tokens: int) -> tuple[Target, ...]:
    """Those that are asked something of their own are to answer as briefly."""
    return tuple(
        replace(target, request=_capped(target.request, output_tokens)) if target.request else target
        for target in targets
    )
