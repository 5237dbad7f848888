"""Every parameter of the contract's table: what is taken, what is refused, and what is made of it.

Both sides of each boundary. That what is taken reaches a provider is held in test_openai_parameters.py
and in tests/flows/test_parameters.py.
"""

from typing import Any

import pytest

from gateway.errors import GatewayError
from gateway.wire.chat import parse_chat_request
from gateway.wire.chat_request import ChatRequest
from tests.gateway.chat_bodies import MISSING, UNSUPPORTED, USER, VALUE, body, part, said, tool

PNG = "data:image/png;base64,iVBORw0KGgo="
SEARCH = {"type": "web_search"}
GRAMMAR = {"type": "grammar", "grammar": {"definition": "start: WORD", "syntax": "lark"}}
ABSENT: Any = None


def taken(**fields: Any) -> ChatRequest:
    return parse_chat_request(body(**fields))


def refusal_of(sent: bytes) -> GatewayError:
    with pytest.raises(GatewayError) as refusal:
        parse_chat_request(sent)
    assert refusal.value.status == 400
    return refusal.value


def refused(**fields: Any) -> tuple[str, str | None]:
    """Code and place of the refusal."""
    error = refusal_of(body(**fields))
    return error.code, error.param


def custom(**fields: Any) -> dict[str, Any]:
    return {"type": "custom", "custom": {"name": "shell", **fields}}


# The causes of the one source that has a list of them, in its own words.
CAUSES = [
    ({"model": ABSENT}, MISSING, "model", "model is missing"),
    ({"messages": ABSENT}, MISSING, "messages", "messages is missing"),
    ({"messages": {}}, VALUE, "messages", "messages must be an array"),
    ({"messages": "hello"}, VALUE, "messages", "messages must be an array"),
    ({"messages": []}, VALUE, "messages", "at least one message, got an empty array"),
    ({"temperature": -0.1}, VALUE, "temperature", "temperature must be a number between 0 and 2, got -0.1"),
    ({"temperature": 2.1}, VALUE, "temperature", "temperature must be a number between 0 and 2, got 2.1"),
    ({"top_p": -0.1}, VALUE, "top_p", "top_p must be a number between 0 and 1, got -0.1"),
    ({"top_p": 1.1}, VALUE, "top_p", "top_p must be a number between 0 and 1, got 1.1"),
    ({"max_tokens": 0}, VALUE, "max_tokens", "max_tokens must be a positive integer"),
    ({"max_tokens": -1}, VALUE, "max_tokens", "max_tokens must be a positive integer"),
    ({"max_tokens": 1.5}, VALUE, "max_tokens", "max_tokens must be a positive integer"),
    ({"max_tokens": "5"}, VALUE, "max_tokens", "max_tokens must be a positive integer"),
    ({"max_tokens": True}, VALUE, "max_tokens", "max_tokens must be a positive integer"),
    ({"stop": list("abcde")}, VALUE, "stop", "stop must have at most 4 sequences, got 5"),
]


@pytest.mark.contract("3.2 model, messages required", "3.4 Validation status")
@pytest.mark.parametrize(("fields", "code", "param", "words"), CAUSES)
def test_each_documented_cause_is_a_400_that_says_so(
    fields: dict[str, Any], code: str, param: str, words: str
) -> None:
    error = refusal_of(body(**fields))

    assert (error.status, error.code, error.param) == (400, code, param)
    assert words in error.message


# Name, what is taken, what is refused.
RANGES: dict[str, tuple[list[Any], list[Any]]] = {
    "max_tokens": ([1, 2**31 - 1], [0, 2**31, 1.0, "1", True]),
    "max_completion_tokens": ([1, 2**31 - 1], [0, 2**31, 1.0, "1", True]),
    "temperature": ([0, 0.7, 2, 2.0], [-0.01, 2.01, "1", True, []]),
    "top_p": ([0, 0.5, 1], [-0.01, 1.01, "1", False]),
    "frequency_penalty": ([-2, 0, 2], [-2.01, 2.01, "0"]),
    "presence_penalty": ([-2, 0, 2], [-2.01, 2.01, "0"]),
    "n": ([1, 8], [0, 9, 1.5, "2", True]),
    "seed": ([-(2**63), 0, 2**63 - 1], [1.5, "7", True]),
    "user": (["u" * 256, ""], ["u" * 257, 7, "a\nb"]),
    "parallel_tool_calls": ([True, False], ["true", 1]),
    "reasoning_effort": (["none", "minimal", "low", "medium", "high", "xhigh"], ["max", "", 3]),
    "effort": (["low", "medium", "high"], ["none", "xhigh", 1]),
    "verbosity": (["low", "medium", "high"], ["chatty", 1]),
    "service_tier": (["auto", "default", "flex", "priority", "scale"], [1, "t" * 257]),
    "store": ([True, False], ["yes", 0]),
    "metadata": ([{}, {"k" * 64: "v" * 512}], [{"k" * 65: "v"}, {"k": "v" * 513}, {"k": 1}, []]),
    "prompt_cache_key": (["k" * 256], ["k" * 257, 1]),
    "prompt_cache_retention": (["in_memory", "24h"], ["1y", 24]),
    "safety_identifier": (["s" * 256], ["s" * 257, 1]),
    "truncation": (["auto", "disabled"], [True]),
    "top_k": ([-1, 0, 2**31 - 1], [-2, 2**31, 0.5]),
    "thinking_budget": ([-1, 0, 4096], [-2, 1.5, "4096"]),
    "request_metadata": ([{}, {"trace": "a"}], ["a", []]),
    "generation_config": ([{"response_mime_type": "text/plain"}], ["x", []]),
    "generationConfig": ([{"responseMimeType": "text/plain"}], ["x", []]),
    "image_config": ([{"aspect_ratio": "16:9"}], ["16:9"]),
    "routing": (["auto", "price", "throughput", "latency"], ["cheap", 1]),
    "sensitive_word_check": ([True, False], ["on"]),
    "onboarding": ([True, False], ["on"]),
    "stream": ([True, False], ["true", 1]),
    "drop_params": ([True, False], ["true", 0]),
    "use_custom_keys": ([True, False], ["true", 0]),
    "log_query_body": ([True, False], ["no"]),
    "log_response_body": ([True, False], ["no"]),
    "free_models_only": ([True, False], ["no"]),
    "no_reasoning": ([True, False], ["no"]),
    "web_search": ([True, False], ["on", 1]),
}


@pytest.mark.contract(
    "3.2 max_tokens",
    "3.2 max_completion_tokens",
    "3.2 temperature",
    "3.2 top_p",
    "3.2 frequency_penalty, presence_penalty",
    "3.2 n",
    "3.2 seed",
    "3.2 user",
    "3.2 parallel_tool_calls",
    "3.2 reasoning_effort",
    "3.2 effort",
    "3.2 verbosity",
    "3.2 service_tier",
)
@pytest.mark.parametrize("name", RANGES)
def test_a_value_is_taken_up_to_its_bounds_and_refused_beyond(name: str) -> None:
    good, bad = RANGES[name]

    for value in [*good, None]:
        assert taken(**{name: value}).model == "fake/echo"
    for value in bad:
        code, param = refused(**{name: value})
        assert code == VALUE
        assert (param or "").startswith(name)


@pytest.mark.parametrize("name", RANGES)
def test_null_is_as_good_as_absent(name: str) -> None:
    assert taken(**{name: None}) == taken()


@pytest.mark.contract("3.2 stop")
@pytest.mark.parametrize("stop", ["a", ["a"], ["a", "b", "c", "d"], "x" * 256, [], None])
def test_stop_is_a_string_or_up_to_four(stop: Any) -> None:
    assert taken(stop=stop).forwarded.get("stop") == (stop or None)


@pytest.mark.parametrize("stop", [list("abcde"), [1], [""], "", 7, {"a": 1}, "x" * 257])
def test_any_other_stop_is_refused(stop: Any) -> None:
    assert refused(stop=stop) == (VALUE, "stop")


@pytest.mark.contract("3.2 logit_bias, logprobs, top_logprobs")
def test_log_probabilities_and_biases_have_their_bounds() -> None:
    assert taken(logit_bias={"1734": -100, "2": 100}, logprobs=True, top_logprobs=20).n == 1
    assert taken(top_logprobs=0).n == 1
    assert refused(logit_bias={"1734": 100.1}) == (VALUE, "logit_bias")
    assert refused(logit_bias={"1734": -101}) == (VALUE, "logit_bias")
    assert refused(logit_bias={"word": 1}) == (VALUE, "logit_bias")
    assert refused(logprobs=True, top_logprobs=21) == (VALUE, "top_logprobs")
    assert refused(logprobs=True, top_logprobs=-1) == (VALUE, "top_logprobs")
    assert refused(top_logprobs=2) == (VALUE, "top_logprobs")
    assert refused(logprobs=False, top_logprobs=2) == (VALUE, "top_logprobs")


@pytest.mark.contract("3.2 stream", "3.2 stream_options.include_usage")
def test_stream_options_need_a_stream() -> None:
    asked = taken(stream=True, stream_options={"include_usage": True, "include_obfuscation": False})

    assert (asked.is_stream, asked.include_usage, asked.include_obfuscation) == (True, True, False)
    assert taken(stream=True).include_usage is None
    assert refused(stream_options={"include_usage": True}) == (VALUE, "stream_options")
    assert refused(stream=False, stream_options={"include_usage": True}) == (VALUE, "stream_options")
    assert refused(stream=True, stream_options={"include_usage": 1}) == (
        VALUE,
        "stream_options.include_usage",
    )


MESSAGES: list[dict[str, Any]] = [
    {"role": "system", "content": "Be brief.", "name": "house"},
    {"role": "developer", "content": "Be brief."},
    {"role": "user", "content": "Hello", "name": "ann"},
    {"role": "assistant", "content": None, "refusal": "No."},
    {"role": "assistant", "content": "", "reasoning": "Hm.", "annotations": [], "reasoning_details": []},
    {"role": "assistant", "content": None, "reasoning_content": "Hm."},
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"index": 0, "id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}},
            {"id": "c2", "type": "custom", "custom": {"name": "shell", "input": "ls"}},
        ],
    },
    {"role": "tool", "content": "42", "tool_call_id": "c1"},
    {"role": "function", "content": "42", "name": "f"},
]


@pytest.mark.contract("3.2 Message roles")
@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message["role"])
def test_every_role_is_taken_with_its_own_fields(message: dict[str, Any]) -> None:
    assert parse_chat_request(said(message)).forwarded["messages"] == [message]


@pytest.mark.parametrize(
    ("message", "code", "param"),
    [
        ({"role": "robot", "content": "x"}, VALUE, "messages[0].role"),
        ({"content": "x"}, VALUE, "messages[0].role"),
        ({"role": "user"}, MISSING, "messages[0].content"),
        ({"role": "user", "content": 5}, VALUE, "messages[0].content"),
        ({"role": "user", "content": "x", "name": 5}, VALUE, "messages[0].name"),
        ({"role": "tool", "content": "x"}, MISSING, "messages[0].tool_call_id"),
        ({"role": "assistant", "content": None}, MISSING, "messages[0].content"),
        ({"role": "assistant", "content": "x", "refusal": 5}, VALUE, "messages[0].refusal"),
        ({"role": "assistant", "content": "x", "reasoning": {}}, VALUE, "messages[0].reasoning"),
        ({"role": "assistant", "content": "x", "annotations": {}}, VALUE, "messages[0].annotations"),
        ({"role": "user", "content": "x", "cache_control": {}}, VALUE, "messages[0].cache_control.type"),
    ],
)
def test_a_message_without_what_its_role_needs_is_refused(
    message: dict[str, Any], code: str, param: str
) -> None:
    error = refusal_of(said(message))

    assert (error.code, error.param) == (code, param)


PARTS: list[tuple[dict[str, Any], set[str]]] = [
    ({"type": "text", "text": "Hello", "cache_control": {"type": "ephemeral", "ttl": "1h"}}, set()),
    ({"type": "image_url", "image_url": {"url": "https://x.test/a.png", "detail": "low"}}, {"vision"}),
    ({"type": "image_url", "image_url": {"url": PNG}}, {"vision"}),
    ({"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}}, {"audio"}),
    ({"type": "file", "file": {"filename": "a.pdf", "file_data": "JVBERi0="}}, set()),
    ({"type": "file", "file": {"file_data": "data:application/pdf;base64,JVBERi0="}}, set()),
    ({"type": "file", "file": {"file_id": "file-1"}}, set()),
    ({"type": "video_url", "video_url": {"url": "https://x.test/a.mp4"}}, set()),
    ({"type": "video_url", "video_url": {"url": "data:video/mp4;base64,AAAA"}}, set()),
    ({"type": "refusal", "refusal": "No."}, set()),
]


@pytest.mark.contract("3.2 Multimodal content parts")
@pytest.mark.parametrize(("content", "needed"), PARTS)
def test_each_kind_of_part_is_taken_and_says_what_the_model_must_be_able_to_do(
    content: dict[str, Any], needed: set[str]
) -> None:
    request = parse_chat_request(part(**content))

    assert request.forwarded["messages"][0]["content"] == [content]
    assert request.required_capabilities == needed


@pytest.mark.parametrize(
    ("content", "param"),
    [
        ({"type": "smell"}, "type"),
        ({"type": "text", "text": 1}, "text"),
        ({"type": "text", "text": "x", "cache_control": {"type": "for ever"}}, "cache_control.type"),
        (
            {"type": "text", "text": "x", "cache_control": {"type": "ephemeral", "ttl": 5}},
            "cache_control.ttl",
        ),
        ({"type": "image_url", "image_url": "https://x.test/a.png"}, "image_url"),
        ({"type": "image_url", "image_url": {"url": "ftp://x.test/a.png"}}, "image_url.url"),
        ({"type": "image_url", "image_url": {"url": "data:image/png;base64,%%"}}, "image_url.url"),
        ({"type": "image_url", "image_url": {"url": "data:text/html;base64,AAAA"}}, "image_url.url"),
        ({"type": "image_url", "image_url": {"url": PNG, "detail": 3}}, "image_url.detail"),
        ({"type": "input_audio", "input_audio": {"data": "UklGRg=="}}, "input_audio.format"),
        ({"type": "input_audio", "input_audio": {"data": "?", "format": "wav"}}, "input_audio.data"),
        ({"type": "file", "file": {}}, "file"),
        ({"type": "file", "file": {"file_data": "data:nonsense"}}, "file.file_data"),
        ({"type": "file", "file": {"file_data": "%"}}, "file.file_data"),
        ({"type": "file", "file": {"file_id": "f", "filename": 1}}, "file.filename"),
        ({"type": "video_url", "video_url": {"url": "rtsp://x"}}, "video_url.url"),
    ],
)
def test_a_broken_part_is_refused_with_its_place(content: dict[str, Any], param: str) -> None:
    error = refusal_of(part(**content))

    assert (error.code, error.param) == (VALUE, f"messages[0].content[0].{param}")


@pytest.mark.contract("3.2 tools functions")
def test_functions_have_strict_and_marks_for_caching() -> None:
    marked = tool(strict=True, description="Looks.", parameters={"type": "object"}) | {
        "cache_control": {"type": "ephemeral"}
    }

    request = taken(tools=[marked, tool("other", strict=None)])

    assert request.forwarded["tools"][0] == marked
    assert request.has_cache_control
    assert taken(tools=[tool()] * 128).has_tools
    assert refused(tools=[tool()] * 129) == (VALUE, "tools")
    assert refused(tools=[tool(strict="yes")]) == (VALUE, "tools[0].function.strict")
    assert refused(tools=[tool(description=5)]) == (VALUE, "tools[0].function.description")
    assert refused(tools=[tool() | {"cache_control": "yes"}]) == (VALUE, "tools[0].cache_control")


@pytest.mark.contract("3.2 custom/grammar tools")
@pytest.mark.parametrize(
    ("form", "place"),
    [
        (None, ""),
        ({"type": "text"}, ""),
        (GRAMMAR, ""),
        ({"type": "grammar", "grammar": {"definition": "a+", "syntax": "regex"}}, ""),
        ("text", "format"),
        ({"type": "prose"}, "format.type"),
        ({"type": "grammar"}, "format.grammar"),
        ({"type": "grammar", "grammar": {"syntax": "lark"}}, "format.grammar.definition"),
        ({"type": "grammar", "grammar": {"definition": "a", "syntax": "ebnf"}}, "format.grammar.syntax"),
    ],
)
def test_a_custom_tool_has_text_or_a_grammar(form: Any, place: str) -> None:
    tools = [custom(format=form)]

    if place:
        assert refused(tools=tools) == (VALUE, f"tools[0].custom.{place}")
    else:
        assert taken(tools=tools, tool_choice={"type": "custom", "custom": {"name": "shell"}}).has_tools


@pytest.mark.contract("3.2 web_search tool", "3.2 web_search bool")
@pytest.mark.parametrize(
    "fields",
    [{"web_search": True}, {"tools": [SEARCH]}, {"web_search_options": {}}, {"tools": [SEARCH, tool()]}],
)
def test_a_search_may_be_asked_for_in_three_ways(fields: dict[str, Any]) -> None:
    request = taken(**fields)

    assert request.web_search
    assert "web_search" in request.required_capabilities
    assert request.searches_bound == 10
    assert request.forwarded.get("tools", [tool()]) == [tool()]


@pytest.mark.contract("3.2 web_search tool")
def test_a_search_has_its_options_and_can_be_declined() -> None:
    options = {
        "search_context_size": "low",
        "max_uses": 3,
        "allowed_domains": ["x.test"],
        "user_location": {"city": "Bern", "country": "CH", "region": "BE", "timezone": "Europe/Zurich"},
    }

    assert taken(tools=[SEARCH | options]).web_search_options == options
    assert taken(web_search_options=options).web_search_options == options
    assert not taken(tools=[SEARCH], tool_choice="none").web_search
    assert not taken(web_search=False).web_search
    assert refused(tools=[SEARCH | {"max_uses": 0}]) == (VALUE, "tools[0].max_uses")
    assert refused(web_search_options={"search_context_size": "huge"}) == (
        VALUE,
        "web_search_options.search_context_size",
    )
    assert refused(web_search_options={"user_location": {"city": 5}}) == (
        VALUE,
        "web_search_options.user_location.city",
    )
    assert refused(tools=[SEARCH | {"blocked_domains": "x.test"}]) == (VALUE, "tools[0].blocked_domains")


ALLOWED = {"mode": "auto", "tools": [{"type": "function", "function": {"name": "look_up"}}]}


@pytest.mark.contract("3.2 tool_choice")
@pytest.mark.parametrize(
    "choice",
    [
        "none",
        "auto",
        "required",
        {"type": "function", "function": {"name": "look_up"}},
        {"type": "custom", "custom": {"name": "shell"}},
        {"type": "allowed_tools", "allowed_tools": ALLOWED},
    ],
)
def test_a_choice_of_tools_is_a_word_or_names_tools_that_there_are(choice: Any) -> None:
    request = taken(tools=[tool(), custom()], tool_choice=choice)

    assert request.forwarded["tool_choice"] == choice


@pytest.mark.parametrize(
    ("choice", "param"),
    [
        ("any", "tool_choice"),
        (5, "tool_choice"),
        ({"type": "function", "function": {"name": "other"}}, "tool_choice.function.name"),
        ({"type": "custom", "custom": {"name": "look_up"}}, "tool_choice.custom.name"),
        ({"type": "web_search"}, "tool_choice.type"),
        ({"type": "allowed_tools"}, "tool_choice.allowed_tools"),
        (
            {"type": "allowed_tools", "allowed_tools": {**ALLOWED, "mode": "x"}},
            "tool_choice.allowed_tools.mode",
        ),
        (
            {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [{"type": "function"}]}},
            "tool_choice.allowed_tools.tools[0]",
        ),
    ],
)
def test_a_choice_of_what_there_is_not_is_refused(choice: Any, param: str) -> None:
    assert refused(tools=[tool(), custom()], tool_choice=choice) == (VALUE, param)


def test_choosing_the_search_means_that_there_is_one() -> None:
    with_tools = taken(tools=[SEARCH, tool()], tool_choice={"type": "web_search"})

    assert with_tools.web_search
    assert "tool_choice" not in with_tools.forwarded
    assert taken(web_search=True, tool_choice={"type": "web_search"}).web_search


@pytest.mark.contract("3.2 parallel_tool_calls")
def test_parallel_calls_are_spoken_of_only_where_there_are_tools() -> None:
    assert "parallel_tool_calls" not in taken(parallel_tool_calls=False).forwarded
    assert taken(parallel_tool_calls=False, tools=[tool()]).forwarded["parallel_tool_calls"] is False


@pytest.mark.contract("3.2 response_format")
def test_a_format_has_one_of_three_types() -> None:
    schema = {"name": "city", "strict": True, "schema": {"type": "object"}, "description": "A city."}
    formed = taken(response_format={"type": "json_schema", "json_schema": schema})

    assert formed.required_capabilities == {"json_schema"}
    assert taken(response_format={"type": "json_object"}).required_capabilities == {"json_mode"}
    assert taken(response_format={"type": "text"}).required_capabilities == set()
    assert refused(response_format={"type": "xml"}) == (VALUE, "response_format.type")
    assert refused(response_format={"type": "json_schema"}) == (MISSING, "response_format.json_schema")
    for field, value in {"strict": "yes", "name": 5, "schema": []}.items():
        form = {"type": "json_schema", "json_schema": {**schema, field: value}}
        assert refused(response_format=form) == (VALUE, f"response_format.json_schema.{field}")


@pytest.mark.contract("3.2 reasoning_effort", "3.2 reasoning{effort,max_tokens}")
@pytest.mark.parametrize(
    ("fields", "effort", "tokens"),
    [
        ({"reasoning_effort": "low"}, "low", None),
        ({"reasoning": {"effort": "high"}}, "high", None),
        ({"reasoning_effort": "low", "reasoning": {"effort": "low"}}, "low", None),
        ({"reasoning": {"max_tokens": 2000}}, None, 2000),
        ({"reasoning": {"effort": "low", "max_tokens": 1}}, "low", 1),
        ({"thinking_budget": 2000}, None, 2000),
        ({"thinking_budget": 0}, "none", None),
        ({"thinking_budget": -1}, None, None),
        ({"thinking_budget": 7, "reasoning": {"max_tokens": 7}}, None, 7),
        ({"reasoning_effort": None, "reasoning": {"effort": None}}, None, None),
    ],
)
def test_reasoning_may_be_spelled_in_three_ways(
    fields: dict[str, Any], effort: str | None, tokens: int | None
) -> None:
    request = taken(**fields)

    assert (request.reasoning_effort, request.reasoning_max_tokens) == (effort, tokens)
    assert not request.forwarded.keys() & {"reasoning", "reasoning_effort", "thinking_budget"}


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"reasoning_effort": "low", "reasoning": {"effort": "high"}}, "reasoning_effort"),
        ({"reasoning": {"effort": "max"}}, "reasoning.effort"),
        ({"reasoning": {"max_tokens": 0}}, "reasoning.max_tokens"),
        ({"reasoning": "high"}, "reasoning"),
        ({"thinking_budget": 7, "reasoning": {"max_tokens": 8}}, "thinking_budget"),
    ],
)
def test_spellings_that_disagree_are_refused(fields: dict[str, Any], param: str) -> None:
    assert refused(**fields) == (VALUE, param)


@pytest.mark.contract("3.2 modalities, audio, prediction")
def test_outputs_and_predictions_are_checked_member_by_member() -> None:
    assert taken(modalities=["text", "audio"], audio={"voice": "alloy", "format": "mp3"}).may_use_audio
    assert taken(audio={"voice": {"id": "voice_1"}, "format": "pcm16"}).n == 1
    assert taken(modalities=[]) == taken()
    assert taken(prediction={"type": "content", "content": "x" * 50}).rejected_tokens_bound >= 50
    assert taken(prediction={"type": "content", "content": [{"type": "text", "text": "x"}]}).n == 1
    assert refused(modalities=["smell"]) == (VALUE, "modalities")
    assert refused(modalities=["text"] * 4) == (VALUE, "modalities")
    assert refused(audio={"format": "midi"}) == (VALUE, "audio.format")
    assert refused(audio={"voice": 5}) == (VALUE, "audio.voice")
    assert refused(audio={"voice": {}}) == (VALUE, "audio.voice.id")
    assert refused(prediction={"type": "guess", "content": "x"}) == (VALUE, "prediction.type")
    assert refused(prediction={"type": "content"}) == (MISSING, "prediction.content")
    assert refused(prediction={"type": "content", "content": 5}) == (VALUE, "prediction.content")
    assert refused(prediction={"type": "content", "content": [{"type": "text"}]}) == (
        VALUE,
        "prediction.content[0].text",
    )


@pytest.mark.contract("3.2 extra_body")
def test_an_extra_body_stands_beside_the_rest_and_overrides_nothing() -> None:
    request = taken(
        temperature=1,
        session_id="mine",
        extra_body={"temperature": 2, "shiny": 1, "session_id": "other", "request_context_tokens": "120"},
    )

    assert request.forwarded == {"messages": [USER], "temperature": 1, "shiny": 1}
    assert (request.session_id, request.request_context_tokens) == ("mine", 120)
    assert taken(extra_body={"session_id": "other"}).session_id == "other"
    assert refused(extra_body="x") == (VALUE, "extra_body")
    assert refused(extra_body={"temperature": 3}) == (VALUE, "temperature")
    assert refused(extra_body={"api_key": "k"}) == (UNSUPPORTED, "api_key")


@pytest.mark.parametrize(
    ("sent", "tokens"),
    [(0, 0), (7, 7), ("42", 42), (-1, None), (True, None), ("4.2", None), ([], None), ("9" * 40, None)],
)
def test_the_size_of_the_context_is_believed_if_it_is_a_count(sent: Any, tokens: int | None) -> None:
    assert taken(extra_body={"request_context_tokens": sent}).request_context_tokens == tokens


@pytest.mark.contract("3.2 fallbacks")
def test_fallbacks_are_a_list_of_models() -> None:
    assert taken(fallbacks=["openai/gpt-4o", " m@p "]).fallbacks == ("openai/gpt-4o", "m@p")
    assert taken(fallbacks=["m"] * 16).fallbacks == ("m",) * 16
    assert refused(fallbacks=["m"] * 17) == (VALUE, "fallbacks")
    assert refused(fallbacks=[5]) == (VALUE, "fallbacks[0]")


def test_services_that_nobody_offers_are_remembered_by_name() -> None:
    assert taken(sensitive_word_check=True, onboarding=True).unserved == (
        "sensitive_word_check",
        "onboarding",
    )
    assert taken(sensitive_word_check=False).unserved == ()
