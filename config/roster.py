"""The roster: which children the embedded default has, and what each is told.

config.supervisor starts them in order, config.family keeps them running.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from config.children import spawn
from config.embedded import RunningServer, start_postgres, start_valkey
from config.family import Child
from config.layout import Layout
from config.ports import free_port

# Less than the time after which the supervisor kills, so that what runs can end in order.
DRAIN_SECONDS = 3
# Who signs up on a bare machine has nobody to pay: the simulator's tokens are to be spent.
STARTING_CREDIT_USD = 5


def store_starters(
    layout: Layout, secrets: Mapping[str, str], *, lock_fd: int
) -> dict[str, Callable[[], RunningServer]]:
    """How to start the servers that the environment does not name, by the variable for their address.

    Each keeps its port over restarts, since the other children know it by then.
    """
    starters = {
        "DATABASE_URL": partial(
            start_postgres,
            layout.var / "postgres",
            password=secrets["POSTGRES_PASSWORD"],
            log_path=layout.log_path("postgres"),
            port=free_port(),
            inherited_fds=[lock_fd],
        ),
        "REDIS_URL": partial(
            start_valkey,
            layout.var / "valkey",
            password=secrets["VALKEY_PASSWORD"],
            log_path=layout.log_path("valkey"),
            port=free_port(),
            inherited_fds=[lock_fd],
        ),
    }
    return {variable: start for variable, start in starters.items() if not _is_given(variable)}


def children_environment(
    layout: Layout, secrets: Mapping[str, str], addresses: Mapping[str, str]
) -> dict[str, str]:
    """Our environment, completed by what the embedded default decides. What is given wins."""
    chosen = {
        "FAREBOX_MODE": "embedded",
        "FAREBOX_VAR_DIR": str(layout.var),
        "FAREBOX_SPOOL_DIR": str(layout.var / "spool"),
        "FAREBOX_PUBLIC_URL": layout.url,
        "FAREBOX_ALLOWED_UPSTREAM_NETWORKS": "127.0.0.0/8",
        "FAREBOX_DRAIN_TIMEOUT_SECONDS": str(DRAIN_SECONDS),
        "FAREBOX_STARTING_CREDIT_USD": str(STARTING_CREDIT_USD),
        "SIMULATOR_URL": layout.simulator_url,
        **{name: value for name, value in secrets.items() if name.startswith("FAREBOX_")},
        **addresses,
    }
    unbuffered = {"PYTHONUNBUFFERED": "1"}
    return {**os.environ, **unbuffered, **{n: v for n, v in chosen.items() if not _is_given(n)}}


def app_children(layout: Layout, environment: Mapping[str, str], *, lock_fd: int) -> tuple[Child, ...]:
    """Gateway with the pages, worker with its scheduler, and simulator."""
    # A second more than the drain: first we cut what still runs and tell its client, then the server does.
    graceful = ["--timeout-graceful-shutdown", str(DRAIN_SECONDS + 1)]
    serve = ["--host", "127.0.0.1", "--no-access-log", "--http", "config.serving:HttpProtocol", *graceful]
    schedule = str(layout.var / "beat-schedule")
    commands = {
        "gateway": ["uvicorn", "config.asgi:application", "--port", str(layout.port), *serve],
        "worker": ["celery", "-A", "config", "worker", "-B", "-s", schedule, "-P", "threads", "-c", "4"],
        "simulator": [
            *("uvicorn", "gateway.simulator.app:application", "--port", str(layout.simulator_port)),
            *serve,
        ],
    }

    def child(name: str, arguments: Sequence[str]) -> Child:
        log_path = layout.log_path(name)
        launch = partial(
            spawn_python, layout, ["-m", *arguments], log_path, environment=environment, lock_fd=lock_fd
        )
        return Child(name, launch, log_path)

    return tuple(child(name, arguments) for name, arguments in commands.items())


def spawn_python(
    layout: Layout,
    arguments: Sequence[str],
    log_path: Path,
    *,
    environment: Mapping[str, str],
    lock_fd: int,
) -> subprocess.Popen[bytes]:
    """Start this environment's Python at the root of the checkout."""
    return spawn(
        [sys.executable, *arguments],
        log_path=log_path,
        death_signal=signal.SIGTERM,
        environment=environment,
        folder=layout.root,
        inherited_fds=[lock_fd],
    )


def _is_given(variable: str) -> bool:
    return variable in os.environ or f"{variable}_FILE" in os.environ
