"""The grammar of `model`: which provider, which model, and what is refused by name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import InvalidModel
from gateway.routing.grammar import Selector, parse_selector

PROVIDERS = frozenset({"openai", "anthropic", "fake", "vertex-ai"})


@pytest.mark.parametrize(
    ("text", "model", "provider"),
    [
        ("gpt-4o", "gpt-4o", None),
        ("gpt-4o@openai", "gpt-4o", "openai"),
        ("openai/gpt-4o", "gpt-4o", "openai"),
        ("openai:gpt-4o", "gpt-4o", "openai"),
        ("  fake/echo\n", "echo", "fake"),
        ("meta-llama/llama-3-70b", "meta-llama/llama-3-70b", None),
        ("meta-llama/llama-3@fake", "meta-llama/llama-3", "fake"),
        ("fake/vendor/model", "vendor/model", "fake"),
        ("vendor/model:free", "vendor/model:free", None),
        ("fake/model:free", "model:free", "fake"),
        ("claude-sonnet-4@20250514", "claude-sonnet-4@20250514", None),
        ("claude-sonnet-4@20250514@vertex-ai", "claude-sonnet-4@20250514", "vertex-ai"),
        ("../x", "../x", None),
        ("Auto", "Auto", None),
        ("auto-1", "auto-1", None),
        ("OPENAI/gpt-4o", "OPENAI/gpt-4o", None),
    ],
)
def test_selectors(text: str, model: str, provider: str | None) -> None:
    assert parse_selector(text, known_providers=PROVIDERS) == Selector(text.strip(), model, provider)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a->b", "fallback chains"),
        ("m@openai->fake", "fallback chains"),
        ("openai:a|fake:b", "failover"),
        ("gpt-4o@cost|itl<20", "failover and criteria"),
        ("a^b", "weighted"),
        ("a!b", "races"),
        ("[weight=2]a", "annotations"),
        ("a]", "annotations"),
        ("gpt-4o?temperature=0.5", "parameters in the model string"),
        ("auto", "automatic choice"),
        ("llmgateway/auto", "automatic choice"),
        ("router@q:1", "by metric"),
        ("router_mine@cost", "by metric"),
        ("gpt-4o@ttft", "by metric"),
        ("gpt-4o@lowest-input-cost", "by metric"),
        ("gpt-4o@highest-i", "by metric"),
        ("gpt-4o@itl<20", "by metric"),
        ("gpt-4o@c", "by metric"),
        ("mine@custom", "'@custom' are not offered"),
        ("mine@custom-openai", "'@custom-openai' are not offered"),
        ("x@external", "'@external' are not offered"),
        ("openai.2:gpt-4o", "numbered instances"),
        ("", "must not be empty"),
        ("   ", "must not be empty"),
        ("@openai", "both sides"),
        ("gpt-4o@", "both sides"),
        ("openai/", "must name a model after 'openai/'"),
        ("m" * 1025, "at most 1024"),
    ],
)
def test_what_is_not_offered_is_refused_by_name(text: str, words: str) -> None:
    with pytest.raises(InvalidModel) as refusal:
        parse_selector(text, known_providers=PROVIDERS, param="fallbacks[1]")

    assert words in refusal.value.message
    assert (refusal.value.status, refusal.value.code, refusal.value.param) == (
        400,
        "invalid_model",
        "fallbacks[1]",
    )


def test_the_longest_selector_is_read() -> None:
    assert parse_selector("m" * 1024, known_providers=PROVIDERS).model == "m" * 1024


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        selector = parse_selector(text, known_providers=PROVIDERS)
    except InvalidModel:
        return

    assert selector.model in selector.text
    assert selector.provider is None or selector.provider in PROVIDERS
