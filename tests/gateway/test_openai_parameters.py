"""What is sent to an OpenAI-compatible provider, and what is dropped by name."""

from typing import Any
from uuid import UUID

import msgspec
import orjson
import pytest

from billing.pricing import Price
from gateway.errors import UnsupportedParameter
from gateway.providers.openai import OpenAIProvider
from gateway.routing.target import Target
from gateway.wire.chat import parse_chat_request
from tests.gateway.chat_bodies import USER, body, tool

PROVIDER = OpenAIProvider()


def target(**fields: Any) -> Target:
    return Target(
        **{
            "provider": "openai",
            "kind": "openai-compatible",
            "model": "gpt-4o",
            "upstream_name": "gpt-4o-2024",
            "base_url": "https://provider.test/v1",
            "credential": "sk-secret",
            "is_own_credential": False,
            "is_guarded": False,
            "price": Price(version="v", input=1, output=1),
            "connection_id": UUID(int=1),
            **fields,
        }
    )


def sent(where: Target | None = None, **fields: Any) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The body that goes upstream without its constant part, and what was dropped."""
    call = PROVIDER.build_request(parse_chat_request(body(**fields)), where or target())
    document = orjson.loads(call.body)
    assert document.pop("model") == "gpt-4o-2024"
    assert document.pop("messages") == [USER]
    return document, call.dropped_params


def test_a_call_in_full() -> None:
    request = parse_chat_request(body(temperature=0.5))

    call = PROVIDER.build_request(
        request, target(), extra_headers=[("openai-beta", "x"), ("Authorization", "evil")]
    )

    assert call.url == "https://provider.test/v1/chat/completions"
    assert call.headers == (
        ("content-type", "application/json"),
        ("accept", "application/json"),
        ("accept-encoding", "identity"),
        ("user-agent", "farebox"),
        ("authorization", "Bearer sk-secret"),
        ("openai-beta", "x"),
    )
    assert orjson.loads(call.body) == {
        "model": "gpt-4o-2024",
        "messages": [USER],
        "temperature": 0.5,
        "stream": False,
    }
    assert call.dropped_params == ()
    assert "sk-secret" not in repr(call)


def test_a_slash_at_the_end_of_the_address_does_not_matter() -> None:
    call = PROVIDER.build_request(parse_chat_request(body()), target(base_url="https://provider.test/v1/"))

    assert call.url == "https://provider.test/v1/chat/completions"


def test_no_credential_sends_no_authorization() -> None:
    call = PROVIDER.build_request(parse_chat_request(body()), target(credential=""))

    assert "authorization" not in dict(call.headers)


@pytest.mark.parametrize(
    "asked", [{}, {"stream_options": {"include_usage": False}}, {"stream_options": {"include_usage": True}}]
)
def test_a_stream_always_asks_for_usage(asked: dict[str, Any]) -> None:
    assert sent(stream=True, **asked)[0] == {"stream": True, "stream_options": {"include_usage": True}}


def test_obfuscation_is_asked_for_as_the_client_did() -> None:
    document, _ = sent(stream=True, stream_options={"include_obfuscation": False})

    assert document["stream_options"] == {"include_usage": True, "include_obfuscation": False}


@pytest.mark.parametrize(
    ("asked", "unsupported", "cap"),
    [
        ({"max_tokens": 5}, set(), {"max_tokens": 5}),
        ({"max_completion_tokens": 5}, set(), {"max_completion_tokens": 5}),
        ({"max_tokens": 5, "max_completion_tokens": 5}, set(), {"max_completion_tokens": 5}),
        ({"max_tokens": 5}, {"max_tokens"}, {"max_completion_tokens": 5}),
        ({"max_completion_tokens": 5}, {"max_completion_tokens"}, {"max_tokens": 5}),
        ({}, set(), {}),
    ],
)
def test_the_cap_goes_under_one_name(
    asked: dict[str, int], unsupported: set[str], cap: dict[str, int]
) -> None:
    document, dropped = sent(target(unsupported_params=frozenset(unsupported)), **asked)

    assert document == {**cap, "stream": False}
    assert dropped == ()


PREDICTED = {"type": "content", "content": "x"}
PLAIN = target(capabilities=frozenset())
RICH = target(capabilities=frozenset({"tools", "reasoning", "audio", "web_search", "effort"}))


@pytest.mark.parametrize(
    ("where", "asked", "forwarded", "dropped"),
    [
        (PLAIN, {"tools": [tool()], "tool_choice": "auto"}, {}, ("tool_choice", "tools")),
        (RICH, {"tools": [tool()], "tool_choice": "auto"}, {"tools": [tool()], "tool_choice": "auto"}, ()),
        (target(), {"tools": [tool()]}, {"tools": [tool()]}, ()),
        (PLAIN, {"reasoning_effort": "low"}, {}, ("reasoning_effort",)),
        (RICH, {"reasoning_effort": "low"}, {"reasoning_effort": "low"}, ()),
        (RICH, {"reasoning": {"effort": "low"}}, {"reasoning_effort": "low"}, ()),
        (
            RICH,
            {"reasoning": {"effort": "low", "max_tokens": 9, "summary": "auto"}},
            {"reasoning_effort": "low"},
            ("reasoning.summary", "reasoning.max_tokens"),
        ),
        (RICH, {"effort": "low"}, {"effort": "low"}, ()),
        (PLAIN, {"effort": "low"}, {}, ("effort",)),
        (target(), {"effort": "low"}, {}, ("effort",)),
        (PLAIN, {"modalities": ["text", "audio"], "audio": {"voice": "a"}}, {}, ("audio", "modalities")),
        (PLAIN, {"modalities": ["text"]}, {"modalities": ["text"]}, ()),
        (RICH, {"modalities": ["audio"]}, {"modalities": ["audio"]}, ()),
        (target(), {"service_tier": "auto"}, {"service_tier": "auto"}, ()),
        (target(), {"service_tier": "priority"}, {}, ("service_tier",)),
        (target(is_own_credential=True), {"service_tier": "priority"}, {"service_tier": "priority"}, ()),
        (target(), {"region": "eu"}, {}, ("region",)),
        (target(), {"plugins": [{"id": "response-healing"}]}, {}, ("plugins",)),
        (target(unsupported_params=frozenset({"n", "seed"})), {"n": 2, "seed": 1}, {}, ("n", "seed")),
        (target(), {"n": 2, "seed": 1}, {"n": 2, "seed": 1}, ()),
        (RICH, {"web_search": True}, {"web_search_options": {}}, ()),
        (
            RICH,
            {"tools": [{"type": "web_search", "user_location": {"city": "Bern"}, "max_uses": 3}]},
            {
                "web_search_options": {
                    "user_location": {"type": "approximate", "approximate": {"city": "Bern"}}
                }
            },
            ("web_search.max_uses",),
        ),
        (target(), {"shiny_new_thing": 1}, {"shiny_new_thing": 1}, ()),
        (target(provider="groq"), {"n": 2, "logit_bias": {"1": 1}}, {}, ("logit_bias", "n")),
        (target(provider="groq"), {"n": 1}, {"n": 1}, ()),
        (
            target(provider="groq"),
            {"presence_penalty": 1, "metadata": {}},
            {},
            ("metadata", "presence_penalty"),
        ),
        (target(provider="mistral"), {"seed": 5, "user": "u"}, {"random_seed": 5}, ("user",)),
        (target(provider="mistral"), {"max_completion_tokens": 5}, {"max_tokens": 5}, ()),
        (target(provider="google"), {"seed": 5, "top_p": 1}, {"top_p": 1}, ("seed",)),
        (target(provider="anthropic"), {"reasoning_effort": "low"}, {}, ("reasoning_effort",)),
        (
            target(provider="anthropic"),
            {"reasoning": {"max_tokens": 500, "effort": "low"}},
            {"thinking": {"type": "enabled", "budget_tokens": 1024}},
            (),
        ),
        (
            target(provider="anthropic", model="claude-haiku-4-5"),
            {"thinking_budget": 200_000},
            {"thinking": {"type": "enabled", "budget_tokens": 128_000}},
            (),
        ),
        (
            target(provider="anthropic", model="claude-opus-4-8"),
            {"thinking_budget": 200_000},
            {},
            ("thinking_budget",),
        ),
        (
            target(provider="google"),
            {"reasoning": {"max_tokens": 500}},
            {"extra_body": {"google": {"thinking_config": {"thinking_budget": 500}}}},
            (),
        ),
        (
            target(provider="google"),
            {"google": {"cached_content": "c"}, "thinking_budget": 500},
            {"extra_body": {"google": {"cached_content": "c"}}},
            ("thinking_budget",),
        ),
        (target(provider="deepseek"), {"max_completion_tokens": 5}, {"max_tokens": 5}, ()),
        (target(), {"top_k": 5, "truncation": "auto"}, {}, ("top_k", "truncation")),
        (target(provider="together-ai"), {"top_k": 5}, {"top_k": 5}, ()),
        (target(provider="together-ai"), {"max_completion_tokens": 5}, {"max_tokens": 5}, ()),
        (
            target(provider="together-ai"),
            {"prediction": PREDICTED, "user": "u"},
            {"user": "u"},
            ("prediction",),
        ),
        (target(provider="fireworks-ai"), {"prediction": PREDICTED}, {"prediction": PREDICTED}, ()),
        (
            target(provider="fireworks-ai"),
            {"max_completion_tokens": 5, "store": True},
            {"max_completion_tokens": 5},
            ("store",),
        ),
        (target(provider="mine"), {"top_k": 5, "truncation": "auto"}, {"top_k": 5, "truncation": "auto"}, ()),
        (PLAIN, {"modalities": ["image", "text"]}, {}, ("modalities",)),
        (target(), {"sensitive_word_check": True}, {}, ("sensitive_word_check",)),
        (RICH, {"verbosity": "low", "store": True}, {"verbosity": "low", "store": True}, ()),
    ],
)
@pytest.mark.contract(
    "3.2 drop_params",
    "3.2 effort",
    "3.2 reasoning{effort,max_tokens}",
    "3.2 service_tier",
    "3.2 verbosity",
    "3.2 web_search tool",
    "3.2 n",
    "3.2 max_completion_tokens",
)
def test_parameters_are_forwarded_translated_or_named(
    where: Target, asked: dict[str, Any], forwarded: dict[str, Any], dropped: tuple[str, ...]
) -> None:
    assert sent(where, **asked) == ({**forwarded, "stream": False}, dropped)


def test_a_provider_that_knows_no_stream_options_gets_none() -> None:
    assert sent(target(provider="mistral"), stream=True)[0] == {"stream": True}


def test_nothing_is_dropped_if_the_client_forbids_it() -> None:
    with pytest.raises(
        UnsupportedParameter, match="reasoning_effort is not supported by openai/gpt-4o"
    ) as refusal:
        sent(PLAIN, reasoning_effort="low", drop_params=False)

    assert refusal.value.param == "reasoning_effort"
    assert sent(RICH, reasoning_effort="low", drop_params=False)[1] == ()


@pytest.mark.contract("3.2 reasoning_effort")
@pytest.mark.parametrize(
    ("provider", "model", "asked", "effort"),
    [
        ("openai", "gpt-5.1", "xhigh", "high"),
        ("openai", "gpt-5.1", "minimal", "none"),
        ("openai", "gpt-5.4", "xhigh", "xhigh"),
        ("openai", "gpt-5.4", "minimal", "none"),
        ("openai", "gpt-5-mini", "minimal", "minimal"),
        ("openai", "gpt-6-astra", "none", "low"),
        ("openai", "gpt-6-astra", "xhigh", "xhigh"),
        ("openai", "gpt-6-luna", "none", "none"),
        ("openai", "o9-unheard-of", "minimal", "minimal"),
        ("groq", "gpt-oss-120b", "none", "low"),
        ("groq", "gpt-oss-120b", "xhigh", "high"),
        ("groq", "qwen3.8-27b", "medium", "medium"),
        ("groq", "qwen3.8-27b", "xhigh", "high"),
        ("groq", "qwen9-unheard-of", "high", "high"),
        ("google", "gemini-3.1-pro-preview", "none", "low"),
        ("google", "gemini-3.1-flash-lite", "minimal", "minimal"),
        ("google", "gemini-3.1-flash-lite", "none", "minimal"),
        ("google", "gemini-3.8-flash", "minimal", "low"),
        ("google", "gemini-2.5-flash", "none", "none"),
        ("google", "gemini-2.5-pro", "none", "minimal"),
        ("google", "gemini-4-argon", "none", "none"),
        ("deepseek", "deepseek-flash", "medium", "medium"),
        ("fireworks-ai", "gpt-oss-20b", "none", "low"),
        ("fireworks-ai", "glm-5.3", "none", "none"),
        ("mine", "gpt-5.1", "xhigh", "xhigh"),
    ],
)
def test_a_level_that_a_model_lacks_becomes_the_nearest_and_is_named(
    provider: str, model: str, asked: str, effort: str
) -> None:
    where = target(provider=provider, model=model)

    document, dropped = sent(where, reasoning_effort=asked)

    assert document == {"reasoning_effort": effort, "stream": False}
    assert dropped == (() if effort == asked else ("reasoning_effort",))
    if effort != asked:
        with pytest.raises(UnsupportedParameter, match="reasoning_effort"):
            sent(where, reasoning_effort=asked, drop_params=False)


MARKED = {"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}
TALK = [
    {"role": "user", "content": [MARKED], "name": "ann"},
    {"role": "assistant", "content": "y", "reasoning": "hm", "annotations": [], "refusal": None},
    {"role": "user", "content": "z"},
]


def upstream_messages(provider: str) -> tuple[Any, tuple[str, ...]]:
    call = PROVIDER.build_request(parse_chat_request(body(messages=TALK)), target(provider=provider))
    return orjson.loads(call.body)["messages"], call.dropped_params


@pytest.mark.contract("3.2 Message roles")
def test_what_a_provider_refuses_in_a_message_is_left_out_and_named_if_it_said_something() -> None:
    assert upstream_messages("mine") == (TALK, ())
    assert upstream_messages("groq") == (
        [
            {"role": "user", "content": [{"type": "text", "text": "x"}]},
            {"role": "assistant", "content": "y", "reasoning": "hm"},
            {"role": "user", "content": "z"},
        ],
        ("messages.name", "cache_control"),
    )
    assert upstream_messages("mistral")[1] == ("messages.name", "messages.reasoning", "cache_control")
    kept, dropped = upstream_messages("openai")
    assert kept[0]["name"] == "ann"
    assert dropped == ("messages.reasoning", "cache_control")


@pytest.mark.parametrize(
    ("provider", "field", "goes"),
    [
        ("groq", "reasoning_content", False),
        ("groq", "reasoning", True),
        ("deepseek", "reasoning_content", True),
        ("deepseek", "reasoning", False),
        ("openai", "reasoning", False),
        ("fireworks-ai", "reasoning_content", True),
    ],
)
def test_thoughts_go_back_under_the_name_that_a_provider_knows(provider: str, field: str, goes: bool) -> None:
    talk = [USER, {"role": "assistant", "content": "y", field: "hm"}, USER]

    call = PROVIDER.build_request(parse_chat_request(body(messages=talk)), target(provider=provider))

    assert (field in orjson.loads(call.body)["messages"][1]) is goes
    assert call.dropped_params == (() if goes else (f"messages.{field}",))


def test_an_answer_of_a_function_keeps_the_name_of_that_function() -> None:
    talk = [
        {"role": "user", "content": "x", "name": "ann"},
        {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}},
        {"role": "function", "name": "f", "content": "1"},
    ]

    call = PROVIDER.build_request(parse_chat_request(body(messages=talk)), target(provider="groq"))

    assert orjson.loads(call.body)["messages"] == [{"role": "user", "content": "x"}, *talk[1:]]
    assert call.dropped_params == ("messages.name",)


SHELL = {"type": "custom", "custom": {"name": "shell"}}


@pytest.mark.contract("3.2 custom/grammar tools", "3.2 tools functions")
@pytest.mark.parametrize(
    ("provider", "fields", "forwarded", "dropped"),
    [
        ("openai", {"tools": [SHELL, tool()]}, {"tools": [SHELL, tool()]}, ()),
        ("mine", {"tools": [SHELL]}, {"tools": [SHELL]}, ()),
        ("groq", {"tools": [SHELL, tool()]}, {"tools": [tool()]}, ("tools.custom",)),
        ("groq", {"tools": [SHELL], "tool_choice": "required"}, {}, ("tools.custom",)),
        (
            "groq",
            {"tools": [SHELL, tool()], "tool_choice": {"type": "custom", "custom": {"name": "shell"}}},
            {"tools": [tool()]},
            ("tools.custom",),
        ),
        (
            "openai",
            {"tools": [tool() | {"cache_control": {"type": "ephemeral"}}]},
            {"tools": [tool()]},
            ("cache_control",),
        ),
        (
            "mine",
            {"tools": [tool(strict=True) | {"cache_control": {"type": "ephemeral"}}]},
            {"tools": [tool(strict=True) | {"cache_control": {"type": "ephemeral"}}]},
            (),
        ),
    ],
)
def test_tools_go_where_they_are_known(
    provider: str, fields: dict[str, Any], forwarded: dict[str, Any], dropped: tuple[str, ...]
) -> None:
    assert sent(target(provider=provider), **fields) == ({**forwarded, "stream": False}, dropped)


def test_unknown_fields_can_be_held_back() -> None:
    request = msgspec.structs.replace(parse_chat_request(body(shiny=1, seed=2)), passes_unknown=False)

    call = PROVIDER.build_request(request, target())

    assert "shiny" not in orjson.loads(call.body)
    assert orjson.loads(call.body)["seed"] == 2
    assert call.dropped_params == ("shiny",)
