"""The environment that make prepares: made once, renewed when a lock file changes, never in between."""

import subprocess
import sys
from pathlib import Path

import pytest

BOOTSTRAP = Path(__file__).resolve().parents[2] / "config" / "bootstrap.py"
NOTHING = "# a lock file that lists no library\n"


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout with an environment that provides both lock files."""
    folder = tmp_path_factory.mktemp("checkout") / "Mautstelle für alle"
    folder.mkdir()
    for name in ("requirements.lock", "requirements-dev.lock"):
        (folder / name).write_text(NOTHING)
    bootstrap(folder, "requirements-dev.lock")
    return folder


def bootstrap(folder: Path, lock: str) -> str:
    """What preparing the environment for `lock` says; empty when there was nothing to do."""
    command = [sys.executable, "-I", str(BOOTSTRAP), lock]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stderr


def test_the_environment_has_a_python_that_starts(checkout: Path) -> None:
    answer = subprocess.run([checkout / ".venv/bin/python", "-m", "pip", "--version"], capture_output=True)

    assert answer.returncode == 0


def test_an_environment_for_the_tests_also_serves_to_run(checkout: Path) -> None:
    assert bootstrap(checkout, "requirements-dev.lock") == ""
    assert bootstrap(checkout, "requirements.lock") == ""


def test_a_changed_lock_file_is_installed_once(checkout: Path) -> None:
    (checkout / "requirements.lock").write_text(NOTHING * 2)

    said = [bootstrap(checkout, "requirements.lock") for _ in range(2)]

    assert said[0].startswith("Installing the libraries of requirements.lock")
    assert said[1] == ""


def test_an_environment_without_its_python_is_made_again(checkout: Path) -> None:
    (checkout / ".venv/bin/python").unlink()

    said = bootstrap(checkout, "requirements.lock")

    assert said.startswith("Creating .venv with ")
    assert bootstrap(checkout, "requirements.lock") == ""


def test_a_library_that_cannot_be_installed_is_reported_in_one_line(checkout: Path) -> None:
    (checkout / "broken.lock").write_text("not a requirement !\n")

    command = [sys.executable, "-I", str(BOOTSTRAP), "broken.lock"]
    answer = subprocess.run(command, cwd=checkout, capture_output=True, text=True)

    assert answer.returncode == 1
    assert answer.stderr.splitlines()[-1] == "farebox: could not install broken.lock: pip says why above."
