"""Runs of the machine that failed once: made as short as they can be, written down, run again.

One JSON file a run in `failures/`: a list of steps, each with its arguments. A file is named after
what went wrong and committed with the repair.
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "failures"
MAX_TRIALS = 400

Steps = list[Any]


def kept_runs() -> list[Path]:
    """The files, in the order of their names."""
    return sorted(FOLDER.glob("*.json"))


def steps_of(path: Path) -> Steps:
    steps: Steps = json.loads(path.read_text())
    return steps


def keep(steps: Steps) -> Path:
    """Write a run down under a name that somebody has to replace by a better one."""
    FOLDER.mkdir(exist_ok=True)
    content = "[" + ",\n ".join(json.dumps(step) for step in steps) + "]\n"
    path = FOLDER / f"unnamed-{hashlib.sha256(content.encode()).hexdigest()[:8]}.json"
    path.write_text(content)
    return path


def shortened(steps: Steps, fails: Callable[[Steps], bool]) -> Steps:
    """Leave out whatever the failure does not need, from large parts down to single steps."""
    trials = 0
    size = len(steps) // 2
    while size:
        for shorter in _without_parts(steps, size):
            trials += 1
            if trials > MAX_TRIALS:
                return steps
            if fails(shorter):
                steps = shorter
                break
        else:
            size //= 2
    return steps


def _without_parts(steps: Steps, size: int) -> Iterator[Steps]:
    """The first step sets the machine up and stays."""
    for begin in range(len(steps) - size, 0, -1):
        yield steps[:begin] + steps[begin + size :]
