"""Server-sent events, read from bytes as they arrive. What the events mean is the provider's file.

Lines end with LF, CR or CRLF only: text inside a line may hold U+2028 and its like, which
line readers for text would cut at. https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
"""

from typing import NamedTuple

from gateway.errors import InvalidProviderResponse

BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class Event(NamedTuple):
    """One dispatched event. `name` is "" for a plain data event."""

    name: str
    data: bytes


class EventParser:
    """Turns reads of any size into events; a read may end anywhere, inside a character too.

    Raises InvalidProviderResponse when one event grows beyond `limit_bytes`, whether it is one
    line, many lines or never ends.
    """

    __slots__ = (
        "_after_cr",
        "_data",
        "_data_bytes",
        "_is_first_line",
        "_limit_bytes",
        "_name",
        "_rest",
        "_rest_bytes",
    )

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._rest: list[bytes] = []
        self._rest_bytes = 0
        self._data: list[bytes] = []
        self._data_bytes = 0
        self._name = ""
        self._after_cr = False
        self._is_first_line = True

    def feed(self, data: bytes) -> list[Event]:
        """The events that this read completes."""
        data = self._with_line_feeds(data)
        if b"\n" not in data:
            self._keep(data)
            return []
        lines = data.split(b"\n")
        lines[0] = b"".join([*self._rest, lines[0]])
        self._rest, self._rest_bytes = [], 0
        last = lines.pop()
        if self._is_first_line:
            self._is_first_line = False
            lines[0] = lines[0].removeprefix(BYTE_ORDER_MARK)
        events = self._read_lines(lines)
        self._keep(last)
        return events

    @property
    def is_between_events(self) -> bool:
        """Whether nothing of an event is waiting for the rest."""
        return not (self._rest_bytes or self._data or self._name or self._after_cr or self._is_first_line)

    def close(self) -> list[Event]:
        """The event that the stream's end left without its blank line, if its lines are there."""
        return self.feed(b"\n\n")

    def _with_line_feeds(self, data: bytes) -> bytes:
        if self._after_cr and data.startswith(b"\n"):
            data = data[1:]
            self._after_cr = False
        if data:
            self._after_cr = data.endswith(b"\r")
        if b"\r" in data:
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        return data

    def _keep(self, data: bytes) -> None:
        if data:
            self._rest.append(data)
            self._rest_bytes += len(data)
            self._check_size(self._rest_bytes + self._data_bytes)

    def _read_lines(self, lines: list[bytes]) -> list[Event]:
        events = []
        for line in lines:
            if not line:
                if self._data:
                    events.append(Event(self._name, b"\n".join(self._data)))
                    self._data, self._data_bytes = [], 0
                self._name = ""
            elif line.startswith(b"data:"):
                self._add_data(line[6:] if line.startswith(b"data: ") else line[5:])
            else:
                self._read_other_field(line)
        return events

    def _add_data(self, value: bytes) -> None:
        self._data.append(value)
        self._data_bytes += len(value) + 1
        self._check_size(self._data_bytes)

    def _read_other_field(self, line: bytes) -> None:
        field, _, value = line.partition(b":")
        if field == b"event":
            self._name = value.removeprefix(b" ").decode("utf-8", "replace")
        elif field == b"data":
            self._add_data(b"")

    def _check_size(self, event_bytes: int) -> None:
        if event_bytes > self._limit_bytes:
            raise InvalidProviderResponse(
                f"The provider sent an event of more than {self._limit_bytes} bytes."
            )
