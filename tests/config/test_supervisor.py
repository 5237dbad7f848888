"""`make run`, as its user sees it: the whole house starts, works, survives a kill and leaves no trace."""

import os
import re
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from config.keyring import read_variables
from config.occupancy import occupy
from config.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
LAST_LINE_OF_WELCOME = "Ctrl-C stops everything."
START_SECONDS = STOP_SECONDS = 60


class Supervisor:
    """One run of the supervisor, with what it has printed until it was ready or gave up."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "config.supervisor"],
            cwd=ROOT,
            env=dict(environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.output = "".join(self._lines())

    def _lines(self) -> Iterator[str]:
        assert self.process.stdout
        for line in self.process.stdout:
            yield line
            if line.strip() == LAST_LINE_OF_WELCOME:
                return

    @property
    def is_ready(self) -> bool:
        return LAST_LINE_OF_WELCOME in self.output

    def end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        self.process.communicate(timeout=STOP_SECONDS)
        return self.process.returncode


@pytest.fixture
def var(tmp_path: Path) -> Path:
    return tmp_path / "Daten über alles"


@pytest.fixture
def environment(var: Path) -> dict[str, str]:
    """A newcomer's environment: nothing of the tests' own servers, and two free ports."""
    ours = ("FAREBOX_", "DATABASE_URL", "REDIS_URL", "SIMULATOR_URL")
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith(ours)},
        "FAREBOX_VAR_DIR": str(var),
        "FAREBOX_PORT": str(free_port()),
        "FAREBOX_SIMULATOR_PORT": str(free_port()),
    }


@pytest.fixture
def start(environment: Mapping[str, str]) -> Iterator[Callable[[], Supervisor]]:
    runs: list[Supervisor] = []

    def start() -> Supervisor:
        runs.append(Supervisor(environment))
        return runs[-1]

    yield start
    for run in runs:
        if run.process.poll() is None:
            run.end(signal.SIGTERM)


def paste(output: str) -> list[str]:
    """What the printed curl line answers when it is pasted into a shell: the events of the stream."""
    command = re.search(r"^curl (?:.*\\\n)*.*$", output, re.MULTILINE)
    assert command
    answer = subprocess.run(
        ["bash", "-c", command[0] + " --silent --fail-with-body --max-time 30"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr
    return [line for line in answer.stdout.splitlines() if line.startswith("data: ")]


@pytest.mark.skipif(not shutil.which("curl"), reason="install curl")
def test_the_printed_curl_line_streams_an_answer_also_after_a_kill(
    start: Callable[[], Supervisor], var: Path
) -> None:
    first = start()
    assert first.is_ready, first.output
    first_events = paste(first.output)
    first.end(signal.SIGKILL)
    second = start()
    assert second.is_ready, second.output
    second_events = paste(first.output)
    exit_code = second.end(signal.SIGTERM)

    assert first_events[-1] == second_events[-1] == "data: [DONE]"
    assert len(first_events) == len(second_events) >= 11
    assert exit_code == 0
    with occupy(var, wait_seconds=0):
        assert not (var / "postgres" / "postmaster.pid").exists()


def test_the_demo_is_written_for_its_owner_alone_and_printed(
    start: Callable[[], Supervisor], environment: Mapping[str, str], var: Path
) -> None:
    run = start()
    assert run.is_ready, run.output

    demo = read_variables(var / "demo.env")

    assert stat.S_IMODE((var / "demo.env").stat().st_mode) == 0o600
    assert demo["FAREBOX_URL"] == f"http://127.0.0.1:{environment['FAREBOX_PORT']}"
    assert demo["SIMULATOR_URL"] == f"http://127.0.0.1:{environment['FAREBOX_SIMULATOR_PORT']}"
    assert all(value in run.output for name, value in demo.items() if name != "SIMULATOR_URL")


def test_a_second_start_says_in_one_line_that_the_first_still_runs(
    start: Callable[[], Supervisor], var: Path
) -> None:
    var.mkdir()

    with occupy(var):
        second = start()

    assert second.process.wait(STOP_SECONDS) == 1
    assert second.output == (
        f"farebox: Farebox already runs on {var}: use that one, or stop it with Ctrl-C first.\n"
    )


def test_lost_secrets_of_kept_data_are_named_not_replaced(start: Callable[[], Supervisor], var: Path) -> None:
    (var / "postgres").mkdir(parents=True)

    run = start()

    assert run.process.wait(STOP_SECONDS) == 1
    assert run.output == (
        f"farebox: {var / 'secret.env'} is missing: restore it, or move {var} away to begin anew.\n"
    )
    assert not (var / "secret.env").exists()
