"""The text of a selector while it is read: pieces that know where they stand, and faults that tell it."""

from collections.abc import Container, Mapping

from msgspec import Struct, field

from gateway.errors import InvalidModel

MESSAGE_CHARACTERS_LIMIT, ECHO_CHARACTERS_LIMIT = 256, 512
SHOWN_CHARACTERS = 64
# More of one kind than anybody writes: what is filled in grows with the product of two such numbers.
PARTS_LIMIT = 32

SYNTAX_ERROR = "syntax_error"
UNSUPPORTED_CONSTRUCT = "unsupported_construct"
INVALID_WEIGHT = "invalid_weight"
INVALID_MAX_CONTEXT = "invalid_max_context"
INVALID_HANDICAP = "invalid_handicap"
INVALID_TTFT_TIMEOUT = "invalid_ttft_timeout"
INVALID_LEAF = "invalid_leaf"


class Vocabulary(Struct, frozen=True, eq=False):
    """The names that mean something to one key."""

    providers: Container[str]
    regions: Container[str] = frozenset()
    aliases: Mapping[str, str] = field(default_factory=dict)


class Piece(Struct, frozen=True):
    """A part of a selector and where in it it begins."""

    text: str
    start: int = 0

    def trimmed(self) -> "Piece":
        text = self.text.lstrip()
        return Piece(text.rstrip(), self.start + len(self.text) - len(text))

    def part(self, begin: int, end: int | None = None) -> "Piece":
        return Piece(self.text[begin:end], self.start + begin)

    def split(self, separator: str) -> "list[Piece]":
        """The parts between separators, not trimmed."""
        pieces, position = [], self.start
        for text in self.text.split(separator):
            pieces.append(Piece(text, position))
            position += len(text) + len(separator)
        return pieces


class Source(Struct, frozen=True, eq=False):
    """What is read, what its names mean, and what had to be ignored."""

    text: str
    vocabulary: Vocabulary
    param: str = "model"
    notes: list[str] = field(default_factory=list)

    def fault(self, code: str, message: str, piece: Piece) -> InvalidModel:
        """The refusal of this selector: what is wrong at this piece, and where (CONTRACT 1.0.5)."""
        message = message[:MESSAGE_CHARACTERS_LIMIT]
        return InvalidModel(
            f"{self.param}: {message} (at character {piece.start + 1})",
            param=self.param,
            details={
                "composite_validation": {
                    "code": code,
                    "message": message,
                    "selector_echo": self.text[:ECHO_CHARACTERS_LIMIT],
                    "details": {"position": piece.start, "length": len(piece.text)},
                }
            },
        )

    def check_number(self, parts: int, what: str, piece: Piece) -> None:
        """Raise the refusal of more parts than one selector may have."""
        if parts > PARTS_LIMIT:
            raise self.fault(
                UNSUPPORTED_CONSTRUCT, f"A selector has at most {PARTS_LIMIT} {what}, got {parts}.", piece
            )

    def note(self, remark: str) -> None:
        self.notes.append(remark)


def shown(text: str) -> str:
    """A piece of a selector as an error message may show it."""
    return repr(text if len(text) <= SHOWN_CHARACTERS else f"{text[: SHOWN_CHARACTERS - 1]}…")
