"""Whether the last target is called again, and after which pause."""

from random import Random

import pytest

from gateway.errors import (
    GatewayError,
    InvalidProviderResponse,
    ProviderError,
    UpstreamRateLimited,
    UpstreamRefused,
    UpstreamTimeout,
)
from gateway.retries import RetryRules

RULES = RetryRules(retries=4, pause_seconds=0.5, longest_pause_seconds=3.0, retry_after_limit_seconds=30.0)


class Middling(Random):
    """Luck that is neither good nor bad."""

    def uniform(self, a: float, b: float) -> float:
        return (a + b) / 2


def pause(retry: int, error: GatewayError, rules: RetryRules = RULES) -> float | None:
    return rules.pause_before(retry, error, luck=Middling())


def busy(retry_after_seconds: float | None) -> UpstreamRateLimited:
    return UpstreamRateLimited("", upstream_status=429, retry_after_seconds=retry_after_seconds)


def test_pauses_double_up_to_the_longest_and_retries_end() -> None:
    error = ProviderError("")

    assert [pause(retry, error) for retry in range(1, 6)] == [0.5, 1.0, 2.0, 3.0, None]


def test_a_pause_is_a_fifth_shorter_or_longer_by_chance() -> None:
    luck = Random(1)

    pauses = [RULES.pause_before(1, ProviderError(""), luck=luck) or 0 for _ in range(1_000)]

    assert 0.4 <= min(pauses) < 0.41
    assert 0.59 < max(pauses) <= 0.6


@pytest.mark.parametrize(
    "error",
    [
        ProviderError("not reached"),
        ProviderError("", upstream_status=500),
        ProviderError("", upstream_status=503),
        ProviderError("", upstream_status=529),
        UpstreamTimeout("", upstream_status=408),
        InvalidProviderResponse("no completion"),
        busy(None),
    ],
    ids=str,
)
def test_what_may_have_passed_is_tried_again(error: GatewayError) -> None:
    assert pause(1, error) == 0.5


@pytest.mark.parametrize(
    "error",
    [
        *(ProviderError("", upstream_status=status) for status in (401, 402, 403, 404)),
        *(UpstreamRefused("", upstream_status=status, code="invalid_value") for status in (400, 413, 422)),
    ],
    ids=lambda error: str(error.upstream_status),
)
def test_what_would_be_said_again_is_not_asked_again(error: GatewayError) -> None:
    assert pause(1, error) is None


@pytest.mark.parametrize(("wish_seconds", "waited"), [(7.0, 7.0), (30.0, 30.0), (30.1, None)])
def test_the_providers_wish_to_wait_is_granted_up_to_the_limit(
    wish_seconds: float, waited: float | None
) -> None:
    assert pause(1, busy(wish_seconds)) == waited


def test_without_retries_there_are_none() -> None:
    rules = RetryRules(
        retries=0, pause_seconds=0.5, longest_pause_seconds=3.0, retry_after_limit_seconds=30.0
    )

    assert pause(1, ProviderError(""), rules) is None
