"""A stream as the whole answer that it makes up, and a whole answer as a stream. Pure.

Only what is known how to join is joined: an answer with other members in its deltas counts as not
joinable, so that nobody is ever given less than the model said.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from gateway.wire.shapes import ChatAnswer, ChatChunk, JsonObject

TEXTS = ("content", "reasoning_content", "reasoning", "refusal")
LISTS = ("annotations", "reasoning_details", "images")
LOGPROB_LISTS = ("content", "refusal")
MAX_CALLS = 128


class NotJoinable(Exception):
    """A delta has a member whose pieces cannot be put together, or the answer is too large."""


class AnswerJoiner:
    """Takes the chunks of one stream in. Holds about `limit_bytes` at most; then nothing."""

    __slots__ = ("_choices", "_created", "_extras", "_room_bytes", "_upstream_id")

    def __init__(self, *, limit_bytes: int) -> None:
        self._room_bytes = limit_bytes
        self._choices: dict[int, _Choice] = {}
        self._extras: JsonObject = {}
        self._created, self._upstream_id = 0, ""

    @property
    def is_joinable(self) -> bool:
        return self._room_bytes >= 0

    @property
    def has_finish(self) -> bool:
        """Whether every choice that has begun has also ended."""
        return bool(self._choices) and all(choice.finish_reason for choice in self._choices.values())

    def observe(self, chunk: ChatChunk) -> None:
        """Take a chunk in; what cannot be joined makes the whole answer not joinable."""
        if self._room_bytes < 0:
            return
        self._extras |= chunk.extras or {}
        self._created = self._created or chunk.created
        self._upstream_id = self._upstream_id or chunk.upstream_id
        try:
            for choice in chunk.choices:
                index = choice["index"]
                if index not in self._choices:
                    self._choices[index] = _Choice()
                self._room_bytes -= self._choices[index].add(choice)
        except NotJoinable:
            self._room_bytes = -1
        if self._room_bytes < 0:
            self._choices.clear()

    def answer(self) -> ChatAnswer | None:
        """What the stream said; None if it cannot be told whole."""
        if not self.is_joinable or not self._choices:
            return None
        choices = [choice.as_json(index) for index, choice in sorted(self._choices.items())]
        return ChatAnswer(choices, None, self._created, self._upstream_id, self._extras)


class _Choice:
    __slots__ = ("_calls", "_lists", "_logprobs", "_texts", "finish_reason")

    def __init__(self) -> None:
        self._texts: dict[str, list[str]] = {}
        self._lists: dict[str, list[Any]] = {}
        self._calls: dict[int, JsonObject] = {}
        self._logprobs: dict[str, list[Any]] | None = None
        self.finish_reason = ""

    def add(self, choice: JsonObject) -> int:
        """Take one piece in; gives about the bytes that it takes."""
        grown_bytes = 0
        for name, value in choice["delta"].items():
            if name == "role" or value is None or value == "" or value == []:
                continue
            if name in TEXTS and type(value) is str:
                self._texts.setdefault(name, []).append(value)
                grown_bytes += len(value)
            elif name in LISTS and type(value) is list:
                self._lists.setdefault(name, []).extend(value)
                grown_bytes += len(repr(value))
            elif name == "tool_calls" and type(value) is list:
                grown_bytes += sum(map(self._add_call, value))
            else:
                raise NotJoinable(name)
        self.finish_reason = choice.get("finish_reason") or self.finish_reason
        if (logprobs := choice.get("logprobs")) is not None:
            grown_bytes += self._add_logprobs(logprobs)
        return grown_bytes

    def as_json(self, index: int) -> JsonObject:
        said: JsonObject = {"content": None}
        said |= {name: "".join(pieces) for name, pieces in self._texts.items()}
        said |= self._lists
        if self._calls:
            said["tool_calls"] = [_whole_call(call) for _, call in sorted(self._calls.items())]
        elif said["content"] is None:
            said["content"] = ""
        return {
            "index": index,
            "message": {"role": "assistant", **said},
            "logprobs": self._logprobs,
            "finish_reason": self.finish_reason or None,
        }

    def _add_call(self, piece: Any) -> int:
        position = piece.get("index") if type(piece) is dict else None
        if type(position) is not int or not 0 <= position < MAX_CALLS:
            raise NotJoinable("tool_calls")
        known = self._calls.setdefault(position, {"arguments": []})
        for name, value in piece.items():
            if name in ("id", "type") and type(value) is str:
                _name(known, name, value)
            elif name in ("function", "custom") and type(value) is dict:
                _add_called(known, name, value)
            elif name != "index" and value is not None:
                raise NotJoinable(name)
        return len(repr(piece))

    def _add_logprobs(self, logprobs: Any) -> int:
        if type(logprobs) is not dict or logprobs.keys() - set(LOGPROB_LISTS):
            raise NotJoinable("logprobs")
        known = self._logprobs = self._logprobs or {}
        for name, value in logprobs.items():
            if value is not None and type(value) is not list:
                raise NotJoinable("logprobs")
            known.setdefault(name, []).extend(value or [])
        return len(repr(logprobs))


def _add_called(known: JsonObject, kind: str, piece: JsonObject) -> None:
    """A function has `arguments`, a custom tool `input`: both come in pieces."""
    text_name = "arguments" if kind == "function" else "input"
    if piece.keys() - {"name", text_name} or known.setdefault("kind", kind) != kind:
        raise NotJoinable(kind)
    name, text = piece.get("name") or "", piece.get(text_name) or ""
    if type(name) is not str or type(text) is not str:
        raise NotJoinable(kind)
    _name(known, "name", name)
    known["arguments"].append(text)


def _name(known: JsonObject, name: str, value: str) -> None:
    """What is said once of a call, or again the same; another value is another call at its place."""
    if value and known.setdefault(name, value) != value:
        raise NotJoinable(name)


def _whole_call(call: JsonObject) -> JsonObject:
    kind = call.get("kind", "function")
    text_name = "arguments" if kind == "function" else "input"
    called = {"name": call.get("name", ""), text_name: "".join(call["arguments"])}
    return {"id": call.get("id", ""), "type": call.get("type", kind), kind: called}


def as_chunks(answer: ChatAnswer) -> Iterator[ChatChunk]:
    """The answer as a stream: each choice's message in one delta, then how each ended."""
    for choice in answer.choices:
        opening = {"index": choice["index"], "delta": _delta(choice["message"]), "finish_reason": None}
        if choice.get("logprobs") is not None:
            opening["logprobs"] = choice["logprobs"]
        yield ChatChunk([opening], created=answer.created, extras=answer.extras or None)
    for choice in answer.choices:
        ending = {
            "index": choice["index"],
            "delta": {},
            "finish_reason": choice.get("finish_reason") or "stop",
        }
        yield ChatChunk([ending], created=answer.created, extras=answer.extras or None)


def _delta(message: JsonObject) -> JsonObject:
    said = {name: value for name, value in message.items() if value is not None and value != []}
    calls: Sequence[JsonObject] = said.get("tool_calls") or ()
    if calls:
        said["tool_calls"] = [{"index": index, **call} for index, call in enumerate(calls)]
    return said
