"""The simulated provider as a real process on a free loopback port, one for the whole test run.

Needs neither a database nor Redis. What it can do is in docs/simulator.md.
"""

from __future__ import annotations

import atexit
import subprocess
import sys
import time
from functools import cache
from pathlib import Path
from urllib.request import urlopen

from config.ports import free_port

ROOT = Path(__file__).resolve().parent.parent
START_TIMEOUT_SECONDS = 30
STOP_TIMEOUT_SECONDS = 10


@cache
def start_simulator() -> str:
    """The root URL of the running simulator, without a slash at its end. It stops when the tests have ended.

    All tests share it: tell your calls apart by key or by `x-farebox-request-id`.
    """
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "gateway.simulator.app:application"]
    options = ["--log-level", "warning", "--no-access-log", "--timeout-graceful-shutdown", "1"]
    process = subprocess.Popen([*command, "--port", str(port), *options], cwd=ROOT)
    atexit.register(_stop, process)
    url = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while not is_answering(url):
        assert process.poll() is None, "the simulator ended at its start"
        assert time.monotonic() < deadline, "the simulator does not answer"
        time.sleep(0.05)
    return url


def is_answering(url: str) -> bool:
    """Whether the simulator serves at this address."""
    try:
        with urlopen(f"{url}/healthz", timeout=1):
            return True
    except OSError:
        return False


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
