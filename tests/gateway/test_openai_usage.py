"""OpenAI's usage reports: disjoint counts, and no bill on nonsense."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.usage import TokenUsage
from gateway.providers.openai_usage import read_usage


def tokens(report: Any) -> TokenUsage:
    usage, note = read_usage(report)
    assert usage is not None, note
    return usage.tokens


def report(prompt: Any = 100, completion: Any = 50, **fields: Any) -> dict[str, Any]:
    return {"prompt_tokens": prompt, "completion_tokens": completion, **fields}


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        (report(), TokenUsage(input=100, output=50)),
        (
            report(prompt_tokens_details={"cached_tokens": 30}),
            TokenUsage(input=70, cached_input=30, output=50),
        ),
        (report(prompt_tokens_details={"cached_tokens": 100}), TokenUsage(cached_input=100, output=50)),
        (
            report(
                prompt_tokens_details={
                    "cached_tokens": 10,
                    "cache_write_tokens": 20,
                    "audio_tokens": 5,
                    "image_tokens": 15,
                    "text_tokens": 80,
                }
            ),
            TokenUsage(input=50, cached_input=10, cache_write=20, audio_input=5, image_input=15, output=50),
        ),
        (
            report(completion_tokens_details={"reasoning_tokens": 20, "audio_tokens": 10}),
            TokenUsage(input=100, output=20, reasoning=20, audio_output=10),
        ),
        (report(completion_tokens_details={"reasoning_tokens": 50}), TokenUsage(input=100, reasoning=50)),
        (
            report(completion_tokens_details={"reasoning_tokens": 51}),
            TokenUsage(input=100, output=50, reasoning=51),
        ),
        (
            report(total_tokens=170, completion_tokens_details={"reasoning_tokens": 20}),
            TokenUsage(input=100, output=50, reasoning=20),
        ),
        (
            report(total_tokens=150, completion_tokens_details={"reasoning_tokens": 20}),
            TokenUsage(input=100, output=30, reasoning=20),
        ),
        (report(total_tokens=170), TokenUsage(input=100, output=50, reasoning=20)),
        (report(total_tokens=170.0), TokenUsage(input=100, output=50, reasoning=20)),
        (report(total_tokens=150), TokenUsage(input=100, output=50)),
        (report(total_tokens=120), TokenUsage(input=100, output=50)),
        (report(total_tokens=2**31), TokenUsage(input=100, output=50)),
        (report(total_tokens="170"), TokenUsage(input=100, output=50)),
        (
            report(total_tokens=170, completion_tokens_details={"reasoning_tokens": 0}),
            TokenUsage(input=100, output=50),
        ),
        (
            report(total_tokens=190, cache_read_input_tokens=40),
            TokenUsage(input=60, cached_input=40, output=50),
        ),
        (
            report(total_tokens=170, prompt_tokens_details={"cached_tokens": 40}),
            TokenUsage(input=60, cached_input=40, output=50, reasoning=20),
        ),
        ({"prompt_tokens": 9, "total_tokens": 105}, TokenUsage(input=9, reasoning=96)),
        (report(completion=None, total_tokens=101), TokenUsage(input=100, reasoning=1)),
        (
            report(total_tokens=120, completion=None, completion_tokens_details={"reasoning_tokens": 20}),
            TokenUsage(input=100, reasoning=20),
        ),
        (
            report(completion_tokens_details={"num_search_queries": 2}),
            TokenUsage(input=100, output=50, searches=2),
        ),
        (report(num_search_queries=3), TokenUsage(input=100, output=50, searches=3)),
        (report(prompt_cache_hit_tokens=40), TokenUsage(input=60, cached_input=40, output=50)),
        (report(prompt=100.0, completion=50.0), TokenUsage(input=100, output=50)),
        (report(prompt=0), TokenUsage(output=50)),
        (report(completion=0), TokenUsage(input=100)),
        (report(prompt=2**31 - 1, completion=1), TokenUsage(input=2**31 - 1, output=1)),
        (report(num_search_queries=2**31), TokenUsage(input=100, output=50)),
        (report(prompt_tokens_details=None, completion_tokens_details="x"), TokenUsage(input=100, output=50)),
        (report(prompt_tokens_details={"cached_tokens": -5}), TokenUsage(input=100, output=50)),
        (report(prompt_tokens_details={"cached_tokens": None}), TokenUsage(input=100, output=50)),
        (report(prompt_tokens_details={"cached_tokens": True}), TokenUsage(input=100, output=50)),
    ],
)
def test_counts_are_made_disjoint(sent: dict[str, Any], read: TokenUsage) -> None:
    assert tokens(sent) == read


def test_more_cached_than_prompt_is_clamped_and_noted() -> None:
    usage, _ = read_usage(report(prompt_tokens_details={"cached_tokens": 101}))

    assert usage is not None
    assert usage.tokens == TokenUsage(cached_input=100, output=50)
    assert usage.note == "cached_tokens is 101, more than the 100 prompt tokens left"


def test_thoughts_that_only_the_total_shows_are_noted() -> None:
    usage, _ = read_usage(report(9, 3, total_tokens=105))

    assert usage is not None
    assert usage.tokens == TokenUsage(input=9, output=3, reasoning=93)
    assert usage.note.startswith("total_tokens has 93 tokens more than are named, taken as reasoning")


def test_the_providers_breakdowns_are_kept_for_the_client() -> None:
    usage, _ = read_usage(
        report(
            prompt_tokens_details={"text_tokens": 1},
            completion_tokens_details={"accepted_prediction_tokens": 2},
        )
    )

    assert usage is not None
    assert usage.prompt_details == {"text_tokens": 1}
    assert usage.completion_details == {"accepted_prediction_tokens": 2}


@pytest.mark.parametrize(
    "sent",
    [
        {},
        "usage",
        [],
        5,
        report(prompt=-1),
        report(completion=-1),
        report(prompt=2**31),
        report(completion=2**63),
        report(prompt="100"),
        report(prompt=True),
        report(prompt=1.5),
        report(prompt=None),
        report(prompt=0, completion=0),
        {"total_tokens": 150},
        report(completion=None, total_tokens=100),
        report(completion=None, total_tokens=2**31),
        report(completion=-1, total_tokens=150),
    ],
)
def test_no_bill_is_based_on_nonsense(sent: Any) -> None:
    usage, note = read_usage(sent)

    assert usage is None
    assert note != ""


def test_no_report_is_no_nonsense() -> None:
    assert read_usage(None) == (None, "")


counts = st.integers(0, 10**6)


@given(counts, counts, counts, counts, counts, counts)
def test_no_token_is_lost_or_counted_twice(
    prompt: int, completion: int, cached: int, written: int, reasoning: int, audio: int
) -> None:
    usage, _ = read_usage(
        report(
            prompt,
            completion,
            prompt_tokens_details={
                "cached_tokens": cached,
                "cache_write_tokens": written,
                "audio_tokens": audio,
            },
            completion_tokens_details={"reasoning_tokens": reasoning, "audio_tokens": audio},
        )
    )

    if usage is None:
        assert prompt + completion == 0
        return
    assert usage.tokens.prompt_tokens == prompt
    assert usage.tokens.completion_tokens in (completion, completion + reasoning)
