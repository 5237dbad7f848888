"""G2: a call whose worst case fits what is left is admitted; at rest, all that was not spent is left.

The machine is tests.properties.money_machine. How to run it for longer: docs/proofs.md.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.properties.kept_runs import Steps, keep, kept_runs, shortened, steps_of
from tests.properties.money_machine import MoneyMachine
from tests.properties.till import Till, own_valkey

pytestmark = pytest.mark.guarantee

EXAMPLES = int(os.environ.get("PROOF_EXAMPLES", "500"))
STEPS = int(os.environ.get("PROOF_STEPS", "100"))
SEED = int(os.environ.get("PROOF_SEED", "20261127"))


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[type[MoneyMachine]]:
    folder = tmp_path_factory.mktemp("till")
    server = own_valkey(folder)

    class Machine(MoneyMachine):
        def new_till(self) -> Till:
            return Till(server.url, folder)

    yield Machine
    server.stop()


def test_no_sequence_of_events_makes_redis_disagree_with_the_model(machine: type[MoneyMachine]) -> None:
    chosen = settings(
        max_examples=EXAMPLES,
        stateful_step_count=STEPS,
        deadline=None,
        database=None,
        # A failing run is shortened here, step by step, and kept.
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    try:
        run_state_machine_as_test(seed(SEED)(machine), settings=chosen)
    except AssertionError as failure:
        kept = keep(shortened(machine.latest_steps, lambda steps: what_fails(machine, steps) is not None))
        why = what_fails(machine, steps_of(kept))
        pytest.fail(f"seed {SEED}: {why or failure}; the run is kept as {kept}", pytrace=False)


@pytest.mark.parametrize("path", kept_runs(), ids=lambda path: path.stem)
def test_what_failed_once_does_not_fail_again(path: Path, machine: type[MoneyMachine]) -> None:
    machine().run_again(steps_of(path))


def what_fails(machine: type[MoneyMachine], steps: Steps) -> AssertionError | None:
    try:
        machine().run_again(steps)
    except AssertionError as failure:
        return failure
    return None
