"""Text runs: many events of one read give what they give one by one, whatever stands between them."""

import itertools
import json
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.meter import Meter
from gateway.providers.openai import OpenAIProvider
from gateway.sse import Event, EventParser
from gateway.upstream import UpstreamStream
from gateway.wire.dialect import DIALECTS
from gateway.wire.shapes import ChatChunk, Done
from gateway.wire.stream import StreamRewriter
from gateway.wire.text_run import TextRun, is_plain, run_of
from tests.gateway.test_plain_chunks import SERVED, event

PROVIDER = OpenAIProvider()
OPENING = b'data: {"id":"chatcmpl-9","choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}\n\n'
FINISH = b'data: {"id":"chatcmpl-9","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
DONE = b"data: [DONE]\n\n"


def line(text: str, **fields: str) -> bytes:
    return b"data: " + event(text, **fields).data + b"\n\n"


def known_run() -> TextRun:
    data = event("known").data
    chunk = PROVIDER.read_event(Event("", data))
    assert isinstance(chunk, ChatChunk)
    run = run_of(data, chunk)
    assert run is not None
    return run


def test_a_run_is_split_at_what_its_events_share():
    before, texts, after = known_run().split(line("one") + line(" two") + line("three"))

    assert (before, after) == (b"", b"")
    assert texts is not None
    assert texts.plain is not None
    assert texts.plain.texts == [b"one", b" two", b"three"]
    assert texts.choices[0]["delta"] == {"content": "one twothree"}
    assert [each.choices[0]["delta"]["content"] for each in texts.apart()] == ["one", " two", "three"]


def test_what_stands_around_a_run_is_left_to_the_parser():
    torn = line("torn")[:-7]

    before, texts, after = known_run().split(OPENING + line("one") + line("two") + FINISH + torn)

    assert before == OPENING
    assert texts is not None
    assert texts.plain is not None
    assert texts.plain.texts == [b"one", b"two"]
    assert after == FINISH + torn


@pytest.mark.parametrize(
    "data",
    [
        line("with \\ escapes"),
        line("über"),
        line(""),
        line("one") + line("a\nb") + line("two"),
        b": comment\n" + line("one"),
        line("one")[:-2],
        FINISH,
        b"",
    ],
)
def test_what_is_no_run_is_left_to_the_parser_whole(data):
    assert known_run().split(data) == (data, None, b"")


def test_events_of_another_envelope_are_no_run():
    other = line("one").replace(b"chatcmpl-9", b"chatcmpl-8")

    assert known_run().split(other) == (other, None, b"")


@pytest.mark.parametrize("text", [b'"', b"\\", b"\x1f", b"\x7f", "é".encode()])
def test_text_that_means_something_else_in_json_is_not_plain(text):
    assert not is_plain(b"a" + text)
    assert is_plain(b"a ~")


class Body:
    """A stream's bytes, in these reads."""

    status, headers = 200, ()

    def __init__(self, reads: list[bytes]) -> None:
        self._reads = reads

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for read in self._reads:
            yield read

    async def aclose(self) -> None:
        pass


async def told(reads: list[bytes]) -> tuple[list[object], object]:
    """What a client gets of these reads, and how it is metered."""
    stream = UpstreamStream(Body(reads), PROVIDER, name="openai", event_limit_bytes=1 << 20)
    rewriter = StreamRewriter(dialect=DIALECTS["/v1"], served=SERVED, include_usage=True, created=7)
    meter, out = Meter(prompt_tokens_estimate=1), b""
    async for chunks in stream.chunks():
        for chunk in chunks:
            meter.observe(chunk)
            out += rewriter.feed(chunk)
    assert stream.has_ended
    return [json.loads(each[6:]) for each in out.splitlines() if each], meter.reading()


def told_one_by_one(whole: bytes) -> tuple[list[object], object]:
    rewriter = StreamRewriter(dialect=DIALECTS["/v1"], served=SERVED, include_usage=True, created=7)
    meter, out = Meter(prompt_tokens_estimate=1), b""
    for found in EventParser(limit_bytes=1 << 20).feed(whole):
        # A name makes no difference to what it says, but the short way is only for plain events.
        chunk = PROVIDER.read_event(Event("message", found.data))
        if not isinstance(chunk, ChatChunk):
            assert isinstance(chunk, Done)
            break
        meter.observe(chunk)
        out += rewriter.feed(chunk)
    return [json.loads(each[6:]) for each in out.splitlines() if each], meter.reading()


TEXTS = st.one_of(st.sampled_from(["word", " a", "1", ".", "\n", '"', "\\", "ü", ""]), st.text(max_size=6))


@given(texts=st.lists(TEXTS, max_size=12), cuts=st.lists(st.integers(0, 4_000), max_size=8))
async def test_however_a_stream_is_torn_its_client_reads_the_same(texts, cuts):
    whole = OPENING + b"".join(map(line, texts)) + FINISH + DONE
    places = sorted({0, len(whole), *(cut for cut in cuts if cut < len(whole))})
    reads = [whole[begin:end] for begin, end in itertools.pairwise(places)]

    assert await told(reads) == told_one_by_one(whole)
