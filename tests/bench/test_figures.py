"""Quantiles, medians with their spread, and what is added to direct."""

import pytest

from bench.figures import Spread, added, quantile, quantiles_ms, spread, spreads

HUNDRED = [float(number) for number in range(1, 101)]


@pytest.mark.parametrize(
    ("share", "expected"), [(0.0, 1.0), (0.5, 50.0), (0.95, 95.0), (0.99, 99.0), (1.0, 100.0)]
)
def test_a_quantile_is_a_value_that_was_measured(share, expected):
    assert quantile(HUNDRED, share) == expected


@pytest.mark.parametrize("share", [0.5, 0.99])
def test_the_only_value_is_every_quantile(share):
    assert quantile([7.0], share) == 7.0


def test_quantiles_are_in_milliseconds_and_need_no_order():
    assert quantiles_ms([0.003, 0.001, 0.002], "first") == {
        "first_p50_ms": 2.0,
        "first_p95_ms": 3.0,
        "first_p99_ms": 3.0,
    }


def test_no_values_have_no_quantiles():
    assert quantiles_ms([], "first") == {}


def test_a_spread_is_median_least_and_greatest():
    assert spread([3.0, 1.0, 2.0]) == Spread(2.0, 1.0, 3.0)
    assert spread([1.0, 4.0]) == Spread(2.5, 1.0, 4.0)


def test_only_times_that_direct_has_too_are_added_to_it():
    figures = {"total_p50_ms": 1.5, "first_p50_ms": 1.0, "per_second": 900.0}
    direct = {"total_p50_ms": 0.5, "per_second": 9000.0}

    assert added(figures, direct) == {"added_total_p50_ms": 1.0}


def test_a_figure_that_a_round_lacks_is_spread_over_the_others():
    assert spreads([{"errors": 0.0, "cpu_us": 300.0}, {"errors": 2.0}]) == {
        "errors": Spread(1.0, 0.0, 2.0),
        "cpu_us": Spread(300.0, 300.0, 300.0),
    }
