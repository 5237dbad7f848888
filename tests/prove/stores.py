"""PostgreSQL and Valkey as in production: what they confirm is on the disk. They can be killed and paused."""

import asyncio
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from config.embedded import RunningServer, StartFailed, start_postgres, start_valkey
from config.ports import free_port

_PASSWORD = "prove"
RESTART_SECONDS = 30.0


class Store:
    """One server that keeps its address and its data over its deaths."""

    def __init__(self, start: Callable[[int], RunningServer]) -> None:
        self._start = start
        self._port = free_port()
        self.server = start(self._port)
        self.server.wait_until_ready()

    @property
    def url(self) -> str:
        return self.server.url

    def kill(self) -> None:
        """SIGKILL: nothing is flushed, nobody is told."""
        self.signal_all(signal.SIGKILL)
        self.server.process.wait(RESTART_SECONDS)

    async def start_again(self) -> None:
        """A killed PostgreSQL's children may hold its memory for a moment; until then it does not start."""
        deadline = time.monotonic() + RESTART_SECONDS
        while True:
            # Started from the main thread: the server ends when the thread does that started it.
            self.server = self._start(self._port)
            try:
                return await asyncio.to_thread(self.server.wait_until_ready)
            except StartFailed:
                if time.monotonic() > deadline:
                    raise

    def signal_all(self, number: signal.Signals) -> None:
        """To the server and to the processes it has made."""
        for pid in (self.server.process.pid, *_children_of(self.server.process.pid)):
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def stop(self) -> None:
        self.signal_all(signal.SIGCONT)
        self.server.stop()


class Stores:
    """Both servers, each in its folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._started: list[Store] = []

    def start(self) -> dict[str, str]:
        """Gives the variables that say where they are."""
        self.postgres = self._add(self._start_postgres)
        self.redis = self._add(self._start_valkey)
        return {"DATABASE_URL": self.postgres.url, "REDIS_URL": self.redis.url}

    def stop(self) -> None:
        for store in self._started:
            store.stop()

    def _add(self, start: Callable[[int], RunningServer]) -> Store:
        store = Store(start)
        self._started.append(store)
        return store

    def _start_postgres(self, port: int) -> RunningServer:
        return start_postgres(
            self._folder / "postgres",
            password=_PASSWORD,
            log_path=self._folder / "log" / "postgres.log",
            port=port,
        )

    def _start_valkey(self, port: int) -> RunningServer:
        return start_valkey(
            self._folder / "valkey",
            password=_PASSWORD,
            log_path=self._folder / "log" / "valkey.log",
            port=port,
            settings={"appendfsync": "always"},
        )


def _children_of(parent: int) -> list[int]:
    children = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            # The name in parentheses may hold blanks; the parent is the second field after it.
            fields = path.read_text().rpartition(")")[2].split()
            if int(fields[1]) == parent:
                children.append(int(path.parent.name))
    return children
