"""`python -m tests.mutants [word …]`: try the seeded bugs whose name, path or test holds a word, or all.

Each is put into a copy of the project in a temporary folder, never into the project itself, and its
test is run there. Exits 1 if one survives, if one no longer applies, or if a test fails without any bug.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.mutants.catalogue import ROOT, Mutant, mutants

TEST_SECONDS = 300.0
ALL_TESTS_SECONDS = 1_200.0
PASSED, FAILED = 0, 1


def main(words: list[str]) -> int:
    chosen = [mutant for mutant in mutants() if _is_meant(mutant, words)]
    folder = Path(tempfile.mkdtemp(prefix="farebox-mutants-"))
    try:
        copy = _copied(folder / "project")
        tests = sorted({mutant.test for mutant in chosen})
        print(f"{len(tests)} tests without any bug ...", flush=True)  # noqa: T201
        if (status := _run(copy, *tests, seconds=ALL_TESTS_SECONDS)) != PASSED:
            print(f"They must pass first; pytest ended with {status}.")  # noqa: T201
            return 1
        survivors = [mutant for mutant in chosen if not _is_killed(mutant, copy)]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"{len(chosen) - len(survivors)} of {len(chosen)} killed")  # noqa: T201
    return 1 if survivors or not chosen else 0


def _is_meant(mutant: Mutant, words: list[str]) -> bool:
    text = f"{mutant.name} {mutant.path} {mutant.test}"
    return not words or any(word in text for word in words)


def _is_killed(mutant: Mutant, copy: Path) -> bool:
    began_at = time.monotonic()
    try:
        mutated = mutant.applied(copy)
    except ValueError as problem:
        _say("does not apply", mutant, began_at, str(problem))
        return False
    path = copy / mutant.path
    original = path.read_text(encoding="utf-8")
    path.write_text(mutated, encoding="utf-8")
    try:
        status = _run(copy, mutant.test)
    finally:
        path.write_text(original, encoding="utf-8")
    verdicts = {FAILED: "killed", PASSED: "SURVIVED"}
    _say(verdicts.get(status, f"NOT TRIED ({status})"), mutant, began_at, f"breaks {mutant.promise}")
    return status == FAILED


def _run(copy: Path, *tests: str, seconds: float = TEST_SECONDS) -> int:
    """pytest's exit status; a test that does not end in time has failed."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FAREBOX_")}
    # Two files of one second and one size would look alike to Python's cache.
    environment["PYTHONDONTWRITEBYTECODE"] = "1"
    try:
        run = subprocess.run(
            command,
            cwd=copy,
            env=environment,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return FAILED
    if run.returncode not in (PASSED, FAILED) or (len(tests) > 1 and run.returncode):
        print(run.stdout[-3_000:], run.stderr[-1_000:])  # noqa: T201
    return run.returncode


def _copied(folder: Path) -> Path:
    """The files that git knows or would know, as they are at this moment."""
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listing, cwd=ROOT, capture_output=True, check=True).stdout.decode().split("\0")
    for name in names:
        if name and (ROOT / name).is_file():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target)
    return folder


def _say(verdict: str, mutant: Mutant, began_at: float, remark: str) -> None:
    seconds = time.monotonic() - began_at
    print(f"{verdict:>14}  {mutant.name}  ({remark}; {mutant.test_function}, {seconds:.0f} s)", flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
