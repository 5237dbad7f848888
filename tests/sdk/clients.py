"""The clients: each a script that holds the same conversation over every mount and tells what it read.

Their libraries are heavy and pin others, so they live in environments of their own, which are made
on first use and follow their lock files, as `.venv` does.
"""

import filecmp
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.house import ROOT
from tests.sdk.scripts import script

SCRIPTS = ROOT / "tests" / "sdk" / "scripts"
NODE = ROOT / "tests" / "sdk" / "node"
LOCK = ROOT / "tests" / "sdk" / "requirements.lock"
ENVIRONMENT = ROOT / ".venv-sdk"
INSTALL_SECONDS = 600
TALK_SECONDS = 300

Told = dict[str, dict[str, Any]]
"""By mount and step."""


def start(name: str, folder: Path) -> subprocess.Popen[bytes]:
    """The client's process, waiting to be told where to talk."""
    environment = {**os.environ, "LLM_USER_PATH": str(folder), "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    return subprocess.Popen(
        commands()[name],
        cwd=folder,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=(folder / f"{name}.log").open("wb"),
    )


def commands() -> dict[str, list[str]]:
    """How each client is called."""
    other = str(ENVIRONMENT / "bin" / "python")
    return {
        "openai for Python": [sys.executable, str(SCRIPTS / "openai_python.py")],
        "openai for Node": [_program("node"), str(NODE / "conversation.mjs")],
        "LangChain": [other, str(SCRIPTS / "langchain_openai_client.py")],
        "LiteLLM": [other, str(SCRIPTS / "litellm_client.py")],
        "llm": [other, str(SCRIPTS / "llm_cli.py")],
    }


def talk(process: subprocess.Popen[bytes], url: str, mounts: tuple[str, ...], keys: dict[str, str]) -> Told:
    """What the client told of its conversations; fails if it ended in another way than by telling."""
    given = {
        "mounts": {mount: f"{url}{mount}" for mount in mounts},
        "keys": keys,
        # For the client that cannot import them.
        "failures": script.FAILURES,
        "weather": script.WEATHER,
        "look": script.LOOK,
        "brokenStream": script.BROKEN_STREAM,
    }
    output, _ = process.communicate(json.dumps(given).encode(), TALK_SECONDS)
    assert process.returncode == 0, f"{process.args} ended with {process.returncode}"
    told: Told = json.loads(output)
    return told


def install() -> None:
    """Make both environments equal to their lock files. Nothing happens when they are."""
    if not _is_equal(LOCK, ENVIRONMENT / LOCK.name):
        _call(sys.executable, "-m", "venv", "--clear", "--without-pip", ENVIRONMENT)
        pip = [sys.executable, "-m", "pip", "--python", ENVIRONMENT / "bin" / "python", "install"]
        options = ["-qq", "--no-compile", "--no-input", "--disable-pip-version-check", "--require-hashes"]
        _call(*pip, *options, "-r", LOCK)
        shutil.copyfile(LOCK, ENVIRONMENT / LOCK.name)
    lock, stamp = NODE / "package-lock.json", NODE / "node_modules" / "installed-package-lock.json"
    if not _is_equal(lock, stamp):
        _call(_program("npm"), "ci", "--no-audit", "--no-fund", "--prefix", NODE)
        shutil.copyfile(lock, stamp)


def _is_equal(lock: Path, stamp: Path) -> bool:
    return stamp.exists() and filecmp.cmp(lock, stamp, shallow=False)


def _program(name: str) -> str:
    path = shutil.which(name)
    assert path, f"{name} is missing. Install it: apt-get install nodejs npm"
    return path


def _call(*command: object) -> None:
    subprocess.run([str(word) for word in command], check=True, timeout=INSTALL_SECONDS, cwd=NODE)
