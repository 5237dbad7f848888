"""PostgreSQL and Valkey as children of this process: set up, start, wait, stop.

Both listen on a TCP port of 127.0.0.1 alone, with a password, and keep their data in a folder of the
caller's. Who calls: config.supervisor (`make run`) and the tests. Where the programs come from is in
config.binaries; the explicit DATABASE_URL and REDIS_URL, which make all of this unnecessary, are the
callers' concern.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg
import redis

from config.binaries import PostgresPrograms, find_postgres, find_valkey, unprivileged_account
from config.children import Account, last_lines, request_stop, spawn, wait_or_kill
from config.ports import free_port

_POLL_SECONDS = 0.03
_USER = _DATABASE = "farebox"


class StartFailed(Exception):
    """A server did not start; the text says which, why and, where we know, what to do."""


@dataclass(frozen=True, slots=True)
class RunningServer:
    """A server that was launched: its address, its process and how to ask it things."""

    name: str
    url: str
    process: subprocess.Popen[bytes]
    log_path: Path
    stop_signal: signal.Signals
    probe: Callable[[str], None]

    def wait_until_ready(self, *, timeout_seconds: float = 60) -> None:
        """Return when the server answers; raise StartFailed when it ends or takes too long."""
        deadline = time.monotonic() + timeout_seconds
        while True:
            try:
                return self.probe(self.url)
            except (psycopg.Error, redis.RedisError) as error:
                reason = str(error).strip()
            if self.process.poll() is not None:
                raise StartFailed(f"{self.name} ended while starting:\n{last_lines(self.log_path)}")
            if time.monotonic() > deadline:
                raise StartFailed(f"{self.name} does not answer: {reason}\n{last_lines(self.log_path)}")
            time.sleep(_POLL_SECONDS)

    def request_stop(self) -> None:
        """Begin the orderly shutdown, without waiting for it."""
        request_stop(self.process, self.stop_signal)

    def stop(self, *, timeout_seconds: float = 5) -> None:
        """Shut down in order, or by force when that takes too long."""
        self.request_stop()
        wait_or_kill(self.process, timeout_seconds=timeout_seconds)


def start_postgres(
    data_dir: Path,
    *,
    password: str,
    log_path: Path,
    port: int | None = None,
    settings: Mapping[str, str] | None = None,
    inherited_fds: Sequence[int] = (),
) -> RunningServer:
    """Launch PostgreSQL on `data_dir`, which is created on first use.

    Does not wait: call `wait_until_ready`, which also creates the database. `settings` are server
    settings by name. Call from the main thread (see `spawn`). Raises StartFailed, MissingProgram.
    """
    account = unprivileged_account()
    programs = find_postgres(account)
    if not (data_dir / "PG_VERSION").exists():
        _initialise(programs, data_dir, password=password, account=account)
    _refuse_other_major(programs, data_dir)
    _hand_over(data_dir, account)
    _clear_stale_pid_file(data_dir)

    port = port or free_port()
    choices = {
        "listen_addresses": "127.0.0.1",
        "port": str(port),
        "unix_socket_directories": "",
        "max_connections": "200",
        "timezone": "UTC",
        "log_timezone": "UTC",
        **(settings or {}),
    }
    data_fd = os.open(data_dir, os.O_RDONLY | os.O_DIRECTORY)
    try:
        process = spawn(
            [
                str(programs.folder / "postgres"),
                "-D",
                _name_for(account, data_dir, data_fd),
                *(word for name, value in choices.items() for word in ("-c", f"{name}={value}")),
            ],
            log_path=log_path,
            death_signal=signal.SIGINT,
            account=account,
            folder=Path("/"),
            inherited_fds=(data_fd, *inherited_fds),
        )
    finally:
        os.close(data_fd)
    url = f"postgresql://{_USER}:{password}@127.0.0.1:{port}/{_DATABASE}"
    return RunningServer("PostgreSQL", url, process, log_path, signal.SIGINT, _probe_postgres)


def start_valkey(
    data_dir: Path,
    *,
    password: str,
    log_path: Path,
    port: int | None = None,
    settings: Mapping[str, str] | None = None,
    inherited_fds: Sequence[int] = (),
) -> RunningServer:
    """Launch Valkey on `data_dir`, which is created on first use; every write goes to its log there.

    Does not wait: call `wait_until_ready`. The rest as `start_postgres`.
    """
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    port = port or free_port()
    choices = {
        "bind": "127.0.0.1",
        "port": str(port),
        "requirepass": password,
        "dir": "./",
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": '""',
        "daemonize": "no",
        **(settings or {}),
    }
    process = spawn(
        [str(find_valkey()), "-"],
        log_path=log_path,
        death_signal=signal.SIGTERM,
        folder=data_dir,
        input_bytes="".join(f"{name} {value}\n" for name, value in choices.items()).encode(),
        inherited_fds=inherited_fds,
    )
    url = f"redis://:{password}@127.0.0.1:{port}/0"
    return RunningServer("Valkey", url, process, log_path, signal.SIGTERM, _probe_valkey)


def _initialise(
    programs: PostgresPrograms, data_dir: Path, *, password: str, account: Account | None
) -> None:
    # Made beside its final name and renamed, so that an interrupted set-up is simply made again.
    unfinished = data_dir.with_name(data_dir.name + ".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(mode=0o700, parents=True)
    _hand_over(unfinished, account)
    builtin = ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    data_fd = os.open(unfinished, os.O_RDONLY | os.O_DIRECTORY)
    with tempfile.NamedTemporaryFile() as password_file:
        password_file.write(password.encode())
        password_file.flush()
        _hand_over(Path(password_file.name), account)
        answer = subprocess.run(
            [
                programs.folder / "initdb",
                f"--pgdata={_name_for(account, unfinished, data_fd)}",
                f"--username={_USER}",
                f"--pwfile={password_file.name}",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                *(builtin if programs.major >= 17 else ["--locale=C.UTF-8"]),
            ],
            capture_output=True,
            text=True,
            cwd="/",
            pass_fds=[data_fd],
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
        )
    os.close(data_fd)
    if answer.returncode != 0:
        raise StartFailed(f"PostgreSQL could not set up {data_dir}:\n{answer.stderr.strip()}")
    unfinished.rename(data_dir)


def _refuse_other_major(programs: PostgresPrograms, data_dir: Path) -> None:
    major = (data_dir / "PG_VERSION").read_text().strip()
    if major != str(programs.major):
        raise StartFailed(
            f"{data_dir} was written by PostgreSQL {major}, this is {programs.major}: "
            f"dump it with {major} and load it, or move the folder away to begin anew."
        )


def _name_for(account: Account | None, data_dir: Path, data_fd: int) -> str:
    """How the server shall call its data folder.

    An account that may not pass the parent folders (a checkout below /root) gets in through the
    descriptor that we, who may, have opened and that the server and its own children inherit.
    """
    return f"/proc/self/fd/{data_fd}" if account and sys.platform == "linux" else str(data_dir)


def _hand_over(path: Path, account: Account | None) -> None:
    if account is None or path.stat().st_uid == account.uid:
        return
    for part in (path, *path.rglob("*")):
        os.chown(part, account.uid, account.gid, follow_symlinks=False)


def _clear_stale_pid_file(data_dir: Path) -> None:
    """Remove what a killed server left behind, when nothing runs on the folder any more.

    PostgreSQL itself takes a zombie, or a stranger with the same number, for a living server.
    """
    pid_file = data_dir / "postmaster.pid"
    if sys.platform != "linux" or not pid_file.exists():
        return
    pid = int(pid_file.read_text().split("\n", 1)[0])
    try:
        is_alive = Path(f"/proc/{pid}/cwd").samefile(data_dir)
    except OSError:
        is_alive = False
    if is_alive:
        raise StartFailed(f"PostgreSQL already runs on {data_dir} (process {pid}): stop it first.")
    pid_file.unlink()


def _probe_postgres(url: str) -> None:
    with psycopg.connect(url, dbname="postgres", connect_timeout=5, autocommit=True) as connection:
        if not connection.execute("select 1 from pg_database where datname = %s", [_DATABASE]).fetchone():
            connection.execute(f"create database {_DATABASE}")  # a constant of this module


def _probe_valkey(url: str) -> None:
    with redis.Redis.from_url(url, socket_connect_timeout=5, socket_timeout=5) as client:
        client.ping()
