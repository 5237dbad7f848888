"""Any text arrives whole, and no stream breaks the meter or the rewriter."""

from contextlib import suppress
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.usage import TokenUsage
from gateway.errors import GatewayError, InvalidProviderResponse
from gateway.wire.dialect import DIALECTS
from gateway.wire.shapes import ChatChunk, Reading
from gateway.wire.stream import StreamRewriter
from tests.gateway.streams import SERVED, documents, rewrite

MOUNTS = sorted(DIALECTS)
NOTHING = Reading(usage=TokenUsage(input=1), is_estimated=True)


def delta(finish_reason: str | None = None, **fields: Any) -> ChatChunk:
    return ChatChunk([{"index": 0, "delta": fields, "finish_reason": finish_reason}])


@given(st.lists(st.text(), max_size=20))
def test_any_text_arrives_whole(pieces: list[str]) -> None:
    stream = StreamRewriter(dialect=DIALECTS["/v1"], served=SERVED, include_usage=None, created=1)
    sent = stream.feed(delta(role="assistant", content=""))
    for piece in pieces:
        sent += stream.feed(delta(content=piece))
    sent += stream.feed(delta("stop"))
    sent += stream.finish(reading=NOTHING, cost=None, routing=[], latency_ms=1)

    texts = [choice["delta"].get("content", "") for chunk in documents(sent) for choice in chunk["choices"]]
    assert "".join(texts) == "".join(pieces)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)
ODD_DELTAS = st.dictionaries(
    st.sampled_from(
        ["role", "refusal", "tool_calls", "function_call", "reasoning", "reasoning_content", "audio", "x"]
    ),
    JSON_VALUES,
    max_size=4,
)
ODD_CHOICES = st.fixed_dictionaries(
    {"delta": ODD_DELTAS},
    optional={
        "index": st.integers(-1, 3),
        "finish_reason": st.sampled_from([None, "stop", "eos"]) | JSON_VALUES,
        "logprobs": JSON_VALUES,
    },
)


@given(st.lists(st.lists(ODD_CHOICES, max_size=3), max_size=6), st.sampled_from(MOUNTS))
def test_no_stream_breaks_meter_or_rewriter(chunks: list[list[dict[str, Any]]], mount: str) -> None:
    stream = b"".join(b"data: " + orjson.dumps({"choices": choices}) + b"\n\n" for choices in chunks)

    with suppress(GatewayError):
        sent = documents(rewrite(stream, mount=mount))
        assert all(chunk["extra_fields"]["chunk_index"] == index for index, chunk in enumerate(sent))


def test_what_is_nested_beyond_reason_is_an_invalid_response() -> None:
    deep = b"[" * 500 + b"]" * 500

    with pytest.raises(InvalidProviderResponse, match="nested too deeply"):
        rewrite(b'data: {"choices":[{"index":0,"delta":{"x":%b}}]}\n\n' % deep)


def test_a_finish_that_cannot_be_passed_on_still_ends_the_stream() -> None:
    stream = StreamRewriter(dialect=DIALECTS["/v1"], served=SERVED, include_usage=None, created=1)
    stream.feed(delta(role="assistant", content=""))
    stream.feed(delta("stop", x=orjson.loads(b"[" * 500 + b"]" * 500)))

    with pytest.raises(InvalidProviderResponse) as failure:
        stream.finish(reading=NOTHING, cost=None, routing=[], latency_ms=1)

    assert documents(stream.fail(failure.value, event_id="event-1"))[-1]["error"]["code"] == (
        "invalid_provider_response"
    )
