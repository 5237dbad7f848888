"""The simulator's tokens: what a prompt costs and what an output token looks like.

Every output token is exactly four bytes of UTF-8, so whoever counts the bytes of an answer
knows its tokens. Which tokens make up an answer is decided in answer.py.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

BYTES_PER_TOKEN = 4
TOKENS_PER_MESSAGE = 3
TOKENS_PER_IMAGE = 85

_LETTERS = "wxyzabcdefghijklmnopqrstuv"


class Kind(StrEnum):
    TEXT = "text"
    REASONING = "reasoning"
    CALL = "call"


@dataclass(frozen=True, slots=True)
class Token:
    """Four bytes of output; `call` is the index of the tool call they belong to."""

    kind: Kind
    text: str
    call: int = 0


def count_text_tokens(text: str) -> int:
    text_bytes = len(text) if text.isascii() else len(text.encode())
    return -(-text_bytes // BYTES_PER_TOKEN)


def word(index: int) -> str:
    """`w01 `, `w02 ` … `w99 `, `x00 ` …: the first 2,600 are distinct, so a lost or doubled token shows."""
    return f"{_LETTERS[index // 100 % len(_LETTERS)]}{index % 100:02d} "


def emoji(index: int) -> str:
    return chr(0x1F600 + index % 64)


def line_separator(index: int) -> str:
    """U+2028 and a letter: valid inside JSON, but a line end to those who split text instead of bytes."""
    return "\u2028" + _LETTERS[index % len(_LETTERS)]


def text_tokens(count: int, alphabet: Callable[[int], str] = word) -> tuple[Token, ...]:
    if count <= 2_600:
        return _all_short_tokens(Kind.TEXT, alphabet)[:count]
    return tuple(Token(Kind.TEXT, alphabet(index)) for index in range(1, count + 1))


def reasoning_tokens(count: int) -> tuple[Token, ...]:
    return _all_short_tokens(Kind.REASONING, word)[:count]


def json_tokens(document: object, kind: Kind, call: int = 0) -> tuple[Token, ...]:
    """The document in pieces of four bytes; blanks at its end, which JSON allows, fill the last piece."""
    return pieces_of(json.dumps(document), kind, call)


def pieces_of(text: str, kind: Kind, call: int = 0) -> tuple[Token, ...]:
    """ASCII text in pieces of four bytes, the last one filled with blanks."""
    padded = text + " " * (-len(text) % BYTES_PER_TOKEN)
    starts = range(0, len(padded), BYTES_PER_TOKEN)
    return tuple(Token(kind, padded[start : start + BYTES_PER_TOKEN], call) for start in starts)


@lru_cache(maxsize=8)
def _all_short_tokens(kind: Kind, alphabet: Callable[[int], str]) -> tuple[Token, ...]:
    return tuple(Token(kind, alphabet(index)) for index in range(1, 2_601))
