"""Transcripts: the deltas of a stream as one message, of bounded size, whatever the provider sends."""

from typing import Any

import orjson
import pytest

from gateway.bodies import Transcript
from gateway.wire.shapes import ChatChunk


def transcript_of(*deltas: dict[str, Any], limit_bytes: int = 10_000) -> Transcript:
    transcript = Transcript(limit_bytes=limit_bytes)
    for delta in deltas:
        transcript.observe(ChatChunk([{"index": 0, "delta": delta}]))
    return transcript


def message_of(*deltas: dict[str, Any]) -> Any:
    answer = transcript_of(*deltas).as_answer()
    assert answer is not None
    return orjson.loads(answer)["choices"][0]["message"]


def called(index: Any = 0, **function: Any) -> dict[str, Any]:
    return {"tool_calls": [{"index": index, "id": "call_1", "function": function}]}


def test_texts_and_arguments_are_joined_in_their_order() -> None:
    message = message_of(
        {"role": "assistant", "content": ""},
        {"reasoning": "Hm"},
        {"content": "Hel"},
        {"content": "lo"},
        called(name="look_up", arguments='{"a"'),
        called(arguments=":1}"),
        called(1, name="wait", arguments="{}"),
    )

    assert message == {
        "role": "assistant",
        "content": "Hello",
        "reasoning": "Hm",
        "tool_calls": [
            {"id": "call_1", "type": "function", "function": {"name": "look_up", "arguments": '{"a":1}'}},
            {"id": "call_1", "type": "function", "function": {"name": "wait", "arguments": "{}"}},
        ],
    }


def test_choices_stand_in_their_order() -> None:
    transcript = Transcript(limit_bytes=1_000)
    for index in (1, 0, 1):
        transcript.observe(ChatChunk([{"index": index, "delta": {"content": str(index)}}]))

    choices = orjson.loads(transcript.as_answer() or b"")["choices"]

    assert [(choice["index"], choice["message"]["content"]) for choice in choices] == [(0, "0"), (1, "11")]


@pytest.mark.parametrize(
    "calls",
    [
        5,
        "call",
        {"index": 0},
        [None, 7, "x", []],
        [{"index": -1, "function": {"arguments": "x"}}],
        [{"index": "0", "function": {"arguments": "x"}}],
        [{"index": 128, "function": {"arguments": "x"}}],
        [{"index": 2**63, "function": {"arguments": "x"}}],
    ],
)
def test_calls_that_are_malformed_are_passed_over(calls: Any) -> None:
    message = message_of({"content": "a"}, {"tool_calls": calls}, {"content": "b"})

    assert message == {"role": "assistant", "content": "ab"}


@pytest.mark.parametrize("function", [None, 5, "f", [], {"name": 5, "arguments": {"a": 1}}])
def test_a_call_of_a_malformed_function_says_nothing(function: Any) -> None:
    message = message_of({"tool_calls": [{"index": 0, "id": 5, "function": function}]})

    assert message["tool_calls"] == [
        {"id": "", "type": "function", "function": {"name": "", "arguments": ""}}
    ]


@pytest.mark.parametrize(
    "deltas",
    [
        [{"content": "é" * 10}] * 100,
        [{"reasoning_content": "x" * 2_000}],
        [called(arguments="x" * 20)] * 100,
        [called(number) for number in range(100)],
        [{"tool_calls": [{"id": "x" * 2_000}]}],
    ],
)
def test_of_an_answer_beyond_the_limit_nothing_is_kept(deltas: list[dict[str, Any]]) -> None:
    assert transcript_of(*deltas, limit_bytes=1_000).as_answer() is None
    assert transcript_of(*deltas, limit_bytes=20_000).as_answer() is not None


def test_an_answer_of_many_choices_is_beyond_the_limit_as_well() -> None:
    transcript = Transcript(limit_bytes=1_000)

    for index in range(100):
        transcript.observe(ChatChunk([{"index": index, "delta": {}}]))

    assert transcript.as_answer() is None
