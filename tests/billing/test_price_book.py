"""The price book: what ships is sound, look-ups by every name, and errors that name the line."""

from datetime import date, timedelta
from pathlib import Path

import pytest

from billing.errors import PriceBookError, UnknownPrice
from billing.price_book import PRICES_DIRECTORY, load_price_book, read_price_book

GOOD = """\
provider: acme
name: Acme
kind: openai-compatible
base_url: https://api.acme.example/v1
source: https://acme.example/docs
checked: 2026-11-21

models:
  - model: small
    name: Small
    upstream_name: acme/small-1
    aliases: [small-latest]
    context_window_tokens: 1000
    max_output_tokens: 100
    capabilities: [tools]
    prices:
      - from: 2026-01-01
        source: https://acme.example/prices
        checked: 2026-11-21
        usd_per_million: {input: 1.00, output: 2.00}
      - from: 2026-07-01
        source: https://acme.example/prices
        checked: 2026-11-21
        usd_per_million: {input: 0.50, output: 1.00}
"""


def book_of(tmp_path: Path, text: str, name: str = "acme"):
    path = tmp_path / f"{name}.yaml"
    path.write_text(text)
    return read_price_book([path])


def test_the_book_that_ships_has_every_provider_and_the_simulator():
    assert set(load_price_book().providers) == {
        "anthropic", "deepseek", "fake", "fireworks-ai", "google", "groq", "mistral", "openai", "together-ai",
    }  # fmt: skip
    assert len([listing for listing in load_price_book().listings() if listing.provider != "fake"]) >= 30


def test_every_model_that_ships_has_a_price_today_with_a_page_and_a_day():
    for listing in load_price_book().listings():
        price = listing.price_at(date(2026, 11, 21))

        assert (price.input > 0 and price.output > 0) or listing.is_free
        for dated in listing.prices:
            assert dated.source_url.startswith("https://")
            assert dated.checked >= date(2026, 11, 21)


def test_price_versions_are_unique_and_lead_back_to_their_price():
    book = load_price_book()
    versions = [dated.price.version for listing in book.listings() for dated in listing.prices]

    assert len(versions) == len(set(versions))
    assert all(book.price_of_version(version).version == version for version in versions)
    assert max(map(len, versions)) <= 128


def test_the_simulator_has_its_models_and_no_price_for_unpriced():
    book = load_price_book()
    models = {listing.model for listing in book.listings() if listing.provider == "fake"}

    assert {"echo", "ten-chunks", "fifty-two", "slow", "long", "reasoner", "tools", "vision"} <= models
    assert book.listing("fake", "unpriced") is None


def test_an_announced_price_takes_effect_on_its_day():
    listing = load_price_book().listing("google", "gemini-4-argon")

    assert listing.price_at(date(2026, 11, 30)).input == 2_000_000
    assert listing.price_at(date(2026, 12, 1)).input == 4_000_000


def test_a_model_is_found_by_name_alias_and_the_providers_own_name(tmp_path):
    book = book_of(tmp_path, GOOD)

    assert book.listing("acme", "small").upstream_name == "acme/small-1"
    assert book.listing("acme", "small-latest") is book.listing("acme", "small")
    assert book.listing("acme", "acme/small-1") is book.listing("acme", "small")
    assert book.listing("acme", "large") is None
    assert book.listing("other", "small") is None


def test_providers_of_a_model_come_in_the_order_of_their_slugs():
    listings = load_price_book().providers_of("gpt-oss-120b")

    assert [listing.provider for listing in listings] == ["groq", "together-ai"]
    assert load_price_book().providers_of("no-such-model") == ()


def test_a_price_holds_from_its_first_day_until_the_next(tmp_path):
    listing = book_of(tmp_path, GOOD).listing("acme", "small")
    change = date(2026, 7, 1)

    assert listing.price_at(change - timedelta(days=1)).input == 1_000_000
    assert listing.price_at(change).input == 500_000


def test_before_the_first_price_there_is_none(tmp_path):
    listing = book_of(tmp_path, GOOD).listing("acme", "small")

    with pytest.raises(UnknownPrice, match="acme/small has no price on 2025-12-31"):
        listing.price_at(date(2025, 12, 31))


def test_a_corrected_price_is_another_version_and_the_old_one_is_unknown(tmp_path):
    before = book_of(tmp_path, GOOD)
    after = book_of(tmp_path, GOOD.replace("input: 1.00", "input: 1.10"))
    version = before.listing("acme", "small").prices[0].price.version

    assert version.startswith("acme/small@2026-01-01.")
    assert after.listing("acme", "small").prices[0].price.version != version
    with pytest.raises(UnknownPrice):
        after.price_of_version(version)


def test_a_declared_free_price_is_zero_and_says_so(tmp_path):
    free = GOOD.replace("usd_per_million: {input: 0.50, output: 1.00}", "free: true")
    listing = book_of(tmp_path, free).listing("acme", "small")

    assert listing.is_free
    assert listing.price_at(date(2026, 8, 1)).output == 0
    assert not book_of(tmp_path, GOOD).listing("acme", "small").is_free


def test_numbers_are_exact_decimals_down_to_the_pico_dollar(tmp_path):
    price = (
        book_of(tmp_path, GOOD.replace("input: 1.00", "input: 0.0375"))
        .listing("acme", "small")
        .prices[0]
        .price
    )

    assert price.input == 37_500


@pytest.mark.parametrize(
    ("wrong", "right", "message"),
    [
        ("input: 1.00", "input: 0.0000001", r"acme.yaml:20: input must not be negative nor finer"),
        ("input: 1.00", "input: -1.00", r"acme.yaml:20: input must not be negative"),
        ("input: 1.00", "input: 0.00", r"acme.yaml:20: \['input'\] cost nothing: declare"),
        ("input: 1.00", "input: .nan", r"input must be a number|not a decimal"),
        ("input: 1.00", "input: one", r"acme.yaml:20: input must be a number, got 'one'"),
        ("{input: 1.00, output: 2.00}", "{output: 2.00}", r"acme.yaml:20: input is missing"),
        ("input: 1.00,", "input: 1.00, inputs: 2.00,", r"acme.yaml:20: unknown units \['inputs'\]"),
        ("input: 1.00,", "input: 1.00, input: 2.00,", r"acme.yaml:20: the fields \['input'\] stand"),
        ("input: 1.00", "input: 100000.01", r"acme.yaml:20: input must not be negative nor above 100,000"),
        ("max_output_tokens: 100", "max_output_tokens: 1001", r"acme.yaml:9 \(small\): max_output"),
        ("max_output_tokens: 100", "max_output_tokens: 1.5", r"max_output_tokens must be a positive integer"),
        ("[tools]", "[telepathy]", r"acme.yaml:9 \(small\): unknown capabilities \['telepathy'\]"),
        ("from: 2026-07-01", "from: 2026-01-01", r"acme.yaml:21: prices must start on different days"),
        ("from: 2026-07-01", "from: 2025-07-01", r"prices must start on different days, the earliest first"),
        ("from: 2026-07-01", "from: soon", r"acme.yaml:21: from must be a day such as"),
        ("https://acme.example/prices", "http://acme.example/prices", r"source must be an https URL"),
        ("kind: openai-compatible", "kind: carrier-pigeon", r"acme.yaml:1: kind must be one of"),
        ("provider: acme", "provider: other", r"the file is named 'acme' but its provider is 'other'"),
        ("models:", "models: []\nother:", r"unknown fields \['other'\]"),
        ("provider: acme", "provider: [", r"acme.yaml: "),
    ],
)  # fmt: skip
def test_what_cannot_be_right_is_refused_by_file_and_line(tmp_path, wrong, right, message):
    with pytest.raises(PriceBookError, match=message):
        book_of(tmp_path, GOOD.replace(wrong, right, 1))


def test_a_tier_must_have_every_rate_that_the_price_has(tmp_path):
    tiered = GOOD.replace(
        "usd_per_million: {input: 0.50, output: 1.00}",
        "usd_per_million: {input: 0.50, cached_input: 0.05, output: 1.00}\n"
        "        above:\n"
        "          - prompt_tokens: 500\n"
        "            usd_per_million: {input: 1.00, output: 2.00}",
    )

    with pytest.raises(PriceBookError, match=r"acme.yaml:26: the tier has no rate for \['cached_input'\]"):
        book_of(tmp_path, tiered)


def test_two_models_cannot_answer_to_one_name(tmp_path):
    twin = GOOD + GOOD[GOOD.index("  - model: small") :].replace("model: small\n", "model: other\n")

    with pytest.raises(PriceBookError, match="two models answer to the name"):
        book_of(tmp_path, twin)


def test_every_file_that_ships_is_named_after_its_provider():
    assert {path.stem for path in PRICES_DIRECTORY.glob("*.yaml")} == set(load_price_book().providers)


def test_the_fingerprint_of_a_price_outlives_new_units(tmp_path):
    assert (
        load_price_book().listing("fake", "echo").prices[0].price.version == "fake/echo@2026-01-01.a88dfb09"
    )
    assert (
        load_price_book().listing("fake", "free").prices[0].price.version == "fake/free@2026-01-01.01cd6ab5"
    )
    tiered = load_price_book().listing("openai", "gpt-5.4").prices[0].price
    assert tiered.version == "openai/gpt-5.4@2026-03-05.9d67e521"


SECOND = """\
      - from: 2026-07-01
        source: https://acme.example/prices
        checked: 2026-11-21
        usd_per_million: {input: 0.50, output: 1.00}
"""
TIERED = (
    SECOND
    + """\
        usd_per_thousand_searches: 10
        tiers:
          flex: {usd_per_million: {input: 0.25, output: 0.50}}
          priority:
            usd_per_million: {input: 1.00, output: 2.00}
            usd_per_thousand_searches: 20
        regions:
          us-1:
            usd_per_million: {input: 0.55, output: 1.10}
            tiers:
              flex: {usd_per_million: {input: 0.275, output: 0.55}}
"""
)


def test_service_tiers_and_regions_have_prices_and_versions_of_their_own(tmp_path):
    listing = book_of(tmp_path, GOOD.replace(SECOND, TIERED)).listing("acme", "small")
    price = listing.price_at(date(2026, 7, 1))

    assert [(each.tier, each.input, each.per_search_pico) for each in price.tiers] == [
        ("flex", 250_000, None),
        ("priority", 1_000_000, 20_000_000_000),
    ]
    assert price.at_tier("flex").version.startswith("acme/small~flex@2026-07-01.")
    assert price.at_tier("on_demand") is price
    with pytest.raises(UnknownPrice, match="has no service tier 'batch'"):
        price.at_tier("batch")
    regional = listing.price_at(date(2026, 7, 1), region="us-1")
    assert (regional.input, regional.version[:25]) == (550_000, "acme/small~us-1@2026-07-0")
    assert regional.at_tier("flex").version.startswith("acme/small~us-1.flex@2026-07-01.")
    assert listing.price_at(date(2026, 7, 1), region="eu-1") is price


def test_every_tier_and_region_is_found_by_its_version(tmp_path):
    book = book_of(tmp_path, GOOD.replace(SECOND, TIERED))
    versions = [each.version for each in book.listing("acme", "small").prices[1].variants]

    assert len(set(versions)) == 5
    assert [book.price_of_version(version).version for version in versions] == versions


def test_a_price_may_end_and_then_there_is_none(tmp_path):
    ended = GOOD.replace("from: 2026-07-01", "from: 2026-07-01\n        until: 2026-09-30")
    listing = book_of(tmp_path, ended).listing("acme", "small")

    assert listing.price_at(date(2026, 9, 30)).input == 500_000
    with pytest.raises(UnknownPrice, match="acme/small has no price on 2026-10-01"):
        listing.price_at(date(2026, 10, 1))


@pytest.mark.parametrize(
    ("until", "message"),
    [
        ("2026-06-29", "acme.yaml:22: there is a gap: no price holds from 2026-06-30 until 2026-06-30"),
        (
            "2026-07-01",
            "acme.yaml:22: the price from 2026-07-01 overlaps the one before it, which holds until",
        ),
        ("2025-12-31", "acme.yaml:17: until must not be a day before from"),
        ("later", "acme.yaml:17: until must be a day such as 2026-01-31, got 'later'"),
    ],
)
def test_gaps_and_overlaps_are_refused_by_file_and_line(tmp_path, until, message):
    ended = GOOD.replace("from: 2026-01-01", f"from: 2026-01-01\n        until: {until}")

    with pytest.raises(PriceBookError, match=message):
        book_of(tmp_path, ended)


def test_prices_without_gap_or_overlap_are_read(tmp_path):
    joined = GOOD.replace("from: 2026-01-01", "from: 2026-01-01\n        until: 2026-06-30")

    assert book_of(tmp_path, joined).listing("acme", "small").price_at(date(2026, 6, 30)).input == 1_000_000


@pytest.mark.parametrize(
    ("wrong", "right", "message"),
    [
        ("flex: {usd", "cheap: {usd", "acme.yaml:27: a service tier is one of flex, priority, batch"),
        ("flex: {usd", "default: {usd", "a service tier is one of flex, priority, batch, got 'default'"),
        ("us-1:", "flex:", "a region is letters, digits and dashes, and no service tier, got 'flex'"),
        ("searches: 20", "searches: 100001", "searches must not be negative nor above 100,000 US"),
        ("searches: 10", "searches: 0.0000000001", "searches must not be negative nor finer than"),
        ("{input: 0.25, output: 0.50}", "{input: -0.25, output: 0.5}", "acme.yaml:27: input must not be"),
    ],
)  # fmt: skip
def test_wrong_tiers_and_regions_are_refused_by_line(tmp_path, wrong, right, message):
    with pytest.raises(PriceBookError, match=message):
        book_of(tmp_path, GOOD.replace(SECOND, TIERED.replace(wrong, right, 1)))
