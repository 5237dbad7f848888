"""Directions: who may import whom, what stays pure, and what the data plane never loads."""

import os
import subprocess
import sys

import pytest

from tests.architecture.source import ROOT, modules

PURE = (
    "accounts/keys.py",
    "accounts/vault.py",
    "accounts/rules.py",
    "billing/money.py",
    "billing/pricing.py",
    "billing/usage.py",
    "gateway/meter.py",
    "gateway/policy.py",
    "gateway/providers/",
    "gateway/routing/",
    "gateway/sse.py",
    "gateway/wire/",
)
IMPURE_IMPORTS = {
    "aiohttp", "asyncio", "celery", "channels", "django", "httpx", "psycopg", "redis", "requests",
    "rest_framework", "socket", "sqlite3", "subprocess", "threading", "urllib.request", "uvicorn",
}  # fmt: skip
# Loading any of these costs memory and start-up time in each of many gateway processes.
NOT_IN_THE_DATA_PLANE = (
    "allauth",
    "celery",
    "django.contrib.admin",
    "django.template.loader",
    "kombu",
    "rest_framework",
    "unfold",
)


def pure_modules():
    return [module for module in modules() if module.path.startswith(PURE)]


def test_imports_point_right():
    run = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command as lint; lint()"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert run.returncode == 0, run.stdout


@pytest.mark.parametrize("path", PURE)
def test_each_pure_place_exists(path):
    assert (ROOT / path).exists()


def test_pure_modules_neither_wait_nor_touch_the_world():
    impure = {
        module.path: sorted(name for name in module.imported() if is_impure(name))
        for module in pure_modules()
    }

    assert {path: names for path, names in impure.items() if names} == {}
    assert [module.path for module in pure_modules() if module.has_async()] == []


def is_impure(name):
    parts = name.split(".")
    return any(".".join(parts[: end + 1]) in IMPURE_IMPORTS for end in range(len(parts)))


def test_the_data_plane_loads_neither_pages_nor_worker():
    question = (
        "import sys, config.asgi_gateway;"
        f"print([name for name in {NOT_IN_THE_DATA_PLANE!r} if name in sys.modules])"
    )

    run = subprocess.run(
        [sys.executable, "-c", question],
        cwd=ROOT,
        env={**os.environ, "FAREBOX_MODE": "test"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (run.stdout, run.stderr) == ("[]\n", "")
