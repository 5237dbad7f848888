"""manage.py seeddemo: the demo of the embedded default, and the file that says how to use it.

Called by `make run` on each start. The rows are in `gateway.demo`.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from gateway.demo import connect_simulator, seed_demo

MODES = ("embedded", "test")
FILE_NAME = "demo.env"


class Command(BaseCommand):
    help = "Seed the demo organization, and write its login and key to demo.env in FAREBOX_VAR_DIR."

    def handle(self, *_: Any, **__: Any) -> None:
        if settings.FAREBOX_CONSOLE.mode not in MODES:
            raise CommandError("seeddemo is for one machine alone: it runs with FAREBOX_MODE=embedded only.")
        if settings.FAREBOX_SIMULATOR_URL:
            connect_simulator(settings.FAREBOX_SIMULATOR_URL)
        path = Path(settings.BASE_DIR, os.environ.get("FAREBOX_VAR_DIR", "var"), FILE_NAME)
        known = _read(path)
        demo = seed_demo(known)
        if demo.variables != known:
            _write(path, demo.variables)
        for step in demo.done:
            self.stdout.write(f"seeddemo: {step}")


def _read(path: Path) -> dict[str, str]:
    if not path.exists():
        return {}
    pairs = (line.partition("=") for line in path.read_text(encoding="utf-8").splitlines() if line.strip())
    return {name.strip(): value.strip() for name, _, value in pairs}


def _write(path: Path, variables: Mapping[str, str]) -> None:
    # Renamed when complete: the supervisor never reads a part of it.
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.unfinished")
    unfinished.unlink(missing_ok=True)
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:
        file.writelines(f"{name}={value}\n" for name, value in variables.items())
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)
