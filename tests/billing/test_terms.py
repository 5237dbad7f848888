"""Terms: what is charged for a cost, exactly, and versions that both follow from."""

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.errors import UnknownPrice
from billing.pricing import Price, cost_of, worst_case_nano
from billing.terms import Terms, bill_of, limit_nano_of, limited_version, split_version
from billing.usage import TokenUsage

PRICE = Price(version="acme/small@2026-01-01.11111111", input=1_000_000, output=2_000_000)
FLEX = replace(
    PRICE, version="acme/small~flex@2026-01-01.22222222", input=500_000, output=1_000_000, tier="flex"
)
OWN = replace(PRICE, version="acme/small@2026-02-01.33333333", input=900_000, output=1_500_000)
USAGE = TokenUsage(input=7, output=10)


def test_without_a_markup_the_charge_is_the_cost_and_the_version_is_the_prices():
    bill = bill_of(USAGE, Terms(price=PRICE))

    assert (bill.cost.total_nano, bill.charge.total_nano) == (27_000, 27_000)
    assert bill.version == "acme/small@2026-01-01.11111111"


def test_a_markup_multiplies_each_part_and_adds_its_fee_once():
    bill = bill_of(USAGE, Terms(price=PRICE, multiplier_ppm=1_050_000, fee_pico=2_000_000_000))

    assert bill.cost.total_nano == 27_000
    assert (bill.charge.input_pico, bill.charge.output_pico) == (7_350_000, 21_000_000)
    assert (bill.charge.request_pico, bill.charge.total_nano) == (2_000_000_000, 2_028_350)
    assert bill.version == "acme/small@2026-01-01.11111111 x1.05 +0.002"


def test_a_discount_is_a_multiplier_below_one():
    bill = bill_of(USAGE, Terms(price=PRICE, multiplier_ppm=900_000))

    assert (bill.charge.total_nano, bill.version) == (24_300, "acme/small@2026-01-01.11111111 x0.9 +0")


def test_an_own_price_is_charged_as_it_is_and_the_cost_stays_the_providers():
    bill = bill_of(USAGE, Terms(price=PRICE, own_price=OWN, multiplier_ppm=2_000_000, fee_pico=1_000))

    assert (bill.cost.total_nano, bill.charge.total_nano) == (27_000, 21_300)
    assert bill.version == "acme/small@2026-01-01.11111111 charged acme/small@2026-02-01.33333333"


def test_an_own_price_without_the_tier_leaves_it_to_the_markup():
    terms = Terms(price=replace(PRICE, tiers=(FLEX,)), own_price=OWN, multiplier_ppm=1_100_000)

    assert terms.at_tier("default").own_price == OWN
    assert bill_of(USAGE, terms.at_tier("flex")).version == "acme/small~flex@2026-01-01.22222222 x1.1 +0"
    with pytest.raises(UnknownPrice, match="has no service tier 'batch'"):
        terms.at_tier("batch")


def test_an_own_price_without_a_unit_is_no_price():
    with pytest.raises(UnknownPrice, match="no rate for audio_input"):
        bill_of(TokenUsage(audio_input=1), Terms(price=replace(PRICE, audio_input=5), own_price=OWN))


@pytest.mark.parametrize(
    ("version", "parts"),
    [
        ("a/b@2026-01-01.1", ("a/b@2026-01-01.1", "", 1_000_000, 0)),
        ("a/b@2026-01-01.1 x1.05 +0.002", ("a/b@2026-01-01.1", "", 1_050_000, 2_000_000_000)),
        ("a/b@2026-01-01.1 x0.000001 +0.000000000001", ("a/b@2026-01-01.1", "", 1, 1)),
        ("a/b@2026-01-01.1 charged a/b@2026-02-01.2", ("a/b@2026-01-01.1", "a/b@2026-02-01.2", 1_000_000, 0)),
        ("", ("", "", 1_000_000, 0)),
        ("a/b@2026-01-01.1 up to 0.02", ("a/b@2026-01-01.1", "", 1_000_000, 0)),
        ("a/b@2026-01-01.1 x1.05 +0.002 up to 1", ("a/b@2026-01-01.1", "", 1_050_000, 2_000_000_000)),
    ],
)
def test_a_version_is_taken_apart(version, parts):
    assert split_version(version) == parts


@pytest.mark.parametrize("limit_nano", [0, 1, 999_999_999, 1_000_000_000, 12_345_678_901])
def test_a_limit_is_named_by_its_version_and_read_again(limit_nano):
    assert limit_nano_of(limited_version("a/b@2026-01-01.1 x1.05 +0.002", limit_nano)) == limit_nano


def test_a_limit_holds_for_each_charge_and_takes_from_the_output_first():
    usage, terms = TokenUsage(input=10, output=10), Terms(price=PRICE, fee_pico=7_000)
    whole = bill_of(usage, terms).charge

    at_limit = bill_of(usage, replace(terms, limit_nano=whole.total_nano))
    below = bill_of(usage, replace(terms, limit_nano=whole.total_nano - 1))

    assert at_limit.charge == whole
    assert below.charge.total_nano == whole.total_nano - 1
    assert (below.charge.request_pico, below.charge.input_pico) == (7_000, whole.input_pico)
    assert below.version == limited_version(terms.version, whole.total_nano - 1)


def test_a_version_without_a_limit_has_none_and_an_unreadable_one_is_an_unknown_price():
    assert limit_nano_of("a/b@2026-01-01.1") is None
    with pytest.raises(UnknownPrice, match="no readable limit"):
        limit_nano_of("a/b@2026-01-01.1 up to much")


@pytest.mark.parametrize("markup", ["x", "x1", "x1.0500000001 +0", "x1 +x", "x-1 +0", "x1. +", "x٣ +0e1"])
def test_an_unreadable_markup_is_an_unknown_price(markup):
    with pytest.raises(UnknownPrice, match="no readable markup"):
        split_version(f"a/b@2026-01-01.1 {markup}")


@given(
    counts=st.lists(st.integers(0, 10**7), min_size=2, max_size=2),
    multiplier_ppm=st.integers(1, 10_000_000),
    fee_pico=st.integers(0, 10**12),
)
def test_a_markup_is_exact_named_by_its_version_and_never_above_its_bound(counts, multiplier_ppm, fee_pico):
    usage = TokenUsage(input=counts[0], output=counts[1])
    terms = Terms(price=PRICE, multiplier_ppm=multiplier_ppm, fee_pico=fee_pico)

    charge, cost = terms.charge_of(usage, cost_of(usage, PRICE)), cost_of(usage, PRICE)

    exact_pico = Fraction(cost.total_pico * multiplier_ppm, 1_000_000) + fee_pico
    assert abs(charge.total_pico - exact_pico) <= 1
    assert split_version(terms.version) == (PRICE.version, "", multiplier_ppm, fee_pico)
    bound_nano = worst_case_nano(PRICE, prompt_tokens=counts[0], output_tokens=counts[1])
    assert charge.total_nano <= terms.charge_bound_nano(bound_nano)
