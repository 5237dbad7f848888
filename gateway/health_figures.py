"""Figures of health: what was counted of each model in five minutes, and what it comes to in an hour.

Pure. Counts of several processes add up; how they meet is in `gateway.health`.
"""

from collections.abc import Iterable, Mapping

from msgspec import Struct

BUCKET_SECONDS = 300
BUCKETS = 12
# What is a quarter of an hour old counts half as much as what has just happened.
HALF_LIFE_SECONDS = 900

ATTEMPTS, ANSWERED, FIRST_TOKENS, FIRST_MS, GAPS, GAP_MS, TOKENS, ANSWER_MS = range(8)

ModelKey = tuple[str, str]
Counts = list[int]
Bucket = Mapping[ModelKey, Counts]


class Figures(Struct, frozen=True):
    """How a model has done lately; None where nothing was seen."""

    uptime: float | None
    ttft_ms: float | None
    inter_token_ms: float | None
    throughput_tokens_per_second: float | None


def no_counts() -> Counts:
    return [0] * 8


def bucket_at(unix_seconds: float) -> int:
    """The number of the five minutes that a moment lies in."""
    return int(unix_seconds // BUCKET_SECONDS)


def figures_of(buckets: Mapping[int, Bucket], *, now: float) -> dict[ModelKey, Figures]:
    """Every model's figures: the buckets of the last hour, the recent ones weighing more."""
    current = bucket_at(now)
    sums: dict[ModelKey, list[float]] = {}
    for number in range(current - BUCKETS + 1, current + 1):
        weight = 0.5 ** ((current - number) * BUCKET_SECONDS / HALF_LIFE_SECONDS)
        for key, counts in buckets.get(number, {}).items():
            total = sums.setdefault(key, [0.0] * 8)
            for position, count in enumerate(counts):
                total[position] += count * weight
    return {key: _figures(total) for key, total in sums.items()}


def merged(buckets: Iterable[Bucket]) -> dict[ModelKey, Counts]:
    """The sum of several counts of the same five minutes."""
    total: dict[ModelKey, Counts] = {}
    for bucket in buckets:
        for key, counts in bucket.items():
            before = total.get(key)
            total[key] = list(counts) if before is None else list(map(sum, zip(before, counts, strict=True)))
    return total


def _figures(total: list[float]) -> Figures:
    per_ms = _ratio(total[TOKENS], total[ANSWER_MS])
    return Figures(
        uptime=_ratio(total[ANSWERED], total[ATTEMPTS]),
        ttft_ms=_ratio(total[FIRST_MS], total[FIRST_TOKENS]),
        inter_token_ms=_ratio(total[GAP_MS], total[GAPS]),
        throughput_tokens_per_second=None if per_ms is None else per_ms * 1000,
    )


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None
