"""Model lists: OpenAI's objects and Unify's arrays over the same entries."""

import httpx2
from openai import OpenAI

from billing.pricing import Price
from gateway.routing.target import Offer
from gateway.wire.models import (
    ModelEntry,
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


GPT = ModelEntry("gpt-4o", "GPT-4o", 1_715_367_049, (offer("openai", "gpt-4o"), offer("azure", "gpt-4o")))
LLAMA = ModelEntry("meta/llama-3", "Llama 3", 0, (offer("groq", "meta/llama-3", FREE),))
ENTRIES = [LLAMA, GPT]


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

    shown = model_object(GPT)

    assert {
        name: value for name, value in shown.items() if name not in ("providers", "supported_parameters")
    } == {
        "id": "gpt-4o",
        "object": "model",
        "created": 1_715_367_049,
        "owned_by": "openai",
        "name": "GPT-4o",
        "context_length": 128_000,
        "context_window": 128_000,
        "max_output_tokens": 16_384,
        "architecture": {"input_modalities": ["text", "image"], "output_modalities": ["text"]},
        "pricing": pricing,
        "json_output": True,
        "structured_outputs": True,
        "free": False,
        "deprecated_at": None,
    }
    assert shown["providers"][1] == {
        "providerId": "azure",
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
    }
    assert {"temperature", "tools", "response_format", "stream"} <= set(shown["supported_parameters"])
    assert "reasoning_effort" not in shown["supported_parameters"]


def test_zero_is_free_and_no_price_is_not() -> None:
    unpriced = ModelEntry("m", "M", 0, (offer("p", "m", None),))

    assert model_object(LLAMA)["free"] is True
    assert (model_object(unpriced)["free"], model_object(unpriced)["pricing"]) == (False, {})


def test_the_sdk_lists_models() -> None:
    transport = httpx2.MockTransport(lambda _: httpx2.Response(200, json=model_list(ENTRIES)))
    client = OpenAI(
        api_key="x", base_url="http://gateway.test/v1", http_client=httpx2.Client(transport=transport)
    )

    assert [(model.id, model.owned_by) for model in client.models.list()] == [
        ("meta/llama-3", "groq"),
        ("gpt-4o", "openai"),
    ]


def test_unifys_arrays_are_sorted() -> None:
    assert model_names(ENTRIES) == ["gpt-4o", "meta/llama-3"]
    assert provider_names(ENTRIES) == ["azure", "groq", "openai"]
    assert endpoint_names(ENTRIES) == ["gpt-4o@azure", "gpt-4o@openai", "meta/llama-3@groq"]


def test_unifys_arrays_can_be_narrowed() -> None:
    assert model_names(ENTRIES, provider="azure") == ["gpt-4o"]
    assert provider_names(ENTRIES, model="meta/llama-3") == ["groq"]
    assert endpoint_names(ENTRIES, model="gpt-4o") == ["gpt-4o@azure", "gpt-4o@openai"]
    assert endpoint_names(ENTRIES, provider="openai") == ["gpt-4o@openai"]
    assert endpoint_names(ENTRIES, provider="nobody") == []
