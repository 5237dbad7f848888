"""Plain chunks: the short way of a piece of text gives what the long way gives, byte for byte."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.meter import Meter
from gateway.providers.openai import OpenAIProvider
from gateway.sse import Event
from gateway.wire.dialect import DIALECTS
from gateway.wire.shapes import ChatChunk, Served
from gateway.wire.stream import StreamRewriter

SERVED = Served(
    completion_id="chatcmpl-1",
    request_id="r",
    requested_model="openai/gpt-4o",
    requested_provider="openai",
    provider="openai",
    model="gpt-4o",
    upstream_name="gpt-4o",
)
PROVIDER = OpenAIProvider()
OPENING = {"index": 0, "delta": {"role": "assistant", "content": ""}, "logprobs": None, "finish_reason": None}


def event(text: str, *, spaces: bool = False, **fields: Any) -> Event:
    """A chunk as OpenAI writes it; with spaces the short way does not know it."""
    choice = {"index": 0, "delta": {"content": text}, "logprobs": None, "finish_reason": None}
    document = {
        "id": "chatcmpl-9",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "gpt-4o",
        "service_tier": "default",
        "choices": [choice],
        "usage": None,
        **fields,
    }
    return Event("", json.dumps(document, separators=None if spaces else (",", ":")).encode())


def read(found: Event) -> ChatChunk:
    chunk = PROVIDER.read_event(found)
    assert isinstance(chunk, ChatChunk)
    return chunk


def written(events: list[Event], dialect: str) -> bytes:
    rewriter = StreamRewriter(dialect=DIALECTS[dialect], served=SERVED, include_usage=True, created=7)
    opening = ChatChunk([OPENING], extras={"service_tier": "default"})
    return b"".join(rewriter.feed(chunk) for chunk in (opening, *map(read, events)))


@pytest.mark.parametrize("text", ["a", " word", "1 < 2 & 3", "~!#$%()*+-./:;=?@[]^_`{|}", " "])
def test_text_without_escapes_goes_the_short_way(text):
    chunk = read(event(text))

    assert chunk.plain is not None
    assert chunk.plain.text_bytes == len(text)
    assert chunk.choices == [
        {"index": 0, "delta": {"content": text}, "logprobs": None, "finish_reason": None}
    ]
    assert chunk.extras == {"service_tier": "default"}


@pytest.mark.parametrize("text", ["", "line\nbreak", 'a "quote"', "back\\slash", "é", "\u2028", "\x7f", "\t"])
def test_anything_else_goes_the_long_way(text):
    chunk = read(event(text))

    assert chunk.plain is None
    assert chunk.choices[0]["delta"] == {"content": text}


@pytest.mark.parametrize(
    "fields",
    [
        {"choices": []},
        {"usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}},
        {"citations": ["https://example.com"]},
        {"obfuscation": 'q"'},
        {"obfuscation": 7},
    ],
)
def test_a_chunk_that_says_more_goes_the_long_way(fields):
    assert read(event("word", **fields)).plain is None


@pytest.mark.parametrize(
    "data",
    [
        b'{"a":{"choices":[{"index":0,"delta":{"content":"x"},"finish_reason":null}]}',
        b'{"id":"1"},"choices":[{"index":0,"delta":{"content":"x"},"finish_reason":null}]}',
        b'{"id":"1" "choices":[{"index":0,"delta":{"content":"x"},"finish_reason":null}]}',
        b'"choices":[{"index":0,"delta":{"content":"x"},"finish_reason":null}]}',
        b'[1,"choices":[{"index":0,"delta":{"content":"x"},"finish_reason":null}]}',
    ],
)
def test_what_is_not_json_before_the_text_is_refused_as_ever(data):
    with pytest.raises(Exception, match="not JSON"):
        PROVIDER.read_event(Event("", data))


def test_an_event_that_is_named_an_error_is_one_whatever_it_says():
    with pytest.raises(Exception, match="broke its stream off"):
        PROVIDER.read_event(Event("error", event("word").data))


@pytest.mark.parametrize("dialect", sorted(DIALECTS))
@given(texts=st.lists(st.text(max_size=12), max_size=6), padding=st.sampled_from(["", "a", "xY7"]))
def test_both_ways_write_the_same(dialect, texts, padding):
    fields = {"obfuscation": padding} if padding else {}

    short = written([event(text, **fields) for text in texts], dialect)
    long = written([event(text, spaces=True, **fields) for text in texts], dialect)

    assert [json.loads(line[6:]) for line in short.splitlines() if line] == [
        json.loads(line[6:]) for line in long.splitlines() if line
    ]


@given(texts=st.lists(st.text(max_size=12), max_size=6))
def test_both_ways_are_metered_alike(texts):
    short, long = Meter(prompt_tokens_estimate=0), Meter(prompt_tokens_estimate=0)

    of_short = [short.observe(read(event(text))) for text in texts]
    of_long = [long.observe(read(event(text, spaces=True))) for text in texts]

    assert of_short == of_long
    assert short.reading() == long.reading()


def test_text_before_its_role_is_opened_and_padded_chunks_keep_their_padding():
    rewriter = StreamRewriter(dialect=DIALECTS["/v1"], served=SERVED, include_usage=True, created=7)

    first, second = (rewriter.feed(read(event("word", obfuscation="abc"))) for _ in range(2))

    documents = [json.loads(line[6:]) for line in (first + second).splitlines() if line]
    assert [one["choices"][0]["delta"] for one in documents] == [
        {"role": "assistant", "content": ""},
        {"content": "word"},
        {"content": "word"},
    ]
    assert [one["obfuscation"] for one in documents] == ["abc", "abc", "abc"]
