"""What headers say about caches, at the edges of what they may say."""

import pytest

from gateway.errors import InvalidValue
from gateway.wire.cache_wish import CacheWish, read_cache_wish


def wish(**headers: str) -> CacheWish:
    sent = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
    return read_cache_wish(sent, longest_ttl_seconds=86_400)


def test_no_header_says_nothing() -> None:
    assert wish() == CacheWish()
    assert (
        wish(x_bf_cache_key="", x_bf_cache_ttl="", x_bf_cache_type="", x_bf_cache_threshold="") == CacheWish()
    )


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30", 30),
        ("30s", 30),
        ("5m", 300),
        ("1.5m", 90),
        ("2h", 7200),
        ("1d", 86_400),
        ("1", 1),
        ("1500ms", 1),
    ],
)
def test_a_ttl_is_seconds_or_a_duration(text: str, seconds: int) -> None:
    assert wish(x_bf_cache_ttl=text).ttl_seconds == seconds


@pytest.mark.parametrize("text", ["0", "0.9s", "86401", "25h", "-5", "5 minutes", "NaN", "1e3", "५s", "s"])
def test_any_other_ttl_is_refused_by_name(text: str) -> None:
    with pytest.raises(InvalidValue, match="from 1 second to 86400") as refused:
        wish(x_bf_cache_ttl=text)

    assert refused.value.param == "x-bf-cache-ttl"


@pytest.mark.parametrize(
    ("text", "threshold"), [("0.8", 0.8), ("1", 1.0), ("0", 0.0), ("1.7", 1.0), ("-3", 0.0), ("inf", 1.0)]
)
def test_a_threshold_is_clamped(text: str, threshold: float) -> None:
    assert wish(x_bf_cache_threshold=text).threshold == threshold


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x-bf-cache-threshold", "high"),
        ("x-bf-cache-threshold", "nan"),
        ("x-bf-cache-type", "fuzzy"),
        ("x-bf-cache-no-store", "maybe"),
        ("x-no-cache", "2"),
        ("x-bf-cache-key", "k" * 256),
        ("x-bf-cache-key", "two words"),
        ("x-bf-cache-key", "é"),
    ],
)
def test_what_cannot_be_read_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        wish(**{name.replace("-", "_"): value})

    assert refused.value.param == name


def test_flags_and_types_are_read() -> None:
    read = wish(
        x_bf_cache_key="k" * 255, x_bf_cache_no_store="TRUE", x_bf_cache_type="semantic", x_no_cache="1"
    )

    assert read == CacheWish(key="k" * 255, is_semantic=True, may_store=False, is_bypassed=True)
    assert wish(x_bf_cache_no_store="false", x_bf_cache_type="direct", x_no_cache="0") == CacheWish()
