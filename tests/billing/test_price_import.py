"""Prices from the genai-prices package: shown before they are stated, and nothing is left out in silence."""

import io
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from django.core.management import call_command
from genai_prices.data import providers
from genai_prices.types import (
    ClauseEquals,
    ConditionalPrice,
    ModelInfo,
    ModelPrice,
    PriceVariant,
    Provider,
    StartDateConstraint,
    Tier,
    TieredPrices,
)

from billing.models import PriceFact
from billing.price_book import load_price_book
from billing.price_import import Comparison, compare
from billing.price_list import PriceList
from billing.stated_prices import operator_prices

TODAY = date(2026, 11, 27)


def data_of(model: str, prices: Any, variants: Any = ()) -> Provider:
    """OpenAI with one model."""
    info = ModelInfo(id=model, match=ClauseEquals(equals=model), prices=prices, price_variants=list(variants))
    return Provider(id="openai", name="OpenAI", api_pattern="x", models=[info])


def compared(*data: Provider) -> Comparison:
    return compare(data, book=load_price_book(), prices=PriceList(), today=TODAY)


def usd(text: str) -> Decimal:
    return Decimal(text)


def test_a_difference_is_shown_by_model_and_unit_with_its_percentage() -> None:
    """The book has gpt-4o at 2.5 in, 1.25 cached and 10 out."""
    prices = ModelPrice(input_mtok=usd("3"), output_mtok=usd("10"), input_audio_mtok=usd("40"))
    found = compared(data_of("gpt-4o", prices))

    (proposal,) = found.proposals
    assert (proposal.provider, proposal.model, proposal.tier) == ("openai", "gpt-4o", "default")
    assert [str(difference) for difference in proposal.differences] == [
        "~ input 2.5 -> 3 (+20.0 %)",
        "- cached_input 1.25",
        "+ audio_input 40",
    ]


def test_what_is_the_same_is_not_proposed() -> None:
    prices = ModelPrice(
        input_mtok=TieredPrices(base=usd("2.5"), tiers=[Tier(start=272_000, price=usd("5"))]),
        cache_read_mtok=TieredPrices(base=usd("0.25"), tiers=[Tier(start=272_000, price=usd("0.5"))]),
        output_mtok=TieredPrices(base=usd("15"), tiers=[Tier(start=272_000, price=usd("22.5"))]),
    )
    found = compared(data_of("gpt-5.4", prices))

    assert (found.proposals, found.same) == ([], 1)


def test_the_price_of_today_is_taken_and_one_by_the_hour_is_named() -> None:
    dated = [
        ConditionalPrice(prices=ModelPrice(input_mtok=usd("9"), output_mtok=usd("9"))),
        ConditionalPrice(
            constraint=StartDateConstraint(start_date=date(2026, 11, 1)),
            prices=ModelPrice(input_mtok=usd("3"), output_mtok=usd("10")),
        ),
        ConditionalPrice(
            constraint=StartDateConstraint(start_date=date(2026, 12, 1)),
            prices=ModelPrice(input_mtok=usd("1"), output_mtok=usd("1")),
        ),
    ]
    (proposal,) = compared(data_of("gpt-4o", dated)).proposals

    assert (proposal.valid_from, proposal.numbers.usd_per_million["input"]) == (date(2026, 11, 1), 3)
    deepseek = compare(providers, book=load_price_book(), prices=PriceList(), today=TODAY)
    assert "deepseek/deepseek-flash: prices by the hour of the day" in deepseek.unexpressed
    assert not [each for each in deepseek.proposals if each.provider == "deepseek"]


def test_service_tiers_are_prices_of_their_own_and_other_variants_are_named() -> None:
    base = ModelPrice(input_mtok=usd("2.5"), cache_read_mtok=usd("1.25"), output_mtok=usd("10"))
    variants = [
        PriceVariant(when={"service_tier": "flex"}, prices=ModelPrice(input_mtok=usd("1.25"))),
        PriceVariant(when={"processing": "batch"}, prices=ModelPrice(input_mtok=usd("1"))),
        PriceVariant(when={"speed": "fast"}, prices=ModelPrice(input_mtok=usd("9"))),
    ]
    found = compared(data_of("gpt-4o", base, variants))

    assert [(each.tier, each.numbers.usd_per_million) for each in found.proposals] == [
        ("flex", {"input": usd("1.25"), "cached_input": usd("1.25"), "output": usd("10")}),
        ("batch", {"input": usd("1"), "cached_input": usd("1.25"), "output": usd("10")}),
    ]
    assert found.unexpressed == ["openai/gpt-4o: a price for {'speed': 'fast'}"]


@pytest.mark.parametrize(
    ("prices", "named"),
    [
        ({"storage_searches_kcount": "2.5"}, "openai/gpt-4o default: storage_searches_kcount"),
        ({"input_mtok": "-1"}, "openai/gpt-4o default: input must not be negative"),
        ({"input_mtok": "0.00000001"}, "openai/gpt-4o default: input must not be negative nor finer"),
        ({"input_mtok": "1000000"}, "openai/gpt-4o default: input must not be negative nor above"),
    ],
)
def test_what_cannot_be_expressed_is_named(prices: dict[str, str], named: str) -> None:
    stated = {"input_mtok": "3", "output_mtok": "10"} | prices
    found = compared(data_of("gpt-4o", ModelPrice(**{name: usd(text) for name, text in stated.items()})))

    assert any(each.startswith(named) for each in found.unexpressed)


def test_models_of_one_side_alone_are_named() -> None:
    found = compared(data_of("gpt-99", ModelPrice(input_mtok=usd("1"), output_mtok=usd("1"))))

    assert found.unlisted == ["openai/gpt-99"]
    assert "openai/gpt-4o" in found.gone


@pytest.mark.django_db
def test_the_command_states_nothing_until_it_is_told_and_then_agrees_with_the_data() -> None:
    def say(*arguments: str) -> str:
        out = io.StringIO()
        call_command("importprices", *arguments, stdout=out)
        return out.getvalue()

    one = ("--provider", "openai", "--model", "gpt-5.4")
    dry = say(*one)
    assert "openai/gpt-5.4 (flex) from" in dry
    assert "Nothing was stated." in dry
    assert "in the data, but not in the book's catalogue:" in dry
    assert not PriceFact.objects.exists()

    applied, again = say(*one, "--apply"), say(*one, "--apply")
    facts = PriceFact.objects.filter(source="imported", provider="openai", model="gpt-5.4")
    assert {fact.tier for fact in facts} >= {"flex", "priority", "batch"}
    assert f"{facts.count()} prices were stated" in applied
    assert "0 prices were stated" in again
    assert {fact.note for fact in facts} == {"genai-prices 0.2.3"}
    listing = load_price_book().listing("openai", "gpt-5.4")
    terms = operator_prices().terms_at("openai", "gpt-5.4", TODAY, listing=listing)
    assert terms is not None
    assert terms.price.at_tier("flex").input == 1_250_000
