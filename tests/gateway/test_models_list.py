"""Model lists: OpenAI's objects and Unify's arrays over the same entries."""

from datetime import date

import httpx2
import pytest
from openai import OpenAI

from billing.pricing import Price
from gateway.errors import InvalidValue
from gateway.routing.target import Offer
from gateway.wire.models import (
    Description,
    ModelEntry,
    Page,
    endpoint_details,
    endpoint_names,
    model_list,
    model_names,
    model_object,
    provider_names,
)

PRICE = Price(
    version="v", input=2_500_000, cached_input=1_250_000, output=10_000_000, per_search_pico=10_000_000_000
)
FREE = Price(version="free", input=0, output=0)


def offer(provider: str, model: str, price: Price | None = PRICE) -> Offer:
    return Offer(
        provider=provider,
        model=model,
        upstream_name=f"{model}-2024",
        price=price,
        context_window_tokens=128_000,
        max_output_tokens=16_384,
        capabilities=frozenset({"tools", "vision", "json_mode", "json_schema"}),
    )


TODAY = date(2026, 11, 27)
GPT = ModelEntry(
    "gpt-4o",
    Description(name="GPT-4o", created=1_715_367_049, aliases=("gpt-4o-2024",)),
    (offer("openai", "gpt-4o"), offer("azure", "gpt-4o")),
)
LLAMA = ModelEntry("meta/llama-3", Description(name="Llama 3"), (offer("groq", "meta/llama-3", FREE),))
ENTRIES = [GPT, LLAMA]


def test_a_model_in_full() -> None:
    pricing = {
        "prompt": "0.000002500000",
        "completion": "0.000010000000",
        "request": "0",
        "image": "0.000002500000",
        "web_search": "0.010000000000",
        "internal_reasoning": "0.000010000000",
        "input_cache_read": "0.000001250000",
        "input_cache_write": "0.000002500000",
    }

    shown = model_object(GPT, today=TODAY)

    assert {
        name: value for name, value in shown.items() if name not in ("providers", "supported_parameters")
    } == {
        "id": "gpt-4o",
        "object": "model",
        "created": 1_715_367_049,
        "owned_by": "openai",
        "name": "GPT-4o",
        "description": "GPT-4o",
        "aliases": ["gpt-4o-2024"],
        "family": "openai",
        "context_length": 128_000,
        "context_window": 128_000,
        "max_input_tokens": 128_000,
        "max_output_tokens": 16_384,
        "architecture": {
            "input_modalities": ["text", "image"],
            "output_modalities": ["text"],
            "modality": "text+image->text",
            "tokenizer": None,
        },
        "top_provider": {
            "context_length": 128_000,
            "max_completion_tokens": 16_384,
            "is_moderated": False,
        },
        "pricing": pricing,
        "json_output": True,
        "structured_outputs": True,
        "free": False,
        "deprecated_at": None,
        "deactivated_at": None,
        "stability": "stable",
    }
    assert shown["providers"][1] == {
        "providerId": "azure",
        "externalId": "gpt-4o-2024",
        "modelName": "gpt-4o-2024",
        "context_length": 128_000,
        "max_output_tokens": 16_384,
        "pricing": pricing,
        "streaming": True,
        "cancellation": True,
        "vision": True,
        "tools": True,
        "parallelToolCalls": True,
        "reasoning": False,
        "json_output": True,
        "structured_outputs": True,
        "stability": "stable",
    }
    assert {"temperature", "tools", "response_format", "stream"} <= set(shown["supported_parameters"])
    assert "reasoning_effort" not in shown["supported_parameters"]


def test_zero_is_free_and_no_price_is_not() -> None:
    unpriced = ModelEntry("m", Description(name="M"), (offer("p", "m", None),))
    shown = model_object(unpriced, today=TODAY)

    assert model_object(LLAMA, today=TODAY)["free"] is True
    assert (shown["free"], shown["pricing"]) == (False, {})


def test_the_sdk_lists_models() -> None:
    transport = httpx2.MockTransport(lambda _: httpx2.Response(200, json=model_list(ENTRIES, today=TODAY)))
    client = OpenAI(
        api_key="x", base_url="http://gateway.test/v1", http_client=httpx2.Client(transport=transport)
    )

    assert [(model.id, model.owned_by) for model in client.models.list()] == [
        ("gpt-4o", "openai"),
        ("meta/llama-3", "groq"),
    ]


def test_unifys_arrays_are_sorted() -> None:
    assert model_names(ENTRIES) == ["gpt-4o", "meta/llama-3"]
    assert provider_names(ENTRIES) == ["azure", "groq", "openai"]
    assert endpoint_names(ENTRIES) == ["gpt-4o@azure", "gpt-4o@openai", "meta/llama-3@groq"]


def test_unifys_arrays_can_be_narrowed() -> None:
    assert provider_names(ENTRIES, model="meta/llama-3") == ["groq"]
    assert endpoint_names(ENTRIES, model="gpt-4o") == ["gpt-4o@azure", "gpt-4o@openai"]
    assert endpoint_names(ENTRIES, provider="openai") == ["gpt-4o@openai"]
    assert endpoint_names(ENTRIES, provider="nobody") == []


@pytest.mark.parametrize(
    ("deprecated", "deactivated", "stability"),
    [
        (date(2026, 11, 28), None, "stable"),
        (date(2026, 11, 27), None, "deprecated"),
        (date(2026, 11, 1), date(2026, 11, 28), "deprecated"),
        (date(2026, 11, 1), date(2026, 11, 27), "deactivated"),
    ],
)
def test_a_model_says_from_which_day_it_is_deprecated_and_gone(
    deprecated: date, deactivated: date | None, stability: str
) -> None:
    told = Description(name="M", deprecated_on=deprecated, deactivated_on=deactivated)

    shown = model_object(ModelEntry("m", told, (offer("p", "m"),)), today=TODAY)

    assert shown["stability"] == shown["providers"][0]["stability"] == stability
    assert shown["deprecated_at"] == f"{deprecated}T00:00:00+00:00"
    assert shown["deactivated_at"] == (f"{deactivated}T00:00:00+00:00" if deactivated else None)


def test_pages_go_through_the_list_once() -> None:
    first = model_list(ENTRIES, today=TODAY, page=Page(1))
    second = model_list(ENTRIES, today=TODAY, page=Page(1, first["next_page_token"]))
    whole = model_list(ENTRIES, today=TODAY, page=Page(2))

    assert [model["id"] for model in first["data"]] == ["gpt-4o"]
    assert [model["id"] for model in second["data"]] == ["meta/llama-3"]
    assert (first["has_more"], second["has_more"], second["next_page_token"]) == (True, False, None)
    assert (len(whole["data"]), whole["next_page_token"]) == (2, None)


def test_a_page_goes_on_where_the_last_ended_although_its_model_is_gone() -> None:
    token = model_list(ENTRIES, today=TODAY, page=Page(1))["next_page_token"]

    rest = model_list([LLAMA], today=TODAY, page=Page(1, token))

    assert [model["id"] for model in rest["data"]] == ["meta/llama-3"]


@pytest.mark.parametrize("token", ["%", "a", "/w", "🙂"])
def test_a_token_that_no_page_has_given_is_refused(token: str) -> None:
    with pytest.raises(InvalidValue, match="next_page_token of an earlier page"):
        model_list(ENTRIES, today=TODAY, page=Page(1, token))


def test_unifys_details_are_numbers_per_million_tokens() -> None:
    assert endpoint_details("gpt-4o@openai", GPT.offers[0]) == {
        "endpoint": "gpt-4o@openai",
        "context_window": 128_000,
        "input_cost": 2.5,
        "output_cost": 10.0,
    }
    assert endpoint_details("m@p", offer("p", "m", None))["input_cost"] is None
