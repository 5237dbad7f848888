"""How a call shall be answered: the simulator's models and the trigger words that change them.

Pure: a model's name and the last user message give a Behaviour. What a behaviour means in
bytes is in answer.py, script.py and dialect/. The words are explained in docs/simulator.md.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import StrEnum

import orjson

MAX_TOKENS = 1_000_000
MAX_MILLISECONDS = 600_000
MAX_LINE_BYTES = 200_000_000
MAX_BOMB_MEBIBYTES = 100


class BadTrigger(Exception):
    """A known trigger word with an argument it cannot use."""


class Mark(StrEnum):
    """Peculiarities without an argument; the value is the trigger word."""

    NO_USAGE = "no usage"
    USAGE_TWICE = "usage twice"
    USAGE_EACH = "usage each"
    USAGE_NULL = "usage null"
    USAGE_NEGATIVE = "usage negative"
    USAGE_HUGE = "usage huge"
    NO_DONE = "no done"
    DONE_TWICE = "done twice"
    AFTER_DONE = "after done"
    NO_FINISH = "no finish"
    CONTENT_FILTER = "content filter"
    U2028 = "u2028"
    SPLIT = "split"
    BYTES = "bytes"
    CRLF = "crlf"
    CR = "cr"
    MIXED_LINES = "mixed lines"
    COMMENTS = "comments"
    HTML = "html"
    EMPTY = "empty"
    SAME_ID = "same id"
    OTHER_MODEL = "other model"
    COOKIE = "cookie"
    AFTER_CANCEL = "after cancel"
    DROP = "drop"
    BILL_AND_DROP = "bill and drop"
    REFUSAL = "refusal"
    CITATIONS = "citations"
    IMAGE = "image"
    REASONING_DETAILS = "reasoning details"
    SILENT = "silent"
    NOT_A_COMPLETION = "not a completion"


class Break(StrEnum):
    """What ends an answer early; the value is the trigger word."""

    CUT = "cut"
    END = "end"
    STALL = "stall"
    ERROR = "error"
    ERROR_EVENT = "error event"
    TRUNCATED = "truncated"
    GARBAGE = "garbage"


FAULTS = frozenset({Mark.HTML, Mark.EMPTY, Mark.DROP, Mark.BILL_AND_DROP, Mark.SILENT, Mark.NOT_A_COMPLETION})

BEFORE_DONE = -1
FROM_START = -2


@dataclass(frozen=True, slots=True)
class Behaviour:
    """`break_after_tokens` counts output tokens; `report` is the JSON told instead of the usage.

    BEFORE_DONE stands for after everything but `[DONE]`, FROM_START for not one byte of a body.
    """

    tokens: int = 8
    overrun_tokens: int | None = None
    default_effort: str = "none"
    calls_by_itself: bool = False
    calls: int = 0
    cached_tokens: int = 0
    finish_reason: str = ""
    pace_seconds: float = 0.0
    header_delay_seconds: float = 0.0
    first_token_delay_seconds: float = 0.0
    status: int = 200
    retry_after: str = ""
    location: str = ""
    failures: int = 0
    failures_name: str = ""
    broken_by: Break | None = None
    break_after_tokens: int = FROM_START
    huge_line_bytes: int = 0
    bomb_mebibytes: int = 0
    served_tier: str = ""
    report: str = ""
    said: str = ""
    marks: frozenset[Mark] = field(default_factory=frozenset)


MODELS: dict[str, Behaviour] = {
    "echo": Behaviour(),
    "ten-chunks": Behaviour(tokens=10, pace_seconds=0.020),
    "fifty-two": Behaviour(tokens=52),
    "slow": Behaviour(tokens=30, pace_seconds=0.100),
    "late": Behaviour(first_token_delay_seconds=30.0),
    "long": Behaviour(tokens=1_000, pace_seconds=0.005),
    "unpriced": Behaviour(),
    "free": Behaviour(),
    "old": Behaviour(),
    "reasoner": Behaviour(default_effort="medium"),
    "tools": Behaviour(calls_by_itself=True),
    "vision": Behaviour(),
    "tiered": Behaviour(),
    "every-unit": Behaviour(),
}

_TRIGGER = re.compile(r"\[\[([^\[\]]{1,2000})\]\]")


def choose_behaviour(model: str, text: str) -> Behaviour:
    """The model's own behaviour, changed by each trigger word of the text in turn.

    `model` is one of MODELS. Double brackets around anything but a trigger word are plain text.
    Raises BadTrigger if a trigger word has an unusable argument.
    """
    behaviour = MODELS[model]
    if "[[" not in text:
        return behaviour
    for match in _TRIGGER.finditer(text):
        behaviour = _apply(behaviour, match[1].split())
    return behaviour


def without_faults(behaviour: Behaviour) -> Behaviour:
    """The same answer, but given in full."""
    marks = behaviour.marks - FAULTS
    return replace(behaviour, status=200, broken_by=None, bomb_mebibytes=0, marks=marks)


@dataclass(frozen=True, slots=True)
class Arguments:
    trigger: str
    words: tuple[str, ...]

    def text(self, position: int) -> str:
        if position >= len(self.words):
            raise BadTrigger(f"[[{self.trigger}]] needs an argument; see docs/simulator.md")
        return self.words[position]

    def integer(self, position: int, *, least: int = 0, most: int) -> int:
        word = self.text(position)
        if not word.isdecimal() or not least <= int(word[:20]) <= most:
            raise BadTrigger(f"[[{self.trigger}]] needs an integer from {least} to {most}, got {word!r}")
        return int(word)

    def seconds(self, position: int) -> float:
        return self.integer(position, most=MAX_MILLISECONDS) / 1000

    def after(self, name: str) -> str:
        """The word that follows `name`, or nothing."""
        return self.text(self.words.index(name) + 1) if name in self.words else ""


def _apply(behaviour: Behaviour, words: list[str]) -> Behaviour:
    for length in (3, 2, 1):
        name = " ".join(words[:length])
        if len(words) >= length and name in TRIGGERS:
            return TRIGGERS[name](behaviour, Arguments(name, tuple(words[length:])))
    return behaviour


Change = Callable[[Behaviour, Arguments], Behaviour]


def _set_status(behaviour: Behaviour, arguments: Arguments) -> Behaviour:
    status = arguments.integer(0, least=200, most=599)
    return replace(
        behaviour,
        status=status,
        retry_after=arguments.after("retry-after"),
        location=arguments.after("location"),
    )


def _set_failures(behaviour: Behaviour, arguments: Arguments) -> Behaviour:
    failures = arguments.integer(0, most=1_000_000)
    return replace(behaviour, failures=failures, failures_name=arguments.text(1))


def _set_mark(mark: Mark) -> Change:
    return lambda behaviour, _: replace(behaviour, marks=behaviour.marks | {mark})


def _break_by(kind: Break) -> Change:
    def change(behaviour: Behaviour, arguments: Arguments) -> Behaviour:
        after_tokens = FROM_START
        if arguments.words[:1] == ("done",):
            after_tokens = BEFORE_DONE
        elif arguments.words:
            after_tokens = arguments.integer(0, most=MAX_TOKENS)
        return replace(behaviour, broken_by=kind, break_after_tokens=after_tokens)

    return change


def _set_report(behaviour: Behaviour, arguments: Arguments) -> Behaviour:
    report = arguments.text(0)
    try:
        is_object = type(orjson.loads(report)) is dict
    except orjson.JSONDecodeError:
        is_object = False
    if not is_object:
        raise BadTrigger(f"[[usage]] needs a JSON object without blanks, got {report[:100]!r}")
    return replace(behaviour, report=report)


def _set_said(behaviour: Behaviour, arguments: Arguments) -> Behaviour:
    try:
        said = base64.urlsafe_b64decode(arguments.text(0)).decode("ascii")
    except ValueError:
        raise BadTrigger("[[say]] needs ASCII text as URL-safe base64") from None
    return replace(behaviour, said=said)


TRIGGERS: dict[str, Change] = {
    "say": _set_said,
    "usage": _set_report,
    "tokens": lambda b, a: replace(b, tokens=a.integer(0, most=MAX_TOKENS)),
    "overrun": lambda b, a: replace(b, overrun_tokens=a.integer(0, most=MAX_TOKENS)),
    "call": lambda b, _: replace(b, calls=1),
    "calls": lambda b, a: replace(b, calls=a.integer(0, least=1, most=100)),
    "cached": lambda b, a: replace(b, cached_tokens=a.integer(0, most=MAX_TOKENS)),
    "finish": lambda b, a: replace(b, finish_reason=a.text(0)),
    "pace": lambda b, a: replace(b, pace_seconds=a.seconds(0)),
    "delay": lambda b, a: replace(b, header_delay_seconds=a.seconds(0)),
    "first": lambda b, a: replace(b, first_token_delay_seconds=a.seconds(0)),
    "status": _set_status,
    "fail": _set_failures,
    "fail once": lambda b, a: replace(b, failures=1, failures_name=a.text(0)),
    "huge line": lambda b, a: replace(b, huge_line_bytes=a.integer(0, most=MAX_LINE_BYTES)),
    "gzip bomb": lambda b, a: replace(b, bomb_mebibytes=a.integer(0, least=1, most=MAX_BOMB_MEBIBYTES)),
    "tier": lambda b, a: replace(b, served_tier=a.text(0)),
    **{kind.value: _break_by(kind) for kind in Break},
    **{mark.value: _set_mark(mark) for mark in Mark},
}
