"""Streams joined into answers, and answers given as streams."""

from typing import Any

import pytest

from billing.usage import TokenUsage
from gateway.wire.joining import AnswerJoiner, as_chunks
from gateway.wire.kept_answer import KeptAnswer, is_worth_keeping
from gateway.wire.shapes import ChatAnswer, ChatChunk, PlainText, Reading


def choice(delta: dict[str, Any], *, index: int = 0, finish: str | None = None, **more: Any) -> ChatChunk:
    return ChatChunk([{"index": index, "delta": delta, "finish_reason": finish, **more}])


def joined(*chunks: ChatChunk, limit_bytes: int = 1000) -> ChatAnswer | None:
    joiner = AnswerJoiner(limit_bytes=limit_bytes)
    for chunk in chunks:
        joiner.observe(chunk)
    return joiner.answer()


def test_texts_of_each_choice_are_joined() -> None:
    answer = joined(
        choice({"role": "assistant", "content": ""}),
        choice({"content": "b"}, index=1),
        choice({"reasoning_content": "Hm. "}),
        choice({"content": "Hel"}),
        choice({"content": "lo"}),
        choice({}, finish="stop"),
        choice({}, index=1, finish="length"),
    )

    assert answer is not None
    assert answer.choices == [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Hello", "reasoning_content": "Hm. "},
            "logprobs": None,
            "finish_reason": "stop",
        },
        {
            "index": 1,
            "message": {"role": "assistant", "content": "b"},
            "logprobs": None,
            "finish_reason": "length",
        },
    ]


def test_a_run_of_plain_text_is_joined_as_its_texts() -> None:
    plain = PlainText([b"Hel", b"lo"], b'[{"index":0,"delta":{"content":"', b'"},"finish_reason":null}]')

    answer = joined(ChatChunk(None, plain=plain), choice({}, finish="stop"))

    assert answer is not None
    assert answer.choices[0]["message"]["content"] == "Hello"


def test_calls_of_tools_are_joined_by_their_index() -> None:
    answer = joined(
        choice({"tool_calls": [{"index": 0, "id": "a", "type": "function", "function": {"name": "f"}}]}),
        choice({"tool_calls": [{"index": 0, "function": {"arguments": '{"x"'}}]}),
        choice(
            {"tool_calls": [{"index": 1, "id": "b", "type": "custom", "custom": {"name": "g", "input": "i"}}]}
        ),
        choice({"tool_calls": [{"index": 0, "function": {"arguments": ":1}"}}]}),
        choice({}, finish="tool_calls"),
    )

    assert answer is not None
    assert answer.choices[0]["message"] == {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"id": "a", "type": "function", "function": {"name": "f", "arguments": '{"x":1}'}},
            {"id": "b", "type": "custom", "custom": {"name": "g", "input": "i"}},
        ],
    }


CALL = {"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": "{"}}


def test_a_call_that_says_its_id_and_name_again_stays_one() -> None:
    rest = {**CALL, "function": {"name": "f", "arguments": "}"}}
    last = {"index": 0, "id": "", "type": None, "function": {"name": None, "arguments": None}}

    answer = joined(*[choice({"tool_calls": [piece]}) for piece in (CALL, rest, last)])

    assert answer is not None
    assert answer.choices[0]["message"]["tool_calls"] == [
        {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    ]


@pytest.mark.parametrize(
    "second",
    [
        {**CALL, "id": "b"},
        {**CALL, "type": "custom"},
        {"index": 0, "function": {"name": "g", "arguments": "}"}},
        {"function": {"arguments": "}"}},
        {"index": None, "function": {"arguments": "}"}},
        {"index": True, "function": {"arguments": "}"}},
        {"index": 0, "function": {"arguments": {"x": 1}}},
        {"index": 0, "function": {"name": 5, "arguments": "}"}},
    ],
)
def test_pieces_that_are_not_surely_of_one_call_are_not_joined(second: dict[str, Any]) -> None:
    assert joined(choice({"tool_calls": [CALL]}), choice({"tool_calls": [second]})) is None


def test_logprobs_are_joined() -> None:
    answer = joined(
        choice({"content": "a"}, logprobs={"content": [{"token": "a"}]}),
        choice({"content": "b"}, logprobs={"content": [{"token": "b"}], "refusal": None}),
        choice({}, finish="stop"),
    )

    assert answer is not None
    assert answer.choices[0]["logprobs"] == {"content": [{"token": "a"}, {"token": "b"}], "refusal": []}


@pytest.mark.parametrize(
    "odd",
    [
        {"audio": {"data": "AAAA"}},
        {"content": 5},
        {"something": "else"},
        {"tool_calls": [{"index": 128}]},
        {"tool_calls": ["call"]},
        {"tool_calls": [{"id": "a", "function": {"name": "f", "arguments": "{}"}}]},
        {"tool_calls": [{"index": 0, "function": {"name": "f", "strange": 1}}]},
    ],
)
def test_an_answer_with_anything_else_is_not_joined(odd: dict[str, Any]) -> None:
    assert joined(choice({"content": "a"}), choice(odd), choice({}, finish="stop")) is None


def test_odd_logprobs_are_not_joined() -> None:
    assert joined(choice({"content": "a"}, logprobs={"content": 5})) is None


def test_an_answer_up_to_the_limit_is_joined_and_one_larger_is_not() -> None:
    assert joined(choice({"content": "x" * 10}), limit_bytes=10) is not None
    assert joined(choice({"content": "x" * 10}), choice({"content": "x"}), limit_bytes=10) is None


def test_an_answer_given_as_a_stream_joins_to_itself() -> None:
    answer = joined(
        choice({"content": "Hello"}),
        choice(
            {
                "tool_calls": [
                    {"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}
                ]
            }
        ),
        choice({}, finish="tool_calls"),
        choice({"content": "b"}, index=1),
        choice({}, index=1, finish="stop"),
    )
    assert answer is not None

    again = joined(*as_chunks(answer))

    assert again is not None
    assert again.choices == answer.choices


def test_only_what_ended_well_and_says_something_is_worth_keeping() -> None:
    def worth(finish: str | None, **message: Any) -> bool:
        return is_worth_keeping(
            ChatAnswer([{"index": 0, "message": message, "finish_reason": finish}], None, 0, "", {})
        )

    assert [worth(ending, content="a") for ending in ("stop", "length", "tool_calls")] == [True, True, True]
    assert [worth(ending, content="a") for ending in ("content_filter", "error", None)] == [
        False,
        False,
        False,
    ]
    assert [worth("stop", content=""), worth("stop", content=None)] == [False, False]
    assert worth("stop", content="a", refusal="no") is False
    assert worth("tool_calls", content=None, tool_calls=[{"id": "a"}]) is True


def test_a_kept_answer_is_read_as_it_was_written() -> None:
    reading = Reading(usage=TokenUsage(input=3, output=2), is_estimated=False, prompt_details={"x": 1})
    kept = KeptAnswer(
        "fake", "echo", [{"index": 0, "message": {"content": "é\u2028"}}], 5, {"a": 2**70}, reading
    )

    assert KeptAnswer.from_bytes(kept.to_bytes()) == kept
