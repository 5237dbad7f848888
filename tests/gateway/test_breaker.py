"""When a target is left alone, when it is tried again, and what closes it."""

from dataclasses import dataclass, field
from uuid import UUID

import pytest

from gateway.breaker import REMEMBERED_TARGETS, BreakerRules, Breakers, TargetKey

TARGET: TargetKey = ("openai", "gpt-4o", UUID(int=1))
OTHER: TargetKey = ("openai", "gpt-4o", UUID(int=2))


@dataclass
class Bench:
    """Breakers by a clock that stands still."""

    rules: BreakerRules = field(default_factory=BreakerRules)
    now: float = 1_000.0

    def __post_init__(self) -> None:
        self.breakers = Breakers(self.rules, clock=lambda: self.now)

    def fail(self, times: int, key: TargetKey = TARGET) -> "Bench":
        for _ in range(times):
            self.breakers.fail(key)
        return self

    def succeed(self, times: int) -> "Bench":
        for _ in range(times):
            self.breakers.succeed(TARGET)
        return self

    @property
    def is_open(self) -> bool:
        return self.breakers.is_open(TARGET)


@pytest.mark.parametrize(("failures", "is_open"), [(4, False), (5, True)])
def test_five_failures_in_a_row_open_it(failures: int, *, is_open: bool) -> None:
    bench = Bench().fail(failures)

    assert (bench.is_open, bench.breakers.any_is_open) == (is_open, is_open)


def test_another_connection_of_the_same_model_is_not_touched() -> None:
    assert not Bench().fail(5, OTHER).is_open


@pytest.mark.parametrize(("successes", "is_open"), [(5, True), (6, False)])
def test_failures_that_are_the_smaller_part_do_not_open_it(successes: int, *, is_open: bool) -> None:
    # Counted from the first failure on: what had worked before says nothing of now.
    assert Bench().succeed(100).fail(1).succeed(successes).fail(4).is_open is is_open


def test_failures_that_are_long_ago_count_for_nothing_and_recent_ones_half() -> None:
    bench = Bench().fail(4)
    bench.now += 60

    assert not bench.fail(2).is_open
    assert bench.fail(1).is_open
    long_ago = Bench().fail(4)
    long_ago.now += 120
    assert not long_ago.fail(4).is_open


def test_no_failure_opens_a_breaker_that_is_switched_off() -> None:
    bench = Bench(BreakerRules(failures=0)).fail(1_000)

    assert not bench.is_open
    assert not bench.breakers.any_is_open


@pytest.mark.parametrize(("seconds", "is_open"), [(29.9, True), (30.0, False)])
def test_after_half_a_minute_a_request_may_probe(seconds: float, *, is_open: bool) -> None:
    bench = Bench().fail(5)
    bench.now += seconds

    assert bench.is_open is is_open


def test_one_request_probes_at_a_time() -> None:
    bench = Bench().fail(5)
    bench.now += 30

    assert [bench.breakers.begin(TARGET) for _ in range(2)] == [True, False]
    assert bench.is_open
    bench.breakers.abandon(TARGET)
    assert not bench.is_open


def test_a_probe_that_fails_keeps_it_open_for_as_long_again() -> None:
    bench = Bench().fail(5)
    bench.now += 30
    bench.breakers.begin(TARGET)
    bench.fail(1)

    bench.now += 29.9
    assert bench.is_open
    bench.now += 0.1
    assert not bench.is_open


def test_a_probe_that_succeeds_closes_it_and_counting_begins_anew() -> None:
    bench = Bench().fail(5)
    bench.now += 30
    bench.breakers.begin(TARGET)

    bench.succeed(1)

    assert not bench.breakers.any_is_open
    assert not bench.fail(4).is_open
    assert bench.fail(1).is_open


def test_an_attempt_that_was_under_way_when_it_opened_is_no_probe() -> None:
    bench = Bench().fail(5)
    bench.breakers.begin(TARGET)
    bench.fail(1)
    bench.now += 30

    assert not bench.is_open


def test_what_is_remembered_is_bounded() -> None:
    bench = Bench().fail(5)

    for number in range(REMEMBERED_TARGETS):
        bench.fail(5, ("p", f"m{number}", None))

    assert not bench.is_open
    assert len(bench.breakers.open_targets) == REMEMBERED_TARGETS
