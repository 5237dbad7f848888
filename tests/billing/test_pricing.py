"""Pricing: a golden corpus, both sides of every tier, and exact arithmetic on random cases."""

from dataclasses import replace
from datetime import date
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from billing.errors import UnknownPrice
from billing.price_book import load_price_book
from billing.pricing import LongContext, Price, Rates, cost_of, worst_case_nano
from billing.usage import FIELDS, TokenUsage

DAY = date(2026, 11, 21)

SIMPLE = Price(version="test", input=1_000_000, cached_input=100_000, output=2_000_000)
EVERYTHING = Price(
    version="test",
    input=3,
    cached_input=5,
    cache_write=7,
    output=11,
    reasoning=13,
    audio_input=17,
    audio_output=19,
    image_input=23,
    cache_write_1h=37,
    per_request_pico=29,
    per_search_pico=31,
)
TIERED = replace(
    SIMPLE,
    long_contexts=(
        LongContext(above_prompt_tokens=100, rates=Rates(input=2_000_000, output=4_000_000)),
        LongContext(above_prompt_tokens=200, rates=Rates(input=3_000_000, output=6_000_000)),
    ),
)

# Usages as providers report them, made disjoint, and what their price pages say that they cost.
GOLDEN = [
    ("fake", "echo", TokenUsage(input=7, output=10), 27_000),
    ("fake", "free", TokenUsage(input=1_000, output=1_000, reasoning=50), 0),
    ("openai", "gpt-4o-mini", TokenUsage(input=1_000, output=500), 450_000),
    ("openai", "gpt-4o", TokenUsage(input=976, cached_input=1_024, output=300), 6_720_000),
    ("openai", "gpt-5.4", TokenUsage(input=272_000, output=1_000), 695_000_000),
    ("openai", "gpt-5.4", TokenUsage(input=272_001, output=1_000), 1_382_505_000),
    ("openai", "gpt-5.5", TokenUsage(input=100, output=50, reasoning=200), 8_000_000),
    ("openai", "gpt-6-luna", TokenUsage(input=3, output=1), 800),
    ("openai", "gpt-5.1", TokenUsage(input=1_000, output=200, searches=2), 23_250_000),
    ("anthropic", "claude-haiku-4-5", TokenUsage(input=10, cached_input=2_000, output=100), 710_000),
    ("anthropic", "claude-haiku-4-5", TokenUsage(input=10, cache_write=1_000, output=100), 1_760_000),
    ("anthropic", "claude-haiku-5-5", TokenUsage(input=100_000, output=10), 10_005_000),
    ("anthropic", "claude-haiku-5-5", TokenUsage(input=99_999, cached_input=2, output=10), 50_024_600),
    ("google", "gemini-2.5-pro", TokenUsage(input=200_000, output=100), 251_000_000),
    ("google", "gemini-2.5-pro", TokenUsage(input=200_001, output=100), 501_502_500),
    ("google", "gemini-2.5-flash", TokenUsage(input=10, audio_input=100, output=20, reasoning=30), 228_000),
    ("mistral", "mistral-small-2603", TokenUsage(input=1, output=1), 750),
    ("deepseek", "deepseek-flash", TokenUsage(input=1, cached_input=1, output=1), 1_506),
    ("groq", "gpt-oss-20b", TokenUsage(cached_input=1), 38),
    ("groq", "gpt-oss-20b", TokenUsage(cached_input=3), 112),
    ("together-ai", "gpt-oss-120b", TokenUsage(cached_input=10), 1_500),
]  # fmt: skip


@pytest.mark.parametrize(("provider", "model", "usage", "expected_nano"), GOLDEN)
def test_the_golden_corpus_costs_what_the_price_pages_say(provider, model, usage, expected_nano):
    price = load_price_book().listing(provider, model).price_at(DAY)

    assert cost_of(usage, price).total_nano == expected_nano


def test_every_unit_is_priced_once_and_in_its_part():
    usage = TokenUsage(**dict.fromkeys(FIELDS, 1))

    cost = cost_of(usage, EVERYTHING)

    assert cost.input_pico == 3 + 7 + 17 + 23 + 37
    assert cost.cached_input_pico == 5
    assert cost.output_pico == 11 + 13 + 19
    assert cost.request_pico == 29 + 31
    assert cost.total_pico == 195


def test_parts_in_dollars_sum_to_the_unrounded_total():
    parts = cost_of(TokenUsage(input=7, cached_input=2, output=10), SIMPLE).parts_usd()

    assert parts == {
        "input": "0.000007000000",
        "cached_input": "0.000000200000",
        "output": "0.000020000000",
        "request": "0",
    }


@pytest.mark.parametrize(
    ("prompt_tokens", "input_pico"),
    [(100, 100_000_000), (101, 202_000_000), (200, 400_000_000), (201, 603_000_000)],
)
def test_a_tier_holds_for_the_whole_prompt_once_it_is_exceeded(prompt_tokens, input_pico):
    assert cost_of(TokenUsage(input=prompt_tokens), TIERED).input_pico == input_pico


def test_every_kind_of_prompt_token_counts_towards_a_tier():
    usage = TokenUsage(input=50, cached_input=51)

    assert cost_of(usage, TIERED).cached_input_pico == 51 * 2_000_000


@pytest.mark.parametrize("unit", ["cached_input", "cache_write", "image_input"])
def test_a_prompt_unit_without_a_rate_costs_as_input(unit):
    price = Price(version="test", input=5, output=7)

    assert cost_of(TokenUsage(**{unit: 3}), price).total_pico == 15


def test_reasoning_without_a_rate_costs_as_output():
    assert cost_of(TokenUsage(reasoning=3), Price(version="test", input=5, output=7)).total_pico == 21


@pytest.mark.parametrize("unit", ["audio_input", "audio_output", "searches"])
def test_a_unit_that_has_neither_rate_nor_default_is_never_free(unit):
    price = Price(version="test", input=5, output=7)

    with pytest.raises(UnknownPrice):
        cost_of(TokenUsage(**{unit: 1}), price)


def test_a_price_without_an_output_rate_still_prices_prompts():
    price = Price(version="test", input=5)

    assert cost_of(TokenUsage(input=2), price).total_pico == 10
    with pytest.raises(UnknownPrice):
        cost_of(TokenUsage(output=1), price)


def test_the_worst_case_is_the_prompt_once_and_the_cap_for_each_choice():
    assert worst_case_nano(SIMPLE, prompt_tokens=7, output_tokens=10, choices=1) == 27_000
    assert worst_case_nano(SIMPLE, prompt_tokens=7, output_tokens=10, choices=3) == 67_000


def test_the_worst_case_rounds_up_to_the_nano_dollar():
    price = Price(version="test", input=1, output=1)

    assert worst_case_nano(price, prompt_tokens=1, output_tokens=0) == 1
    assert worst_case_nano(price, prompt_tokens=1_000, output_tokens=0) == 1
    assert worst_case_nano(price, prompt_tokens=1_001, output_tokens=0) == 2


def test_the_worst_case_leaves_audio_out_only_when_told_that_there_is_none():
    price = Price(version="test", input=1_000, output=1_000, audio_input=9_000, audio_output=9_000)

    assert worst_case_nano(price, prompt_tokens=1, output_tokens=1) == 18
    assert worst_case_nano(price, prompt_tokens=1, output_tokens=1, has_audio=False) == 2


def test_the_worst_case_of_a_price_without_rates_is_refused():
    with pytest.raises(UnknownPrice):
        worst_case_nano(Price(version="test"), prompt_tokens=1, output_tokens=1)


counts = st.integers(min_value=0, max_value=10**7)
usages = st.builds(TokenUsage, **dict.fromkeys(FIELDS, counts))
rate = st.integers(min_value=0, max_value=10**9)
prices = st.builds(
    Price,
    version=st.just("random"),
    per_request_pico=rate,
    per_search_pico=rate,
    **dict.fromkeys((name for name in FIELDS if name != "searches"), rate),
)


@given(usages, prices)
def test_the_cost_equals_exact_fractions_rounded_once(usage, price):
    dollars = sum(
        (
            Fraction(getattr(usage, name) * getattr(price, name), 10**12)
            for name in FIELDS
            if name != "searches"
        ),
        Fraction(price.per_request_pico + usage.searches * price.per_search_pico, 10**12),
    )

    assert cost_of(usage, price).total_nano == round(dollars * 10**9)


@given(usages, prices, st.sampled_from(FIELDS))
def test_more_of_anything_never_costs_less(usage, price, name):
    more = structs.replace(usage, **{name: getattr(usage, name) + 1})

    assert cost_of(more, price).total_pico >= cost_of(usage, price).total_pico


@given(usages, prices, st.integers(min_value=1, max_value=8), st.sampled_from([100, 10**6, 10**9]))
def test_the_worst_case_bounds_every_usage_within_it(usage, price, choices, threshold):
    tier = LongContext(above_prompt_tokens=threshold, rates=Rates(**dict.fromkeys(EVERYTHING_UNITS, 10**8)))
    tiered = replace(price, long_contexts=(tier,))

    bound_nano = worst_case_nano(
        tiered,
        prompt_tokens=usage.prompt_tokens,
        output_tokens=-(-usage.completion_tokens // choices),
        choices=choices,
        searches=usage.searches,
    )

    assert cost_of(usage, tiered).total_nano <= bound_nano


EVERYTHING_UNITS = tuple(name for name in FIELDS if name != "searches")


def test_cache_writes_of_an_hour_have_their_own_rate_and_else_that_of_the_short_ones():
    own = replace(SIMPLE, cache_write=1_250_000, cache_write_1h=2_000_000)
    usage = TokenUsage(cache_write=1_000, cache_write_1h=1_000)

    assert cost_of(usage, own).total_nano == 3_250_000
    assert cost_of(usage, replace(own, cache_write_1h=None)).total_nano == 2_500_000
    assert cost_of(usage, SIMPLE).total_nano == 2_000_000


def test_what_may_serve_a_request_is_the_tier_asked_for_and_the_default():
    flex, priority, batch = (
        replace(SIMPLE, tier=tier, version=tier) for tier in ("flex", "priority", "batch")
    )
    price = replace(SIMPLE, tiers=(flex, priority, batch))

    assert price.tiers_within("flex") == (price, flex)
    assert price.tiers_within("default") == (price,)
    assert price.tiers_within(None) == price.tiers_within("auto") == (price, flex, priority)
    assert SIMPLE.tiers_within(None) == (SIMPLE,)
