"""Response healing: the JSON that a model meant, out of what it wrote (CONTRACT 1.4.6). Pure.

What is valid JSON already is never touched, and what cannot be healed is given back as it came.
"""

import re
from collections.abc import Iterator
from enum import StrEnum
from typing import Any

import orjson
from json_repair import repair_json
from msgspec import Struct

from gateway.wire.shapes import JsonObject

MAX_BYTES = 65_536
# The library takes time that grows with the square of how deep a text is nested.
MAX_UNCLOSED = 100
FENCE = re.compile(r"```[ \t]*[\w+-]*[ \t]*\r?\n?(.*?)(?:```|\Z)", re.DOTALL)
CLOSING = {"{": "}", "[": "]"}
WORDS = ("true", "false", "null")
UNFINISHED_WORD = re.compile(r"[:\[,]\s*([a-z]+)\Z")


class Method(StrEnum):
    """How an answer was healed, in the words of the log."""

    MARKDOWN = "markdown_extraction"
    MIXED = "mixed_content_extraction"
    SYNTAX = "syntax_fix"
    TRUNCATION = "truncation_completion"
    COMBINED = "combined_strategies"


class Healing(Struct, frozen=True):
    """What came of it, as `metadata.healing` tells it. `method` None: nothing was done."""

    method: Method | None = None

    def as_json(self) -> JsonObject:
        return {"applied": self.method is not None, "method": self.method}


UNHEALED = Healing()


def heal(content: str) -> tuple[str, Healing]:
    """The content with its JSON made whole, and how. It may take a millisecond for each kilobyte."""
    if not content.strip() or len(content) > MAX_BYTES or _is_json(content):
        return content, UNHEALED
    for method, candidate in _extracts(content):
        if _is_json(candidate):
            return candidate, Healing(method)
    for method, candidate in _extracts(content):
        if (mended := _repaired(candidate)) is not None:
            return mended, Healing(method and Method.COMBINED)
    if (mended := _repaired(content.strip())) is not None:
        return mended, Healing(Method.TRUNCATION if _nesting(content)[0] else Method.SYNTAX)
    return content, UNHEALED


def healed_message(message: JsonObject) -> tuple[JsonObject, Healing]:
    """The same for an answer's message; one that calls tools says nothing to heal."""
    content = message.get("content")
    if type(content) is not str:
        return message, UNHEALED
    mended, healing = heal(content)
    return (message | {"content": mended} if healing.method else message), healing


def _extracts(content: str) -> Iterator[tuple[Method, str]]:
    """Pieces that look like the JSON within something else: a fence's inside, then what prose surrounds."""
    for fenced in FENCE.finditer(content):
        if fenced[1].lstrip()[:1] in CLOSING:
            yield Method.MARKDOWN, fenced[1].strip()
    start = _first_opening(content)
    if start is None:
        return
    piece = content[start:]
    end = _nesting(piece)[1]
    piece = piece[:end] if end else piece.rstrip()
    if piece != content.strip():
        yield Method.MIXED, piece


def _first_opening(content: str) -> int | None:
    """Where an object or a list begins; an object is preferred, since prose has footnotes in brackets."""
    found = [at for at in (content.find("{"), content.find("[")) if at >= 0]
    if len(found) == 2 and content[found[1]] == "[" and found[0] > found[1]:
        # `[1] Here: {…}` means the object, `[{…}]` the list.
        return found[1] if _is_json_list_start(content[found[1] + 1 :]) else found[0]
    return found[0] if found else None


def _is_json_list_start(rest: str) -> bool:
    return rest.lstrip()[:1] in ("{", "[", '"')


def _nesting(text: str) -> tuple[list[str], int | None]:
    """What is still open at the end of the text, and where its first value was complete."""
    is_open: list[str] = []
    in_string = is_escaped = False
    for position, character in enumerate(text):
        if in_string:
            if is_escaped:
                is_escaped = False
            elif character == "\\":
                is_escaped = True
            elif character == '"':
                in_string = False
        elif character == '"':
            in_string = bool(is_open)
        elif character in CLOSING:
            is_open.append(CLOSING[character])
        elif is_open and character == is_open[-1]:
            is_open.pop()
            if not is_open:
                return [], position + 1
    return is_open + (['"'] if in_string else []), None


def _repaired(text: str) -> str | None:
    """The text as valid JSON; None if it cannot become an object or a list."""
    if text[:1] not in CLOSING:
        return None
    is_open, _ = _nesting(text)
    if len(is_open) > MAX_UNCLOSED or max(text.count("{"), text.count("[")) > MAX_UNCLOSED * 20:
        return None
    try:
        mended = repair_json(_with_whole_word(text), ensure_ascii=False)
    except (ValueError, RecursionError, IndexError, TypeError):
        return None
    return mended if _is_json(mended) and mended[:1] == text[:1] else None


def _with_whole_word(text: str) -> str:
    """`{"a": tru` means true: the library would take it for a text."""
    unfinished = UNFINISHED_WORD.search(text)
    if unfinished is None:
        return text
    whole = next((word for word in WORDS if word.startswith(unfinished[1])), None)
    return text + whole[len(unfinished[1]) :] if whole else text


def _is_json(text: str) -> bool:
    try:
        value: Any = orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    return isinstance(value, dict | list) or text[:1] not in CLOSING
