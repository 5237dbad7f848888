"""The meter: the provider's word if there is one, else a count that is exact for four-byte tokens."""

import pytest

from billing.usage import TokenUsage
from gateway.meter import Meter
from gateway.wire.shapes import ChatAnswer, ChatChunk, ReportedUsage


def delta(**fields: object) -> ChatChunk:
    return ChatChunk([{"index": 0, "delta": fields, "finish_reason": None}])


def metered(*chunks: ChatChunk, prompt: int = 5) -> Meter:
    meter = Meter(prompt_tokens_estimate=prompt)
    for chunk in chunks:
        meter.observe(chunk)
    return meter


def test_nothing_was_said() -> None:
    reading = metered().reading()

    assert reading.usage == TokenUsage(input=5)
    assert reading.is_estimated
    assert not metered().has_output


@pytest.mark.parametrize("count", [1, 2, 3, 7, 8, 100])
def test_four_byte_tokens_are_counted_exactly(count: int) -> None:
    chunks = [delta(role="assistant", content=""), *(delta(content=f"w{i % 100:02d} ") for i in range(count))]

    assert metered(*chunks).reading().usage == TokenUsage(input=5, output=count)


def test_four_byte_tokens_in_one_delta_are_counted_exactly() -> None:
    assert metered(delta(content="w01 w02 w03 ")).reading().usage.output == 3


def test_a_stream_of_single_tokens_has_as_many_as_deltas() -> None:
    words = ["The", " quick", " brown", " fox", " jumps", " over", " the", " lazy", " dog", "."]

    assert metered(*(delta(content=word) for word in words)).reading().usage.output == 10


@pytest.mark.parametrize(
    ("piece", "count", "tokens"),
    [
        ("x", 40, 10),
        ("xx", 40, 40),
        ("xxxxxx", 40, 40),
        ("xxxxxxx", 40, 70),
        ("x" * 400, 10, 1000),
        ("xxxxxx", 7, 11),
        ("xxxxxx", 8, 8),
    ],
)
def test_deltas_that_are_no_tokens_are_counted_by_bytes(piece: str, count: int, tokens: int) -> None:
    assert metered(*(delta(content=piece) for _ in range(count))).reading().usage.output == tokens


@pytest.mark.parametrize(
    ("text", "tokens"), [("a", 1), ("abcd", 1), ("abcde", 2), ("é" * 4, 2), ("\U0001f600", 1)]
)
def test_bytes_are_utf8_and_rounded_up(text: str, tokens: int) -> None:
    assert metered(delta(content=text)).reading().usage.output == tokens


def test_reasoning_calls_and_refusals_count() -> None:
    meter = metered(
        delta(content=None, reasoning_content="w01 "),
        delta(reasoning="w02 "),
        delta(content="w03 ", reasoning_content=None),
        delta(tool_calls=[{"index": 0, "id": "c", "function": {"name": "look_up", "arguments": ""}}]),
        delta(
            tool_calls=[
                {"index": 0, "function": {"arguments": '{"a"'}},
                {"index": 1, "function": {"arguments": ":1} "}},
            ]
        ),
        delta(refusal="no. "),
        delta(function_call={"arguments": "{}  "}),
    )

    assert meter.reading().usage == TokenUsage(input=5, output=5, reasoning=2)


@pytest.mark.parametrize(
    ("fields", "has_output"),
    [
        ({"role": "assistant", "content": ""}, False),
        ({}, False),
        ({"content": None}, False),
        ({"content": "x"}, True),
        ({"reasoning_content": "x"}, True),
        ({"tool_calls": [{"index": 0, "function": {"name": "f", "arguments": "{"}}]}, True),
        ({"tool_calls": None}, False),
    ],
)
def test_it_tells_whether_a_chunk_carried_output(fields: dict[str, object], has_output: bool) -> None:
    meter = Meter(prompt_tokens_estimate=1)

    assert meter.observe(delta(**fields)) is has_output
    assert meter.has_output is has_output


def test_garbage_in_a_delta_is_not_counted() -> None:
    chunk = delta(
        tool_calls=["x", {"function": "y"}, {"function": {"arguments": 5}}],
        function_call=7,
        reasoning={"a": 1},
    )

    assert metered(chunk).reading().usage.output == 0


def test_the_providers_report_wins() -> None:
    report = ReportedUsage(TokenUsage(input=7, output=3), {"cached_tokens": 0}, {"reasoning_tokens": 0})

    reading = metered(delta(content="w01 "), ChatChunk([], usage=report)).reading()

    assert reading.usage == TokenUsage(input=7, output=3)
    assert not reading.is_estimated
    assert reading.prompt_details == {"cached_tokens": 0}


def test_of_several_reports_the_last_counts() -> None:
    reports = [ReportedUsage(TokenUsage(input=7, output=count)) for count in (1, 2, 3)]

    assert metered(*(ChatChunk([], usage=report) for report in reports)).reading().usage.output == 3


def test_a_report_that_could_not_be_believed_leaves_its_reason() -> None:
    reading = metered(delta(content="w01 "), ChatChunk([], usage_note="negative")).reading()

    assert (reading.is_estimated, reading.usage.output, reading.note) == (True, 1, "negative")


def test_choices_are_counted_together() -> None:
    chunk = ChatChunk([{"index": i, "delta": {"content": "w01 "}, "finish_reason": None} for i in range(3)])

    assert metered(chunk).reading().usage.output == 3


def test_a_whole_answer_without_a_report_is_counted() -> None:
    meter = Meter(prompt_tokens_estimate=9)
    answer = ChatAnswer(
        [{"index": 0, "message": {"role": "assistant", "content": "w01 w02 "}}], None, 0, "", {}
    )

    meter.observe_answer(answer)

    assert meter.reading().usage == TokenUsage(input=9, output=2)
    assert meter.reading().is_estimated


@pytest.mark.parametrize(("reported", "billed"), [(None, 1), (0, 1), (1, 1), (2, 2)])
def test_a_search_that_was_asked_for_is_billed_named_or_not(reported: int | None, billed: int) -> None:
    meter = Meter(prompt_tokens_estimate=3, least_searches=1)
    meter.observe(delta(content="abcd"))
    if reported is not None:
        usage = ReportedUsage(TokenUsage(input=3, output=1, searches=reported))
        meter.observe(ChatChunk([], usage=usage))

    assert meter.reading().usage.searches == billed


@pytest.mark.parametrize(("characters", "tokens"), [(1, 1), (3_200, 1), (3_201, 2)])
def test_spoken_output_is_counted_by_its_length(characters: int, tokens: int) -> None:
    meter = Meter(prompt_tokens_estimate=3)

    has_output = meter.observe(delta(audio={"data": "A" * characters, "transcript": "abcdefgh"}))

    assert has_output
    assert (meter.reading().usage.audio_output, meter.reading().usage.output) == (tokens, 2)


@pytest.mark.parametrize(
    ("pieces", "estimate", "at_least"),
    [
        (["abcd"] * 10, 10, 10),
        (["abcdef"] * 10, 10, 10),
        (["abc"] * 12, 12, 9),
        (["a"] * 12, 3, 3),
        (["a" * 40] * 3, 30, 30),
    ],
)
def test_a_stream_by_character_is_not_taken_for_longer_than_it_surely_is(
    pieces: list[str], estimate: int, at_least: int
) -> None:
    meter = Meter(prompt_tokens_estimate=3)
    for piece in pieces:
        meter.observe(delta(content=piece))

    assert meter.reading().usage.output == estimate
    assert meter.tokens_at_least == meter.count().usage.output == at_least
