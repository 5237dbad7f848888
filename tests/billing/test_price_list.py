"""The price list: which of several statements holds on a day, layer over layer, and what is charged."""

from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

from billing.price_book import load_price_book
from billing.price_facts import price_of, rates_of, to_json
from billing.price_list import PriceList, ceiling_price, layer_of, markups_of

JANUARY, MARCH, JUNE = date(2026, 1, 1), date(2026, 3, 1), date(2026, 6, 1)


def stated(
    number: int, valid_from: date, input_usd: str | None, *, until: date | None = None, **variant: Any
) -> dict[str, Any]:
    """A row of the `number`th statement about acme/small; without a price it takes one back."""
    place = {"provider": "acme", "model": "small", "region": "", "tier": "default", **variant}
    row = {
        "id": number,
        **place,
        "valid_from": valid_from,
        "valid_until": until,
        "version": "",
        "facts": None,
    }
    if input_usd is None:
        return row
    rates = rates_of({"input": Decimal(input_usd), "output": Decimal(10)})
    price = price_of(name="acme/small", valid_from=valid_from, rates=rates)
    return row | {"facts": to_json(price), "version": price.version}


def input_usd_on(day: date, *rows: dict[str, Any]) -> Decimal | None:
    price = layer_of(rows).price_at("acme", "small", day, region="", tier="default")
    return None if price is None else Decimal(price.input) / 1_000_000


def test_a_statement_holds_from_its_day_until_the_next():
    rows = (stated(1, JANUARY, "1"), stated(2, MARCH, "2"))

    assert input_usd_on(date(2025, 12, 31), *rows) is None
    assert input_usd_on(JANUARY, *rows) == 1
    assert input_usd_on(date(2026, 2, 28), *rows) == 1
    assert input_usd_on(MARCH, *rows) == 2


def test_a_correction_of_the_past_leaves_later_prices_alone():
    rows = (stated(1, JANUARY, "1"), stated(2, MARCH, "2"), stated(3, JANUARY, "1.5"))

    assert input_usd_on(JANUARY, *rows) == Decimal("1.5")
    assert input_usd_on(MARCH, *rows) == 2
    assert input_usd_on(JANUARY, *rows[:2]) == 1


def test_a_statement_with_an_end_gives_way_to_the_one_under_it():
    rows = (stated(1, JANUARY, "1"), stated(2, MARCH, "2", until=JUNE))

    assert input_usd_on(date(2026, 5, 31), *rows) == 2
    assert input_usd_on(JUNE, *rows) == 1


def test_what_was_taken_back_no_longer_holds_and_may_be_stated_again():
    rows = (stated(1, JANUARY, "1"), stated(2, MARCH, "2"), stated(3, MARCH, None))

    assert input_usd_on(MARCH, *rows) == 1
    assert input_usd_on(MARCH, *rows, stated(4, MARCH, "3")) == 3


def test_rows_count_in_the_order_in_which_they_became_known_not_as_they_are_read():
    assert input_usd_on(JANUARY, stated(2, JANUARY, "2"), stated(1, JANUARY, "1")) == 2


def listing():
    return load_price_book().listing("fake", "tiered")


def overlay(*rows: dict[str, Any]) -> PriceList:
    return PriceList(operator=layer_of(rows))


def test_an_empty_list_is_nothing():
    assert not PriceList()
    assert overlay(stated(1, JANUARY, "1"))


def test_the_operators_price_lies_over_the_one_that_ships_and_leaves_its_tiers():
    terms = overlay(stated(1, MARCH, "7", provider="fake", model="tiered")).terms_at(
        "fake", "tiered", MARCH, listing=listing()
    )

    assert (terms.price.input, terms.price.version[:10]) == (7_000_000, "acme/small")
    assert terms.price.at_tier("flex").input == 500_000
    assert terms.version == terms.price.version


def test_a_stated_tier_leaves_the_price_that_ships():
    row = stated(1, MARCH, "3", provider="fake", model="tiered", tier="priority")
    prices = overlay(row)

    before, after = (
        prices.terms_at("fake", "tiered", day, listing=listing()).price for day in (date(2026, 2, 28), MARCH)
    )
    assert (before.at_tier("priority").input, after.at_tier("priority").input) == (2_000_000, 3_000_000)
    assert (after.input, after.at_tier("flex").input) == (1_000_000, 500_000)


def test_a_region_has_its_own_price_and_else_that_of_everywhere():
    prices = overlay(stated(1, MARCH, "7"), stated(2, MARCH, "8", region="us"))

    def input_of(region: str) -> int:
        return prices.terms_at("acme", "small", MARCH, listing=None, region=region).price.input

    assert (input_of(""), input_of("us"), input_of("eu")) == (7_000_000, 8_000_000, 7_000_000)


def test_a_model_that_nobody_priced_has_no_terms():
    prices = overlay(stated(1, MARCH, "7"))

    assert prices.terms_at("acme", "large", MARCH, listing=None) is None
    assert prices.terms_at("acme", "small", date(2026, 2, 28), listing=None) is None


def test_an_own_price_is_charged_and_the_cost_stays_the_providers():
    prices = replace(
        overlay(stated(1, MARCH, "7")),
        own=layer_of([stated(2, JUNE, "5")]),
        markups=markups_of([markup(1, "acme", JANUARY, 2_000_000)]),
    )

    before = prices.terms_at("acme", "small", date(2026, 5, 31), listing=None)
    after = prices.terms_at("acme", "small", JUNE, listing=None)

    assert (before.price.input, before.own_price, before.multiplier_ppm) == (7_000_000, None, 2_000_000)
    assert (after.price.input, after.own_price.input) == (7_000_000, 5_000_000)
    assert after.version == f"{after.price.version} charged {after.own_price.version}"


def markup(number: int, provider: str, valid_from: date, ppm: int, fee_pico: int = 0) -> dict[str, Any]:
    return {
        "id": number,
        "provider": provider,
        "valid_from": valid_from,
        "multiplier_ppm": ppm,
        "fee_pico": fee_pico,
    }


def test_a_providers_markup_goes_before_that_of_all_and_each_has_its_days():
    markups = markups_of(
        [
            markup(1, "", JANUARY, 1_100_000),
            markup(2, "acme", MARCH, 1_200_000, 500),
            markup(3, "acme", JUNE, 1_000_000),
        ]
    )
    prices = replace(overlay(stated(1, JANUARY, "1")), markups=markups)

    def of(day: date) -> tuple[int, int]:
        terms = prices.terms_at("acme", "small", day, listing=None)
        return terms.multiplier_ppm, terms.fee_pico

    assert of(JANUARY) == (1_100_000, 0)
    assert of(MARCH) == (1_200_000, 500)
    assert of(JUNE) == (1_000_000, 0)


def test_a_ceiling_prices_every_token_of_a_side_alike():
    price = ceiling_price(
        "acme", "odd", input_usd_per_million=Decimal(3), output_usd_per_million=Decimal("0.000001")
    )

    assert price.version == "ceiling:acme/odd@3000000/1"
    assert price.is_ceiling
    assert [price.rate_of(unit) for unit in ("input", "cached_input", "cache_write_1h", "audio_input")] == [
        3_000_000
    ] * 4
    assert [price.rate_of(unit) for unit in ("output", "reasoning", "audio_output")] == [1, 1, 1]
