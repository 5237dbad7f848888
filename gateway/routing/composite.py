"""Composites: failover `a|b`, weighted choice `a^b`, race `a!b`, and annotations in brackets.

The grammar "composite-routing-v1" (CONTRACT 1.0.5): flat, one operator in a selector, with one
exception for thinkers. Everything is read in one pass over the text.
"""

import re
from collections.abc import Callable, Sequence

from msgspec import Struct
from msgspec.structs import replace

from gateway.routing.source import (
    INVALID_HANDICAP,
    INVALID_MAX_CONTEXT,
    INVALID_TTFT_TIMEOUT,
    INVALID_WEIGHT,
    SYNTAX_ERROR,
    UNSUPPORTED_CONSTRUCT,
    Piece,
    Source,
    shown,
)
from gateway.routing.tree import Branch, Failover, Leaf, Race, Selector, Single, Weighted

FAILOVER, WEIGHTED, RACE = "|", "^", "!"
OPERATORS = FAILOVER + WEIGHTED + RACE
LEGS_LIMIT = 5
THINKING_BRANCHES = 2

_INTEGER = re.compile(r"[0-9]{1,9}")
_SECONDS = re.compile(r"[0-9]{1,6}(?:\.[0-9]{1,6})?")
_ALLOWED = {
    "": frozenset({"max_context"}),
    FAILOVER: frozenset({"max_context"}),
    WEIGHTED: frozenset({"max_context", "weight", "first", "thinker"}),
    RACE: frozenset({"max_context", "handicap", "ttft_timeout"}),
}
_PLACES = {
    "weight": "a weighted choice (a^b)",
    "first": "a weighted choice (a^b)",
    "thinker": "a weighted choice (a^b)",
    "handicap": "a race (a!b)",
    "ttft_timeout": "a race (a!b)",
}
_FLAG_VALUES = frozenset({"", "1", "yes", "true"})
_NUMBERS = {
    "max_context": INVALID_MAX_CONTEXT,
    "weight": INVALID_WEIGHT,
}
_DURATIONS = {"handicap": INVALID_HANDICAP, "ttft_timeout": INVALID_TTFT_TIMEOUT}

ReadLeaf = Callable[[Piece, Source], Leaf]


class Outline(Struct, frozen=True):
    """Where the operators of a selector stand, those in brackets left out."""

    operators: tuple[tuple[str, int], ...]
    has_brackets: bool

    @property
    def kinds(self) -> str:
        """The operators that occur, each once, in the order of their first place."""
        return "".join(dict.fromkeys(operator for operator, _ in self.operators))

    def place_of(self, other_than: str) -> int:
        return next(place for operator, place in self.operators if operator != other_than)


def outline(piece: Piece, source: Source) -> Outline:
    """One pass over the text; raises for brackets that do not match."""
    operators: list[tuple[str, int]] = []
    opened, has_brackets = -1, False
    for place, character in enumerate(piece.text):
        if character == "[":
            if opened >= 0:
                raise source.fault(
                    SYNTAX_ERROR, "A bracket stands in brackets.", piece.part(place, place + 1)
                )
            opened, has_brackets = place, True
        elif character == "]":
            if opened < 0:
                raise source.fault(SYNTAX_ERROR, "']' closes nothing.", piece.part(place, place + 1))
            opened = -1
        elif opened < 0 and character in OPERATORS:
            operators.append((character, place))
    if opened >= 0:
        raise source.fault(SYNTAX_ERROR, "'[' is not closed.", piece.part(opened, opened + 1))
    return Outline(tuple(operators), has_brackets)


def parse_composite(piece: Piece, layout: Outline, source: Source, read_leaf: ReadLeaf) -> Selector:
    """Reads branches and their annotations. `read_leaf` reads what they lead to."""
    kinds = layout.kinds
    source.check_number(len(layout.operators) + 1, "branches", piece)
    if len(kinds) > 1:
        return _thinking(piece, layout, source, read_leaf)
    if not kinds:
        return Single(_branch(piece, "", source, read_leaf))
    places = [place for _, place in layout.operators]
    branches = [_branch(part, kinds, source, read_leaf) for part in _cut(piece, places)]
    if kinds == RACE:
        return _race(branches, piece, source)
    return Weighted(_weighted(branches, piece, source)) if kinds == WEIGHTED else Failover(tuple(branches))


def _cut(piece: Piece, places: Sequence[int]) -> list[Piece]:
    """The parts between these places."""
    begins = [0, *(place + 1 for place in places)]
    ends = [*places, len(piece.text)]
    return [piece.part(begin, end) for begin, end in zip(begins, ends, strict=True)]


def _thinking(piece: Piece, layout: Outline, source: Source, read_leaf: ReadLeaf) -> Selector:
    """The one case of two operators: a thinker beside a race or a failover."""
    first, _ = layout.operators[0]
    mixed = source.fault(
        UNSUPPORTED_CONSTRUCT,
        "A selector takes one kind of operator; only a [thinker] may stand beside a race or a failover, "
        "as in [thinker]a^b!c.",
        piece.part(layout.place_of(first), layout.place_of(first) + 1),
    )
    inner = layout.kinds.replace(WEIGHTED, "")
    places = [place for operator, place in layout.operators if operator == WEIGHTED]
    parts = _cut(piece, places)
    if len(inner) != 1 or len(parts) != THINKING_BRANCHES:
        raise mixed
    layouts = [outline(part, source) for part in parts]
    plain = [part for part, its in zip(parts, layouts, strict=True) if not its.operators]
    if len(plain) != 1:
        raise mixed
    branches = []
    for part, its in zip(parts, layouts, strict=True):
        if its.operators:
            group = parse_composite(part, its, source, read_leaf)
            assert isinstance(group, Failover | Race), "there are no other operators in it"
            branches.append(Branch(group))
        else:
            branch = _branch(part, WEIGHTED, source, read_leaf)
            if not branch.is_thinker:
                raise mixed
            branches.append(branch)
    return Weighted(tuple(branches))


def _race(legs: list[Branch], piece: Piece, source: Source) -> Race:
    if len(legs) > LEGS_LIMIT:
        raise source.fault(
            UNSUPPORTED_CONSTRUCT, f"A race has at most {LEGS_LIMIT} legs, as each is paid for.", piece
        )
    return Race(tuple(legs))


def _weighted(branches: list[Branch], piece: Piece, source: Source) -> tuple[Branch, ...]:
    first = sum(branch.is_first for branch in branches)
    thinkers = sum(branch.is_thinker for branch in branches)
    if first + thinkers > 1:
        raise source.fault(
            UNSUPPORTED_CONSTRUCT, "One branch at most may be [first] or [thinker], and not both.", piece
        )
    return tuple(branches)


def _branch(piece: Piece, group: str, source: Source, read_leaf: ReadLeaf) -> Branch:
    part = piece.trimmed()
    if not part.text:
        raise source.fault(SYNTAX_ERROR, "A branch is empty.", piece)
    found: dict[str, int | float | bool] = {}
    while part.text.startswith("["):
        end = part.text.index("]")
        _annotations(part.part(1, end), group, source, found)
        part = part.part(end + 1)
        if part.text[:1].isspace():
            raise source.fault(
                UNSUPPORTED_CONSTRUCT,
                "No blank may stand between ']' and what it belongs to.",
                part.part(0, 1),
            )
    if not part.text:
        raise source.fault(SYNTAX_ERROR, "Brackets stand before a model, and none follows.", piece)
    bracket = part.text.find("[")
    if bracket >= 0:
        raise source.fault(
            UNSUPPORTED_CONSTRUCT, "Brackets stand directly before a model.", part.part(bracket, bracket + 1)
        )
    branch = Branch(read_leaf(part, source))
    return replace(branch, **{_FIELDS[name]: value for name, value in found.items()}) if found else branch


_FIELDS = {
    "max_context": "max_context",
    "weight": "weight",
    "first": "is_first",
    "thinker": "is_thinker",
    "handicap": "handicap_seconds",
    "ttft_timeout": "ttft_timeout_seconds",
}


def _annotations(block: Piece, group: str, source: Source, found: dict[str, int | float | bool]) -> None:
    """Reads one pair of brackets into `found`."""
    for raw in block.split(","):
        part = raw.trimmed()
        name, _, _ = part.text.partition("=")
        key = name.strip().lower()
        if not key:
            raise source.fault(SYNTAX_ERROR, "An annotation is empty.", raw)
        if key not in _FIELDS:
            raise source.fault(
                UNSUPPORTED_CONSTRUCT,
                f"There is no annotation {shown(name.strip())}; there are {', '.join(_FIELDS)}.",
                part,
            )
        if key in found:
            raise source.fault(UNSUPPORTED_CONSTRUCT, f"{key} stands twice.", part)
        if key not in _ALLOWED[group]:
            raise source.fault(UNSUPPORTED_CONSTRUCT, f"{key} belongs to {_PLACES[key]}.", part)
        found[key] = _value(key, part, source)


def _value(key: str, part: Piece, source: Source) -> int | float | bool:
    _, equals, raw = part.text.partition("=")
    text = raw.strip()
    if key in _NUMBERS:
        if _INTEGER.fullmatch(text) is None or int(text) < 1:
            raise source.fault(
                _NUMBERS[key], f"{key} must be an integer from 1 to 999999999, got {shown(text)}.", part
            )
        return int(text)
    if key in _DURATIONS:
        if _SECONDS.fullmatch(text) is None:
            raise source.fault(
                _DURATIONS[key], f"{key} must be a number of seconds of at least 0, got {shown(text)}.", part
            )
        return float(text)
    if text.lower() not in _FLAG_VALUES or (equals and not text):
        raise source.fault(
            UNSUPPORTED_CONSTRUCT,
            f"{key} is written as [{key}] or [{key}=true]; leave it out otherwise.",
            part,
        )
    return True
