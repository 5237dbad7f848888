"""The gateway under several ASGI servers: what each costs, and what it does when things go wrong.

`python -m bench.asgi_servers [ROUNDS]` prints a table. The others are installed into var/bench/servers.
What the gateway is run with is in bench/stage.py; why is in docs/benchmarks.md.
"""

import hashlib
import json
import resource
import signal
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path

from bench import processes
from bench.books import wait_until_settled
from bench.cases import all_cases
from bench.contestants import Contestant, farebox
from bench.measure import measure, wait_until_idle, warm_up
from bench.servers import Server
from bench.stage import ROOT, Ports, Stage, set_stage

VAR = ROOT / "var" / "bench"
VERSIONS = ("granian==2.8.9", "hypercorn==0.18.0")
BASE_PORT = 18_200
SECONDS = 3.0
CASES = ("plain-32", "stream-32")
SLOW_SECONDS, WAIT_SECONDS = 3.0, 20.0
LONG_STREAM = "Hello [[tokens 150]] [[pace 20]]"
FLOOD_STREAM = "Hello [[tokens 200000]]"
HEADER_BYTES, HEADER_COUNT = 100_000, 2_000


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    python = _install(VAR / "servers")
    with set_stage(VAR, Ports(BASE_PORT), rounds=1, has_farebox=True) as stage, ExitStack() as stack:
        contestants = [farebox(stage), *_others(stage, stack, python)]
        for contestant in contestants:
            warm_up(contestant, stage.folder)
        rows = _costs(stage, contestants, rounds)
        for contestant in contestants:
            rows[contestant.name] |= _behaviour(stage, contestant)
    names = list(next(iter(rows.values())))
    print(f"| | {' | '.join(rows)} |\n|---|{'---|' * len(rows)}")
    for name in names:
        print(f"| {name} | {' | '.join(row[name] for row in rows.values())} |")


def _install(folder: Path) -> Path:
    """The others beside the gateway's own lock file; anew when either has changed."""
    python, lock = folder / "venv" / "bin" / "python", ROOT / "requirements.lock"
    installed = folder / "installed"
    wanted = hashlib.sha256(lock.read_bytes() + " ".join(VERSIONS).encode()).hexdigest()
    if not installed.exists() or installed.read_text() != wanted:
        uv = [sys.executable, "-m", "uv", "--quiet"]
        subprocess.run([*uv, "venv", "--clear", "--python", sys.executable, str(folder / "venv")], check=True)
        subprocess.run([*uv, "pip", "install", "--python", str(python), "-r", str(lock)], check=True)
        subprocess.run([*uv, "pip", "install", "--python", str(python), *VERSIONS], check=True)
        installed.write_text(wanted)
    return python


def _others(stage: Stage, stack: ExitStack, python: Path) -> Sequence[Contestant]:
    assert stage.gateway is not None
    application, port = "config.asgi_gateway:application", stage.ports.base + 5
    own = list(stage.gateway.command)
    plain = own.index("--http")
    at = ["--host", "127.0.0.1", "--port"]
    granian = [str(python.with_name("granian")), "--interface", "asgi", "--workers", "1", "--no-access-log"]
    hypercorn = [str(python.with_name("hypercorn")), "--worker-class", "uvloop", "--graceful-timeout", "10"]
    commands = {
        "uvicorn as it comes": [*own[:plain], *own[plain + 2 :]],
        "granian": [*granian, "--workers-kill-timeout", "10", *at, "PORT", application],
        "hypercorn": [*hypercorn, "--bind", "127.0.0.1:PORT", application],
    }
    others = []
    for number, (name, command) in enumerate(commands.items()):
        number += port
        told = [str(number) if word == str(stage.ports.farebox) else word for word in command]
        told = [word.replace("PORT", str(number)) for word in told]
        folder = name.split()[-1]
        environment = {**stage.environment, "FAREBOX_SPOOL_DIR": str(stage.folder / f"spool-{folder}")}
        server = replace(
            stage.gateway,
            name=name,
            command=told,
            port=number,
            log_path=stage.log_path(folder),
            environment=environment,
            process=None,
        )
        server.start()
        stack.callback(server.stop)
        others.append(replace(farebox(stage), name=name, server=server))
    return others


def _costs(stage: Stage, contestants: Sequence[Contestant], rounds: int) -> dict[str, dict[str, str]]:
    cases = {case.name: case for case in all_cases(is_quick=False)}
    figures: dict[tuple[str, str], list[dict[str, float]]] = {}
    for turn in range(rounds):
        for case in CASES:
            for contestant in contestants[turn % len(contestants) :] + contestants[: turn % len(contestants)]:
                found = measure(cases[case], contestant, stage, seconds=SECONDS, round_index=0)
                wait_until_idle(contestant)
                wait_until_settled(stage)
                figures.setdefault((contestant.name, case), []).append(found)
    return {one.name: _medians({case: figures[one.name, case] for case in CASES}) for one in contestants}


def _medians(figures: dict[str, list[dict[str, float]]]) -> dict[str, str]:
    row = {}
    for case, found in figures.items():
        for name, title in (("per_second", "a second"), ("cpu_us", "µs of CPU each")):
            row[f"{case}: {title}"] = f"{statistics.median(one[name] for one in found):,.0f}"
    row["memory after it, MB"] = f"{figures[CASES[-1]][-1]['rss_bytes'] / 1e6:.0f}"
    return row


def _behaviour(stage: Stage, contestant: Contestant) -> dict[str, str]:
    # The drain comes last: it ends the server.
    probes: dict[str, Callable[[Stage, Contestant], str]] = {
        "a client leaves midway: its provider is left after": _leaving,
        f"a client that reads nothing for {SLOW_SECONDS:g} s: memory grows by": _slow,
        f"one header of {HEADER_BYTES:,} bytes": lambda _, one: _status(one, {"x-long": "a" * HEADER_BYTES}),
        f"{HEADER_COUNT:,} headers": lambda _, one: _status(
            one, {f"x-h{number}": "a" for number in range(HEADER_COUNT)}
        ),
        "SIGTERM midway through a stream of 3 s": _drain,
    }
    return {name: probe(stage, contestant) for name, probe in probes.items()}


def _leaving(stage: Stage, contestant: Contestant) -> str:
    before = _cancelled(stage, contestant)
    connection = _ask(contestant, LONG_STREAM)
    connection.recv(4096)
    connection.close()
    left_at = time.monotonic()
    while time.monotonic() < left_at + WAIT_SECONDS:
        if _cancelled(stage, contestant) > before:
            return f"{(time.monotonic() - left_at) * 1000:.0f} ms"
        time.sleep(0.005)
    return "not at all"


def _slow(stage: Stage, contestant: Contestant) -> str:
    before = processes.rss_bytes(contestant.server.pid)
    connection = _ask(contestant, FLOOD_STREAM, max_tokens=200_000)
    time.sleep(SLOW_SECONDS)
    grown = processes.rss_bytes(contestant.server.pid) - before
    connection.close()
    return f"{max(0, grown) / 1e6:.1f} MB"


def _status(contestant: Contestant, headers: dict[str, str]) -> str:
    connection = _ask(contestant, "Hello", stream=False, headers=headers)
    with suppress(OSError):
        return connection.recv(4096).split(b"\r\n", 1)[0].decode() or "closed"
    return "reset"


def _drain(stage: Stage, contestant: Contestant) -> str:
    server: Server = contestant.server
    assert server.process is not None
    connection = _ask(contestant, LONG_STREAM)
    read = connection.recv(4096)
    began_at = time.monotonic()
    server.process.send_signal(signal.SIGTERM)
    with suppress(OSError):
        while (piece := connection.recv(65_536)) != b"":
            read += piece
            if b"[DONE]" in piece:
                break
    ended = "finished" if b"[DONE]" in read and b"event: error" not in read else "cut"
    with suppress(subprocess.TimeoutExpired):
        server.process.wait(WAIT_SECONDS)
    state = (
        "still runs" if server.process.poll() is None else f"gone after {time.monotonic() - began_at:.1f} s"
    )
    return f"{ended}; {state}"


def _ask(
    contestant: Contestant,
    text: str,
    *,
    stream: bool = True,
    max_tokens: int = 200,
    headers: dict[str, str] | None = None,
) -> socket.socket:
    body = {
        "model": "fake/fifty-two",
        "messages": [{"role": "user", "content": text}],
        "stream": stream,
        "max_tokens": max_tokens,
    }
    case = replace(next(case for case in all_cases(is_quick=False) if case.name == "stream-1"), text=text)
    load = replace(
        contestant.load(case, seconds=1, round_index=0),
        body=json.dumps(body).encode(),
        headers={**contestant.headers, **(headers or {})},
    )
    connection = socket.create_connection(("127.0.0.1", load.port), timeout=WAIT_SECONDS)
    with suppress(OSError):
        connection.sendall(load.request())
    return connection


def _cancelled(stage: Stage, contestant: Contestant) -> int:
    with urllib.request.urlopen(f"http://127.0.0.1:{stage.ports.upstream}/invoice") as answer:
        told = json.load(answer)
    count: int = told.get(contestant.upstream_key, {}).get("cancelled", 0)
    return count


if __name__ == "__main__":
    main()
