"""The family: children that are kept running until all of them are stopped.

How one child is spawned is in config.children; which children Farebox has, in config.supervisor.
"""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from config.children import last_lines, request_stop, wait_or_kill
from config.embedded import StartFailed

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.5, 30.0
# A child that has lived this long had no trouble starting: its next end counts as a first one.
SETTLED_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Child:
    """What is to be kept running, and how it is asked to end."""

    name: str
    launch: Callable[[], subprocess.Popen[bytes]]
    log_path: Path
    stop_signal: signal.Signals = signal.SIGTERM
    keeps_data: bool = False


@dataclass(slots=True)
class _Life:
    """Where one child stands: this changes while the family runs."""

    child: Child
    process: subprocess.Popen[bytes]
    started_at: float
    failures: int = 0
    restart_at: float | None = None


@dataclass(slots=True)
class Family:
    """Starts children, restarts those that end by themselves, stops them kind by kind."""

    say: Callable[[str], None]
    clock: Callable[[], float] = time.monotonic
    _lives: list[_Life] = field(default_factory=list)

    def start(self, child: Child) -> None:
        """Launch `child` and keep it running from here on."""
        self.adopt(child, child.launch())

    def adopt(self, child: Child, process: subprocess.Popen[bytes]) -> None:
        """Keep a child running that was launched already."""
        self._lives.append(_Life(child, process, self.clock()))

    def refuse_ended(self) -> None:
        """Raise StartFailed with the last log lines of a child that has ended."""
        for life in self._lives:
            if life.process.poll() is not None:
                raise StartFailed(
                    f"{life.child.name} ended {_how(life.process.returncode)} while starting; "
                    f"the end of {life.child.log_path}:\n{last_lines(life.child.log_path)}"
                )

    def tend(self) -> None:
        """Look after each child once: note those that ended, launch those whose pause is over."""
        for life in self._lives:
            if life.restart_at is not None:
                if self.clock() >= life.restart_at:
                    self._relaunch(life)
            elif life.process.poll() is not None:
                _sweep(life.process)
                self._plan_restart(life, _how(life.process.returncode))

    def stop(self, *, keeping_data: bool, timeout_seconds: float) -> None:
        """Ask the children of one kind to end, the last started first; kill what lingers after the time."""
        kind = [life for life in self._lives if life.child.keeps_data == keeping_data]
        lives = [life for life in reversed(kind) if life.restart_at is None]
        deadline = self.clock() + timeout_seconds
        for life in lives:
            request_stop(life.process, life.child.stop_signal)
        for life in lives:
            wait_or_kill(life.process, timeout_seconds=deadline - self.clock())
            _sweep(life.process)
        self._lives = [life for life in self._lives if life not in kind]

    def _plan_restart(self, life: _Life, how: str) -> None:
        if self.clock() - life.started_at > SETTLED_SECONDS:
            life.failures = 0
        pause = min(FIRST_PAUSE_SECONDS * 2**life.failures, LONGEST_PAUSE_SECONDS)
        life.failures += 1
        life.restart_at = self.clock() + pause
        self.say(
            f"{life.child.name} ended {how}; starting it again in {pause:g} s (log: {life.child.log_path})"
        )

    def _relaunch(self, life: _Life) -> None:
        life.started_at, life.restart_at = self.clock(), None
        try:
            life.process = life.child.launch()
        except (StartFailed, OSError) as failure:
            self._plan_restart(life, f"at once: {failure}")


def _how(return_code: int) -> str:
    if return_code < 0:
        return f"by {signal.Signals(-return_code).name}"
    return f"with exit code {return_code}"


def _sweep(process: subprocess.Popen[bytes]) -> None:
    """End what a child has left behind in its session, such as the worker's scheduler."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
