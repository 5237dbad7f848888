"""The fault schedule: which part is killed or paused, after how many requests, for how long.

Made from a seed alone. How a part is killed or paused is in tests.prove.stage.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass

REQUESTS_PER_FAULT = 1_000
PAUSE_SECONDS = (0.2, 6.0)
AWAY_SECONDS = (0.0, 2.0)
GATEWAYS = 3


@dataclass(frozen=True, slots=True)
class Fault:
    """After `position` requests, `part` is killed (and started again) or stopped for `seconds`."""

    position: int
    action: str
    part: str
    seconds: float

    def __str__(self) -> str:
        return f"{self.position}: {self.action} {self.part}, {self.seconds:.1f} s"


KINDS = [
    (action, part) for part in ("gateway", "worker", "redis", "postgres") for action in ("kill", "pause")
]


def schedule(*, seed: int, requests: int, count: int = 0) -> Sequence[Fault]:
    """Each kind of fault at least once when there are enough of them, in a random order."""
    dice = random.Random(f"faults {seed}")
    count = count or max(len(KINDS), requests // REQUESTS_PER_FAULT)
    kinds = [KINDS[number % len(KINDS)] for number in range(count)]
    dice.shuffle(kinds)
    positions = sorted(dice.sample(range(requests // 20, requests * 19 // 20), count))
    return [
        Fault(position, action, _named(part, dice), round(dice.uniform(*_bounds(action)), 1))
        for position, (action, part) in zip(positions, kinds, strict=True)
    ]


def _named(part: str, dice: random.Random) -> str:
    return f"gateway {dice.randrange(GATEWAYS)}" if part == "gateway" else part


def _bounds(action: str) -> tuple[float, float]:
    return PAUSE_SECONDS if action == "pause" else AWAY_SECONDS
