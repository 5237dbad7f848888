"""Model lists, in the shapes that the five kinds of clients read (CONTRACT 3.6 #2)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from billing.money import pico_to_text
from billing.pricing import Price
from gateway.routing.target import Offer
from gateway.wire.shapes import JsonObject

COMMON_PARAMETERS = (
    "frequency_penalty", "logit_bias", "logprobs", "max_completion_tokens", "max_tokens", "n",
    "presence_penalty", "seed", "stop", "stream", "stream_options", "temperature", "top_logprobs", "top_p",
    "user",
)  # fmt: skip
PARAMETERS_OF_CAPABILITY = {
    "tools": ("tools", "tool_choice", "parallel_tool_calls"),
    "json_mode": ("response_format",),
    "json_schema": ("response_format",),
    "reasoning": ("reasoning_effort",),
    "web_search": ("web_search", "web_search_options"),
    "audio": ("audio", "modalities"),
    "effort": ("effort",),
}


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """A model with its offers, the preferred one first. `created` is in Unix seconds."""

    model: str
    name: str
    created: int
    offers: tuple[Offer, ...]


def model_list(entries: Iterable[ModelEntry]) -> JsonObject:
    """`GET /v1/models`."""
    return {"object": "list", "data": [model_object(entry) for entry in entries]}


def model_object(entry: ModelEntry) -> JsonObject:
    """`GET /v1/models/{id}`: the fields of all sources side by side, prices in USD per token."""
    first = entry.offers[0]
    abilities = _abilities(entry.offers)
    return {
        "id": entry.model,
        "object": "model",
        "created": entry.created,
        "owned_by": first.provider,
        "name": entry.name,
        "context_length": first.context_window_tokens,
        "context_window": first.context_window_tokens,
        "max_output_tokens": first.max_output_tokens,
        "architecture": {
            "input_modalities": ["text", *_modalities(abilities, {"vision": "image", "audio": "audio"})],
            "output_modalities": ["text", *_modalities(abilities, {"audio": "audio"})],
        },
        "pricing": _pricing(first.price),
        "providers": [_provider(offer) for offer in entry.offers],
        "supported_parameters": _parameters(abilities),
        "json_output": "json_mode" in abilities or "json_schema" in abilities,
        "structured_outputs": "json_schema" in abilities,
        "free": first.price is not None and first.price.input == 0 and first.price.output == 0,
        "deprecated_at": None,
    }


def model_names(entries: Iterable[ModelEntry], *, provider: str | None = None) -> list[str]:
    """`GET /v0/models`: sorted names, of one provider if asked so."""
    return sorted(entry.model for entry in entries if provider is None or provider in _providers(entry))


def provider_names(entries: Iterable[ModelEntry], *, model: str | None = None) -> list[str]:
    """`GET /v0/providers`: sorted names, of one model if asked so."""
    chosen = [entry for entry in entries if model is None or entry.model == model]
    return sorted({provider for entry in chosen for provider in _providers(entry)})


def endpoint_names(
    entries: Iterable[ModelEntry], *, model: str | None = None, provider: str | None = None
) -> list[str]:
    """`GET /v0/endpoints`: sorted `model@provider`, of one model or one provider if asked so."""
    return sorted(
        f"{offer.model}@{offer.provider}"
        for entry in entries
        for offer in entry.offers
        if (model is None or offer.model == model) and (provider is None or offer.provider == provider)
    )


def _providers(entry: ModelEntry) -> set[str]:
    return {offer.provider for offer in entry.offers}


def _abilities(offers: Sequence[Offer]) -> frozenset[str]:
    return frozenset[str]().union(*(offer.capabilities or () for offer in offers))


def _modalities(abilities: frozenset[str], names: dict[str, str]) -> list[str]:
    return [name for ability, name in names.items() if ability in abilities]


def _parameters(abilities: frozenset[str]) -> list[str]:
    special = {name for ability in abilities for name in PARAMETERS_OF_CAPABILITY.get(ability, ())}
    return sorted(special.union(COMMON_PARAMETERS))


def _provider(offer: Offer) -> JsonObject:
    abilities = offer.capabilities or frozenset()
    return {
        "providerId": offer.provider,
        "modelName": offer.upstream_name,
        "context_length": offer.context_window_tokens,
        "max_output_tokens": offer.max_output_tokens,
        "pricing": _pricing(offer.price),
        "streaming": True,
        "cancellation": True,
        "vision": "vision" in abilities,
        "tools": "tools" in abilities,
        "parallelToolCalls": "tools" in abilities,
        "reasoning": "reasoning" in abilities,
    }


def _pricing(price: Price | None) -> JsonObject:
    if price is None:
        return {}
    rates = {
        "prompt": price.rate_of("input"),
        "completion": price.rate_of("output"),
        "request": price.per_request_pico,
        "image": price.rate_of("image_input"),
        "web_search": price.per_search_pico or 0,
        "internal_reasoning": price.rate_of("reasoning"),
        "input_cache_read": price.rate_of("cached_input"),
        "input_cache_write": price.rate_of("cache_write"),
    }
    return {name: pico_to_text(rate) for name, rate in rates.items()}
