"""Claims: one request's right to an Idempotency-Key, and what is kept under the key when it ends.

Values only. How a key is claimed and an answer repeated is in `gateway.idempotency`.
"""

import base64
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

COMPLETED = "completed"


@dataclass(frozen=True, slots=True)
class Keepsake:
    """What Redis keeps under an idempotency key from a request's end on; an empty answer frees the key."""

    record_key: str
    fingerprint: str
    answer: bytes
    life_ms: int

    def to_json(self) -> list[str | int]:
        return [self.record_key, self.fingerprint, base64.b64encode(self.answer).decode(), self.life_ms]

    @classmethod
    def from_json(cls, content: list[Any]) -> "Keepsake":
        record_key, fingerprint, answer, life_ms = content
        return cls(record_key, fingerprint, base64.b64decode(answer), life_ms)


class Claim:
    """A claimed key. `pack` gives the sealed answer once it has been sent whole."""

    __slots__ = ("_life_ms", "_pack", "fingerprint", "is_handed_over", "key", "record_key")

    def __init__(
        self, key: str, *, record_key: str, fingerprint: str, pack: Callable[[], bytes], life_ms: int
    ) -> None:
        self.key = key
        self.record_key = record_key
        self.fingerprint = fingerprint
        self.is_handed_over = False
        self._pack = pack
        self._life_ms = life_ms

    def keepsake(self, *, ending: str) -> Keepsake:
        """What the settlement of the request leaves: its answer if that is complete, else a free key."""
        self.is_handed_over = True
        answer = self._pack() if ending == COMPLETED else b""
        return Keepsake(self.record_key, self.fingerprint, answer, self._life_ms)

    def noted(self, event: dict[str, Any]) -> dict[str, Any]:
        """The usage event, with the key that the client sent."""
        return {**event, "parameters": {**event.get("parameters", {}), "idempotency_key": self.key}}
