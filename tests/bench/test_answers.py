"""A streamed answer is followed the same way wherever its reads are cut."""

import pytest

from bench.answers import StreamScan

ANSWER = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    b'2b\r\ndata: {"choices":[{"delta":{"content":""}}]}\n\n\r\n'
    b'2f\r\ndata: {"choices":[{"delta":{"content":"w01 "}}]}\n\n\r\n'
    b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n"
)


def scanned(*reads):
    scan = StreamScan()
    for read in reads:
        scan.feed(read)
    return scan


@pytest.mark.parametrize("position", range(1, len(ANSWER)))
def test_an_answer_cut_in_two_reads_at_any_byte_is_complete_and_good(position):
    scan = scanned(ANSWER[:position], ANSWER[position:])

    assert (scan.has_token, scan.is_complete, scan.is_good) == (True, True, True)


def test_the_role_alone_is_no_token():
    scan = scanned(ANSWER[: ANSWER.index(b"w01")])

    assert (scan.has_token, scan.is_complete, scan.events) == (False, False, 2)


def test_a_refusal_is_complete_with_its_first_line_and_not_good():
    scan = scanned(b"HTTP/1.1 429 Too Many Requests\r\n")

    assert (scan.is_complete, scan.is_good) == (True, False)


@pytest.mark.parametrize("part", [b"w01 ", b"[DONE]"])
def test_an_end_without_a_token_or_without_done_is_not_good(part):
    scan = scanned(ANSWER.replace(part, b"x" * len(part)))

    assert (scan.is_complete, scan.is_good) == (True, False)
