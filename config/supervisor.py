"""The embedded default, `make run`: PostgreSQL, Valkey, gateway, worker and simulator under one parent.

Starts them in order, says how to use them, restarts what ends, and stops all within ten seconds. When
this process is killed its children end by themselves, and the next start waits for them. No Django
here: what needs it runs as a child.
"""

import contextlib
import http.client
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

from config.binaries import MissingProgram
from config.children import last_lines, stop
from config.embedded import RunningServer, StartFailed
from config.family import Child, Family
from config.keyring import load_or_draw, read_variables
from config.layout import Layout, Refused, read_layout, refuse_taken_ports
from config.occupancy import occupy
from config.roster import app_children, children_environment, spawn_python, store_starters

PREPARE_SECONDS, READY_SECONDS = 300.0, 60.0
STOP_APPS_SECONDS, STOP_STORES_SECONDS = 6.0, 3.0
TEND_SECONDS, POLL_SECONDS = 0.2, 0.05
STORE_NAMES = {"DATABASE_URL": "postgres", "REDIS_URL": "valkey"}


def main() -> None:
    """Run until Ctrl-C or SIGTERM; a reason not to start ends the process with that reason."""
    _stop_on_signals()
    try:
        _run(read_layout(os.environ))
    except KeyboardInterrupt:
        return
    except (Refused, MissingProgram, StartFailed) as problem:
        raise SystemExit(f"farebox: {problem}") from None


def _run(layout: Layout) -> None:
    layout.var.mkdir(mode=0o700, parents=True, exist_ok=True)
    with occupy(layout.var) as lock_fd:
        refuse_taken_ports(layout)
        secrets = _load_secrets(layout)
        family = Family(say=_say)
        try:
            _start(family, layout, secrets, lock_fd)
            _say(_welcome(layout))
            while True:
                time.sleep(TEND_SECONDS)
                family.tend()
        finally:
            _ignore_signals()
            _say("Stopping.")
            family.stop(keeping_data=False, timeout_seconds=STOP_APPS_SECONDS)
            family.stop(keeping_data=True, timeout_seconds=STOP_STORES_SECONDS)


def _start(family: Family, layout: Layout, secrets: Mapping[str, str], lock_fd: int) -> None:
    _say(f"Farebox is starting; its data is in {layout.var}")
    with _timed("PostgreSQL and Valkey"):
        addresses = _start_stores(family, layout, secrets, lock_fd)
    environment = children_environment(layout, secrets, addresses)
    with _timed("Tables and demo organization"):
        _prepare(layout, environment, lock_fd)
    with _timed("Gateway, worker and simulator"):
        _worker_ready_file(layout).unlink(missing_ok=True)
        for child in app_children(layout, environment, lock_fd=lock_fd):
            family.start(child)
        _wait_until_ready(family, layout)


def _load_secrets(layout: Layout) -> dict[str, str]:
    path = layout.var / "secret.env"
    if (layout.var / "postgres").exists() and not path.exists():
        raise Refused(f"{path} is missing: restore it, or move {layout.var} away to begin anew.")
    return load_or_draw(path)


def _start_stores(family: Family, layout: Layout, secrets: Mapping[str, str], lock_fd: int) -> dict[str, str]:
    servers: dict[str, RunningServer] = {}
    for variable, start in store_starters(layout, secrets, lock_fd=lock_fd).items():
        server = servers[variable] = start()
        child = Child(
            STORE_NAMES[variable],
            partial(_launch, start),
            server.log_path,
            stop_signal=server.stop_signal,
            keeps_data=True,
        )
        family.adopt(child, server.process)
    for server in servers.values():
        server.wait_until_ready()
    return {variable: server.url for variable, server in servers.items()}


def _launch(start: Callable[[], RunningServer]) -> subprocess.Popen[bytes]:
    return start().process


def _prepare(layout: Layout, environment: Mapping[str, str], lock_fd: int) -> None:
    log_path = layout.log_path("preparation")
    process = spawn_python(
        layout, ["-m", "config.preparation"], log_path, environment=environment, lock_fd=lock_fd
    )
    try:
        process.wait(PREPARE_SECONDS)
    except subprocess.TimeoutExpired:
        raise StartFailed(f"the tables are not ready after {PREPARE_SECONDS:g} seconds.") from None
    finally:
        stop(process, stop_signal=signal.SIGTERM, timeout_seconds=1)
    if process.returncode != 0:
        raise StartFailed(f"the tables are not ready; the end of {log_path}:\n{last_lines(log_path)}")


def _wait_until_ready(family: Family, layout: Layout) -> None:
    checks: dict[str, Callable[[], bool]] = {
        "gateway": lambda: _status(layout.port, "/readyz") == 200,
        "worker": _worker_ready_file(layout).exists,
        "simulator": lambda: _status(layout.simulator_port, "/healthz") == 200,
    }
    deadline = time.monotonic() + READY_SECONDS
    for name, is_ready in checks.items():
        while not is_ready():
            family.refuse_ended()
            if time.monotonic() > deadline:
                log_path = layout.log_path(name)
                raise StartFailed(
                    f"the {name} is not ready after {READY_SECONDS:g} seconds; "
                    f"the end of {log_path}:\n{last_lines(log_path)}"
                )
            time.sleep(POLL_SECONDS)


def _worker_ready_file(layout: Layout) -> Path:
    """What config.celery makes when the worker takes tasks."""
    return layout.var / "worker.ready"


def _status(port: int, path: str) -> int | None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
        connection.request("GET", path)
        return connection.getresponse().status
    return None


def _welcome(layout: Layout) -> str:
    demo = read_variables(layout.var / "demo.env")
    return f"""
Farebox is ready: {demo["FAREBOX_URL"]}
  sign in with    {demo["FAREBOX_EMAIL"]}  {demo["FAREBOX_PASSWORD"]}
  demo settings   {layout.var / "demo.env"}
  logs            {layout.var / "log"}

Try it in another terminal:

curl -N {demo["FAREBOX_URL"]}/v0/chat/completions \\
  -H 'Authorization: Bearer {demo["FAREBOX_API_KEY"]}' \\
  -H 'Content-Type: application/json' \\
  -d '{{"model": "ten-chunks@fake", "stream": true, "messages": [{{"role": "user", "content": "Hello"}}]}}'

Ctrl-C stops everything.
"""


@contextlib.contextmanager
def _timed(what: str) -> Iterator[None]:
    _say(f"  {what} ... ", end="")
    started_at = time.monotonic()
    try:
        yield
    except BaseException:
        _say("")
        raise
    _say(f"{time.monotonic() - started_at:.1f} s")


def _say(line: str, *, end: str = "\n") -> None:
    # A terminal that was closed must not keep the children from being stopped in order.
    with contextlib.suppress(OSError):
        print(line, end=end, flush=True)


def _stop_on_signals() -> None:
    """Ctrl-C, SIGTERM and a closed terminal all raise KeyboardInterrupt; `nohup` keeps its meaning."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)


def _ignore_signals() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


if __name__ == "__main__":
    main()
