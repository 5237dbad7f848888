"""The family: what ends is started again with a growing pause, what must end ends."""

import signal
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from config.children import spawn
from config.embedded import StartFailed
from config.family import Child, Family

OBEDIENT = "import signal; print('here', flush=True); signal.pause()"
STUBBORN = (
    "import signal\nsignal.signal(15, signal.SIG_IGN); print('here', flush=True)\nwhile True: signal.pause()"
)
FAILING = "raise SystemExit('no such setting')"
WITH_GRANDCHILD = (
    "import signal, subprocess, sys\n"
    "child = subprocess.Popen([sys.executable, '-c', 'import signal; signal.pause()'])\n"
    "print('here', child.pid, flush=True); signal.pause()"
)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class House:
    """A family of small Python programs, with what it says and the processes it has had."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.said: list[str] = []
        self.clock = Clock()
        self.family = Family(say=self.said.append, clock=self.clock)
        self.processes: dict[str, list] = {}

    def start(self, name: str, program: str, *, keeps_data: bool = False) -> None:
        child = Child(name, partial(self._launch, name, program), self.log_path(name), keeps_data=keeps_data)
        self.family.start(child)

    def log_path(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def wait_for_word(self, name: str) -> str:
        """Wait until the program's latest process has said that it is here."""
        count = len(self.processes[name])
        wait_until(lambda: self.log_path(name).read_text().count("here") == count)
        return self.log_path(name).read_text().splitlines()[-1]

    def kill(self, name: str) -> None:
        self.processes[name][-1].kill()
        self.processes[name][-1].wait()

    def _launch(self, name: str, program: str):
        process = spawn(
            [sys.executable, "-c", program], log_path=self.log_path(name), death_signal=signal.SIGKILL
        )
        self.processes.setdefault(name, []).append(process)
        return process


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path)
    yield house
    for process in (process for processes in house.processes.values() for process in processes):
        process.kill()
        process.wait()


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true within 20 seconds"
        time.sleep(0.01)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def test_a_child_that_ended_is_started_again_after_its_pause(house: House) -> None:
    house.start("gateway", OBEDIENT)
    house.kill("gateway")

    house.family.tend()
    starts_before_the_pause = len(house.processes["gateway"])
    house.clock.now += 0.5
    house.family.tend()

    assert starts_before_the_pause == 1
    assert len(house.processes["gateway"]) == 2
    assert house.said == [
        f"gateway ended by SIGKILL; starting it again in 0.5 s (log: {house.log_path('gateway')})"
    ]


def test_the_pause_doubles_up_to_half_a_minute(house: House) -> None:
    house.start("worker", OBEDIENT)

    for _ in range(8):
        house.kill("worker")
        house.family.tend()
        house.clock.now += 30
        house.family.tend()

    pauses = [line.split(" again in ")[1].split(" s")[0] for line in house.said]
    assert pauses == ["0.5", "1", "2", "4", "8", "16", "30", "30"]


def test_a_child_that_lived_for_long_is_started_again_at_once(house: House) -> None:
    house.start("worker", OBEDIENT)
    for lifetime_seconds in (1, 61):
        house.clock.now += lifetime_seconds
        house.kill("worker")
        house.family.tend()
        house.clock.now += 1
        house.family.tend()

    assert [line.split(" again in ")[1].split(" s")[0] for line in house.said] == ["0.5", "0.5"]


def test_what_a_dead_child_left_behind_ends_too(house: House) -> None:
    if sys.platform != "linux":
        pytest.skip("needs Linux: reads /proc")
    house.start("worker", WITH_GRANDCHILD)
    grandchild_pid = int(house.wait_for_word("worker").split()[1])
    house.kill("worker")

    house.family.tend()

    wait_until(lambda: not is_alive(grandchild_pid))


def test_a_child_that_ends_while_starting_is_reported_with_its_last_words(house: House) -> None:
    house.start("gateway", FAILING)
    house.processes["gateway"][0].wait()

    with pytest.raises(StartFailed, match=r"gateway ended with exit code 1 .*\nno such setting"):
        house.family.refuse_ended()


def test_only_the_kind_that_is_named_is_stopped(house: House) -> None:
    house.start("postgres", OBEDIENT, keeps_data=True)
    house.start("gateway", OBEDIENT)

    house.family.stop(keeping_data=False, timeout_seconds=20)

    assert house.processes["gateway"][0].returncode == -signal.SIGTERM
    assert house.processes["postgres"][0].poll() is None


def test_a_child_that_does_not_obey_is_killed(house: House) -> None:
    house.start("worker", STUBBORN)
    house.wait_for_word("worker")

    house.family.stop(keeping_data=False, timeout_seconds=0.1)

    assert house.processes["worker"][0].returncode == -signal.SIGKILL


def test_a_stopped_child_is_not_started_again(house: House) -> None:
    house.start("worker", OBEDIENT)
    house.family.stop(keeping_data=False, timeout_seconds=20)

    house.clock.now += 60
    house.family.tend()

    assert len(house.processes["worker"]) == 1
    assert house.said == []
