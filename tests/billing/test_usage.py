"""Usage vectors: disjoint counts and their sums."""

import pytest

from billing.usage import FIELDS, TokenUsage


def test_prompt_and_completion_tokens_are_sums_of_disjoint_counts():
    usage = TokenUsage(
        input=1, cached_input=20, cache_write=300, audio_input=4_000, image_input=50_000,
        output=6, reasoning=70, audio_output=800, searches=9,
    )  # fmt: skip

    assert usage.prompt_tokens == 54_321
    assert usage.completion_tokens == 876
    assert usage.total_tokens == 55_197


@pytest.mark.parametrize("name", FIELDS)
def test_a_negative_count_is_refused_by_name(name):
    with pytest.raises(ValueError, match=f"{name} must not be negative, got -1"):
        TokenUsage(**{name: -1})
