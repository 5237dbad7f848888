"""The virtual environment of this checkout: made, and kept equal to a lock file. Nothing else.

`make` runs this with whatever `python3` there is, before anything is installed: only the standard
library, and a syntax that an old Python can still parse, to be able to say that it is too old.
"""

import filecmp
import shutil
import subprocess
import sys
from pathlib import Path

MINIMUM = (3, 11)
NEWEST_MINOR = 15
ENVIRONMENT = Path(".venv")
PROGRAM = ENVIRONMENT / "bin" / "python"
# What installing a lock file also provides: the second was resolved as a part of the first.
COVERS = {"requirements-dev.lock": ["requirements.lock"]}

CHECK_VERSION = f"import sys; sys.exit(sys.version_info < {MINIMUM})"
CHECK_VENV = "import venv, ensurepip"
PRINT_VERSION = "import sys; print('%d.%d' % sys.version_info[:2])"


class Problem(SystemExit):
    """What stands in the way: ends this program with one line."""

    def __init__(self, line: str) -> None:
        super().__init__(f"farebox: {line}")


def main() -> None:
    """Make .venv provide the lock file named by the first argument, or exit with one line."""
    lock = Path(sys.argv[1])
    if not _succeeds(PROGRAM, CHECK_VERSION):
        _create()
    elif _is_installed(lock):
        return
    _say(f"Installing the libraries of {lock}; the first time this takes a minute.")
    if not _succeeds(PROGRAM, "import pip"):
        _call(PROGRAM, "-m", "ensurepip", problem="could not install pip into .venv.")
    pip = [PROGRAM, "-m", "pip", "install", "-qq", "--disable-pip-version-check", "--no-input"]
    _call(*pip, "--require-hashes", "-r", lock, problem=f"could not install {lock}: pip says why above.")
    for name in [lock.name, *COVERS.get(lock.name, [])]:
        shutil.copyfile(name, str(_stamp(name)))


def _create() -> None:
    python = _new_enough_python()
    if not _succeeds(python, CHECK_VENV):
        version = subprocess.check_output([str(python), "-c", PRINT_VERSION]).decode().strip()
        raise Problem(f"Python's venv module is missing. Install it: apt-get install python{version}-venv")
    _say(f"Creating .venv with {python}.")
    _call(python, "-m", "venv", "--clear", ENVIRONMENT, problem="could not create .venv.")


def _new_enough_python() -> Path:
    """The Python that runs this or, when it is too old, the newest on the PATH."""
    names = [f"python3.{minor}" for minor in range(NEWEST_MINOR, MINIMUM[1] - 1, -1)]
    for found in [sys.executable, *map(shutil.which, names)]:
        if found and _succeeds(Path(found), CHECK_VERSION):
            return Path(found)
    raise Problem(
        "Python {}.{} or newer is needed and {} is {}.{}. Install one: "
        "apt-get install python3.11 python3.11-venv".format(*MINIMUM, sys.executable, *sys.version_info[:2])
    )


def _is_installed(lock: Path) -> bool:
    stamp = _stamp(lock.name)
    return stamp.exists() and filecmp.cmp(str(lock), str(stamp), shallow=False)


def _stamp(name: str) -> Path:
    """Where a copy of the lock file is kept as it was when it was last installed."""
    return ENVIRONMENT / f"installed-{name}"


def _succeeds(python: Path, code: str) -> bool:
    try:
        return subprocess.call([str(python), "-c", code], stderr=subprocess.DEVNULL) == 0
    except OSError:
        return False


def _call(*command: object, problem: str) -> None:
    if subprocess.call([str(word) for word in command]) != 0:
        raise Problem(problem)


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")


if __name__ == "__main__":
    main()
