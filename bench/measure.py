"""One measurement: a case on a contestant, with what it cost the processes involved."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from bench import processes
from bench.cases import Case, Kind
from bench.contestants import Contestant
from bench.flood import flood
from bench.load import Load, LoadFailed, to_json
from bench.stage import ROOT, Stage

GRACE_SECONDS = 60.0
# Some take seconds for their first answer, since they load what it needs only then.
WARM_UP_SECONDS, WARM_UP_TRIES = 1.0, 15
IDLE_STEP_SECONDS, IDLE_SHARE, IDLE_TIMEOUT_SECONDS = 0.25, 0.1, 30.0


def measure(
    case: Case, contestant: Contestant, stage: Stage, *, seconds: float, round_index: int
) -> dict[str, float]:
    """The figures of one measurement. Raises LoadFailed, BenchFailed."""
    start_seconds = 0.0
    if case.kind is Kind.OPEN:
        # What a process has freed it uses again, so growth only shows in a fresh one.
        contestant.server.stop()
        start_seconds = contestant.server.start()
        warm_up(contestant, stage.folder)
    load = contestant.load(case, seconds=seconds, round_index=round_index)
    before = _meters(contestant, stage)
    began_at = time.monotonic()
    figures = make_load(load, stage.folder)
    elapsed_seconds = time.monotonic() - began_at
    after = _meters(contestant, stage)
    used = {name: (after[name] - before[name]) / elapsed_seconds for name in after}
    if start_seconds:
        figures["start_seconds"] = start_seconds
    figures["rss_bytes"] = processes.rss_bytes(contestant.server.pid)
    figures |= used
    if figures["requests"] and case.kind is not Kind.OPEN:
        figures["cpu_us"] = (after["busy"] - before["busy"]) / figures["requests"] * 1e6
    return figures


def warm_up(contestant: Contestant, folder: Path) -> None:
    """Let it compile, load its policy and open its connections: a few requests of both kinds."""
    for model in ("echo", "fifty-two"):
        case = Case(name="warm-up", title="warm-up", kind=Kind.FLOOD, clients=8, model=model)
        load = contestant.load(case, seconds=WARM_UP_SECONDS, round_index=0)
        for left in reversed(range(WARM_UP_TRIES)):
            try:
                make_load(load, folder)
                break
            except LoadFailed:
                if not left:
                    raise


def wait_until_idle(contestant: Contestant) -> None:
    """Let it finish what the last case has left it, such as thousands of streams whose clients are gone."""
    deadline = time.monotonic() + IDLE_TIMEOUT_SECONDS
    busy_share = 1.0
    while busy_share > IDLE_SHARE and time.monotonic() < deadline:
        before = processes.cpu_seconds(contestant.server.pid)
        time.sleep(IDLE_STEP_SECONDS)
        busy_share = (processes.cpu_seconds(contestant.server.pid) - before) / IDLE_STEP_SECONDS


def make_load(load: Load, folder: Path) -> dict[str, float]:
    """Send it, by the program that its kind wants. Raises LoadFailed."""
    if load.kind == Kind.FLOOD:
        return flood(load, folder)
    try:
        run = subprocess.run(
            [sys.executable, "-m", "bench.streams"],
            cwd=ROOT,
            input=to_json(load),
            capture_output=True,
            text=True,
            timeout=load.seconds + 4 * load.answer_seconds + GRACE_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as late:
        raise LoadFailed("the clients did not end in time") from late
    if run.returncode != 0:
        raise LoadFailed(f"the clients failed: {run.stderr.strip()[-500:]}")
    figures: dict[str, float] = json.loads(run.stdout)
    return figures


def _meters(contestant: Contestant, stage: Stage) -> dict[str, float]:
    """Processor seconds so far, by who used them."""
    loads = os.times()
    is_ours = contestant.server is stage.gateway
    return {
        "busy": processes.cpu_seconds(contestant.server.pid),
        "backstage_busy": sum(map(processes.cpu_seconds, stage.backstage_pids)) if is_ours else 0.0,
        "upstream_busy": processes.cpu_seconds(stage.upstream.pid),
        "load_busy": loads.children_user + loads.children_system,
    }
