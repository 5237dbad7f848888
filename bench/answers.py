"""Streamed answers as bytes: when the first token came, whether the end did. Pure.

It looks for no more than it must: the client shares its processor with what it measures.
"""

STATUS_GOOD = b"HTTP/1.1 200"
# The first token of the simulated model, however a gateway spaces its JSON.
FIRST_TOKEN = b"w01 "
LAST_CHUNK = b"\r\n0\r\n\r\n"
LAST_EVENT = b"[DONE]"
EVENT = b"data: "
TAIL_BYTES = 64


class StreamScan:
    """Follows one chunked answer read by read."""

    __slots__ = ("_tail", "events", "has_token", "is_complete", "is_good")

    def __init__(self) -> None:
        self._tail = b""
        self.events = 0
        self.has_token = self.is_complete = False
        self.is_good = True

    def feed(self, read: bytes) -> None:
        """Take what has arrived. An answer other than 200 is complete, and not good, with its first line."""
        seen = self._tail + read
        if not self.has_token:
            self.has_token = FIRST_TOKEN in seen
            self._check_status(seen)
        self.events += read.count(EVENT)
        self._tail = seen[-TAIL_BYTES:]
        if self._tail.endswith(LAST_CHUNK):
            self.is_complete = True
            self.is_good = self.is_good and self.has_token and LAST_EVENT in self._tail

    def _check_status(self, seen: bytes) -> None:
        if self.events == 0 and seen.startswith(b"HTTP/") and not seen.startswith(STATUS_GOOD[: len(seen)]):
            self.is_good, self.is_complete = False, True
