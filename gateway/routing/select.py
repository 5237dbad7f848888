"""The choice of targets: the selector, then `fallbacks`, then other providers of a bare model.

What exists and how it is reached comes from a Catalogue, what a key may use from its policy. The
order is the order of attempts; whether the next is tried is decided by the one who calls them.
"""

from collections.abc import Container, Iterable, Iterator, Sequence
from typing import Protocol

from msgspec import Struct

from gateway.errors import (
    ContextLengthExceeded,
    CustomKeyNotFound,
    GatewayError,
    ModelBlocked,
    ModelNotFound,
    NoPrice,
    ProviderBlocked,
    UnsupportedParameter,
)
from gateway.routing.grammar import Selector, parse_selector
from gateway.routing.target import Connection, Offer, Target
from gateway.wire.chat_request import ChatRequest

TARGETS_LIMIT = 5
SHOWN_MODEL_CHARACTERS = 200
# No text packs more bytes into a token than this, so a longer prompt cannot fit.
BYTES_PER_TOKEN_AT_MOST = 16

DEMANDS = {
    "json_mode": ("response_format", "JSON mode"),
    "json_schema": ("response_format", "JSON schemas"),
    "web_search": ("web_search", "web search"),
    "vision": ("messages", "images"),
    "audio": ("messages", "audio"),
}


class Catalogue(Protocol):
    """What can be reached by one key."""

    @property
    def known_providers(self) -> Container[str]: ...

    def connections_for(self, provider: str) -> Sequence[Connection]: ...

    def listing(self, provider: str, model: str) -> Offer | None: ...

    def providers_of(self, model: str) -> Sequence[Offer]: ...

    def in_region(self, offer: Offer, region: str) -> Offer: ...


class PolicyView(Protocol):
    """What a key may use, and whose credentials its project prefers."""

    @property
    def allowed_models(self) -> Sequence[str] | None: ...

    @property
    def project_mode(self) -> str: ...


class _Candidate(Struct, frozen=True):
    offer: Offer
    is_alternative: bool


def choose_targets(
    request: ChatRequest, *, catalogue: Catalogue, policy: PolicyView, limit: int = TARGETS_LIMIT
) -> tuple[Target, ...]:
    """Everything that may answer this request, in the order of attempts; never empty.

    A model that does not exist or may not be used is an error at once. What can merely not serve
    this request gives way to what comes after it; if nothing is left, the first reason is raised.
    """
    candidates = _candidates(request, catalogue, policy.allowed_models)
    targets: list[Target] = []
    reasons: list[GatewayError] = []
    for candidate in candidates:
        try:
            targets.extend(_targets_of(candidate, request, catalogue, policy))
        except GatewayError as reason:
            reasons.append(reason)
        if len(targets) >= limit:
            break
    if not targets:
        raise reasons[0]
    return tuple(targets[:limit])


def is_allowed(provider: str, model: str, allowed_models: Sequence[str] | None) -> bool:
    """Whether a pattern allows this: `model`, `provider/model`, `provider/*`, `model@provider` or `*`."""
    if allowed_models is None:
        return True
    wanted = {model, f"{provider}/{model}", f"{provider}/*", f"{model}@{provider}", "*"}
    return any(pattern in wanted for pattern in allowed_models)


def _candidates(
    request: ChatRequest, catalogue: Catalogue, allowed_models: Sequence[str] | None
) -> Iterator[_Candidate]:
    """Offers in order, each once. What the client named first must exist and be allowed."""
    providers = catalogue.known_providers
    wanted = parse_selector(request.model, known_providers=providers)
    fallbacks = [
        parse_selector(text, known_providers=providers, param=f"fallbacks[{index}]")
        for index, text in enumerate(request.fallbacks)
    ]
    primary = _allowed(_offers(wanted, catalogue, param="model"), wanted, allowed_models)
    candidates = [
        _Candidate(primary[0], is_alternative=False),
        *_explicit(fallbacks, catalogue, allowed_models),
        *(_Candidate(offer, is_alternative=True) for offer in primary[1:]),
    ]
    seen: set[tuple[str, str]] = set()
    for candidate in candidates:
        key = (candidate.offer.provider, candidate.offer.model)
        if key not in seen:
            seen.add(key)
            yield candidate


def _explicit(
    fallbacks: Iterable[Selector], catalogue: Catalogue, allowed_models: Sequence[str] | None
) -> Iterator[_Candidate]:
    """Fallbacks that exist and are allowed; the others cannot be fallen back to."""
    for index, selector in enumerate(fallbacks):
        try:
            offers = _allowed(
                _offers(selector, catalogue, param=f"fallbacks[{index}]"), selector, allowed_models
            )
        except (ModelNotFound, ModelBlocked, ProviderBlocked):
            continue
        yield _Candidate(offers[0], is_alternative=False)


def _offers(selector: Selector, catalogue: Catalogue, *, param: str) -> list[Offer]:
    """What the selector means: the pinned offer, or all offers of a bare model, cheapest first."""
    if selector.provider is not None:
        pinned = catalogue.listing(selector.provider, selector.model)
        if pinned is not None:
            return [pinned]
    offers = sorted(catalogue.providers_of(selector.text), key=_expense)
    if not offers:
        place = f" at {selector.provider}" if selector.provider else ""
        raise ModelNotFound(
            f"There is no model {selector.model[:SHOWN_MODEL_CHARACTERS]!r}{place}. "
            "GET /v1/models lists what there is.",
            param=param,
        )
    return offers


def _expense(offer: Offer) -> tuple[int, str]:
    """Three prompt tokens to one of output, as prompts are longer; models without a price come last."""
    price = offer.price
    if price is None or price.input is None or price.output is None:
        return 2**63, offer.provider
    return 3 * price.input + price.output, offer.provider


def _allowed(offers: list[Offer], selector: Selector, allowed_models: Sequence[str] | None) -> list[Offer]:
    allowed = [offer for offer in offers if is_allowed(offer.provider, offer.model, allowed_models)]
    if allowed:
        return allowed
    model = offers[0].model
    is_known_elsewhere = any(
        pattern == model or pattern.endswith(f"/{model}") or pattern.startswith(f"{model}@")
        for pattern in allowed_models or ()
    )
    if is_known_elsewhere:
        raise ProviderBlocked(
            f"This key may use {model[:SHOWN_MODEL_CHARACTERS]!r}, but not at {offers[0].provider}.",
            param="model",
        )
    raise ModelBlocked(
        f"This key may not use the model {selector.text[:SHOWN_MODEL_CHARACTERS]!r}.", param="model"
    )


def _targets_of(
    candidate: _Candidate, request: ChatRequest, catalogue: Catalogue, policy: PolicyView
) -> list[Target]:
    offer = candidate.offer
    _check_abilities(offer, request)
    _check_window(offer, request)
    connections = _connections(offer, request, catalogue, policy)
    return [
        _target(candidate, _offer_there(offer, connection, catalogue), connection)
        for connection in connections
    ]


def _offer_there(offer: Offer, connection: Connection, catalogue: Catalogue) -> Offer:
    return catalogue.in_region(offer, connection.region) if connection.region else offer


def _target(candidate: _Candidate, offer: Offer, connection: Connection) -> Target:
    if offer.price is None:
        raise _no_price(offer)
    return Target(
        provider=offer.provider,
        kind=connection.kind,
        model=offer.model,
        upstream_name=offer.upstream_name,
        base_url=connection.base_url,
        credential=connection.credential,
        is_own_credential=connection.is_own,
        is_guarded=connection.is_guarded,
        price=offer.price,
        terms=offer.terms,
        connection_id=connection.id,
        context_window_tokens=offer.context_window_tokens,
        max_output_tokens=offer.max_output_tokens,
        capabilities=offer.capabilities,
        unsupported_params=offer.unsupported_params,
        is_alternative=candidate.is_alternative,
    )


def _no_price(offer: Offer) -> NoPrice:
    return NoPrice(
        f"The model {offer.provider}/{offer.model} has no price, so it cannot be used here.", param="model"
    )


def _check_abilities(offer: Offer, request: ChatRequest) -> None:
    """Demands that cannot be dropped without changing what was asked (CONTRACT 3.6 #18)."""
    if offer.capabilities is None:
        return
    for capability in sorted(request.required_capabilities - offer.capabilities):
        if capability == "json_mode" and "json_schema" in offer.capabilities:
            continue
        param, name = DEMANDS[capability]
        raise UnsupportedParameter(
            f"The model {offer.provider}/{offer.model} does not support {name}.", param=param
        )


def _check_window(offer: Offer, request: ChatRequest) -> None:
    """Refuses what certainly does not fit; the provider knows the rest."""
    window = offer.context_window_tokens
    if window is None:
        return
    exact = request.request_context_tokens
    measured = exact if exact is not None else request.prompt_bytes // BYTES_PER_TOKEN_AT_MOST
    if measured > window:
        raise ContextLengthExceeded(
            f"The prompt has at least {measured} tokens, and {offer.provider}/{offer.model} takes {window}.",
            param="messages",
            details={"model": f"{offer.provider}/{offer.model}", "limit": window, "measured": measured},
        )


def _connections(
    offer: Offer, request: ChatRequest, catalogue: Catalogue, policy: PolicyView
) -> Sequence[Connection]:
    """Whose credential is used (CONTRACT 3.6 #30): the request's word, else the project's mode."""
    connections = catalogue.connections_for(offer.provider)
    own = [connection for connection in connections if connection.is_own]
    platform = [connection for connection in connections if not connection.is_own]
    must_be_own = request.use_custom_keys is True or (
        request.use_custom_keys is None and policy.project_mode == "api-keys"
    )
    may_be_own = request.use_custom_keys is not False and policy.project_mode != "credits"
    if must_be_own:
        if not own:
            raise CustomKeyNotFound(param="use_custom_keys")
        return own
    chosen = own if own and may_be_own else platform
    if offer.is_for_own_keys_alone and chosen is platform:
        raise _no_price(offer)
    if not chosen:
        raise ModelNotFound(
            f"The model {offer.provider}/{offer.model} cannot be reached: its provider is not connected "
            f"here, or not for a project of mode {policy.project_mode!r}.",
            param="model",
        )
    return chosen
