"""Model lists, in the shapes that the five kinds of clients read (CONTRACT 3.6 #2)."""

import base64
import binascii
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time

from billing.money import pico_to_text
from billing.pricing import Price
from gateway.errors import InvalidValue
from gateway.routing.target import Offer
from gateway.wire.model_abilities import (
    abilities_of,
    input_modalities,
    output_modalities,
    parameters_of,
    provider_abilities,
)
from gateway.wire.shapes import JsonObject

STABLE, DEPRECATED, DEACTIVATED = "stable", "deprecated", "deactivated"
MICRO_PER_PICO = 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """What a price book tells of a model beside its price. `created` is in Unix seconds; 0: unknown."""

    name: str
    created: int = 0
    aliases: tuple[str, ...] = ()
    deprecated_on: date | None = None
    deactivated_on: date | None = None

    def is_deprecated(self, today: date) -> bool:
        return self.deprecated_on is not None and self.deprecated_on <= today

    def is_deactivated(self, today: date) -> bool:
        return self.deactivated_on is not None and self.deactivated_on <= today


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """A model with its offers, the preferred one first."""

    model: str
    description: Description
    offers: tuple[Offer, ...]


@dataclass(frozen=True, slots=True)
class Page:
    """Which part of a list is wanted: `limit` models after the one that `token` names. No limit: all."""

    limit: int | None = None
    token: str = ""


def model_list(entries: Sequence[ModelEntry], *, today: date, page: Page | None = None) -> JsonObject:
    """`GET /v1/models`. Raises InvalidValue for a token that no page has given.

    A token names the last model of its page, so that models which come and go neither repeat nor skip.
    """
    shown, token = _page(entries, page or Page())
    return {
        "object": "list",
        "data": [model_object(entry, today=today) for entry in shown],
        "has_more": token is not None,
        "next_page_token": token,
    }


def model_object(entry: ModelEntry, *, today: date) -> JsonObject:
    """`GET /v1/models/{id}`: the fields of all sources side by side, prices in USD per token."""
    first, told = entry.offers[0], entry.description
    abilities = abilities_of(entry.offers)
    return {
        "id": entry.model,
        "object": "model",
        "created": told.created,
        "owned_by": first.provider,
        "name": told.name,
        "description": told.name,
        "aliases": list(told.aliases),
        "family": first.provider,
        "context_length": first.context_window_tokens,
        "context_window": first.context_window_tokens,
        "max_input_tokens": first.context_window_tokens,
        "max_output_tokens": first.max_output_tokens,
        "architecture": {
            "input_modalities": input_modalities(abilities),
            "output_modalities": output_modalities(abilities),
            "modality": f"{'+'.join(input_modalities(abilities))}->{'+'.join(output_modalities(abilities))}",
            "tokenizer": None,
        },
        "top_provider": {
            "context_length": first.context_window_tokens,
            "max_completion_tokens": first.max_output_tokens,
            "is_moderated": False,
        },
        "pricing": _pricing(first.price),
        "providers": [_provider(offer, _stability(told, today)) for offer in entry.offers],
        "supported_parameters": parameters_of(abilities),
        "json_output": "json_mode" in abilities or "json_schema" in abilities,
        "structured_outputs": "json_schema" in abilities,
        "free": first.price is not None and first.price.input == 0 and first.price.output == 0,
        "deprecated_at": _moment(told.deprecated_on),
        "deactivated_at": _moment(told.deactivated_on),
        "stability": _stability(told, today),
    }


def model_names(entries: Iterable[ModelEntry]) -> list[str]:
    """`GET /v0/models`: sorted names."""
    return sorted(entry.model for entry in entries)


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


def endpoint_details(endpoint: str, offer: Offer) -> JsonObject:
    """`GET /v0/endpoint-details`: prices in USD per million tokens, as numbers."""
    price = offer.price
    return {
        "endpoint": endpoint,
        "context_window": offer.context_window_tokens,
        "input_cost": _per_million(price.input if price else None),
        "output_cost": _per_million(price.output if price else None),
    }


def _page(entries: Sequence[ModelEntry], page: Page) -> tuple[Sequence[ModelEntry], str | None]:
    after = _read_token(page.token) if page.token else ""
    rest = [entry for entry in entries if entry.model > after] if after else entries
    if page.limit is None or len(rest) <= page.limit:
        return rest, None
    shown = rest[: page.limit]
    return shown, base64.urlsafe_b64encode(shown[-1].model.encode()).decode().rstrip("=")


def _read_token(token: str) -> str:
    try:
        padded = token + "=" * (-len(token) % 4)
        return base64.b64decode(padded, altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError) as exc:
        raise InvalidValue(
            "page_token must be the next_page_token of an earlier page.", param="page_token"
        ) from exc


def _providers(entry: ModelEntry) -> set[str]:
    return {offer.provider for offer in entry.offers}


def _stability(told: Description, today: date) -> str:
    if told.is_deactivated(today):
        return DEACTIVATED
    return DEPRECATED if told.is_deprecated(today) else STABLE


def _moment(day: date | None) -> str | None:
    return datetime.combine(day, time.min, UTC).isoformat() if day is not None else None


def _provider(offer: Offer, stability: str) -> JsonObject:
    return {
        "providerId": offer.provider,
        "externalId": offer.upstream_name,
        "modelName": offer.upstream_name,
        "context_length": offer.context_window_tokens,
        "max_output_tokens": offer.max_output_tokens,
        "pricing": _pricing(offer.price),
        **provider_abilities(offer),
        "stability": stability,
    }


def _per_million(rate_pico: int | None) -> float | None:
    return rate_pico / MICRO_PER_PICO if rate_pico is not None else None


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
