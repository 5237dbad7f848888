"""From an offer to targets: can this model do what is asked, and with whose credential is it called?"""

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from gateway.errors import (
    ContextLengthExceeded,
    CustomKeyNotFound,
    GatewayError,
    ModelNotFound,
    NoPrice,
    UnsupportedParameter,
)
from gateway.routing.target import Connection, Offer, Target
from gateway.routing.tree import NO_OPTIONS, Named, Options
from gateway.routing.views import Catalogue, PolicyView
from gateway.wire.chat_request import ChatRequest

# No text packs more bytes into a token than this, so a longer prompt cannot fit.
BYTES_PER_TOKEN_AT_MOST = 16

DEMANDS = {
    "json_mode": ("response_format", "JSON mode"),
    "json_schema": ("response_format", "JSON schemas"),
    "web_search": ("web_search", "web search"),
    "vision": ("messages", "images"),
    "audio": ("messages", "audio"),
}


def measured_tokens(request: ChatRequest) -> int:
    """The prompt's size as the client states it, else as we estimate it."""
    exact = request.request_context_tokens
    return exact if exact is not None else request.prompt_tokens_estimate


def with_options(request: ChatRequest, options: Options) -> ChatRequest:
    """The request with a leaf's own parameters, which override the body's."""
    if options == NO_OPTIONS:
        return request
    given: dict[str, Any] = {
        name: value
        for name in ("temperature", "top_p", "top_k", "verbosity")
        if (value := getattr(options, name)) is not None
    }
    effort = options.reasoning_effort or request.reasoning_effort
    return replace(request, forwarded={**request.forwarded, **given}, reasoning_effort=effort)


def targets_of(
    offer: Offer,
    request: ChatRequest,
    *,
    catalogue: Catalogue,
    policy: PolicyView,
    place: Named | None = None,
    region: str = "",
    is_alternative: bool = False,
) -> list[Target]:
    """The offer over each connection that may serve it. Raises the reason why there is none.

    `place` is the leaf if it says more than the provider: a region, an instance. `region` is where the
    request wants to be served; it means nothing to a provider whose connections have none.
    """
    check_abilities(offer, request)
    check_window(offer, request)
    connections = _connections(offer, request, catalogue, policy)
    if place is not None:
        connections = _placed(connections, place, offer)
    elif region and any(connection.region for connection in connections):
        connections = _in_region(connections, region, offer)
    return [_target(offer, connection, catalogue, is_alternative) for connection in connections]


def check_abilities(offer: Offer, request: ChatRequest) -> None:
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


def check_window(offer: Offer, request: ChatRequest) -> None:
    """Refuses what certainly does not fit; the provider knows the rest."""
    window = offer.context_window_tokens
    if window is None:
        return
    exact = request.request_context_tokens
    measured = exact if exact is not None else request.prompt_bytes // BYTES_PER_TOKEN_AT_MOST
    if measured > window:
        raise too_long(offer, window, measured)


def too_long(offer: Offer, window: int, measured: int) -> ContextLengthExceeded:
    return ContextLengthExceeded(
        f"The prompt has at least {measured} tokens, and {offer.provider}/{offer.model} takes {window}.",
        param="messages",
        details={"model": f"{offer.provider}/{offer.model}", "limit": window, "measured": measured},
    )


def _placed(connections: Sequence[Connection], place: Named, offer: Offer) -> Sequence[Connection]:
    if place.region:
        connections = _in_region(connections, place.region, offer)
    if not place.instance:
        return connections
    if place.instance > len(connections):
        raise ModelNotFound(
            f"{offer.provider} has {len(connections)} connection(s) for this key, so there is no number "
            f"{place.instance}.",
            param="model",
        )
    return (connections[place.instance - 1],)


def _in_region(connections: Sequence[Connection], region: str, offer: Offer) -> list[Connection]:
    """The connections there: what is to stay in a region goes to no other one."""
    found = [connection for connection in connections if connection.region == region]
    if not found:
        raise ModelNotFound(
            f"The model {offer.provider}/{offer.model} cannot be reached in the region {region[:64]!r}.",
            param="model",
        )
    return found


def _connections(
    offer: Offer, request: ChatRequest, catalogue: Catalogue, policy: PolicyView
) -> Sequence[Connection]:
    """Whose credential is used (CONTRACT 3.6 #30): the request's word, else the project's mode."""
    connections = (offer.connection,) if offer.connection else catalogue.connections_for(offer.provider)
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


def _target(offer: Offer, connection: Connection, catalogue: Catalogue, is_alternative: bool) -> Target:
    if connection.region:
        offer = catalogue.in_region(offer, connection.region)
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
        region=connection.region,
        context_window_tokens=offer.context_window_tokens,
        max_output_tokens=offer.max_output_tokens,
        capabilities=offer.capabilities,
        unsupported_params=offer.unsupported_params,
        is_alternative=is_alternative,
    )


def _no_price(offer: Offer) -> GatewayError:
    return NoPrice(
        f"The model {offer.provider}/{offer.model} has no price, so it cannot be used here.", param="model"
    )
