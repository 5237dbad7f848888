"""Percentiles come out of merged counts within the width of a bucket."""

import random
from bisect import bisect_right
from collections import Counter

import pytest

from analytics.histograms import BOUNDS_MS, quantile_ms


def test_no_requests_have_no_percentile() -> None:
    assert quantile_ms({}, 0.95) is None


def test_bounds_run_from_a_millisecond_to_half_an_hour() -> None:
    assert BOUNDS_MS[0] == 1
    assert BOUNDS_MS[4] == 2
    assert BOUNDS_MS[-1] == 2_097_152


@pytest.mark.parametrize("share", [0.5, 0.95])
def test_a_percentile_is_within_a_bucket_of_the_true_one(share: float) -> None:
    dice = random.Random(7)
    times_ms = sorted(dice.lognormvariate(6, 1.2) for _ in range(5_000))

    found = quantile_ms(Counter(bisect_right(BOUNDS_MS, time_ms) for time_ms in times_ms), share)

    assert found == pytest.approx(times_ms[int(share * len(times_ms))], rel=0.05)


def test_what_is_faster_than_the_first_bound_stays_below_it() -> None:
    assert quantile_ms({0: 10}, 0.5) == 0.5


def test_what_is_slower_than_the_last_bound_is_given_as_the_last() -> None:
    assert quantile_ms({len(BOUNDS_MS): 3}, 0.95) == BOUNDS_MS[-1]
