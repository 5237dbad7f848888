"""Whatever comes as a body is read or refused by name, and what is read arrives at the provider unchanged."""

import json
from dataclasses import replace
from typing import Any
from uuid import UUID

import orjson
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from billing.pricing import Price
from gateway.errors import GatewayError, UnsupportedParameter
from gateway.providers.openai import OpenAIProvider
from gateway.routing.target import Target
from gateway.simulator import chat_request as simulator
from gateway.wire.chat import parse_chat_request
from gateway.wire.chat_request import ChatRequest
from gateway.wire.parameters import CHECKS, GATEWAY_PARAMETERS
from tests.gateway.chat_bodies import GOOD, USER, tool

thorough = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])

STRICT = Target(
    provider="fake",
    kind="openai-compatible",
    model="echo",
    upstream_name="echo",
    base_url="https://provider.test/v1",
    credential="sk-secret",
    is_own_credential=False,
    is_guarded=False,
    price=Price(version="v", input=1, output=1),
    connection_id=UUID(int=1),
)
# The gateway's other name for the same, or its own use of it.
TRANSLATED = {
    "max_tokens", "max_completion_tokens", "reasoning", "reasoning_effort", "thinking_budget", "web_search",
    "web_search_options", "stream", "stream_options",
}  # fmt: skip
NAMES = sorted({*CHECKS, *GATEWAY_PARAMETERS, "messages", "tools", "tool_choice", "functions"} - {"model"})

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(
        ["", "auto", "none", "low", "high", "text", "user", "function", "flex", "a\x00b", "\u202e"]
    )
    | st.text(max_size=12)
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["type", "name", "function", "effort", "max_tokens", "include_usage", "url", "id"]
            )
            | st.text(max_size=6),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
# Each parameter as a client that read the documentation would send it.
plausible: dict[str, st.SearchStrategy[Any]] = {
    "temperature": st.floats(0, 2) | st.integers(0, 2),
    "top_p": st.floats(0, 1),
    "presence_penalty": st.floats(-2, 2),
    "frequency_penalty": st.floats(-2, 2),
    "max_tokens": st.integers(1, 4096),
    "n": st.integers(1, 8),
    "seed": st.integers(-(2**63), 2**63 - 1),
    "stop": st.text("abc", min_size=1, max_size=3)
    | st.lists(st.text("abc", min_size=1), min_size=1, max_size=4),
    "logit_bias": st.dictionaries(st.integers(0, 10**6).map(str), st.integers(-100, 100), max_size=5),
    "user": st.text("abc-", min_size=1, max_size=20),
    "tools": st.lists(st.sampled_from("abcdef"), unique=True, max_size=4).map(
        lambda names: [tool(n) for n in names]
    ),
    "parallel_tool_calls": st.booleans(),
    "response_format": st.sampled_from([{"type": "text"}, {"type": "json_object"}]),
    "reasoning_effort": st.sampled_from(["none", "minimal", "low", "medium", "high", "xhigh"]),
    "verbosity": st.sampled_from(["low", "medium", "high"]),
    "metadata": st.dictionaries(
        st.text("abc", min_size=1, max_size=5), st.text("xyz", max_size=5), max_size=4
    ),
    "store": st.booleans(),
    "stream": st.booleans(),
    "tags": st.lists(st.text("abc", min_size=1, max_size=8), max_size=5),
    "an_unknown_field": values,
}
texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
contents = texts | st.lists(texts.map(lambda text: {"type": "text", "text": text}), min_size=1, max_size=3)
messages = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["system", "user", "assistant", "developer"]), "content": contents}
    ),
    min_size=1,
    max_size=4,
)
any_requests = st.fixed_dictionaries(
    {"model": st.just("fake/echo") | values, "messages": st.just([USER]) | messages | values},
    optional={name: values for name in NAMES if name not in ("messages",)},
)
honest_requests = st.fixed_dictionaries(
    {"model": st.just("fake/echo"), "messages": messages}, optional=plausible
)


def parsed(body: bytes) -> ChatRequest | GatewayError:
    try:
        return parse_chat_request(body)
    except GatewayError as error:
        return error


def assert_read_or_refused(body: bytes) -> None:
    result = parsed(body)

    if isinstance(result, ChatRequest):
        return
    assert (result.status, result.type) == (400, "invalid_request_error")
    assert result.param or result.code == "invalid_json"
    assert 10 < len(result.message) < 1_500


@thorough
@given(any_requests.map(orjson.dumps))
def test_whatever_stands_at_a_parameter_it_is_read_or_refused_by_name(body: bytes) -> None:
    assert_read_or_refused(body)


@settings(thorough, max_examples=600)
@given(st.sampled_from(NAMES), values)
@example("seed", 2**64)
@example("an_unknown_field", -(2**70))
def test_no_value_of_a_parameter_breaks_the_reader(name: str, value: Any) -> None:
    assert_read_or_refused(json.dumps({"model": "fake/echo", "messages": [USER], name: value}).encode())


@thorough
@given(st.binary(max_size=200))
@example(b"\xff\xfe{\x00}\x00")
@example(b'{"a":' * 70)
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    assert_read_or_refused(body)


@thorough
@given(st.integers(0, len(GOOD) - 1), st.binary(max_size=4), st.integers(0, 8))
def test_a_good_body_that_was_damaged_is_read_or_refused(place: int, inserted: bytes, removed: int) -> None:
    assert_read_or_refused(GOOD[:place] + inserted + GOOD[place + removed :])


@thorough
@given(honest_requests)
def test_an_honest_request_is_never_refused(sent: dict[str, Any]) -> None:
    assert isinstance(parsed(orjson.dumps(sent | {"an_unknown_field": None})), ChatRequest)


@thorough
@given(honest_requests | any_requests)
def test_what_is_accepted_arrives_unchanged_or_is_named_as_dropped(sent: dict[str, Any]) -> None:
    request = parsed(orjson.dumps(sent))
    if isinstance(request, GatewayError):
        return

    try:
        call = OpenAIProvider().build_request(request, STRICT)
    except UnsupportedParameter:
        return

    document = orjson.loads(call.body)
    dropped = {name.partition(".")[0] for name in call.dropped_params}
    assert document["model"] == "echo"
    assert document["stream"] is request.is_stream
    for name, value in request.forwarded.items():
        assert name in TRANSLATED or name in dropped or document[name] == value, name
    own = set(GATEWAY_PARAMETERS) | TRANSLATED
    lost = {
        name
        for name, value in sent.items()
        if value is not None and value not in ([], {}) and name not in own | document.keys() | dropped
    }
    # What is said about tools goes only where tools go.
    assert lost <= ({"tool_choice", "parallel_tool_calls"} if "tools" not in document else set())


@thorough
@given(honest_requests)
def test_the_provider_reads_what_the_client_said(sent: dict[str, Any]) -> None:
    """The simulator has a reader of its own, which shares no code with ours."""
    request = parsed(orjson.dumps(sent))
    if isinstance(request, GatewayError):
        return

    call = OpenAIProvider().build_request(request, STRICT)

    there = simulator.parse_chat_request(call.body)
    here = simulator.parse_chat_request(orjson.dumps(sent | {"model": "echo"}))
    assert there == _asking_for_usage(here)


def _asking_for_usage(request: simulator.ChatRequest) -> simulator.ChatRequest:
    """The gateway always asks a stream for its usage."""
    return replace(request, wording=replace(request.wording, includes_usage=request.wording.is_stream))
