"""A whole house of its own for one test: PostgreSQL, Redis, an organization with a key. The suite's goes on.

The suite's database cannot be stopped under the suite's feet, and this process' Django is bound to
it: here rows are written by the commands that an operator has, and read by plain SQL.
"""

import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import psycopg

from config.children import wait_or_kill
from config.embedded import RunningServer, start_postgres
from tests.flows.own_redis import OwnRedis
from tests.house import ROOT, House, Process

PASSWORD = "own"
CARELESS = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


@dataclass(slots=True)
class OwnPostgres:
    """A PostgreSQL that a test may pause and kill."""

    server: RunningServer
    folder: Path

    @classmethod
    def start(cls, folder: Path, *, port: int | None = None) -> "OwnPostgres":
        log_path = folder.with_suffix(".log")
        server = start_postgres(folder, password=PASSWORD, log_path=log_path, port=port, settings=CARELESS)
        server.wait_until_ready()
        return cls(server, folder)

    @property
    def url(self) -> str:
        return self.server.url

    def pause(self) -> None:
        """From here on it takes connections and queries, and answers nothing."""
        for process in self._family():
            process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        for process in reversed(self._family()):
            process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """SIGKILL for all of its processes at once."""
        for process in self._family():
            process.kill()
        wait_or_kill(self.server.process, timeout_seconds=5)

    def start_again(self) -> None:
        port = int(self.url.rpartition(":")[2].partition("/")[0])
        self.server = OwnPostgres.start(self.folder, port=port).server

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.url, connect_timeout=5) as connection:
            return connection.execute(query.encode()).fetchall()

    def _family(self) -> list[psutil.Process]:
        postmaster = psutil.Process(self.server.process.pid)
        return [postmaster, *postmaster.children(recursive=True)]


@dataclass(slots=True)
class OwnHouse:
    """Both servers, the key of the organization in them, and how to start processes over them."""

    house: House
    postgres: OwnPostgres
    redis: OwnRedis
    folder: Path
    key: str = ""

    @classmethod
    def set_up(cls, house: House, folder: Path) -> "OwnHouse":
        own = cls(house, OwnPostgres.start(folder / "postgres"), OwnRedis.start(folder / "valkey"), folder)
        own.manage("migrate", "--verbosity", "0")
        own.manage("seeddemo")
        lines = (folder / "demo.env").read_text().splitlines()
        own.key = dict(line.split("=", 1) for line in lines if "=" in line)["FAREBOX_API_KEY"]
        return own

    @property
    def environment(self) -> dict[str, str]:
        return {
            "DATABASE_URL": self.postgres.url,
            "REDIS_URL": self.redis.url,
            "SIMULATOR_URL": self.house.simulator_url,
            "FAREBOX_SPOOL_DIR": str(self.folder / "spool"),
            "FAREBOX_VAR_DIR": str(self.folder),
        }

    def start_gateway(self, **changes: str) -> Process:
        return self.house.start_gateway(**{**self.environment, **changes})

    def start_worker(self) -> Process:
        return self.house.start_worker(**self.environment)

    def manage(self, *words: str) -> str:
        """Run a command of `manage.py`; what it printed, and an error if it failed."""
        answer = subprocess.run(
            [sys.executable, "manage.py", *words],
            cwd=ROOT,
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
        )
        assert answer.returncode == 0, f"{words}: {answer.stdout}{answer.stderr}"
        return answer.stdout

    def tear_down(self) -> None:
        self.postgres.server.stop()
        self.redis.server.stop()
