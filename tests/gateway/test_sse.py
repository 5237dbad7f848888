"""The event parser: any bytes, cut anywhere, give the same events."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import InvalidProviderResponse
from gateway.sse import Event, EventParser

STREAM = (
    "\ufeff: a comment\r\n"
    "event: note\r\ndata: one\r\n\r\n"
    "data:no blank\n\n"
    "data: first line\ndata: second line\n\n"
    "data: cr only\r\rid: 7\nretry: 10\ndata: after fields\r\n\r\n"
    'data: {"text":"a\u2028b\u2029c\u0085d"}\n\n'
    "data\n\n"
    ": keep-alive\n\n"
    "event: lost\n\n"
    "data: \U0001f600 is four bytes\n\n"
).encode()

EVENTS = [
    Event("note", b"one"),
    Event("", b"no blank"),
    Event("", b"first line\nsecond line"),
    Event("", b"cr only"),
    Event("", b"after fields"),
    Event("", '{"text":"a\u2028b\u2029c\u0085d"}'.encode()),
    Event("", b""),
    Event("", "\U0001f600 is four bytes".encode()),
]


def parse(*reads: bytes, limit_bytes: int = 1000) -> list[Event]:
    parser = EventParser(limit_bytes)
    return [event for read in reads for event in parser.feed(read)]


def test_a_stream_in_one_read() -> None:
    assert parse(STREAM) == EVENTS


def test_a_stream_cut_in_two_at_every_byte() -> None:
    for cut in range(len(STREAM) + 1):
        assert parse(STREAM[:cut], STREAM[cut:]) == EVENTS, cut


def test_a_stream_of_single_bytes() -> None:
    assert parse(*(STREAM[i : i + 1] for i in range(len(STREAM)))) == EVENTS


@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_a_stream_cut_into_any_pieces(cuts: list[int]) -> None:
    places = [0, *sorted(cuts), len(STREAM)]

    events = parse(*(STREAM[start:end] for start, end in pairwise(places)))

    assert events == EVENTS


@given(
    st.lists(st.sampled_from([b"data: x", b"data:", b"event: e", b": c", b"\n", b"\r", b"\r\n", b"\xff"])),
    st.data(),
)
def test_pieces_never_change_what_is_read(parts: list[bytes], data: st.DataObject) -> None:
    whole = b"".join(parts)
    cut = data.draw(st.integers(0, len(whole)))

    assert parse(whole[:cut], whole[cut:]) == parse(whole)


def test_an_event_without_its_blank_line_comes_at_the_end() -> None:
    parser = EventParser(100)

    during = parser.feed(b"data: [DONE]")

    assert during == []
    assert parser.close() == [Event("", b"[DONE]")]
    assert parser.close() == []


def test_a_line_feed_after_a_carriage_return_at_the_end_ends_no_second_line() -> None:
    parser = EventParser(100)

    assert parser.feed(b"data: x\r") == []
    assert parser.feed(b"\n") == []
    assert parser.feed(b"\r\n") == [Event("", b"x")]


def test_an_event_of_the_largest_size_is_read() -> None:
    assert parse(b"data: " + b"x" * 99 + b"\n\n", limit_bytes=100) == [Event("", b"x" * 99)]


@pytest.mark.parametrize(
    "reads",
    [
        [b"data: " + b"x" * 100 + b"\n\n"],
        [b"data: " + b"x" * 95],
        [b"x" * 60, b"x" * 60],
        [b"data: x\n" * 60],
        [b"data: xxxxxxxxx\n"] * 12,
        [b": never ends"] * 20,
    ],
    ids=["a line", "a line without end", "two reads", "many lines", "many reads", "a comment"],
)
def test_an_event_beyond_the_limit_is_refused(reads: list[bytes]) -> None:
    with pytest.raises(InvalidProviderResponse, match="more than 100 bytes"):
        parse(*reads, limit_bytes=100)


def test_many_events_may_be_larger_together_than_one_may_be() -> None:
    assert len(parse(b"data: 0123456789\n\n" * 100, limit_bytes=20)) == 100
