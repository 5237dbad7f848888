"""The stage: upstream, PostgreSQL, Valkey, one gateway process and the worker, set up anew for each run.

Which requests are sent is in cases.py; other gateways are in peers.py.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.servers import BenchFailed, Server
from config.embedded import RunningServer, start_postgres, start_valkey
from config.keyring import load_or_draw
from config.occupancy import occupy

ROOT = Path(__file__).resolve().parent.parent
SEED_SECONDS = 180
DRAIN_SECONDS = 3
# Who Farebox is on the upstream's invoice.
UPSTREAM_KEY = "farebox"

# What differs from the defaults, and is said in the report: room for 5,000 streams to one upstream, and
# patience with a Redis that shares two cores with the load and the upstream.
GATEWAY_SETTINGS = {
    "FAREBOX_UPSTREAM_CONNECTIONS_PER_ORIGIN": "10000",
    "FAREBOX_REDIS_CALL_TIMEOUT_MS": "1000",
}


@dataclass(frozen=True, slots=True)
class Ports:
    """Ten ports in a row, of which each has one meaning."""

    base: int

    @property
    def upstream(self) -> int:
        return self.base

    @property
    def farebox(self) -> int:
        return self.base + 1

    @property
    def postgres(self) -> int:
        return self.base + 2

    @property
    def valkey(self) -> int:
        return self.base + 3

    def peer(self, number: int) -> int:
        return self.base + 4 + number

    def all(self) -> range:
        return range(self.base, self.base + 10)


@dataclass(frozen=True, slots=True)
class MoneyCounter:
    """Where Redis counts what one budget, or the wallet, has spent and holds."""

    name: str
    limit_nano: int


@dataclass(frozen=True, slots=True)
class Stage:
    """Everything that runs, and what it takes to call it and to read its books.

    `backstage_pids` are worker and stores, which work for Farebox alone.
    """

    folder: Path
    lock_fd: int
    ports: Ports
    upstream: Server
    environment: Mapping[str, str] = field(default_factory=dict)
    gateway: Server | None = None
    backstage_pids: tuple[int, ...] = ()
    secrets: tuple[str, ...] = ()
    counters: tuple[MoneyCounter, ...] = ()

    def log_path(self, name: str) -> Path:
        return self.folder / "log" / f"{name}.log"


@contextmanager
def set_stage(
    var: Path, ports: Ports, *, rounds: int, has_farebox: bool, profile: Path | None = None
) -> Iterator[Stage]:
    """The stage while the block runs; its data is new, its logs stay. Raises BenchFailed, StartFailed.

    With `profile` the gateway is sampled, and writes there where its time went when it ends.
    """
    folder = var / "stage"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with occupy(folder) as lock_fd, ExitStack() as stack:
        for name in ("postgres", "valkey", "spool", "log"):
            shutil.rmtree(folder / name, ignore_errors=True)
        upstream = _server(folder, lock_fd, "upstream", ["bench.upstream", str(ports.upstream)])
        upstream.port, upstream.ready_path = ports.upstream, "/healthz"
        stack.callback(upstream.stop)
        upstream.start()
        if not has_farebox:
            yield Stage(folder, lock_fd, ports, upstream)
            return
        stores = _start_stores(stack, folder, lock_fd, ports)
        environment = _environment(folder, ports, stores)
        seeded = _seed(environment, rounds)
        gateway = _gateway(folder, lock_fd, ports.farebox, environment)
        if profile is not None:
            gateway.command = [sys.executable, "-m", "bench.profiled", str(profile), *gateway.command[3:]]
        worker = _worker(folder, lock_fd, environment)
        for server in (worker, gateway):
            stack.callback(server.stop)
            server.start()
        yield Stage(
            folder=folder,
            lock_fd=lock_fd,
            ports=ports,
            environment=environment,
            upstream=upstream,
            gateway=gateway,
            backstage_pids=(worker.pid, *(store.process.pid for store in stores)),
            secrets=tuple(seeded["secrets"]),
            counters=tuple(MoneyCounter(told["counter"], told["limit_nano"]) for told in seeded["counters"]),
        )


def _start_stores(
    stack: ExitStack, folder: Path, lock_fd: int, ports: Ports
) -> tuple[RunningServer, RunningServer]:
    secrets = load_or_draw(folder / "secret.env")
    postgres = start_postgres(
        folder / "postgres",
        password=secrets["POSTGRES_PASSWORD"],
        log_path=folder / "log" / "postgres.log",
        port=ports.postgres,
        inherited_fds=[lock_fd],
    )
    stack.callback(postgres.stop)
    valkey = start_valkey(
        folder / "valkey",
        password=secrets["VALKEY_PASSWORD"],
        log_path=folder / "log" / "valkey.log",
        port=ports.valkey,
        inherited_fds=[lock_fd],
    )
    stack.callback(valkey.stop)
    for store in (postgres, valkey):
        store.wait_until_ready()
    return postgres, valkey


def _environment(folder: Path, ports: Ports, stores: tuple[RunningServer, RunningServer]) -> dict[str, str]:
    """What Farebox's processes are told: nothing of ours, so that a run says what it measured."""
    secrets = load_or_draw(folder / "secret.env")
    postgres, valkey = stores
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("FAREBOX_")}
    return {
        **inherited,
        **{name: value for name, value in secrets.items() if name.startswith("FAREBOX_")},
        "DATABASE_URL": postgres.url,
        "REDIS_URL": valkey.url,
        **GATEWAY_SETTINGS,
        "FAREBOX_MODE": "embedded",
        "FAREBOX_VAR_DIR": str(folder),
        "FAREBOX_SPOOL_DIR": str(folder / "spool"),
        "FAREBOX_PUBLIC_URL": f"http://127.0.0.1:{ports.farebox}",
        "FAREBOX_ALLOWED_UPSTREAM_NETWORKS": "127.0.0.0/8",
        "FAREBOX_DRAIN_TIMEOUT_SECONDS": str(DRAIN_SECONDS),
        "SIMULATOR_URL": f"http://127.0.0.1:{ports.upstream}",
        "DJANGO_SETTINGS_MODULE": "config.settings",
    }


def _seed(environment: Mapping[str, str], rounds: int) -> dict[str, Any]:
    run = subprocess.run(
        [sys.executable, "-m", "bench.seed", UPSTREAM_KEY, str(rounds)],
        cwd=ROOT,
        env=dict(environment),
        capture_output=True,
        text=True,
        timeout=SEED_SECONDS,
        check=False,
    )
    if run.returncode != 0:
        raise BenchFailed(f"the tables could not be made:\n{run.stderr.strip()[-2000:]}")
    seeded: dict[str, Any] = json.loads(run.stdout.splitlines()[-1])
    return seeded


def _gateway(folder: Path, lock_fd: int, port: int, environment: Mapping[str, str]) -> Server:
    command = ["uvicorn", "config.asgi_gateway:application", "--host", "127.0.0.1", "--port", str(port)]
    options = ["--no-access-log", "--log-level", "warning", "--timeout-keep-alive", "75"]
    options += ["--no-proxy-headers", "--no-server-header", "--http", "config.serving:HttpProtocol"]
    drain = ["--timeout-graceful-shutdown", str(DRAIN_SECONDS)]
    server = _server(folder, lock_fd, "farebox", [*command, *options, *drain])
    server.port, server.ready_path, server.environment = port, "/readyz", environment
    return server


def _worker(folder: Path, lock_fd: int, environment: Mapping[str, str]) -> Server:
    command = ["celery", "-A", "config", "worker", "-B", "-s", str(folder / "beat-schedule")]
    options = ["-P", "threads", "-c", "4", "-l", "warning", "--without-gossip", "--without-mingle"]
    server = _server(folder, lock_fd, "worker", [*command, *options])
    server.environment = environment
    return server


def _server(folder: Path, lock_fd: int, name: str, arguments: list[str]) -> Server:
    command = [sys.executable, "-m", *arguments]
    return Server(name, command, ROOT, folder / "log" / f"{name}.log", lock_fd)
