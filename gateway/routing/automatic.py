"""`auto`: the cheapest model that fits the prompt and can do what is asked (CONTRACT 1.4.3)."""

from collections.abc import Sequence

from gateway.errors import GatewayError, ModelNotFound, UnsupportedParameter
from gateway.routing.found import Found
from gateway.routing.reach import check_abilities, measured_tokens, too_long
from gateway.routing.score import expense
from gateway.routing.target import Offer
from gateway.wire.chat_request import ChatRequest

# Of the efforts that models take, the lowest that all of them know.
LOWEST_EFFORT = "low"
NO_REASONING = "none"


def choose_automatically(offers: Sequence[Offer], request: ChatRequest) -> Found:
    """Every offer that can serve, the cheapest first. Raises ModelNotFound if there is none."""
    kept: list[tuple[int, str, str, Offer]] = []
    refused: list[tuple[Offer, GatewayError]] = []
    for offer in offers:
        cost = expense(offer)
        reason = _reason_against(offer, request, cost)
        if reason is None and cost is not None:
            kept.append((cost, offer.provider, offer.model, offer))
        elif reason is not None:
            refused.append((offer, reason))
    if not kept:
        raise _none_fits(request, refused)
    ordered = [entry[-1] for entry in sorted(kept, key=lambda entry: entry[:3])]
    figures = {(provider, model): {"expense": float(cost)} for cost, provider, model, _ in kept}
    return Found(ordered, tuple(refused), figures, effort=_effort(request))


def _effort(request: ChatRequest) -> str | None:
    is_asked = request.reasoning_effort is not None or request.reasoning_max_tokens is not None
    return None if is_asked else LOWEST_EFFORT


def _reason_against(offer: Offer, request: ChatRequest, cost: int | None) -> GatewayError | None:
    if cost is None:
        return ModelNotFound("It has no price for tokens.")
    if request.free_models_only and not _is_free(offer):
        return ModelNotFound("It is not free.")
    capabilities = offer.capabilities or frozenset()
    if request.no_reasoning and "reasoning" in capabilities:
        return ModelNotFound("It reasons.")
    needed = (("tools", request.has_tools), ("reasoning", _wants_reasoning(request)))
    for capability, is_needed in needed:
        if is_needed and capability not in capabilities:
            return UnsupportedParameter(f"It is not known to support {capability}.")
    try:
        check_abilities(offer, request)
    except UnsupportedParameter as reason:
        return reason
    window, tokens = offer.context_window_tokens, measured_tokens(request)
    if window is not None and tokens + (request.max_output_tokens or 0) > window:
        return too_long(offer, window, tokens)
    return None


def _wants_reasoning(request: ChatRequest) -> bool:
    return request.reasoning_max_tokens is not None or request.reasoning_effort not in (None, NO_REASONING)


def _is_free(offer: Offer) -> bool:
    price = offer.price
    return price is not None and price.input == 0 and price.output == 0 and not price.per_request_pico


def _none_fits(request: ChatRequest, refused: Sequence[tuple[Offer, GatewayError]]) -> GatewayError:
    wishes = [
        *(["free_models_only"] if request.free_models_only else []),
        *(["no_reasoning"] if request.no_reasoning else []),
        *sorted(request.required_capabilities),
        *(["tools"] if request.has_tools else []),
    ]
    wanted = f" that meets {', '.join(wishes)}" if wishes else ""
    return ModelNotFound(
        f"auto: none of the {len(refused)} models that this key may use fits this prompt{wanted}.",
        param="model",
    )
