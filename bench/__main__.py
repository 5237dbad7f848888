"""`python -m bench`, which is `make bench`: set the stage, run, write the report, leave nothing running."""

import os
import platform
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from bench import contestants, flood, peers
from bench.books import read_books
from bench.cases import chosen
from bench.contestants import Contestant
from bench.load import LoadFailed
from bench.options import Options, read_options
from bench.plot import render_plot
from bench.report import render
from bench.results import Entrant, Results, to_json
from bench.run import run_all
from bench.servers import BenchFailed
from bench.stage import GATEWAY_SETTINGS, ROOT, Ports, Stage, set_stage
from config.binaries import MissingProgram
from config.embedded import StartFailed
from config.layout import Refused
from config.ports import is_port_free

VAR = ROOT / "var" / "bench"
REPORT, PLOT, PROFILE = "report.md", "plot.svg", "profile.md"
PUBLISHED_REPORT, PUBLISHED_PLOT = "benchmarks-run.md", "benchmarks-run.svg"


def main() -> None:
    options = read_options(sys.argv[1:])
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    try:
        _run(options)
    except KeyboardInterrupt:
        raise SystemExit("bench: stopped; nothing is left running.") from None
    except (BenchFailed, LoadFailed, MissingProgram, Refused, StartFailed, ValueError) as problem:
        raise SystemExit(f"bench: {problem}") from None


def _run(options: Options) -> None:
    cases = chosen(options.cases, is_quick=options.is_quick)
    ports = Ports(options.base_port)
    _check_machine(ports)
    VAR.mkdir(parents=True, exist_ok=True)
    installed, absent = peers.install(options.only, VAR / "peers", say=_say)
    _say("Setting the stage.")
    profile = VAR / PROFILE if options.is_profiled else None
    has_farebox = "farebox" in options.only
    with set_stage(VAR, ports, rounds=options.rounds, has_farebox=has_farebox, profile=profile) as stage:
        started: list[Contestant] = []
        try:
            started += _own(options, stage)
            for peer in installed:
                try:
                    started.append(peer.start(stage))
                except BenchFailed as problem:
                    absent[peer.name] = str(problem).splitlines()[0]
                    _say(f"{peer.name} is left out: {problem}")
            tally = run_all(stage, started, cases, options, say=_say)
            _say("Reading the books.")
            books = read_books(stage, overshoot_nano=tally.overshoot_nano) if stage.gateway else None
        finally:
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN)
            for contestant in started:
                contestant.server.stop()
    _write(
        Results(
            machine=_machine(),
            rounds=options.rounds,
            seconds=options.seconds,
            cases=cases,
            entrants=[Entrant(one.name, one.title, one.version) for one in started],
            measurements=tally.measurements,
            absent=absent,
            notes=tally.notes,
            books=books,
        ),
        is_published=options.is_published,
    )


def _check_machine(ports: Ports) -> None:
    """Refuse before anything is started; raise the number of open files as far as we may."""
    if not flood.is_installed():
        raise BenchFailed(flood.MISSING)
    taken = [port for port in ports.all() if not is_port_free(port)]
    if taken:
        raise BenchFailed(
            f"something else listens on {', '.join(map(str, taken))}: stop it, or choose other ports: "
            f'make bench ARGS="--base-port {ports.base + 1000}"'
        )
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _own(options: Options, stage: Stage) -> Sequence[Contestant]:
    makers = {"direct": contestants.direct, "farebox": contestants.farebox}
    return [make(stage) for name, make in makers.items() if name in options.only]


def _machine() -> Mapping[str, str]:
    memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    changed = ", ".join(f"`{name}={value}`" for name, value in GATEWAY_SETTINGS.items())
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "machine": f"{os.cpu_count()} cores, {memory_bytes / 2**30:.0f} GiB, {platform.system()}, "
        "load and upstream included",
        "Python": f"{platform.python_version()}, {platform.python_compiler()}, "
        f"built {platform.python_build()[1]}",
        "Farebox": commit.stdout.strip() or "unknown",
        "settings beside the defaults": changed,
    }


def _write(results: Results, *, is_published: bool) -> None:
    (VAR / "report.json").write_text(to_json(results), encoding="utf-8")
    (VAR / REPORT).write_text(render(results, plot=PLOT), encoding="utf-8")
    (VAR / PLOT).write_text(render_plot(results), encoding="utf-8")
    _say(f"Written: {_shown(VAR / REPORT)}, report.json and {PLOT} beside it.")
    if is_published:
        docs = ROOT / "docs"
        (docs / PUBLISHED_REPORT).write_text(render(results, plot=PUBLISHED_PLOT), encoding="utf-8")
        shutil.copyfile(VAR / PLOT, docs / PUBLISHED_PLOT)
        _say(f"Published: docs/{PUBLISHED_REPORT}")


def _shown(path: Path) -> str:
    return str(path.relative_to(ROOT))


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    main()
