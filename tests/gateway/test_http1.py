"""HTTP/1.1 as bytes: what is written, what is read, and what is refused."""

import random

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.http1 import AnswerLimits, AnswerParser, encode_request

CHUNKED = (
    b"HTTP/1.1 100 Continue\r\n\r\n"
    b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"6;name=value\r\ndata: \r\n4\r\n\xe2\x82\xac\n\r\n000\r\nX-Trailer: 1\r\n\r\n"
)
CHUNKED_BODY = b"data: \xe2\x82\xac\n"


def parse(
    *reads: bytes, limits: AnswerLimits | None = None, is_bodyless: bool = False
) -> tuple[AnswerParser, bytes]:
    parser = AnswerParser(limits or AnswerLimits())
    parser.begin(is_bodyless=is_bodyless)
    return parser, b"".join(parser.feed(read) for read in reads)


@pytest.mark.parametrize("position", range(1, len(CHUNKED)))
def test_an_answer_cut_in_two_reads_at_any_byte_is_the_same_answer(position: int) -> None:
    parser, body = parse(CHUNKED[:position], CHUNKED[position:])

    assert (parser.status, body, parser.is_complete, parser.failure) == (200, CHUNKED_BODY, True, None)
    assert parser.headers == [(b"Content-Type", b"text/event-stream"), (b"Transfer-Encoding", b"chunked")]
    assert parser.is_reusable


def test_an_answer_read_byte_by_byte_is_the_same_answer() -> None:
    parser, body = parse(*(bytes([byte]) for byte in CHUNKED))

    assert (parser.status, body, parser.is_complete, parser.is_reusable) == (200, CHUNKED_BODY, True, True)


def test_a_second_answer_that_nobody_asked_for_adds_nothing_to_the_first() -> None:
    parser, body = parse(CHUNKED + b"HTTP/1.1 500 No\r\nContent-Length: 4\r\nX-B: 1\r\n\r\nevil")

    assert (parser.status, body, parser.is_complete, parser.is_reusable) == (200, CHUNKED_BODY, True, False)
    assert len(parser.headers) == 2


def test_trailers_are_not_headers() -> None:
    parser, _ = parse(CHUNKED)

    assert b"X-Trailer" not in dict(parser.headers)


def test_a_second_answer_on_the_same_connection_starts_afresh() -> None:
    parser, first = parse(CHUNKED)
    first_headers = parser.headers

    parser.begin(is_bodyless=False)
    second = parser.feed(b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno")

    assert (first, second) == (CHUNKED_BODY, b"no")
    assert (parser.status, parser.headers) == (404, [(b"Content-Length", b"2")])
    assert len(first_headers) == 2


@pytest.mark.parametrize(
    ("answer", "is_reusable"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", True),
        (b"HTTP/1.1 204 No Content\r\n\r\n", True),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nok", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokX", False),
        (b"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", False),
    ],
)
def test_a_connection_is_reusable_only_if_nothing_follows_the_answer(
    answer: bytes, is_reusable: bool
) -> None:
    parser, _ = parse(answer)

    assert (parser.is_complete, parser.failure, parser.is_reusable) == (True, None, is_reusable)


def test_an_answer_without_a_length_ends_with_the_connection() -> None:
    parser, body = parse(b"HTTP/1.1 200 OK\r\n\r\nall", b" of it")
    was_complete = parser.is_complete

    parser.end()

    assert (body, was_complete, parser.is_complete, parser.failure) == (b"all of it", False, True, None)
    assert not parser.is_reusable


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 O",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
    ],
)
def test_a_connection_that_ends_too_early_fails_the_answer(answer: bytes) -> None:
    parser, _ = parse(answer)

    parser.end()

    assert not parser.is_complete
    assert parser.failure == "the server closed the connection before its answer was complete"


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\nContent-Type: text/plain\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
    ],
)
def test_the_answer_to_head_has_no_body_whatever_it_announces(answer: bytes) -> None:
    parser, body = parse(answer, b"10 leftover bytes", is_bodyless=True)

    assert (parser.status, body, parser.is_complete, parser.is_reusable) == (200, b"", True, False)


@pytest.mark.parametrize(
    "answer",
    [
        b"\x00\xff\x13garbage",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"<html>200</html>",
        b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/0.9 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"HTTP/1.1 099 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
        b"HTTP/1.1 200 OK\r\nA: b\r\n folded\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: b\x00c\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: b\rc\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length : 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: +4\r\n\r\nabcd",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n11111111111111111\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\nPRI",
    ],
)
def test_an_answer_that_could_be_framed_in_two_ways_is_refused(answer: bytes) -> None:
    parser, _ = parse(answer)

    assert not parser.is_complete
    assert parser.failure is not None
    assert not parser.is_reusable


def test_what_came_before_the_malformed_part_is_still_given() -> None:
    parser, body = parse(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nnot a size\r\n")

    assert body == b"hello"
    assert parser.failure == "not a valid answer: Invalid character in chunk size"


@pytest.mark.parametrize(("count", "is_accepted"), [(9, True), (10, False)])
def test_the_number_of_headers_is_limited(count: int, is_accepted: bool) -> None:
    head = b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * count + b"Content-Length: 0\r\n\r\n"

    parser, _ = parse(head, limits=AnswerLimits(headers=10))

    assert (parser.failure is None) is is_accepted


@pytest.mark.parametrize(("value_bytes", "is_accepted"), [(983, True), (984, False)])
def test_the_size_of_a_head_is_limited(value_bytes: int, is_accepted: bool) -> None:
    head = b"HTTP/1.1 204 No Content\r\nContent-Language: " + b"x" * value_bytes + b"\r\n\r\n"

    parser, _ = parse(head, limits=AnswerLimits(head_bytes=999))

    assert (parser.failure is None) is is_accepted


@pytest.mark.parametrize(
    ("start", "repeated"),
    [
        (b"", b"\r\n"),
        (b"HTTP/1.1 200 ", b"reason"),
        (b"HTTP/1.1 200 OK\r\nA: ", b"value"),
        (b"HTTP/1.1 200 OK\r\n", b"A: b\r\n"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;", b"extension"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"0"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"A: b\r\n"),
    ],
)
def test_nothing_but_body_goes_on_for_ever(start: bytes, repeated: bytes) -> None:
    limits = AnswerLimits(head_bytes=4096)

    parser, body = parse(start, *[repeated] * (8192 // len(repeated)), limits=limits)

    assert parser.failure is not None
    assert body == b""


@settings(max_examples=500, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    flips=st.lists(st.tuples(st.integers(0, len(CHUNKED) - 1), st.integers(0, 255)), max_size=8),
    cuts=st.lists(st.integers(1, len(CHUNKED) - 1), max_size=6),
)
def test_whatever_arrives_the_parser_answers_and_never_raises(
    seed: int, flips: list[tuple[int, int]], cuts: list[int]
) -> None:
    mutated = bytearray(CHUNKED)
    for position, byte in flips:
        mutated[position] = byte
    if seed % 3 == 0:
        start = random.Random(seed).randrange(len(mutated))
        del mutated[start : start + 10]
    ends = [*sorted(cuts), len(mutated)]

    parser, body = parse(*(bytes(mutated[a:b]) for a, b in zip([0, *ends], ends, strict=False)))
    parser.end()

    assert parser.is_complete or parser.failure is not None
    assert len(body) <= len(CHUNKED)
    assert not parser.is_reusable


def encoded(
    method: str, url: str, *, content: bytes | None = None, headers: dict[str, str] | None = None
) -> bytes:
    request = httpx.Request(method, url, content=content, headers=headers)
    return encode_request(request, request.content)


def test_a_request_goes_out_with_its_own_host_and_length() -> None:
    message = encoded("POST", "https://api.example/v1/chat?a=b", content=b"{}", headers={"X-Key": "k"})

    assert message == (
        b"POST /v1/chat?a=b HTTP/1.1\r\nHost: api.example\r\nX-Key: k\r\n"
        b"Accept-Encoding: identity\r\nContent-Length: 2\r\n\r\n{}"
    )


def test_a_request_without_a_body_says_so_only_where_one_is_expected() -> None:
    get, post = encoded("GET", "http://[::1]:8080/"), encoded("POST", "http://a/")

    assert get == b"GET / HTTP/1.1\r\nHost: [::1]:8080\r\nAccept-Encoding: identity\r\n\r\n"
    assert post == b"POST / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: identity\r\nContent-Length: 0\r\n\r\n"


def test_headers_that_belong_to_the_transport_cannot_be_set() -> None:
    forged = {
        "Host": "evil.example",
        "Content-Length": "0",
        "transfer-encoding": "chunked",
        "accept-encoding": "gzip",
    }

    message = encoded("POST", "https://api.example/", content=b"body", headers=forged)

    assert message == (
        b"POST / HTTP/1.1\r\nHost: api.example\r\naccept-encoding: gzip\r\nContent-Length: 4\r\n\r\nbody"
    )


@pytest.mark.parametrize(
    "headers",
    [
        {"A": "b\r\nX-Injected: c"},
        {"A": "b\r\n\r\nGET / HTTP/1.1"},
        {"A": "b\nc"},
        {"A": "b\rc"},
        {"A": "b\0c"},
        {"A\r\nB": "c"},
        {"A B": "c"},
        {"A:": "c"},
        {"": "c"},
    ],
)
def test_a_header_that_would_split_the_request_is_refused(headers: dict[str, str]) -> None:
    with pytest.raises(httpx.LocalProtocolError):
        encoded("GET", "https://api.example/", headers=headers)


@pytest.mark.parametrize("method", ["GET /\r\nX: y", "G T", ""])
def test_a_method_that_would_split_the_request_is_refused(method: str) -> None:
    with pytest.raises(httpx.LocalProtocolError):
        encoded(method, "https://api.example/")


def test_line_breaks_in_a_path_stay_encoded() -> None:
    message = encoded("GET", "https://api.example/a%0d%0aX-Injected:%20b")

    assert message.startswith(b"GET /a%0d%0aX-Injected:%20b HTTP/1.1\r\nHost: api.example\r\n")
