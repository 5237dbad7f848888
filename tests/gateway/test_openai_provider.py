"""OpenAI's dialect upstream: what answers and events become."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.usage import TokenUsage
from gateway.errors import GatewayError, InvalidProviderResponse, ProviderError
from gateway.providers.openai import OpenAIProvider
from gateway.providers.registry import provider_for
from gateway.sse import Event
from gateway.wire.shapes import DONE, ChatChunk

PROVIDER = OpenAIProvider()


def answer(**fields: Any) -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}
    return orjson.dumps({"id": "a", "created": 5, "model": "m", "choices": [choice], **fields})


def test_an_answer_is_read() -> None:
    read = PROVIDER.read_answer(
        200, answer(usage={"prompt_tokens": 3, "completion_tokens": 1}, citations=["u"])
    )

    assert read.choices == [
        {"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}
    ]
    assert read.usage is not None
    assert read.usage.tokens == TokenUsage(input=3, output=1)
    assert (read.upstream_id, read.created, read.finish_reason) == ("a", 5, "stop")
    assert read.extras == {"citations": ["u"]}


@pytest.mark.parametrize(
    "garbage",
    [
        b"",
        b"<html>502</html>",
        b"\xff\xfe",
        b"null",
        b"[]",
        b'"text"',
        b"{}",
        answer()[:-1],
        answer(choices=[]),
        answer(choices=None),
        answer(choices={}),
        answer(choices=["x"]),
        answer(choices=[{"index": 0}]),
        answer(choices=[{"index": 0, "message": "Hi"}]),
        answer(choices=[{"index": 0, "message": {"content": 5}}]),
        b'{"error":{"message":"overloaded"}}',
        b'{"error":"overloaded","choices":[]}',
    ],
)
def test_what_is_no_completion_is_an_invalid_response(garbage: bytes) -> None:
    with pytest.raises(InvalidProviderResponse) as failure:
        PROVIDER.read_answer(200, garbage)

    assert (failure.value.status, failure.value.code) == (502, "invalid_provider_response")
    assert "overloaded" not in failure.value.message


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("stop", "stop"),
        ("length", "length"),
        ("tool_calls", "tool_calls"),
        ("content_filter", "content_filter"),
        ("function_call", "function_call"),
        ("max_tokens", "length"),
        ("model_length", "length"),
        ("SAFETY", "content_filter"),
        ("eos", "stop"),
        ("", "stop"),
        (7, "stop"),
        ([], "stop"),
        (None, None),
    ],
)
def test_finish_reasons_are_the_contracts(theirs: Any, ours: str | None) -> None:
    choice = {"index": 0, "message": {"content": "Hi"}, "finish_reason": theirs}

    assert PROVIDER.read_answer(200, answer(choices=[choice])).choices[0]["finish_reason"] == ours


def test_an_answer_that_ended_with_an_error_is_one() -> None:
    with pytest.raises(ProviderError):
        PROVIDER.read_answer(200, answer(choices=[{"message": {"content": ""}, "finish_reason": "error"}]))


def test_content_in_parts_becomes_text() -> None:
    parts = [
        {"type": "thinking", "thinking": "hm"},
        {"type": "text", "text": "a"},
        {"type": "text", "text": "b"},
    ]

    read = PROVIDER.read_answer(200, answer(choices=[{"message": {"content": parts}}]))

    assert read.choices[0]["message"]["content"] == "ab"


def event(**fields: Any) -> Event:
    choice = {"index": 0, "delta": {"content": "Hi"}, "finish_reason": None}
    return Event("", orjson.dumps({"id": "a", "created": 5, "choices": [choice], **fields}))


def chunk(read: object) -> ChatChunk:
    assert isinstance(read, ChatChunk)
    return read


def test_a_chunk_is_read() -> None:
    read = chunk(PROVIDER.read_event(event(system_fingerprint="f", usage=None)))

    assert read.choices == [{"index": 0, "delta": {"content": "Hi"}, "finish_reason": None}]
    assert read.usage is None
    assert (read.upstream_id, read.created, read.extras) == ("a", 5, {"system_fingerprint": "f"})


def test_a_usage_chunk_is_read() -> None:
    read = chunk(PROVIDER.read_event(event(choices=[], usage={"prompt_tokens": 3, "completion_tokens": 1})))

    assert read.usage is not None
    assert (read.choices, read.usage.tokens) == ([], TokenUsage(input=3, output=1))


@pytest.mark.parametrize("data", [b"[DONE]", b" [DONE] "])
def test_the_end_mark(data: bytes) -> None:
    assert PROVIDER.read_event(Event("", data)) is DONE


@pytest.mark.parametrize("data", [b"", b"  "])
def test_an_empty_event_says_nothing(data: bytes) -> None:
    assert PROVIDER.read_event(Event("ping", data)) is None


@pytest.mark.parametrize("choices", [None, {}, "x", 5])
def test_a_chunk_without_choices_has_none(choices: Any) -> None:
    assert chunk(PROVIDER.read_event(event(choices=choices))).choices == []


@pytest.mark.parametrize("delta", [None, {}])
def test_a_choice_without_a_delta_has_an_empty_one(delta: Any) -> None:
    read = chunk(PROVIDER.read_event(event(choices=[{"delta": delta, "finish_reason": "stop"}])))

    assert read.choices == [{"index": 0, "delta": {}, "finish_reason": "stop"}]


@pytest.mark.parametrize(
    "data",
    [
        b'{"id":"a","choi',
        b"hello",
        b"<html>",
        b"[]",
        b"5",
        b'{"choices":[5]}',
        b'{"choices":[{"delta":"x"}]}',
        b'{"choices":[{"delta":{"content":{}}}]}',
    ],
)
def test_garbage_in_a_stream_is_an_invalid_response(data: bytes) -> None:
    with pytest.raises(InvalidProviderResponse):
        PROVIDER.read_event(Event("", data))


@pytest.mark.parametrize(
    "broken",
    [
        Event("error", b'{"message":"sk-secret is overloaded"}'),
        Event("", b'{"error":{"message":"sk-secret is overloaded"}}'),
        Event("", b'{"choices":[],"error":"sk-secret is overloaded"}'),
    ],
)
def test_an_error_in_a_stream_is_raised_without_the_providers_words(broken: Event) -> None:
    with pytest.raises(ProviderError) as failure:
        PROVIDER.read_event(broken)

    assert "secret" not in failure.value.message


@given(st.binary(max_size=200) | st.from_regex(rb'\{"choices":\[.{0,60}\]\}', fullmatch=True))
def test_no_bytes_break_the_reader(data: bytes) -> None:
    for read in (lambda: PROVIDER.read_answer(200, data), lambda: PROVIDER.read_event(Event("", data))):
        try:
            read()
        except GatewayError as failure:
            status = failure.status
            assert status == 502  # both outcomes are fine, a crash is not


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(2**53), 2**53)
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "choices",
                        "delta",
                        "message",
                        "content",
                        "usage",
                        "index",
                        "finish_reason",
                        "tool_calls",
                        "prompt_tokens",
                        "completion_tokens",
                        "error",
                    ]
                ),
                inner,
                max_size=5,
            )
        ),
        max_leaves=20,
    )
)
def test_no_json_breaks_the_reader(value: Any) -> None:
    data = orjson.dumps(value)
    for read in (lambda: PROVIDER.read_answer(200, data), lambda: PROVIDER.read_event(Event("", data))):
        try:
            read()
        except GatewayError as failure:
            status = failure.status
            assert status == 502  # both outcomes are fine, a crash is not


def test_the_registry_knows_the_kind() -> None:
    assert isinstance(provider_for("openai-compatible"), OpenAIProvider)
