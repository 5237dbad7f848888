"""Reading chat requests: what the gateway takes out, what goes upstream, and how long the prompt is."""

import pytest

from gateway.errors import GatewayError, InvalidValue, MissingParameter
from gateway.wire.chat import ParseLimits, parse_chat_request
from tests.gateway.chat_bodies import USER, body, part, said, tool


def test_a_plain_request() -> None:
    request = parse_chat_request(body())

    assert request.model == "fake/echo"
    assert request.forwarded == {"messages": [USER]}
    assert (request.is_stream, request.include_usage, request.n) == (False, None, 1)
    assert request.max_output_tokens is None
    assert (request.tags, request.fallbacks, request.plugins) == ((), (), ())
    assert (request.user, request.session_id, request.agent, request.signature, request.region) == ("",) * 5
    assert request.use_custom_keys is None
    assert (request.drop_params, request.log_query_body, request.log_response_body) == (True, True, True)
    assert (request.web_search, request.free_models_only, request.no_reasoning) == (False, False, False)
    assert request.required_capabilities == frozenset()


def test_the_gateways_own_fields_are_read_and_kept_back() -> None:
    request = parse_chat_request(
        body(
            model="  gpt-4o@openai ",
            stream=True,
            stream_options={"include_usage": False, "include_obfuscation": True},
            tags=["a", "b", "a"],
            session_id="s-1",
            agent="cli",
            signature="python",
            use_custom_keys=False,
            drop_params=False,
            region="eu",
            log_query_body=False,
            log_response_body=False,
            fallbacks=["openai/gpt-4o-mini", " fake/echo "],
            plugins=[{"id": "response-healing"}],
            free_models_only=True,
            no_reasoning=True,
            effort="low",
        )
    )

    assert request.model == "gpt-4o@openai"
    assert (request.is_stream, request.include_usage, request.include_obfuscation) == (True, False, True)
    assert request.tags == ("a", "b")
    assert (request.session_id, request.agent, request.signature, request.region) == (
        "s-1",
        "cli",
        "python",
        "eu",
    )
    assert (request.use_custom_keys, request.drop_params) == (False, False)
    assert (request.log_query_body, request.log_response_body) == (False, False)
    assert request.fallbacks == ("openai/gpt-4o-mini", "fake/echo")
    assert request.plugins == ("response-healing",)
    assert (request.free_models_only, request.no_reasoning, request.effort) == (True, True, "low")
    assert request.forwarded == {"messages": [USER]}


def test_parameters_of_the_model_are_forwarded_as_they_are() -> None:
    parameters = {
        "temperature": 0.25,
        "top_p": 1,
        "max_tokens": 7,
        "n": 2,
        "stop": ["a"],
        "seed": -5,
        "presence_penalty": -2.0,
        "frequency_penalty": 2,
        "logit_bias": {"1734": -100},
        "logprobs": True,
        "top_logprobs": 3,
        "user": "u-1",
        "service_tier": "flex",
        "modalities": ["text"],
        "prediction": {"type": "content", "content": "x"},
        "metadata": {"k": "v"},
        "store": True,
        "verbosity": "low",
        "top_k": 40,
        "prompt_cache_key": "k",
        "safety_identifier": "i",
        "chat_template_kwargs": {"thinking": False},
    }

    request = parse_chat_request(body(**parameters))

    assert request.forwarded == {"messages": [USER], **parameters}
    assert (request.n, request.max_output_tokens, request.user) == (2, 7, "u-1")


def test_null_is_absent() -> None:
    assert parse_chat_request(body(temperature=None, tools=None, user=None, foo=None)) == parse_chat_request(
        body()
    )


@pytest.mark.parametrize(
    ("tags", "read"),
    [
        ("a,b", ("a", "b")),
        (" a , b ,, a", ("a", "b")),
        ("one", ("one",)),
        ("", ()),
        (["a,b", " c "], ("a,b", " c ")),
        ([], ()),
    ],
)
def test_tags_are_a_comma_list_or_an_array(tags: object, read: tuple[str, ...]) -> None:
    assert parse_chat_request(body(tags=tags)).tags == read


@pytest.mark.parametrize(
    ("fields", "cap"),
    [
        ({"max_tokens": 5}, 5),
        ({"max_completion_tokens": 6}, 6),
        ({"max_tokens": 7, "max_completion_tokens": 7}, 7),
        ({"extra_body": {"max_tokens": 8}}, 8),
        ({"max_tokens": 9, "extra_body": {"max_tokens": 1_000_000}}, 9),
        ({}, None),
    ],
)
def test_the_output_cap_is_found_wherever_it_stands(fields: dict[str, object], cap: int | None) -> None:
    assert parse_chat_request(body(**fields)).max_output_tokens == cap


def test_extra_body_adds_but_never_overrides() -> None:
    request = parse_chat_request(
        body(
            temperature=0.5,
            extra_body={
                "temperature": 2,
                "custom": 1,
                "session_id": "s",
                "request_context_tokens": "123",
                "x": None,
            },
        )
    )

    assert request.forwarded == {"messages": [USER], "temperature": 0.5, "custom": 1}
    assert (request.session_id, request.request_context_tokens) == ("s", 123)


def test_the_bodys_session_wins_over_the_hint() -> None:
    assert parse_chat_request(body(session_id="a", extra_body={"session_id": "b"})).session_id == "a"


@pytest.mark.parametrize(
    ("hint", "read"),
    [
        (0, 0),
        (5, 5),
        ("7", 7),
        (-1, None),
        ("-1", None),
        (True, None),
        (1.5, None),
        ("x", None),
        ([], None),
        ("9" * 40, None),
    ],
)
def test_a_hint_of_the_prompts_size_is_taken_or_ignored(hint: object, read: int | None) -> None:
    assert (
        parse_chat_request(body(extra_body={"request_context_tokens": hint})).request_context_tokens == read
    )


@pytest.mark.parametrize(
    ("fields", "effort", "tokens", "others"),
    [
        ({}, None, None, ()),
        ({"reasoning_effort": "low"}, "low", None, ()),
        ({"reasoning": {"effort": "xhigh"}}, "xhigh", None, ()),
        ({"reasoning_effort": "low", "reasoning": {"effort": "low"}}, "low", None, ()),
        ({"reasoning": {"max_tokens": 5}}, None, 5, ()),
        (
            {"reasoning": {"effort": None, "summary": "auto", "exclude": True}},
            None,
            None,
            ("summary", "exclude"),
        ),
        ({"reasoning_effort": "none", "reasoning": {}}, "none", None, ()),
    ],
)
def test_reasoning_is_merged(
    fields: dict[str, object], effort: str | None, tokens: int | None, others: tuple[str, ...]
) -> None:
    request = parse_chat_request(body(**fields))

    assert (request.reasoning_effort, request.reasoning_max_tokens, request.reasoning_options) == (
        effort,
        tokens,
        others,
    )


@pytest.mark.parametrize(
    ("fields", "options"),
    [
        ({"web_search": True}, {}),
        ({"tools": [{"type": "web_search", "search_context_size": "low"}]}, {"search_context_size": "low"}),
        ({"web_search_options": {"search_context_size": "high"}}, {"search_context_size": "high"}),
        ({"web_search_options": {}}, {}),
    ],
)
def test_a_web_search_is_asked_for_in_three_ways(
    fields: dict[str, object], options: dict[str, object]
) -> None:
    request = parse_chat_request(body(**fields))

    assert (request.web_search, request.web_search_options) == (True, options)
    assert request.required_capabilities == {"web_search"}
    assert request.forwarded == {"messages": [USER]}


def test_web_search_beside_functions_leaves_the_functions() -> None:
    request = parse_chat_request(body(tools=[tool(), {"type": "web_search"}], parallel_tool_calls=False))

    assert request.forwarded["tools"] == [tool()]
    assert request.forwarded["parallel_tool_calls"] is False
    assert request.has_tools


@pytest.mark.parametrize(
    "fields", [{"parallel_tool_calls": True}, {"tool_choice": "auto"}, {"tools": [], "tool_choice": "none"}]
)
def test_what_concerns_tools_goes_only_where_tools_go(fields: dict[str, object]) -> None:
    assert parse_chat_request(body(**fields)).forwarded == {"messages": [USER]}


@pytest.mark.parametrize(
    ("sent", "capability"),
    [
        (body(response_format={"type": "json_object"}), "json_mode"),
        (body(response_format={"type": "json_schema", "json_schema": {"name": "a"}}), "json_schema"),
        (part(type="image_url", image_url={"url": "https://example.com/a.png"}), "vision"),
        (part(type="input_audio", input_audio={"data": "AAAA", "format": "wav"}), "audio"),
    ],
)
def test_demands_that_cannot_be_dropped_are_named(sent: bytes, capability: str) -> None:
    assert parse_chat_request(sent).required_capabilities == {capability}


def test_plain_text_format_and_tools_demand_nothing() -> None:
    request = parse_chat_request(body(response_format={"type": "text"}, tools=[tool()]))

    assert request.required_capabilities == frozenset()


def test_limits_are_settings() -> None:
    limits = ParseLimits(choices=2, messages=1, tools=1, tags=1, tag_characters=3)

    assert parse_chat_request(body(n=2, tools=[tool()], tags="abc"), limits=limits).n == 2
    for fields in (
        {"n": 3},
        {"messages": [USER, USER]},
        {"tools": [tool("a"), tool("b")]},
        {"tags": "a,b"},
        {"tags": "abcd"},
    ):
        with pytest.raises(InvalidValue):
            parse_chat_request(body(**fields), limits=limits)


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        (b'{"messages":[]}', "model is missing"),
        (b'{"model":"m"}', "messages is missing"),
        (body(messages="x"), "messages must be an array, got a string"),
        (body(messages=[]), "messages must have at least one message"),
        (body(temperature=3), "temperature must be a number between 0 and 2, got 3"),
        (body(top_p=1.5), "top_p must be a number between 0 and 1, got 1.5"),
        (body(max_tokens=0), "max_tokens must be a positive integer of at most 2147483647, got 0"),
        (body(stop=["a"] * 5), "stop must have at most 4 sequences, got 5"),
        (body(n=9), "n must be an integer between 1 and 8, got 9"),
        (
            body(reasoning_effort="x"),
            "reasoning_effort must be one of none, minimal, low, medium, high, xhigh",
        ),
        (b"[{}]", "[0]: model is missing"),
        (b"[]", "The list of requests is empty"),
        (b"[1]", "[0] must be an object, got 1"),
    ],
)
def test_messages_say_what_to_change(sent: bytes, words: str) -> None:
    with pytest.raises(GatewayError) as refusal:
        parse_chat_request(sent)

    assert words in refusal.value.message


def test_a_refusal_never_repeats_text() -> None:
    secret = "sk-live-0123456789abcdef"
    for fields in (
        {"temperature": secret},
        {"stop": [secret] * 5},
        {"tools": [tool(secret + " !")]},
        {"effort": secret},
    ):
        with pytest.raises(GatewayError) as refusal:
            parse_chat_request(body(**fields))
        assert secret not in refusal.value.message


def test_a_missing_tool_id_is_a_missing_parameter() -> None:
    with pytest.raises(MissingParameter, match=r"messages\[0\]\.tool_call_id is missing"):
        parse_chat_request(said({"role": "tool", "content": "x"}))
