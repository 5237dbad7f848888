"""Where the embedded default keeps its things and on which ports it listens.

Read from the environment; what runs there is in config.supervisor.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from config.ports import is_port_free


class Refused(Exception):
    """The embedded default cannot start here; the text is one line that says what to do."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The folders and ports of one checkout. All paths are absolute."""

    root: Path
    var: Path
    port: int
    simulator_port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def simulator_url(self) -> str:
        return f"http://127.0.0.1:{self.simulator_port}"

    def log_path(self, name: str) -> Path:
        return self.var / "log" / f"{name}.log"


def read_layout(environment: Mapping[str, str]) -> Layout:
    """The layout of this checkout; raises Refused for a port that is none."""
    root = Path(__file__).resolve().parent.parent
    return Layout(
        root=root,
        var=(root / environment.get("FAREBOX_VAR_DIR", "var")).resolve(),
        port=_read_port("FAREBOX_PORT", environment, default=8000),
        simulator_port=_read_port("FAREBOX_SIMULATOR_PORT", environment, default=8001),
    )


def refuse_taken_ports(layout: Layout) -> None:
    """Raise Refused when another program listens on a port that we need."""
    if layout.port == layout.simulator_port:
        raise Refused("FAREBOX_PORT and FAREBOX_SIMULATOR_PORT must differ.")
    for name, port in (("FAREBOX_PORT", layout.port), ("FAREBOX_SIMULATOR_PORT", layout.simulator_port)):
        if not is_port_free(port):
            raise Refused(
                f"port {port} is taken by another program: stop it, or choose another port: "
                f"{name}={port + 10} make run"
            )


def _read_port(name: str, environment: Mapping[str, str], *, default: int) -> int:
    text = environment.get(name, str(default))
    if not text.isdecimal() or not 1 <= int(text) <= 65_535:
        raise Refused(f"{name} must be a port between 1 and 65535, got {text!r}")
    return int(text)
