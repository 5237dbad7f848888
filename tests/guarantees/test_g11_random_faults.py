"""G11: nothing lost, nothing twice, whatever is killed or paused: gateways, worker, Redis, PostgreSQL.

The same command as the long proof (docs/proofs.md), with fewer requests and every kind of fault once.
"""

import os
import subprocess
import sys

import pytest

from tests.architecture.source import ROOT

pytestmark = pytest.mark.guarantee

SEED = "3"


def test_all_books_agree_after_1000_requests_under_every_kind_of_fault() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "tests.prove", "--requests", "1000", "--seed", SEED],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if not name.startswith("FAREBOX_")},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )

    assert "**The books agree.**" in run.stdout, run.stdout + run.stderr[-4_000:]
    assert run.returncode == 0
    for fault in ("kill gateway", "kill worker", "kill redis", "kill postgres", "pause redis"):
        assert fault in run.stdout
