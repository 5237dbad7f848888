"""Other gateways, each in an environment of its own under var/bench/peers that is made on first use.

They run as their documentation says, in one process, without keys, limits or a database: a bare way
to the same upstream. What Farebox does beside that is in docs/benchmarks.md.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template

from bench.contestants import Contestant
from bench.servers import BenchFailed, Server
from bench.stage import Stage

INSTALL_SECONDS = 1200
LITELLM_VERSION = "1.106.10"
PORTKEY_PACKAGES = Path(__file__).with_name("portkey.json")
LOOPBACK = Path(__file__).with_name("loopback.cjs")
# It does not start without one; there is no key of its own behind it, since those need its database.
LITELLM_KEY = "sk-7f0e5d6c2b9a4831bench0c4d9e8f7a6b5"
LITELLM_SETTINGS = Path(__file__).with_name("litellm.yaml")
LITELLM_OVERRIDES = Path(__file__).with_name("litellm-overrides.txt")
NGINX_SETTINGS = Path(__file__).with_name("nginx.conf")

Say = Callable[[str], None]
Start = Callable[[Stage, Path], Contestant]


@dataclass(frozen=True, slots=True)
class Peer:
    """A gateway that is installed; `start_in` starts it, its settings written to `folder`."""

    name: str
    folder: Path
    start_in: Start

    def start(self, stage: Stage) -> Contestant:
        """Raises BenchFailed."""
        return self.start_in(stage, self.folder)


class NotInstalled(Exception):
    """This peer cannot run here; the text says why, and how it could."""


def install(names: Sequence[str], folder: Path, *, say: Say) -> tuple[list[Peer], dict[str, str]]:
    """The peers among `names` that can run here, and for each other one why it cannot."""
    installers: Mapping[str, tuple[Callable[[Path, Say], None], Start]] = {
        "litellm": (_install_litellm, _start_litellm),
        "portkey": (_install_portkey, _start_portkey),
        "nginx": (_find_nginx, _start_nginx),
    }
    peers, absent = [], {}
    for name, (installer, start) in installers.items():
        if name not in names:
            continue
        place = folder / name
        place.mkdir(parents=True, exist_ok=True)
        try:
            installer(place, say)
        except NotInstalled as reason:
            absent[name] = str(reason)
            say(f"{name} is left out: {reason}")
        else:
            peers.append(Peer(name, place, start))
    return peers, absent


def _install_litellm(folder: Path, say: Say) -> None:
    if not _is_done(folder, LITELLM_VERSION):
        say(f"Installing LiteLLM {LITELLM_VERSION} into {folder}; this takes minutes.")
        uv, place = [sys.executable, "-m", "uv", "--quiet"], str(folder / "venv")
        _run([*uv, "venv", "--clear", "--python", sys.executable, place], folder)
        chosen = ["--python", place, "--override", str(LITELLM_OVERRIDES)]
        _run([*uv, "pip", "install", *chosen, f"litellm[proxy]=={LITELLM_VERSION}"], folder)
        _mark_done(folder, LITELLM_VERSION)


def _start_litellm(stage: Stage, folder: Path) -> Contestant:
    settings = folder / "config.yaml"
    _fill(LITELLM_SETTINGS, settings, upstream_port=stage.ports.upstream)
    port = stage.ports.peer(0)
    program = [str(folder / "venv" / "bin" / "litellm"), "--config", str(settings)]
    server = _started(
        stage,
        "litellm",
        [*program, "--host", "127.0.0.1", "--port", str(port), "--num_workers", "1", "--telemetry", "False"],
        folder,
        port,
        ready_path="/health/liveliness",
        # It would ask the network for prices otherwise.
        variables={
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            "LITELLM_LOG": "ERROR",
            "LITELLM_MASTER_KEY": LITELLM_KEY,
            "NO_DOCS": "True",
        },
    )
    return Contestant(
        name="litellm",
        title="LiteLLM's proxy, bare",
        server=server,
        upstream_key="litellm",
        headers={"Authorization": f"Bearer {LITELLM_KEY}"},
        version=LITELLM_VERSION,
    )


def _install_portkey(folder: Path, say: Say) -> None:
    if shutil.which("npm") is None:
        raise NotInstalled("npm is missing; apt-get install npm")
    if not _is_done(folder, version := _portkey_version()):
        say(f"Installing Portkey's gateway {version} into {folder}.")
        shutil.copyfile(PORTKEY_PACKAGES, folder / "package.json")
        _run(["npm", "install", "--ignore-scripts", "--no-fund", "--no-audit", "--prefix", "."], folder)
        _mark_done(folder, version)


def _portkey_version() -> str:
    version: str = json.loads(PORTKEY_PACKAGES.read_text())["dependencies"]["@portkey-ai/gateway"]
    return version


def _start_portkey(stage: Stage, folder: Path) -> Contestant:
    program = folder / "node_modules" / "@portkey-ai" / "gateway" / "build" / "start-server.js"
    port = stage.ports.peer(1)
    server = _started(
        stage,
        "portkey",
        ["node", "--require", str(LOOPBACK), str(program), f"--port={port}", "--headless"],
        folder,
        port,
        variables={"NODE_ENV": "production"},
    )
    return Contestant(
        name="portkey",
        title="Portkey's gateway, bare",
        server=server,
        upstream_key="portkey",
        headers={
            "Authorization": "Bearer portkey",
            "x-portkey-provider": "openai",
            "x-portkey-custom-host": f"http://127.0.0.1:{stage.ports.upstream}/v1",
        },
        version=_portkey_version(),
    )


def _find_nginx(folder: Path, say: Say) -> None:
    if _nginx() is None:
        raise NotInstalled("nginx is missing; apt-get install nginx-light, then stop its service")


def _start_nginx(stage: Stage, folder: Path) -> Contestant:
    program = _nginx()
    assert program is not None
    port = stage.ports.peer(2)
    settings = folder / "nginx.conf"
    _fill(NGINX_SETTINGS, settings, folder=folder, port=port, upstream_port=stage.ports.upstream)
    command = [program, "-p", str(folder), "-c", str(settings), "-e", str(folder / "error.log")]
    server = _started(stage, "nginx", command, folder, port, ready_path="/healthz")
    told = subprocess.run([program, "-v"], capture_output=True, text=True, check=False).stderr
    return Contestant(
        name="nginx",
        title="nginx proxy_pass, the yardstick",
        server=server,
        upstream_key="nginx",
        headers={"Authorization": "Bearer nginx"},
        version=told.rpartition("/")[2].strip(),
    )


def _nginx() -> str | None:
    return shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


def _fill(template: Path, settings: Path, **values: object) -> None:
    settings.write_text(Template(template.read_text()).substitute(values))


def _started(
    stage: Stage,
    name: str,
    command: Sequence[str],
    folder: Path,
    port: int,
    *,
    ready_path: str = "/",
    variables: Mapping[str, str] | None = None,
) -> Server:
    environment = {**os.environ, **(variables or {})}
    server = Server(
        name=name,
        command=command,
        folder=folder,
        log_path=stage.log_path(name),
        lock_fd=stage.lock_fd,
        port=port,
        ready_path=ready_path,
        environment=environment,
    )
    try:
        server.start()
    except BenchFailed:
        server.stop()
        raise
    return server


def _is_done(folder: Path, version: str) -> bool:
    mark = folder / "installed"
    return mark.exists() and mark.read_text() == version


def _mark_done(folder: Path, version: str) -> None:
    (folder / "installed").write_text(version)


def _run(command: Sequence[str], folder: Path) -> None:
    """Raises NotInstalled with the end of what the program said."""
    # A session of its own, so that giving up ends what it has started too.
    process = subprocess.Popen(
        command,
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        _, said = process.communicate(timeout=INSTALL_SECONDS)
    except BaseException as interruption:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if isinstance(interruption, subprocess.TimeoutExpired):
            raise NotInstalled(f"{command[0]} took more than {INSTALL_SECONDS} seconds") from interruption
        raise
    if process.returncode != 0:
        raise NotInstalled(f"{Path(command[0]).name} failed: {said.strip()[-300:]}")
