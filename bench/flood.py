"""Floods: as many requests as a contestant can take from N clients, made by `wrk`, which is not Python."""

import json
import os
import shutil
import subprocess
from pathlib import Path

from bench.load import Load, LoadFailed

SCRIPT = Path(__file__).with_name("flood.lua")
ANSWER_TIMEOUT_SECONDS = 30
GRACE_SECONDS = 30
MISSING = "wrk is missing; it makes the load. Install it: apt-get install wrk"


def is_installed() -> bool:
    return shutil.which("wrk") is not None


def flood(load: Load, folder: Path) -> dict[str, float]:
    """Run wrk for `load.seconds` and give its figures. Raises LoadFailed."""
    body, headers = folder / "flood.body", folder / "flood.headers"
    body.write_bytes(load.body)
    headers.write_text("".join(f"{name}: {value}\n" for name, value in load.headers.items()))
    pressure = ["-t1", f"-c{load.clients}", f"-d{load.seconds:g}s", f"--timeout={ANSWER_TIMEOUT_SECONDS}s"]
    try:
        run = subprocess.run(
            ["wrk", *pressure, "-s", str(SCRIPT), f"http://127.0.0.1:{load.port}{load.path}"],
            env={**os.environ, "BENCH_BODY": str(body), "BENCH_HEADERS": str(headers)},
            capture_output=True,
            text=True,
            timeout=load.seconds + GRACE_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as late:
        raise LoadFailed(f"wrk did not end {GRACE_SECONDS} seconds after its time") from late
    return parse_report(run.stdout, run.stderr)


def parse_report(output: str, complaints: str = "") -> dict[str, float]:
    """Our line in wrk's report as figures; an answer that is not 2xx or 3xx is an error.

    Raises LoadFailed when the line is not there, or not one answer came.
    """
    lines = [line for line in output.splitlines() if line.startswith("{")]
    if not lines:
        raise LoadFailed(f"wrk gave no figures: {(complaints or output).strip()[-300:]}")
    told = json.loads(lines[-1])
    if told["answers"] == 0:
        raise LoadFailed("not one answer came")
    completed, seconds = told["answers"] - told["refused"], told["duration_us"] / 1e6
    figures = {
        "requests": completed,
        "seconds": seconds,
        "per_second": completed / seconds,
        "refused": told["refused"],
        "errors": told["refused"] + told["broken"] + told["late"],
    }
    if completed:
        figures |= {f"total_{name}_ms": told[f"{name}_us"] / 1000 for name in ("p50", "p95", "p99")}
    return figures
