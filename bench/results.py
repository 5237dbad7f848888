"""The results of a run as values, and as the JSON that is kept beside the report. Pure."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from decimal import Decimal

from bench.books import Books
from bench.cases import Case, Kind
from bench.figures import Figures, Spread, added, spreads

DIRECT = "direct"


@dataclass(frozen=True, slots=True)
class Measurement:
    """One case on one contestant in one round; `failure` says why there are no figures."""

    case: str
    contestant: str
    round_index: int
    figures: Figures = field(default_factory=dict)
    failure: str = ""


@dataclass(frozen=True, slots=True)
class Entrant:
    """A contestant as the report names it."""

    name: str
    title: str
    version: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """`absent` says of each peer that did not run why; `notes` are about the run as a whole."""

    machine: Mapping[str, str]
    rounds: int
    seconds: float
    cases: Sequence[Case]
    entrants: Sequence[Entrant]
    measurements: Sequence[Measurement]
    absent: Mapping[str, str]
    notes: Sequence[str]
    books: Books | None

    def spreads_of(self, case: str, contestant: str) -> dict[str, Spread]:
        """Each figure over all rounds, with what was added to direct in the same round."""
        direct = {m.round_index: m.figures for m in self._of(case, DIRECT)}
        return spreads(
            [
                {**m.figures, **added(m.figures, direct.get(m.round_index, {}))}
                for m in self._of(case, contestant)
            ]
        )

    def failures_of(self, case: str, contestant: str) -> list[str]:
        return [
            m.failure for m in self.measurements if (m.case, m.contestant) == (case, contestant) and m.failure
        ]

    def _of(self, case: str, contestant: str) -> list[Measurement]:
        return [
            m for m in self.measurements if (m.case, m.contestant) == (case, contestant) and not m.failure
        ]


def to_json(results: Results) -> str:
    """Everything, to the last figure; money as decimal text."""
    return json.dumps(asdict(results), indent=1, default=_plain) + "\n"


def _plain(value: object) -> str:
    if isinstance(value, Decimal | Kind):
        return str(value)
    raise TypeError(f"no JSON for {type(value).__name__}")
