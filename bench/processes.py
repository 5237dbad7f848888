"""What the kernel has counted for a process and all below it: processor time and memory."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Stat:
    """One process; `ticks` include those of its children that have ended."""

    parent: int
    ticks: int
    resident_pages: int


def parse_stat(text: str) -> Stat:
    """The line of /proc/<pid>/stat. The name in brackets may hold blanks and brackets itself."""
    fields = text[text.rindex(")") + 2 :].split()
    return Stat(parent=int(fields[1]), ticks=sum(map(int, fields[11:15])), resident_pages=int(fields[21]))


def cpu_seconds(root: int) -> float:
    """Processor time of the tree below and including `root`, so far."""
    return sum(stat.ticks for stat in _tree(root)) / TICKS_PER_SECOND


def rss_bytes(root: int) -> int:
    """Memory that the tree has resident; what its processes share counts for each."""
    return sum(stat.resident_pages for stat in _tree(root)) * PAGE_BYTES


def _tree(root: int) -> Iterator[Stat]:
    stats = dict(_all())
    family = {root}
    # A child may have a smaller number than its parent, so one pass is not enough.
    while grown := {pid for pid, stat in stats.items() if stat.parent in family} - family:
        family |= grown
    return (stats[pid] for pid in family if pid in stats)


def _all() -> Iterator[tuple[int, Stat]]:
    for entry in PROC.iterdir():
        if entry.name.isdecimal():
            try:
                text = (entry / "stat").read_text(encoding="utf-8", errors="replace")
            except (FileNotFoundError, ProcessLookupError):
                continue
            yield int(entry.name), parse_stat(text)
