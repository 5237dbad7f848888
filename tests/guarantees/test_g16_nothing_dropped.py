"""G16: nothing is dropped in silence. Every parameter at every provider, with and without the ability."""

from typing import Any

import orjson
import pytest

from billing.price_book import load_price_book
from billing.price_files import CAPABILITIES
from gateway.errors import UnsupportedParameter
from gateway.providers.openai import OpenAIProvider
from gateway.routing.reach import DEMANDS
from gateway.wire.chat import parse_chat_request
from gateway.wire.parameters import CHECKS, GATEWAY_PARAMETERS, OTHER_KNOWN_PARAMETERS
from tests.gateway.chat_bodies import USER, body, tool
from tests.gateway.test_openai_parameters import target

PROVIDERS = [*sorted(load_price_book().providers), "an-endpoint-of-ones-own"]
ABILITIES = [None, frozenset[str](), frozenset(CAPABILITIES)]

# One telling value of each parameter.
SENT: dict[str, dict[str, Any]] = {
    "temperature": {"temperature": 0.5},
    "top_p": {"top_p": 0.5},
    "top_k": {"top_k": 5},
    "frequency_penalty": {"frequency_penalty": 1},
    "presence_penalty": {"presence_penalty": 1},
    "max_tokens": {"max_tokens": 5},
    "max_completion_tokens": {"max_completion_tokens": 5},
    "n": {"n": 2},
    "seed": {"seed": 7},
    "stop": {"stop": ["a"]},
    "logit_bias": {"logit_bias": {"1": 1}},
    "logprobs": {"logprobs": True},
    "top_logprobs": {"logprobs": True, "top_logprobs": 2},
    "user": {"user": "u"},
    "tools": {"tools": [tool()]},
    "tool_choice": {"tools": [tool()], "tool_choice": "auto"},
    "parallel_tool_calls": {"tools": [tool()], "parallel_tool_calls": False},
    "functions": {"functions": [{"name": "f"}]},
    "function_call": {"functions": [{"name": "f"}], "function_call": "auto"},
    "response_format": {"response_format": {"type": "text"}},
    "reasoning_effort": {"reasoning_effort": "low"},
    "reasoning": {"reasoning": {"max_tokens": 2048, "summary": "auto"}},
    "thinking_budget": {"thinking_budget": 2048},
    "effort": {"effort": "low"},
    "verbosity": {"verbosity": "low"},
    "service_tier": {"service_tier": "flex"},
    "modalities": {"modalities": ["text", "audio"]},
    "audio": {"modalities": ["text", "audio"], "audio": {"voice": "a"}},
    "image_config": {"modalities": ["text", "image"], "image_config": {"aspect_ratio": "1:1"}},
    "prediction": {"prediction": {"type": "content", "content": "x"}},
    "store": {"store": True},
    "metadata": {"metadata": {"a": "b"}},
    "prompt_cache_key": {"prompt_cache_key": "k"},
    "prompt_cache_retention": {"prompt_cache_retention": "24h"},
    "safety_identifier": {"safety_identifier": "s"},
    "truncation": {"truncation": "auto"},
    "generation_config": {"generation_config": {"a": 1}},
    "generationConfig": {"generationConfig": {"a": 1}},
    "request_metadata": {"request_metadata": {"a": 1}},
    "google": {"google": {"thinking_config": {}}},
    "stream_options": {"stream": True, "stream_options": {"include_obfuscation": True}},
    "web_search": {"web_search": True},
    "web_search_options": {"web_search_options": {"search_context_size": "low", "max_uses": 2}},
    "plugins": {"plugins": [{"id": "response-healing"}]},
    "region": {"region": "eu"},
    "sensitive_word_check": {"sensitive_word_check": True},
    "onboarding": {"onboarding": True},
    "an unknown one": {"shiny": 1},
}
# What the gateway does itself, whoever the provider is.
OWN = {
    "model", "messages", "stream", "tags", "signature", "use_custom_keys", "drop_params", "log_query_body",
    "log_response_body", "fallbacks", "session_id", "agent", "free_models_only", "no_reasoning", "extra_body",
    "request_context_tokens", "budget_clamp", "routing",
}  # fmt: skip
# The same under another name.
RENAMED = {
    "seed": {"random_seed"},
    "max_completion_tokens": {"max_tokens"},
    "max_tokens": {"max_completion_tokens"},
    "google": {"extra_body"},
    "thinking_budget": {"thinking", "extra_body"},
    "reasoning": {"thinking", "extra_body", "reasoning_effort"},
    "web_search": {"web_search_options"},
    "plugins": set(),
}
INVISIBLE = {"stream", "model", "messages", "stream_options"}


def test_every_parameter_that_is_known_is_in_the_matrix() -> None:
    known = CHECKS.keys() | GATEWAY_PARAMETERS | OTHER_KNOWN_PARAMETERS

    assert known - OWN - SENT.keys() == set()


@pytest.mark.contract("3.2 drop_params")
@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("abilities", ABILITIES, ids=["unknown", "none", "all"])
def test_each_parameter_is_forwarded_translated_or_named(
    abilities: frozenset[str] | None, provider: str
) -> None:
    where = target(provider=provider, capabilities=abilities)
    silent = []
    for name, fields in SENT.items():
        request = parse_chat_request(body(**fields))
        if abilities is not None and request.required_capabilities - abilities:
            # Refused before a provider is chosen.
            assert {DEMANDS[ability] for ability in request.required_capabilities}
            continue
        call = OpenAIProvider().build_request(request, where)
        document = orjson.loads(call.body)
        told = set(document) | {dropped.partition(".")[0] for dropped in call.dropped_params}
        for field in fields.keys() - INVISIBLE:
            if field not in told and not (RENAMED.get(field, set()) & told):
                silent.append(f"{name}: {field}")
        if "stream_options" in fields and "stream_options" not in told:
            silent.append(name)

    assert silent == []


@pytest.mark.contract("3.2 drop_params")
@pytest.mark.parametrize("provider", PROVIDERS)
def test_whatever_is_named_as_dropped_is_refused_when_the_client_forbids_dropping(provider: str) -> None:
    where = target(provider=provider, capabilities=frozenset())
    for name, fields in SENT.items():
        request = parse_chat_request(body(**fields))
        if request.required_capabilities:
            continue
        dropped = OpenAIProvider().build_request(request, where).dropped_params
        strict = parse_chat_request(body(drop_params=False, **fields))
        if not dropped:
            assert OpenAIProvider().build_request(strict, where).dropped_params == (), name
            continue
        with pytest.raises(UnsupportedParameter) as refusal:
            OpenAIProvider().build_request(strict, where)
        assert refusal.value.param == dropped[0]


def test_a_conversation_loses_nothing_at_a_provider_that_takes_everything() -> None:
    fields = {name: value for sent in SENT.values() for name, value in sent.items() if name not in RENAMED}
    request = parse_chat_request(body(**{**fields, "stream": False, "stream_options": None}))

    call = OpenAIProvider().build_request(request, target(provider="fake", is_own_credential=True))

    document = orjson.loads(call.body)
    assert document["messages"] == [USER]
    assert {name: document.get(name) for name in request.forwarded} == request.forwarded
