"""The raw exchange with a provider, for clients that ask to see it. Pure.

Bodies only: headers hold credentials. Where a body repeats the credential, it is taken out.
"""

import orjson

from gateway.wire.shapes import JsonObject

REDACTED = b"[redacted]"
# A shorter one could be a word of the answer, and taking it out would break what is left.
SHORTEST_SECRET_CHARACTERS = 8


class RawExchange:
    """What was sent to a provider and what it said: one body, or the data of a stream's events."""

    __slots__ = ("_answer", "_events", "_limit_bytes", "_request", "_secret", "_size")

    def __init__(self, request: bytes, *, secret: str, limit_bytes: int) -> None:
        self._secret = secret.encode() if len(secret) >= SHORTEST_SECRET_CHARACTERS else b""
        self._request = request
        self._limit_bytes = limit_bytes
        self._answer: bytes | None = None
        self._events: list[bytes] = []
        self._size = 0

    def note_answer(self, body: bytes) -> None:
        self._answer = body if len(body) <= self._limit_bytes else None

    def note_event(self, data: bytes) -> None:
        """Keep one event of a stream; of a stream that is too long nothing is kept."""
        self._size += len(data)
        if self._size > self._limit_bytes:
            self._events.clear()
        else:
            self._events.append(data)

    def as_json(self) -> JsonObject:
        """`raw_request` and `raw_response`; null for what was too large."""
        is_whole = self._size <= self._limit_bytes
        events = [_json(self._clean(event)) for event in self._events]
        answer = None if self._answer is None else _json(self._clean(self._answer))
        return {
            "raw_request": _json(self._clean(self._request)),
            "raw_response": (events or answer) if is_whole else None,
        }

    def _clean(self, text: bytes) -> bytes:
        return text.replace(self._secret, REDACTED) if self._secret else text


def _json(text: bytes) -> object:
    """JSON as it came, to be written as it is; anything else as a string."""
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        return text.decode("utf-8", "replace")
    return orjson.Fragment(text)
