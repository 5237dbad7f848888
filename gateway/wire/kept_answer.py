"""A kept answer: everything that is needed to give it again, in any dialect, whole or as a stream. Pure."""

from typing import Any

import msgspec

from gateway.wire.healing import Healing
from gateway.wire.shapes import ChatAnswer, JsonObject, Reading

# An answer that was filtered, refused or broken off may be another one next time.
WHOLE_ENDINGS = frozenset({"stop", "tool_calls", "function_call", "length"})


class KeptAnswer(msgspec.Struct, frozen=True):
    """Who answered, what was said, and what it took. `reading` is what the client is told, not charged."""

    provider: str
    model: str
    choices: list[dict[str, Any]]
    created: int
    extras: dict[str, Any]
    reading: Reading
    dropped_params: tuple[str, ...] = ()
    healing: Healing | None = None

    def to_bytes(self) -> bytes:
        return _encoder.encode(self)

    @classmethod
    def from_bytes(cls, content: bytes) -> "KeptAnswer":
        """Raises msgspec.DecodeError for what another version has written."""
        return _decoder.decode(content)

    @property
    def answer(self) -> ChatAnswer:
        return ChatAnswer(self.choices, None, self.created, "", self.extras)


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(KeptAnswer)


def is_worth_keeping(answer: ChatAnswer) -> bool:
    """Whether every choice says something and ended as it should."""
    return bool(answer.choices) and all(map(_is_whole, answer.choices))


def _is_whole(choice: JsonObject) -> bool:
    message = choice["message"]
    says_something = bool(message.get("content") or message.get("tool_calls") or message.get("audio"))
    return choice.get("finish_reason") in WHOLE_ENDINGS and says_something and not message.get("refusal")
