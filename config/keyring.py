"""The secrets of the embedded default: drawn once, kept in one file that only its owner may read.

In production an operator sets them (docs/settings.md) and this module is not used.
"""

import base64
import os
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path

_DRAW: Mapping[str, Callable[[], str]] = {
    "FAREBOX_SECRET_KEY": lambda: secrets.token_urlsafe(48),
    "FAREBOX_KEY_PEPPER": lambda: secrets.token_urlsafe(32),
    "FAREBOX_MASTER_KEY": lambda: base64.b64encode(secrets.token_bytes(32)).decode(),
    "POSTGRES_PASSWORD": lambda: secrets.token_hex(24),
    "VALKEY_PASSWORD": lambda: secrets.token_hex(24),
}


def load_or_draw(path: Path) -> dict[str, str]:
    """The secrets in `path` by name; those that are missing are drawn and added to it."""
    known = read_variables(path) if path.exists() else {}
    missing = {name: draw() for name, draw in _DRAW.items() if name not in known}
    if missing:
        _write_variables(path, known | missing)
    return known | missing


def read_variables(path: Path) -> dict[str, str]:
    """The NAME=value lines of a file; blank lines and comments are passed over."""
    lines = (line.strip() for line in path.read_text(encoding="utf-8").splitlines())
    pairs = (line.partition("=") for line in lines if line and not line.startswith("#"))
    return {name.strip(): value.strip() for name, _, value in pairs}


def _write_variables(path: Path, variables: Mapping[str, str]) -> None:
    # Renamed when complete: a crash leaves the old secrets or the new, never a part of them.
    unfinished = path.with_name(path.name + ".unfinished")
    unfinished.unlink(missing_ok=True)
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:
        file.writelines(f"{name}={value}\n" for name, value in variables.items())
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)
