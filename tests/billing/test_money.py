"""Money: exact conversions, one rounding, and amounts as people read them."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.money import format_usd, format_usd_short, nano_to_usd, pico_to_nano, pico_to_text, usd_to_nano


@given(st.integers(min_value=-(10**19), max_value=10**19))
def test_nano_dollars_survive_the_way_to_dollars_and_back(amount_nano):
    assert usd_to_nano(nano_to_usd(amount_nano)) == amount_nano


@pytest.mark.parametrize("amount", ["0.0000000001", "NaN", "Infinity", "-Infinity", "1E-10"])
def test_an_amount_that_is_no_whole_number_of_nano_dollars_is_refused(amount):
    with pytest.raises(ValueError, match="amount of money"):
        usd_to_nano(Decimal(amount))


@pytest.mark.parametrize(
    ("amount_pico", "amount_nano"),
    [
        (0, 0), (499, 0), (500, 0), (501, 1), (999, 1), (1_000, 1), (1_499, 1), (1_500, 2), (1_501, 2),
        (2_500, 2), (2_501, 3), (3_500, 4),
    ],
)  # fmt: skip
def test_the_one_rounding_is_half_to_even(amount_pico, amount_nano):
    assert pico_to_nano(amount_pico) == amount_nano


@pytest.mark.parametrize(
    ("amount_pico", "text"),
    [(0, "0"), (1, "0.000000000001"), (1_050_000, "0.000001050000"), (3_000_000_000_000, "3.000000000000")],
)
def test_parts_are_written_to_the_pico_dollar(amount_pico, text):
    assert pico_to_text(amount_pico) == text


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("0", "$0.00"), ("1", "$1.00"), ("1234567.5", "$1,234,567.50"), ("-0.000027", "-$0.000027"),
        ("0.000000001", "$0.000000001"), ("12.345000000", "$12.345"),
    ],
)  # fmt: skip
def test_the_exact_amount_keeps_every_digit_that_counts(amount, text):
    assert format_usd(Decimal(amount)) == text


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("0", "$0.00"), ("0.000420000", "$0.00042"), ("0.000027", "$0.000027"),
        ("0.000000001", "$0.000000001"), ("0.123456", "$0.12"), ("12.4", "$12.40"), ("9999.99", "$9,999.99"),
        ("18320", "$18.3k"),
        ("2500000", "$2.5M"), ("-0.00042", "-$0.00042"), ("-12.4", "-$12.40"),
    ],
)  # fmt: skip
def test_the_short_amount_shows_what_matters(amount, text):
    assert format_usd_short(Decimal(amount)) == text
