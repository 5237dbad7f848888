"""Who occupies the data folder: one supervisor at a time, and nobody of an earlier one.

Two locked files say so, since the kernel lets go of a lock with the last process that holds it, however
that process ends. The second is inherited by every child: it is free when all of them are gone.
"""

import contextlib
import fcntl
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from config.layout import Refused

_POLL_SECONDS = 0.05


@contextlib.contextmanager
def occupy(var: Path, *, wait_seconds: float = 5) -> Iterator[int]:
    """Hold `var` for this supervisor; gives the descriptor that its children must inherit.

    Waits for the children of a supervisor that was killed, then ends those that linger. Raises
    Refused when another supervisor runs.
    """
    with _open(var / "supervisor.lock") as own, _open(var / "children.lock") as inherited:
        if not _try_lock(own):
            raise Refused(f"Farebox already runs on {var}: use that one, or stop it with Ctrl-C first.")
        if not _wait_for_lock(inherited, wait_seconds):
            for pid in _holders(var / "children.lock"):
                os.kill(pid, signal.SIGKILL)
            if not _wait_for_lock(inherited, wait_seconds):
                raise Refused(f"processes of an earlier start still run on {var}: end them first.")
        yield inherited


@contextlib.contextmanager
def _open(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _wait_for_lock(descriptor: int, wait_seconds: float) -> bool:
    deadline = time.monotonic() + wait_seconds
    while not _try_lock(descriptor):
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True


def _holders(path: Path) -> list[int]:
    """The processes, but ourselves, that have `path` open; none where there is no /proc."""
    found = set()
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        with contextlib.suppress(OSError):
            if os.readlink(link) == str(path):
                found.add(int(link.parts[2]))
    return sorted(found - {os.getpid()})
