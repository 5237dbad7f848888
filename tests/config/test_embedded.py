"""PostgreSQL and Valkey as children: in any folder, over crashes, and never on the wrong data."""

import os
import select
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
import redis

from config.embedded import RunningServer, StartFailed, start_postgres, start_valkey

Start = Callable[[], RunningServer]

START_VALKEY_AND_WAIT = """
import pathlib, signal, sys
from config.embedded import start_valkey
folder = pathlib.Path(sys.argv[1])
server = start_valkey(folder / "valkey", password="geheim", log_path=folder / "valkey.log")
server.wait_until_ready()
print(server.process.pid, flush=True)
signal.pause()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that only its owner may enter, with a space and an umlaut in its name."""
    folder = tmp_path / "Mautstelle für Träume"
    folder.mkdir(mode=0o700)
    return folder


@pytest.fixture
def postgres(folder: Path) -> Iterator[Start]:
    servers: list[RunningServer] = []

    def start() -> RunningServer:
        server = start_postgres(folder / "postgres", password="geheim", log_path=folder / "postgres.log")
        servers.append(server)
        server.wait_until_ready()
        return server

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def valkey(folder: Path) -> Iterator[Start]:
    servers: list[RunningServer] = []

    def start() -> RunningServer:
        server = start_valkey(folder / "valkey", password="geheim", log_path=folder / "valkey.log")
        servers.append(server)
        server.wait_until_ready()
        return server

    yield start
    for server in servers:
        server.stop()


def remember(url: str, word: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("create table if not exists memory (word text)")
        connection.execute("insert into memory values (%s)", [word])


def words(url: str) -> list[str]:
    with psycopg.connect(url) as connection:
        return [row[0] for row in connection.execute("select word from memory")]


def test_postgres_keeps_its_rows_over_a_restart(postgres: Start) -> None:
    first = postgres()
    remember(first.url, "Äpfel")
    first.stop()

    second = postgres()

    assert words(second.url) == ["Äpfel"]


def test_postgres_comes_back_after_it_was_killed(postgres: Start) -> None:
    first = postgres()
    remember(first.url, "committed")
    first.process.kill()
    first.process.wait()

    second = postgres()

    assert words(second.url) == ["committed"]


def test_postgres_ignores_the_pid_file_of_a_process_that_is_not_its_own(
    postgres: Start, folder: Path
) -> None:
    postgres().stop()
    (folder / "postgres" / "postmaster.pid").write_text(f"{os.getpid()}\n{folder}\n")

    server = postgres()

    assert server.process.poll() is None


def test_postgres_refuses_a_second_server_on_its_folder(postgres: Start) -> None:
    postgres()

    with pytest.raises(StartFailed, match="already runs on"):
        postgres()


def test_postgres_refuses_the_data_of_another_major_version(postgres: Start, folder: Path) -> None:
    postgres().stop()
    (folder / "postgres" / "PG_VERSION").write_text("9\n")

    with pytest.raises(StartFailed, match="was written by PostgreSQL 9, this is") as refusal:
        postgres()

    assert "\n" not in str(refusal.value)


def test_an_interrupted_set_up_of_postgres_is_made_again(postgres: Start, folder: Path) -> None:
    (folder / "postgres.unfinished").mkdir()
    (folder / "postgres.unfinished" / "half").write_text("of a cluster")

    server = postgres()

    assert server.process.poll() is None
    assert not (folder / "postgres.unfinished").exists()


def test_postgres_wants_the_password(postgres: Start) -> None:
    server = postgres()

    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(server.url.replace("geheim", "geraten"))


def test_postgres_orders_and_folds_letters_beyond_ascii(postgres: Start) -> None:
    server = postgres()

    with psycopg.connect(server.url) as connection:
        answer = connection.execute("select lower('ÄÖÜ')").fetchone()

    assert answer == ("äöü",)


def test_a_server_that_ends_while_starting_is_reported_with_its_last_words(folder: Path) -> None:
    server = start_postgres(
        folder / "postgres",
        password="geheim",
        log_path=folder / "postgres.log",
        settings={"shared_buffers": "a lot"},
    )

    with pytest.raises(StartFailed, match='invalid value for parameter "shared_buffers"'):
        server.wait_until_ready()


def test_valkey_keeps_its_keys_over_a_restart(valkey: Start) -> None:
    first = valkey()
    redis.Redis.from_url(first.url).set("fruit", "Äpfel")
    first.stop()

    second = valkey()

    assert redis.Redis.from_url(second.url).get("fruit") == "Äpfel".encode()


def test_valkey_wants_the_password(valkey: Start) -> None:
    server = valkey()

    with pytest.raises(redis.AuthenticationError):
        redis.Redis.from_url(server.url.replace("geheim", "geraten")).ping()


def test_neither_server_shows_its_password_in_the_process_list(postgres: Start, valkey: Start) -> None:
    if sys.platform != "linux":
        pytest.skip("needs Linux: reads /proc")

    commands = [Path(f"/proc/{start().process.pid}/cmdline").read_bytes() for start in (postgres, valkey)]

    assert not any(b"geheim" in command for command in commands)


def test_only_the_owner_may_enter_the_data_folders(postgres: Start, valkey: Start, folder: Path) -> None:
    postgres()
    valkey()

    modes = {name: stat.S_IMODE((folder / name).stat().st_mode) for name in ("postgres", "valkey")}

    assert modes == {"postgres": 0o700, "valkey": 0o700}


def test_a_server_dies_with_the_process_that_started_it(folder: Path) -> None:
    if sys.platform != "linux":
        pytest.skip("needs Linux: the kernel's parent-death signal")
    parent = subprocess.Popen(
        [sys.executable, "-c", START_VALKEY_AND_WAIT, str(folder)], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout
    child = os.pidfd_open(int(parent.stdout.readline()))

    parent.kill()
    parent.communicate()

    ended, _, _ = select.select([child], [], [], 10)
    assert ended == [child]
