"""Servers of one run: started on a port of 127.0.0.1, waited for, stopped. None outlives this process."""

import http.client
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from config.children import last_lines, request_stop, spawn, wait_or_kill
from config.ports import is_port_free

START_SECONDS = 60.0
STOP_SECONDS = 8.0
POLL_SECONDS = 0.05


class BenchFailed(Exception):
    """The benchmark cannot go on; the text says why and what to do."""


@dataclass
class Server:
    """One server process; `port` None is one that serves nobody, such as the worker."""

    name: str
    command: Sequence[str]
    folder: Path
    log_path: Path
    lock_fd: int
    port: int | None = None
    ready_path: str = "/"
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self.process is not None, f"{self.name} was not started"
        return self.process.pid

    def start(self) -> float:
        """Start and wait until it answers: seconds. Raises BenchFailed. Call from the main thread."""
        if self.port is not None and not is_port_free(self.port):
            raise BenchFailed(f"port {self.port}, meant for {self.name}, is taken by another program.")
        self.process = spawn(
            self.command,
            log_path=self.log_path,
            death_signal=signal.SIGTERM,
            environment=self.environment,
            folder=self.folder,
            inherited_fds=[self.lock_fd],
        )
        began_at = time.monotonic()
        deadline = began_at + START_SECONDS
        while self.port is not None and not self._answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                end = last_lines(self.log_path)
                raise BenchFailed(f"{self.name} does not answer; the end of {self.log_path}:\n{end}")
            time.sleep(POLL_SECONDS)
        return time.monotonic() - began_at

    def stop(self) -> None:
        """End it and whatever it has started."""
        if self.process is None:
            return
        request_stop(self.process, signal.SIGTERM)
        wait_or_kill(self.process, timeout_seconds=STOP_SECONDS)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process = None

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        with suppress(OSError, http.client.HTTPException):
            connection.request("GET", self.ready_path)
            return connection.getresponse().status < 500
        return False
