"""The spool: lines on disk that must outlive the process, one file a process.

A file is locked by its living process; the files of dead ones are adopted at the next start.
What the lines mean is `gateway.settlement`'s business.
"""

import fcntl
import os
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

UNREAD = "settlements.unread"


class Spool:
    """Appends lines, and forgets them all once they are no longer needed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file: BinaryIO | None = None

    def keep(self, lines: Iterable[bytes]) -> None:
        """Write lines through to the disk; each must be free of newlines."""
        file = self._file or self._open()
        for line in lines:
            file.write(line + b"\n")
        file.flush()
        os.fsync(file.fileno())

    def forget(self) -> None:
        """Drop everything kept so far."""
        if self._file is not None:
            self._file.truncate(0)

    def adopt(self) -> list[bytes]:
        """Take over the lines that dead processes left, with their files; a torn last line is dropped."""
        adopted: list[bytes] = []
        for path in sorted(self._folder.glob("*.jsonl")) if self._folder.is_dir() else []:
            with path.open("rb") as file:
                if not _lock(file):
                    continue
                whole, _, _torn = file.read().rpartition(b"\n")
                lines = [line for line in whole.split(b"\n") if line]
                if lines:
                    self.keep(lines)
                path.unlink()
                adopted.extend(lines)
        return adopted

    def set_aside(self, line: bytes) -> None:
        """Keep a line that nobody can read where it is neither forgotten nor adopted, once."""
        with (self._folder / UNREAD).open("a+b") as file:
            file.seek(0)
            if line not in file.read().split(b"\n"):
                file.write(line + b"\n")
                file.flush()
                os.fsync(file.fileno())

    def _open(self) -> BinaryIO:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self._folder / f"{os.getpid()}-{os.urandom(4).hex()}.jsonl"
        # Nobody may find it before it is locked: it would be taken for a dead process's.
        unlocked = path.with_suffix(".new")
        descriptor = os.open(unlocked, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND, 0o600)
        file = os.fdopen(descriptor, "ab")
        _lock(file)
        unlocked.rename(path)
        self._file = file
        return file


def _lock(file: BinaryIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
