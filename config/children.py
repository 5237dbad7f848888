"""Child processes: started so that none outlives its parent, stopped within a bound.

Which children there are and in which order they start and stop is in config.supervisor.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None
_LOG_LIMIT_BYTES = 10_000_000


@dataclass(frozen=True, slots=True)
class Account:
    """The operating system's account that a child runs as."""

    uid: int
    gid: int


def spawn(
    argv: Sequence[str],
    *,
    log_path: Path,
    death_signal: signal.Signals,
    account: Account | None = None,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
    input_bytes: bytes = b"",
    inherited_fds: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Start `argv` in a session of its own, its output appended to `log_path`.

    The session keeps the terminal's Ctrl-C from the child, so that its parent decides the order of
    stopping. On Linux the kernel sends `death_signal` when the parent dies, however it dies. Linux
    means the *thread* that called: call this from the main thread.
    """
    with _open_log(log_path) as log:
        process = subprocess.Popen(
            list(argv),
            stdin=subprocess.PIPE if input_bytes else subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=None if environment is None else dict(environment),
            start_new_session=True,
            pass_fds=tuple(inherited_fds),
            preexec_fn=_die_with_parent(death_signal),
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
        )
    if process.stdin:
        with contextlib.suppress(BrokenPipeError), process.stdin as stdin:
            stdin.write(input_bytes)
    return process


def stop(process: subprocess.Popen[bytes], *, stop_signal: signal.Signals, timeout_seconds: float) -> None:
    """Ask `process` to end, wait, and kill its whole session when the time is up."""
    request_stop(process, stop_signal)
    wait_or_kill(process, timeout_seconds=timeout_seconds)


def request_stop(process: subprocess.Popen[bytes], stop_signal: signal.Signals) -> None:
    """Send `stop_signal` unless the process has ended."""
    if process.poll() is None:
        process.send_signal(stop_signal)


def wait_or_kill(process: subprocess.Popen[bytes], *, timeout_seconds: float) -> None:
    """Wait for the end of `process`; kill its whole session when the time is up."""
    try:
        process.wait(timeout=max(0.0, timeout_seconds))
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def last_lines(log_path: Path, *, count: int = 15) -> str:
    """The end of a child's log, for a message that explains why it failed."""
    try:
        with log_path.open("rb") as log:
            log.seek(max(0, log_path.stat().st_size - 20_000))
            lines = log.read().decode(errors="replace").splitlines()
    except FileNotFoundError:
        return ""
    return "\n".join(lines[-count:])


def _open_log(log_path: Path) -> BinaryIO:
    log_path.parent.mkdir(parents=True, exist_ok=True)
    if log_path.exists() and log_path.stat().st_size > _LOG_LIMIT_BYTES:
        log_path.replace(log_path.with_name(log_path.name + ".1"))
    return log_path.open("ab")


def _die_with_parent(death_signal: signal.Signals) -> Callable[[], None] | None:
    if _LIBC is None:
        return None
    libc, parent_pid, number = _LIBC, os.getpid(), int(death_signal)

    def set_death_signal() -> None:
        # A change of user clears the setting; Popen calls this after it has switched.
        libc.prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)
        if os.getppid() != parent_pid:
            os.kill(os.getpid(), signal.SIGKILL)

    return set_death_signal
