"""A pytest plugin, loaded before Django is set up: one PostgreSQL and one Valkey for the session.

Both come from config.embedded, on free ports, in a folder that is removed at the end. With
FAREBOX_TEST_DATABASE_URL or FAREBOX_TEST_REDIS_URL set, that server is used instead. Fixtures that
use the servers are in conftest.py.
"""

import os
import shutil
import tempfile
from collections.abc import Generator
from pathlib import Path

import pytest

from config.binaries import MissingProgram
from config.embedded import RunningServer, StartFailed, start_postgres, start_valkey

ENVIRONMENT = {
    "FAREBOX_MODE": "test",
    "FAREBOX_SECRET_KEY": "the-tests-secret-key-that-protects-nothing-at-all-whatever",
    "FAREBOX_KEY_PEPPER": "the-tests-pepper-that-protects-nothing-at-all",
    "FAREBOX_MASTER_KEY": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
    "FAREBOX_ALLOWED_UPSTREAM_NETWORKS": "127.0.0.0/8",
    # All tests come from one address; the guard's own test lowers it again.
    "FAREBOX_UNKNOWN_KEYS_PER_ADDRESS": "100000",
}
# Nobody reads these tests' data after a power cut.
_CARELESS = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
_PASSWORD = "test"
_NOWHERE = {"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nowhere", "REDIS_URL": "redis://127.0.0.1:1/0"}


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests(
    early_config: pytest.Config, args: list[str]
) -> Generator[None, object, object]:
    options = early_config.known_args_namespace
    folder = Path(tempfile.mkdtemp(prefix="farebox-tests-"))
    os.environ.update(ENVIRONMENT, FAREBOX_VAR_DIR=str(folder))
    early_config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
    if getattr(options, "collectonly", False) or _needs_no_server(options.file_or_dir):
        os.environ.update(_NOWHERE)
    else:
        try:
            os.environ.update(_start_servers(early_config, folder))
        except (MissingProgram, StartFailed) as problem:
            raise pytest.UsageError(str(problem)) from None
    return (yield)


def _needs_no_server(paths: list[str]) -> bool:
    return bool(paths) and all(Path(path).parts[:2] == ("tests", "architecture") for path in paths)


def _start_servers(config: pytest.Config, folder: Path) -> dict[str, str]:
    given = {
        name: os.environ[f"FAREBOX_TEST_{name}"]
        for name in ("DATABASE_URL", "REDIS_URL")
        if f"FAREBOX_TEST_{name}" in os.environ
    }
    started: dict[str, RunningServer] = {}
    if "DATABASE_URL" not in given:
        log_path = folder / "log" / "postgres.log"
        started["DATABASE_URL"] = start_postgres(
            folder / "postgres", password=_PASSWORD, log_path=log_path, settings=_CARELESS
        )
        config.add_cleanup(started["DATABASE_URL"].stop)
    if "REDIS_URL" not in given:
        log_path = folder / "log" / "valkey.log"
        started["REDIS_URL"] = start_valkey(folder / "valkey", password=_PASSWORD, log_path=log_path)
        config.add_cleanup(started["REDIS_URL"].stop)
    for server in started.values():
        server.wait_until_ready()
    return given | {name: server.url for name, server in started.items()}
