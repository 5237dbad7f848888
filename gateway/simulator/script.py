"""Scripts: an answer as the exact writes on the wire, with waits, faults and what each write bills.

Pure. Playing a script to a client is in player.py, the JSON inside it in dialect/.
"""

from __future__ import annotations

import random
import re
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache
from itertools import cycle

from gateway.simulator.answer import Usage
from gateway.simulator.behaviour import BEFORE_DONE, FROM_START, Behaviour, Break, Mark
from gateway.simulator.dialect.openai import DONE, Event
from gateway.simulator.invoice import Outcome

MAX_WRITE_BYTES = 65_536
GARBAGE_BYTES = random.Random(7).randbytes(512)
HTML = (
    b"<!doctype html><html><head><title>Sorry</title></head><body><h1>Something went wrong</h1></body></html>"
)

# A stream of events in which no choice ever comes.
SILENT_STREAM = (
    b'data: {"id":"x","object":"chat.completion.chunk","created":1,"model":"m","choices":[]}\n\n'
    b"data: [DONE]\n\n"
)

JSON_TYPE = "application/json"
STREAM_TYPE = "text/event-stream; charset=utf-8"
HTML_TYPE = "text/html; charset=utf-8"

COOKIE_HEADERS = (
    ("set-cookie", "upstream_session=1; Path=/"),
    ("keep-alive", "timeout=5"),
    ("proxy-authenticate", "Basic"),
    ("x-upstream-internal", "10.0.0.7"),
)

_ORDINARY_LINES = (b"\n",)
_MIXED_LINES = (b"\n", b"\r\n", b"\r")


class Ending(StrEnum):
    COMPLETE = "complete"
    DROP = "drop"
    STALL = "stall"


class Slicing(StrEnum):
    """Whether a write stays whole, is cut inside each multi-byte character, or goes byte by byte."""

    WHOLE = "whole"
    INSIDE_CHARACTERS = "inside characters"
    BYTES = "bytes"


@dataclass(frozen=True, slots=True)
class Step:
    """One write, after a wait, and the tokens it hands over."""

    body: bytes
    wait_seconds: float = 0.0
    output_tokens: int = 0
    reasoning_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Script:
    """`declared_bytes` is the Content-Length, None for a chunked answer.

    `starts` is False if not even a status line is sent; `outcome` is that of a script played to
    its end. The prompt is billed when the answer starts, output with the step that hands it over.
    """

    steps: tuple[Step, ...]
    content_type: str = JSON_TYPE
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    declared_bytes: int | None = None
    header_delay_seconds: float = 0.0
    ending: Ending = Ending.COMPLETE
    outcome: Outcome = Outcome.COMPLETED
    slicing: Slicing = Slicing.WHOLE
    starts: bool = True
    prompt_tokens: int = 0
    cached_tokens: int = 0
    ignores_cancel: bool = False

    @property
    def is_immediate(self) -> bool:
        """One write without a wait: there is no moment at which the client could leave."""
        return (
            len(self.steps) == 1
            and not self.steps[0].wait_seconds
            and not self.header_delay_seconds
            and self.ending is Ending.COMPLETE
            and self.slicing is Slicing.WHOLE
        )


def plain_script(body: bytes, *, content_type: str = JSON_TYPE, status: int = 200) -> Script:
    """An answer that is neither generated nor billed: errors, lists, the invoice."""
    return Script(
        steps=(Step(body),),
        content_type=content_type,
        status=status,
        declared_bytes=len(body),
        outcome=Outcome.FAILED,
    )


def faulty_script(behaviour: Behaviour, *, error: bytes) -> Script | None:
    """The answer of a behaviour that never comes to speak, or None. `error` is the dialect's error body."""
    script = _faulty(behaviour, error)
    if script is None:
        return None
    optional = (("retry-after", behaviour.retry_after), ("location", behaviour.location))
    headers = (*script.headers, *((name, value) for name, value in optional if value))
    return _dressed(replace(script, headers=headers), behaviour)


def _faulty(behaviour: Behaviour, error: bytes) -> Script | None:
    marks, status = behaviour.marks, behaviour.status
    if Mark.DROP in marks:
        return replace(plain_script(b""), starts=False, ending=Ending.DROP)
    if Mark.HTML in marks:
        return plain_script(HTML, content_type=HTML_TYPE, status=status)
    if Mark.EMPTY in marks:
        return plain_script(b"", status=status)
    if behaviour.bomb_mebibytes:
        bomb = plain_script(_gzip_bomb(behaviour.bomb_mebibytes), status=status)
        return replace(bomb, headers=(("content-encoding", "gzip"),))
    if status != 200:
        return plain_script(error, status=status)
    if Mark.NOT_A_COMPLETION in marks:
        return plain_script(b'{"object":"list","data":[]}')
    if Mark.SILENT in marks:
        return replace(plain_script(SILENT_STREAM), content_type=STREAM_TYPE)
    if behaviour.break_after_tokens == FROM_START and behaviour.broken_by is Break.GARBAGE:
        return plain_script(GARBAGE_BYTES)
    return None


def whole_script(body: bytes, usage: Usage, behaviour: Behaviour, *, turns: int, error: bytes) -> Script:
    """An answer in one JSON document, sent when the last of its turns has been generated."""
    wait_seconds = behaviour.first_token_delay_seconds + behaviour.pace_seconds * max(turns - 1, 0)
    script = Script(
        steps=(Step(body, wait_seconds, usage.completion, usage.reasoning),),
        declared_bytes=len(body),
        prompt_tokens=usage.prompt,
        cached_tokens=usage.cached,
    )
    if behaviour.broken_by is not None:
        script = _broken_whole(script, behaviour, error)
    return _dressed(script, behaviour)


def _broken_whole(script: Script, behaviour: Behaviour, error: bytes) -> Script:
    step = script.steps[0]
    script = replace(script, outcome=Outcome.CUT)
    if behaviour.break_after_tokens == FROM_START:
        step = Step(b"", step.wait_seconds)
        script = replace(script, outcome=Outcome.FAILED, prompt_tokens=0, cached_tokens=0)
    half = replace(step, body=step.body[: len(step.body) // 2])
    script = replace(script, steps=(half,))
    match behaviour.broken_by:
        case Break.CUT:
            return replace(script, ending=Ending.DROP)
        case Break.STALL:
            return replace(script, ending=Ending.STALL)
        case Break.ERROR | Break.ERROR_EVENT:
            return plain_script(error)
        case Break.GARBAGE:
            garbage = replace(step, body=GARBAGE_BYTES)
            return replace(script, steps=(garbage,), declared_bytes=len(GARBAGE_BYTES))
        case _:
            return replace(script, declared_bytes=len(half.body))


def stream_script(events: list[Event], usage: Usage, behaviour: Behaviour, *, error: bytes) -> Script:
    """A streamed answer; events that need no wait between them go out in one write."""
    script = Script(
        steps=(), content_type=STREAM_TYPE, prompt_tokens=usage.prompt, cached_tokens=usage.cached
    )
    if behaviour.broken_by is not None:
        events, script = _broken_events(events, script, behaviour, error)
    steps = _merged(_framed_steps(events, behaviour))
    return _dressed(replace(script, steps=tuple(steps) or (Step(b""),)), behaviour)


def _broken_events(
    events: list[Event], script: Script, behaviour: Behaviour, error: bytes
) -> tuple[list[Event], Script]:
    at = _break_position(events, behaviour.break_after_tokens)
    rest = events[at:]
    events = events[:at]
    ending = Ending.COMPLETE
    match behaviour.broken_by:
        case Break.CUT:
            ending = Ending.DROP
        case Break.STALL:
            ending = Ending.STALL
        case Break.ERROR:
            events = [*events, Event(error)]
        case Break.ERROR_EVENT:
            events = [*events, Event(error, name="error")]
        case Break.TRUNCATED:
            events = [*events, *(Event(event.data[: len(event.data) // 2]) for event in rest[:1])]
        case Break.GARBAGE:
            events = [*events, Event(GARBAGE_BYTES)]
    if behaviour.break_after_tokens == FROM_START:
        return events, replace(
            script, ending=ending, outcome=Outcome.FAILED, prompt_tokens=0, cached_tokens=0
        )
    return events, replace(script, ending=ending, outcome=Outcome.CUT)


def _break_position(events: list[Event], after_tokens: int) -> int:
    """The index of the first event that is not sent any more."""
    if after_tokens == FROM_START:
        return 0
    if after_tokens == BEFORE_DONE:
        return next((index for index, event in enumerate(events) if event.data == DONE), len(events) - 1)
    sent_tokens = behind_last_token = 0
    for index, event in enumerate(events):
        if event.output_tokens:
            if sent_tokens >= after_tokens:
                return index
            sent_tokens += event.output_tokens
            behind_last_token = index + 1
    return behind_last_token


def _framed_steps(events: list[Event], behaviour: Behaviour) -> Iterator[Step]:
    lines = cycle(_line_ends(behaviour.marks))
    comment = b": keep-alive" if Mark.COMMENTS in behaviour.marks else b""
    for index, event in enumerate(events):
        end = next(lines)
        name = b"event: " + event.name.encode() + end if event.name else b""
        ahead = comment + end + end if comment else b""
        wait_seconds = behaviour.pace_seconds if event.is_paced else 0.0
        yield Step(
            body=ahead + name + b"data: " + event.data + end + end,
            wait_seconds=behaviour.first_token_delay_seconds if index == 0 else wait_seconds,
            output_tokens=event.output_tokens,
            reasoning_tokens=event.reasoning_tokens,
        )


def _line_ends(marks: frozenset[Mark]) -> tuple[bytes, ...]:
    if Mark.MIXED_LINES in marks:
        return _MIXED_LINES
    if Mark.CRLF in marks:
        return (b"\r\n",)
    return (b"\r",) if Mark.CR in marks else _ORDINARY_LINES


def _merged(steps: Iterable[Step]) -> Iterator[Step]:
    waiting: list[Step] = []
    waiting_bytes = 0
    for step in steps:
        if waiting and (step.wait_seconds or waiting_bytes > MAX_WRITE_BYTES):
            yield _joined(waiting)
            waiting, waiting_bytes = [], 0
        waiting.append(step)
        waiting_bytes += len(step.body)
    if waiting:
        yield _joined(waiting)


def _joined(steps: list[Step]) -> Step:
    return Step(
        body=b"".join(step.body for step in steps),
        wait_seconds=steps[0].wait_seconds,
        output_tokens=sum(step.output_tokens for step in steps),
        reasoning_tokens=sum(step.reasoning_tokens for step in steps),
    )


def _dressed(script: Script, behaviour: Behaviour) -> Script:
    """The script with what every kind of answer may carry: a delay, odd headers, odd writes."""
    marks = behaviour.marks
    slicing = Slicing.INSIDE_CHARACTERS if Mark.SPLIT in marks else Slicing.WHOLE
    dressed = replace(
        script,
        headers=(*script.headers, *(COOKIE_HEADERS if Mark.COOKIE in marks else ())),
        header_delay_seconds=behaviour.header_delay_seconds,
        slicing=Slicing.BYTES if Mark.BYTES in marks else slicing,
        ignores_cancel=Mark.AFTER_CANCEL in marks,
    )
    if Mark.BILL_AND_DROP in marks:
        return replace(dressed, starts=False, ending=Ending.DROP, outcome=Outcome.CUT)
    return dressed


def slice_body(body: bytes, slicing: Slicing) -> Iterator[bytes]:
    if slicing is Slicing.BYTES:
        yield from (body[at : at + 1] for at in range(len(body)))
        return
    start = 0
    for lead in re.finditer(rb"[\xc0-\xff]", body):
        yield body[start : lead.end()]
        start = lead.end()
    yield body[start:]


@lru_cache(maxsize=2)
def _gzip_bomb(mebibytes: int) -> bytes:
    packer = zlib.compressobj(level=9, wbits=31)
    pieces = [packer.compress(bytes(1_048_576)) for _ in range(mebibytes)]
    return b"".join(pieces) + packer.flush()
