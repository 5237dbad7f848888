"""One run: every case on every contestant, round after round, so that all meet the same weather."""

import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass

from bench.books import BudgetWatch, wait_until_settled
from bench.cases import Case
from bench.contestants import Contestant
from bench.load import LoadFailed
from bench.measure import measure, wait_until_idle, warm_up
from bench.options import Options
from bench.results import Measurement
from bench.servers import BenchFailed
from bench.stage import Stage

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Tally:
    """What came of a run; `overshoot_nano` is the worst that any counter showed."""

    measurements: Sequence[Measurement]
    overshoot_nano: int
    notes: Sequence[str]


def run_all(
    stage: Stage, contestants: Sequence[Contestant], cases: Sequence[Case], options: Options, *, say: Say
) -> Tally:
    """Every measurement that fits in the time. One that fails is recorded and the run goes on."""
    deadline = time.monotonic() + options.limit_seconds
    measurements: list[Measurement] = []
    worst_nano, skipped = 0, 0
    for contestant in contestants:
        warm_up(contestant, stage.folder)
    for round_index, case, contestant in _order(contestants, cases, options.rounds):
        if time.monotonic() > deadline:
            skipped += 1
            continue
        measurement, overshoot_nano = _measure_one(stage, contestant, case, options, round_index)
        measurements.append(measurement)
        worst_nano = max(worst_nano, overshoot_nano)
        say(_line(measurement, options.rounds))
    notes = [f"{skipped} measurements did not fit in {options.limit_seconds:g} seconds"] if skipped else []
    return Tally(measurements, worst_nano, notes)


def _order(
    contestants: Sequence[Contestant], cases: Sequence[Case], rounds: int
) -> list[tuple[int, Case, Contestant]]:
    """Contestants take turns within each case; another one begins in each round."""
    return [
        (round_index, case, contestant)
        for round_index in range(rounds)
        for case in cases
        for contestant in (*contestants[round_index % len(contestants) :], *contestants)[: len(contestants)]
        if contestant.takes(case)
    ]


def _measure_one(
    stage: Stage, contestant: Contestant, case: Case, options: Options, round_index: int
) -> tuple[Measurement, int]:
    is_ours = contestant.server is stage.gateway
    watching = BudgetWatch(stage.environment["REDIS_URL"], stage.counters) if is_ours else nullcontext()
    figures: dict[str, float] = {}
    failure = ""
    with watching as watch:
        try:
            figures = measure(
                case,
                contestant,
                stage,
                seconds=options.seconds,
                round_index=round_index,
            )
        except (LoadFailed, BenchFailed) as problem:
            failure = str(problem)
    if case.is_budget and figures:
        # To be refused is what the case is about.
        figures["errors"] -= figures["refused"]
    # What is left to do must not fall into the next contestant's time.
    wait_until_idle(contestant)
    if is_ours:
        wait_until_settled(stage)
    overshoot_nano = watch.overshoot_nano if watch is not None else 0
    return Measurement(case.name, contestant.name, round_index, figures, failure), overshoot_nano


def _line(measurement: Measurement, rounds: int) -> str:
    figures = measurement.figures
    place = f"{measurement.round_index + 1}/{rounds} {measurement.case:<12} {measurement.contestant:<8}"
    if measurement.failure:
        return f"{place} failed: {measurement.failure.splitlines()[0]}"
    shown = {
        "per_second": "{:,.0f}/s",
        "cpu_us": "{:,.0f} µs CPU each",
        "total_p50_ms": "p50 {:,.2f} ms",
        "total_p99_ms": "p99 {:,.2f} ms",
        "first_p99_ms": "first token p99 {:,.1f} ms",
        "stream_bytes": "{:,.0f} bytes a stream",
        "errors": "{:,.0f} errors",
    }
    return f"{place} {', '.join(text.format(figures[n]) for n, text in shown.items() if n in figures)}"
