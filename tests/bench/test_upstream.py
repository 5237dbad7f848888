"""The benchmark's upstream says what the simulator says, and bills it alike."""

import json
import uuid
from decimal import Decimal

import pytest

from bench.books import match
from bench.upstream import Upstream, Write, render, split
from gateway.simulator.chat import FailureCounts, script_chat
from gateway.simulator.script import Step


def body(text="Hello", **parameters):
    messages = [{"role": "user", "content": text}]
    return json.dumps({"model": "fifty-two", "messages": messages, **parameters}).encode()


def joined(answer):
    return b"".join(write.body for write in answer.writes)


def events_in(answer):
    return [line for line in answer.splitlines() if b"data:" in line]


def test_a_whole_answer_is_the_simulators_with_a_declared_length():
    answer = Upstream().answer(body())

    head, _, document = joined(answer).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    assert b"content-length: %d" % len(document) in head
    assert json.loads(document)["usage"]["completion_tokens"] == 52
    assert [write.tokens for write in answer.writes] == [52]


@pytest.mark.parametrize(("text", "writes"), [("Hello", 56), ("Hello [[in one write]]", 2)])
def test_a_stream_is_sent_event_by_event_unless_the_prompt_asks_for_one_piece(text, writes):
    answer = Upstream().answer(body(text, stream=True))

    assert len(answer.writes) == writes
    assert sum(write.tokens for write in answer.writes) == 52
    assert joined(answer).endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")


def test_both_ways_of_sending_hold_the_same_events():
    script = script_chat(body(stream=True), key="any", failures=FailureCounts()).script

    one_by_one, at_once = (joined(render(script, is_split=is_split)) for is_split in (True, False))

    assert events_in(one_by_one) == events_in(at_once)
    assert len(events_in(at_once)) == 55


def test_the_first_event_of_a_step_comes_after_its_pause():
    token = b'data: {"choices":[{"delta":{"content":"w01 "}}]}\n\n'

    assert split(Step(token + b"data: [DONE]\n\n", wait_seconds=0.02)) == [
        Write(b"32\r\n" + token + b"\r\n", 0.02, 1),
        Write(b"e\r\ndata: [DONE]\n\n\r\n", 0.0, 0),
    ]


def test_the_invoice_is_summed_by_key_and_kept_by_request():
    upstream = Upstream()

    upstream.bill("farebox", "r1", "completed", prompt_tokens=5, completion_tokens=8)
    upstream.bill("farebox", "r2", "cancelled", prompt_tokens=5, completion_tokens=2)
    upstream.bill("direct", "", "completed", prompt_tokens=5, completion_tokens=8)

    assert upstream.invoice()["farebox"] == {
        "completed": 1,
        "cancelled": 1,
        "prompt_tokens": 10,
        "completion_tokens": 10,
    }
    assert upstream.lines() == {"r1": (5, 8), "r2": (5, 2)}


def test_events_are_laid_beside_their_lines():
    right, wrong, left, missing = (uuid.UUID(int=number) for number in range(4))
    events = [
        (right, "completed", Decimal("0.000021")),
        (wrong, "completed", Decimal("0.000020")),
        (left, "client_left", Decimal("0.000009")),
        (missing, "completed", Decimal("0.000021")),
    ]
    lines = {str(right): (5, 8), str(wrong): (5, 8), str(left): (5, 4)}

    matched = match(events, lines)

    assert (matched.differing, matched.uninvoiced) == (1, 1)
    assert matched.in_flight_usd == Decimal("0.000004")
    assert matched.events_usd == Decimal("0.000071")
    assert matched.endings == {"client_left": 1, "completed": 3}
