"""The simulated provider as a real process on a free loopback port, one for the whole test run.

Needs neither a database nor Redis. What it can do is in docs/simulator.md.
"""

from __future__ import annotations

import atexit
import socket
import subprocess
import sys
from functools import cache
from pathlib import Path
from urllib.request import urlopen

ROOT = Path(__file__).resolve().parent.parent
START_TIMEOUT_SECONDS = 30
STOP_TIMEOUT_SECONDS = 10


@cache
def start_simulator() -> str:
    """The root URL of the running simulator, without a slash at its end. It stops when the tests have ended.

    All tests share it: tell your calls apart by key or by `x-farebox-request-id`.
    """
    listener = socket.create_server(("127.0.0.1", 0))
    command = [sys.executable, "-m", "uvicorn", "gateway.simulator.app:application"]
    options = ["--log-level", "warning", "--no-access-log", "--timeout-graceful-shutdown", "1"]
    process = subprocess.Popen(
        [*command, "--fd", str(listener.fileno()), *options], cwd=ROOT, pass_fds=[listener.fileno()]
    )
    atexit.register(_stop, process)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    listener.close()
    with urlopen(f"{url}/healthz", timeout=START_TIMEOUT_SECONDS):
        return url


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
