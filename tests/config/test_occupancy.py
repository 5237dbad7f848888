"""One supervisor per data folder, and none beside the children of an earlier one."""

import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from config.children import spawn
from config.layout import Refused
from config.occupancy import occupy

LINGER = "import signal; signal.signal(15, signal.SIG_IGN); signal.pause()"


def lingering_child(folder: Path) -> subprocess.Popen[bytes]:
    """A child that has outlived its supervisor: it alone holds the children's lock."""
    descriptor = os.open(folder / "children.lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    child = spawn(
        [sys.executable, "-c", LINGER],
        log_path=folder / "child.log",
        death_signal=signal.SIGKILL,
        inherited_fds=[descriptor],
    )
    os.close(descriptor)
    return child


def test_a_second_supervisor_is_refused_in_one_line(tmp_path: Path) -> None:
    with occupy(tmp_path), pytest.raises(Refused) as refusal, occupy(tmp_path):
        pass

    assert str(refusal.value) == (
        f"Farebox already runs on {tmp_path}: use that one, or stop it with Ctrl-C first."
    )


def test_the_folder_is_free_again_afterwards(tmp_path: Path) -> None:
    with occupy(tmp_path):
        pass

    with occupy(tmp_path) as lock_fd:
        assert lock_fd > 2


def test_a_start_waits_until_the_children_of_an_earlier_one_are_gone(tmp_path: Path) -> None:
    child = lingering_child(tmp_path)
    child.kill()

    with occupy(tmp_path, wait_seconds=20):
        assert child.wait() == -signal.SIGKILL


def test_a_child_of_an_earlier_start_that_lingers_is_ended(tmp_path: Path) -> None:
    if sys.platform != "linux":
        pytest.skip("needs Linux: reads /proc")
    child = lingering_child(tmp_path)

    with occupy(tmp_path, wait_seconds=0.2):
        assert child.wait() == -signal.SIGKILL
