"""From a leaf to the offers that it means, the preferred one first. Whether they can serve: `reach`."""

from collections.abc import Sequence
from typing import assert_never

from gateway.errors import CustomEndpointNotFound, GatewayError, InvalidValue, ModelNotFound
from gateway.routing.automatic import choose_automatically
from gateway.routing.found import Found
from gateway.routing.leaves import OWN_ENDPOINT, OWN_ENDPOINT_PREFIX
from gateway.routing.metrics import choose_by_metric
from gateway.routing.permission import SHOWN_MODEL_CHARACTERS, allowed, is_allowed
from gateway.routing.reach import measured_tokens
from gateway.routing.score import PREFERRED_SCORING, rank, score
from gateway.routing.target import Offer
from gateway.routing.tree import Automatic, ByMetric, Leaf, Named
from gateway.routing.views import Catalogue, Conditions, PolicyView
from gateway.wire.chat_request import ChatRequest


def find(
    leaf: Leaf,
    request: ChatRequest,
    *,
    catalogue: Catalogue,
    policy: PolicyView,
    conditions: Conditions,
    param: str = "model",
) -> Found:
    """What a leaf leads to. Raises ModelNotFound, ModelBlocked, ProviderBlocked or NoProviderInThresholds."""
    is_open = isinstance(leaf, Named) and leaf.provider is None
    if param == "model" and request.routing in PREFERRED_SCORING and not is_open:
        raise InvalidValue(
            "routing chooses among the providers of a model: send one without provider or criteria, "
            "or leave routing out.",
            param="routing",
        )
    match leaf:
        case Named():
            offers = _named(leaf, request, catalogue, policy, conditions, param)
            return Found(offers, figures=_scores(offers, request, conditions))
        case Automatic():
            return choose_automatically(_all_allowed(catalogue, policy), request)
        case ByMetric():
            return choose_by_metric(
                _measurable(leaf, catalogue, policy, param), leaf.criteria, request, conditions.health
            )
    assert_never(leaf)


def _named(
    leaf: Named,
    request: ChatRequest,
    catalogue: Catalogue,
    policy: PolicyView,
    conditions: Conditions,
    param: str,
) -> list[Offer]:
    """The pinned offer, or all offers of a bare model by their scores."""
    if leaf.provider is not None:
        pinned = catalogue.listing(leaf.provider, leaf.model)
        if pinned is not None:
            return allowed((pinned,), policy.allowed_models, text=leaf.text, param=param)
    offers = catalogue.providers_of(leaf.text)
    if not offers:
        raise _not_found(leaf, param)
    preferred = PREFERRED_SCORING.get(request.routing)
    return rank(
        allowed(offers, policy.allowed_models, text=leaf.text, param=param),
        health=conditions.health,
        scoring=preferred or conditions.scoring,
        is_stream=request.is_stream or preferred is not None,
        prompt_tokens=measured_tokens(request),
        session_id=request.session_id,
        luck=None if preferred else conditions.luck,
    )


def _scores(
    offers: Sequence[Offer], request: ChatRequest, conditions: Conditions
) -> dict[tuple[str, str], dict[str, float]]:
    """What a model left open was ranked by, for who wants it explained."""
    if not conditions.is_explained or len(offers) < 2:
        return {}
    preferred = PREFERRED_SCORING.get(request.routing)
    scores = score(
        offers,
        health=conditions.health,
        scoring=preferred or conditions.scoring,
        is_stream=request.is_stream or preferred is not None,
        prompt_tokens=measured_tokens(request),
    )
    return {(one.offer.provider, one.offer.model): {"score": one.total, **one.parts} for one in scores}


def _not_found(leaf: Named, param: str) -> GatewayError:
    provider = leaf.provider
    if provider is not None and (provider == OWN_ENDPOINT or provider.startswith(OWN_ENDPOINT_PREFIX)):
        return CustomEndpointNotFound(param=param)
    place = f" at {provider}" if provider else ""
    return ModelNotFound(
        f"There is no model {leaf.model[:SHOWN_MODEL_CHARACTERS]!r}{place}. "
        "GET /v1/models lists what there is.",
        param=param,
    )


def _measurable(leaf: ByMetric, catalogue: Catalogue, policy: PolicyView, param: str) -> Sequence[Offer]:
    if leaf.model is None:
        return _all_allowed(catalogue, policy)
    offers = catalogue.providers_of(leaf.model)
    if not offers:
        raise _not_found(Named(leaf.model, leaf.model), param)
    return allowed(offers, policy.allowed_models, text=leaf.model, param=param)


def _all_allowed(catalogue: Catalogue, policy: PolicyView) -> list[Offer]:
    patterns = policy.allowed_models
    return [
        offer
        for offer in catalogue.offers()
        if offer.price is not None and is_allowed(offer.provider, offer.model, patterns)
    ]
