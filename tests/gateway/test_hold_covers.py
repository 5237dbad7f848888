"""A hold covers whatever the request can come to: every surcharge, to the last token, and no more."""

from dataclasses import replace
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billing.pricing import LongContext, Price, Rates, cost_of
from billing.terms import Terms
from billing.usage import TokenUsage
from gateway.limits import Need
from gateway.router import need_of
from gateway.routing.target import Target
from gateway.wire.chat import parse_chat_request
from gateway.wire.chat_request import ChatRequest
from tests.gateway.chat_bodies import body
from tests.gateway.shelf import OWN

WINDOW, LARGEST_OUTPUT = 5_000, 400
# Five bytes and a message: 21 prompt tokens; ten of output.
CAPPED = {"max_tokens": 10}
PLAIN = Price(version="plain", input=1_000, output=2_000)
SEARCHED = replace(PLAIN, per_search_pico=10_000_000)


def target(price: Price, **fields: Any) -> Target:
    return Target(
        **{
            "provider": "fake",
            "kind": "openai-compatible",
            "model": "m",
            "upstream_name": "m",
            "base_url": "http://127.0.0.1:1/v1",
            "credential": "",
            "is_own_credential": False,
            "is_guarded": False,
            "price": price,
            "context_window_tokens": WINDOW,
            "max_output_tokens": LARGEST_OUTPUT,
            **fields,
        }
    )


def asked(**fields: Any) -> ChatRequest:
    return parse_chat_request(body(**{**CAPPED, **fields}))


def held(request: ChatRequest, price: Price, **fields: Any) -> Need:
    return need_of(request, (target(price, **fields),))


AUDIO = {"modalities": ["text", "audio"], "audio": {"voice": "a", "format": "wav"}}
# What AUDIO adds to the prompt: its two fields, which may be read.
AUDIO_BYTES = 47
SEARCH = {"tools": [{"type": "web_search", "max_uses": 3}]}


@pytest.mark.contract("3.2 max_tokens", "3.2 n", "3.2 modalities, audio, prediction")
@pytest.mark.parametrize(
    ("fields", "price", "largest", "nano"),
    [
        ({}, PLAIN, TokenUsage(input=21, output=10), 41),
        ({}, replace(PLAIN, cache_write=1_250), TokenUsage(cache_write=21, output=10), 47),
        ({}, replace(PLAIN, cache_write_1h=2_000), TokenUsage(cache_write_1h=21, output=10), 62),
        ({}, replace(PLAIN, cached_input=100), TokenUsage(input=21, output=10), 41),
        ({}, replace(PLAIN, image_input=3_000), TokenUsage(image_input=21, output=10), 83),
        ({}, replace(PLAIN, reasoning=5_000), TokenUsage(input=21, reasoning=10), 71),
        ({"n": 3}, PLAIN, TokenUsage(input=21, output=30), 81),
        ({"max_tokens": None}, PLAIN, TokenUsage(input=21, output=400), 821),
        ({"max_tokens": 401}, PLAIN, TokenUsage(input=21, output=400), 821),
        ({"reasoning": {"max_tokens": 7}}, PLAIN, TokenUsage(input=21, reasoning=17), 55),
        ({}, replace(PLAIN, per_request_pico=9_000), TokenUsage(input=21, output=10), 50),
        (
            AUDIO,
            replace(PLAIN, audio_input=8_000, audio_output=16_000),
            TokenUsage(audio_input=21 + AUDIO_BYTES, audio_output=10),
            704,
        ),
        # No provider is told max_uses, so it lowers nothing.
        (SEARCH, SEARCHED, TokenUsage(input=WINDOW, output=10, searches=10), 105_020),
        ({"web_search": True}, SEARCHED, TokenUsage(input=WINDOW, output=10, searches=10), 105_020),
    ],
)
def test_the_dearest_usage_within_the_caps_is_held_to_the_nano_dollar_and_one_token_more_is_not(
    fields: dict[str, Any], price: Price, largest: TokenUsage, nano: int
) -> None:
    need = held(asked(**fields), price)
    dearest = next(unit for unit in ("output", "reasoning", "audio_output") if getattr(largest, unit))
    one_more = msgspec.structs.replace(largest, **{dearest: getattr(largest, dearest) + 1})

    assert -(-cost_of(largest, price).total_pico // 1_000) == nano
    assert (need.budget_nano, need.wallet_nano) == (nano, nano)
    assert cost_of(one_more, price).total_nano > need.wallet_nano


LONG = replace(
    PLAIN, long_contexts=(LongContext(above_prompt_tokens=100, rates=Rates(input=2_000, output=3_000)),)
)


@pytest.mark.parametrize(("letters", "nano"), [(84, 100 + 20), (85, 101 * 2 + 30)])
def test_a_long_contexts_rates_are_held_from_the_first_token_that_may_reach_them(
    letters: int, nano: int
) -> None:
    request = asked(messages=[{"role": "user", "content": "x" * letters}])

    assert held(request, LONG).wallet_nano == nano


TIERED = replace(
    PLAIN,
    tiers=(
        Price(version="flex", input=500, output=1_000, tier="flex"),
        Price(version="priority", input=2_000, output=4_000, tier="priority"),
    ),
)


@pytest.mark.parametrize(
    ("tier", "nano"),
    # The word itself may be read, so its bytes and those around it are in the prompt.
    [(None, 82), ("auto", 82 + 16), ("default", 41 + 11), ("flex", 41 + 8), ("priority", 82 + 24)],
)
def test_the_dearest_service_tier_that_may_serve_is_held(tier: str | None, nano: int) -> None:
    assert held(asked(service_tier=tier), TIERED).wallet_nano == nano


def test_an_own_credential_is_held_in_budgets_and_not_in_the_credit() -> None:
    need = held(asked(), PLAIN, is_own_credential=True, connection_id=OWN)

    assert (need.budget_nano, need.wallet_nano) == (41, 0)


def test_the_dearest_of_all_targets_is_held() -> None:
    request = asked()

    need = need_of(request, (target(PLAIN), target(replace(PLAIN, output=9_000)), target(PLAIN)))

    assert need.wallet_nano == 21 + 90


RATE = st.integers(0, 50_000)
MAYBE = st.none() | RATE
UNITS = ("cached_input", "cache_write", "cache_write_1h", "image_input", "reasoning")


@st.composite
def rates(draw: st.DrawFn) -> dict[str, int | None]:
    known: dict[str, int | None] = {"input": draw(RATE), "output": draw(RATE)}
    known |= {unit: draw(MAYBE) for unit in UNITS}
    return known | {unit: draw(RATE) for unit in ("audio_input", "audio_output")}


@st.composite
def prices(draw: st.DrawFn, tier: str = "default") -> Price:
    thresholds = sorted(draw(st.sets(st.integers(1, WINDOW), max_size=2)))
    contexts = tuple(
        LongContext(above_prompt_tokens=above, rates=Rates(**draw(rates()))) for above in thresholds
    )
    others = ("flex", "priority") if tier == "default" and draw(st.booleans()) else ()
    return Price(
        version=tier,
        tier=tier,
        long_contexts=contexts,
        per_request_pico=draw(RATE),
        per_search_pico=draw(RATE),
        tiers=tuple(draw(prices(tier=name)) for name in others),
        **draw(rates()),
    )


@st.composite
def requests(draw: st.DrawFn) -> ChatRequest:
    text = draw(st.text(st.characters(min_codepoint=32, exclude_categories=["Cs"]), max_size=60))
    parts: list[dict[str, Any]] = [{"type": "text", "text": text}]
    if draw(st.booleans()):
        parts.append({"type": "image_url", "image_url": {"url": "https://example.com/a.png"}})
    has_audio = draw(st.booleans())
    if has_audio:
        parts.append({"type": "input_audio", "input_audio": {"data": "AAAA", "format": "mp3"}})
    fields = {
        "messages": [{"role": "user", "content": parts}],
        "n": draw(st.integers(1, 4)),
        "max_tokens": draw(st.none() | st.integers(1, 600)),
        "web_search": draw(st.booleans()),
        "service_tier": draw(st.sampled_from([None, "auto", "default", "flex", "priority"])),
    }
    return parse_chat_request(body(**fields))


def split(draw: st.DrawFn, total: int, units: tuple[str, ...]) -> dict[str, int]:
    """The total spread over the units, each token in one."""
    counts: dict[str, int] = {}
    for unit in units[:-1]:
        counts[unit] = draw(st.integers(0, total))
        total -= counts[unit]
    return {**counts, units[-1]: total}


@settings(max_examples=150, deadline=None)
@given(st.data(), prices(), requests(), st.integers(500_000, 3_000_000), RATE)
def test_whatever_a_request_uses_within_its_caps_costs_no_more_than_was_held(
    data: st.DataObject, price: Price, request: ChatRequest, multiplier_ppm: int, fee_pico: int
) -> None:
    terms = Terms(price=price, multiplier_ppm=multiplier_ppm, fee_pico=fee_pico)
    goal = target(price, terms=terms)
    prompt = data.draw(st.integers(0, goal.prompt_tokens_bound(request)))
    output = data.draw(st.integers(0, goal.output_tokens_bound(request) * request.n))
    audio = ("audio_input",) if request.may_use_audio else ()
    spoken = ("audio_output",) if request.may_use_audio else ()
    read = ("input", "cached_input", "cache_write", "cache_write_1h", "image_input", *audio)
    usage = TokenUsage(
        **split(data.draw, prompt, read),
        **split(data.draw, output, ("output", "reasoning", *spoken)),
        searches=data.draw(st.integers(0, request.searches_bound)),
    )
    served = data.draw(st.sampled_from(price.tiers_within(request.forwarded.get("service_tier"))))

    need = need_of(request, (goal,))
    cost = cost_of(usage, served)
    charge = terms.at_tier(served.tier).charge_of(usage, cost)

    assert cost.total_nano <= need.budget_nano
    assert charge.total_nano <= need.wallet_nano <= need.budget_nano
