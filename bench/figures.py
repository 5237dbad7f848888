"""Figures: quantiles of one measurement, medians with their spread over the rounds. Pure."""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

Figures = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Spread:
    """One figure over all rounds."""

    median: float
    low: float
    high: float


def quantile(ordered: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` of all do not exceed. Needs one value at least."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def quantiles_ms(seconds: Iterable[float], prefix: str) -> dict[str, float]:
    """`<prefix>_p50_ms`, `_p95_ms` and `_p99_ms`; nothing when there are no values."""
    ordered = sorted(seconds)
    if not ordered:
        return {}
    shares = {"p50": 0.50, "p95": 0.95, "p99": 0.99}
    return {f"{prefix}_{name}_ms": quantile(ordered, share) * 1000 for name, share in shares.items()}


def spread(values: Sequence[float]) -> Spread:
    """Median, least and greatest. Needs one value at least."""
    return Spread(statistics.median(values), min(values), max(values))


def added(figures: Figures, direct: Figures) -> dict[str, float]:
    """What the way through a gateway adds to each time, in the same round: `added_<name>`."""
    times = [name for name in figures if name.endswith("_ms") and name in direct]
    return {f"added_{name}": figures[name] - direct[name] for name in times}


def spreads(rounds: Sequence[Figures]) -> dict[str, Spread]:
    """Each figure's spread over the rounds that have it."""
    names = dict.fromkeys(name for figures in rounds for name in figures)
    return {name: spread([figures[name] for figures in rounds if name in figures]) for name in names}
