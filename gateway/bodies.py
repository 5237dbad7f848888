"""Bodies: prompts and answers, kept only where the organization and the request allow it.

They leave this process sealed with the organization's data key; billing stores what it gets.
"""

import base64
from functools import lru_cache
from typing import Any
from uuid import UUID

import orjson

from accounts.vault import DataKey, Vault
from gateway.trace import Trace
from gateway.wire.shapes import ChatAnswer, ChatChunk, JsonObject

REMEMBERED_DATA_KEYS = 1024
SPOKEN_FIELDS = ("content", "reasoning_content", "reasoning", "refusal")
MAX_TOOL_CALLS = 128
# What a choice or a call of a tool takes as JSON although nothing is said in it.
LEAST_ENTRY_BYTES = 50


class Transcript:
    """Joins the deltas of a stream into the message they make up, one per choice.

    Holds no more than `limit_bytes`: of an answer that is larger nothing is kept. What is malformed
    in a delta is passed over, as the meter does.
    """

    def __init__(self, *, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._bytes = 0
        self._spoken: dict[int, _Message] = {}
        self._whole: dict[int, JsonObject] = {}

    @property
    def is_too_large(self) -> bool:
        return self._bytes > self._limit_bytes

    def observe(self, chunk: ChatChunk) -> None:
        if self.is_too_large:
            return
        for choice in chunk.choices:
            index = choice["index"]
            if index not in self._spoken:
                self._spoken[index] = _Message()
                self._bytes += LEAST_ENTRY_BYTES
            self._bytes += self._spoken[index].add(choice["delta"])
        if self.is_too_large:
            self._spoken.clear()

    def observe_answer(self, answer: ChatAnswer) -> None:
        """A buffered answer is its own transcript."""
        for choice in answer.choices:
            self._whole[choice["index"]] = choice["message"]

    def text(self) -> str:
        """What the first choice says; "" if it is too large or says nothing."""
        if self.is_too_large:
            return ""
        spoken = self._spoken.get(0)
        message = spoken.as_json() if spoken is not None else self._whole.get(0, {})
        return _text(message.get("content"))

    def as_answer(self) -> bytes | None:
        """The messages as JSON; None if they are too large."""
        if self.is_too_large:
            return None
        messages = self._whole | {index: message.as_json() for index, message in self._spoken.items()}
        choices = [{"index": index, "message": message} for index, message in sorted(messages.items())]
        return orjson.dumps({"choices": choices})


class _Message:
    """The pieces of one message, joined when it is read: joining at each would copy all before it."""

    __slots__ = ("_calls", "_pieces")

    def __init__(self) -> None:
        self._pieces: dict[str, list[str]] = {"content": []}
        self._calls: list[_ToolCall] = []

    def add(self, delta: JsonObject) -> int:
        """Take a delta in. Gives the bytes by which the message has grown, at least."""
        grown_bytes = 0
        for name in SPOKEN_FIELDS:
            if text := _text(delta.get(name)):
                self._pieces.setdefault(name, []).append(text)
                grown_bytes += len(text.encode())
        calls = delta.get("tool_calls")
        for call in calls if type(calls) is list else ():
            if type(call) is dict:
                grown_bytes += self._add_call(call)
        return grown_bytes

    def as_json(self) -> JsonObject:
        said = {name: "".join(pieces) for name, pieces in self._pieces.items()}
        called = {"tool_calls": [call.as_json() for call in self._calls]} if self._calls else {}
        return {"role": "assistant", **said, **called}

    def _add_call(self, delta: JsonObject) -> int:
        position = delta.get("index", 0)
        if type(position) is not int or not 0 <= position < MAX_TOOL_CALLS:
            return 0
        missing = max(0, position + 1 - len(self._calls))
        self._calls += [_ToolCall() for _ in range(missing)]
        return missing * LEAST_ENTRY_BYTES + self._calls[position].add(delta)


class _ToolCall:
    __slots__ = ("_arguments", "_id", "_name")

    def __init__(self) -> None:
        self._id = self._name = ""
        self._arguments: list[str] = []

    def add(self, delta: JsonObject) -> int:
        function = delta.get("function")
        called = function if type(function) is dict else {}
        named_before = len(self._id) + len(self._name)
        self._id = _text(delta.get("id")) or self._id
        self._name = _text(called.get("name")) or self._name
        arguments = _text(called.get("arguments"))
        if arguments:
            self._arguments.append(arguments)
        return max(0, len(self._id) + len(self._name) - named_before) + len(arguments.encode())

    def as_json(self) -> JsonObject:
        function = {"name": self._name, "arguments": "".join(self._arguments)}
        return {"id": self._id, "type": "function", "function": function}


def _text(value: Any) -> str:
    return value if type(value) is str else ""


class BodyLog:
    """Decides whether bodies are kept, and seals them."""

    def __init__(self, vault: Vault, *, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._data_key = lru_cache(maxsize=REMEMBERED_DATA_KEYS)(vault.unwrap)

    def transcript(self) -> Transcript:
        """An empty one, for the answer to one request."""
        return Transcript(limit_bytes=self._limit_bytes)

    def wants_request(self, trace: Trace) -> bool:
        policy, request = trace.policy, trace.request
        return bool(policy and request and policy.is_body_logging_on and request.log_query_body)

    def wants_response(self, trace: Trace) -> bool:
        """An answer is kept only together with its question."""
        return self.wants_request(trace) and trace.request is not None and trace.request.log_response_body

    def fields(self, trace: Trace, *, request_body: bytes, transcript: Transcript) -> dict[str, str | None]:
        """The event's body fields, sealed and base64; None for what is not kept or too large."""
        if not self.wants_request(trace):
            return {}
        answer = transcript.as_answer() if self.wants_response(trace) else None
        return {
            "request_body": self._seal(trace, request_body, "request"),
            "response_body": self._seal(trace, answer, "response") if answer is not None else None,
        }

    def _seal(self, trace: Trace, plain: bytes, part: str) -> str | None:
        policy = trace.policy
        if policy is None or policy.wrapped_data_key is None or len(plain) > self._limit_bytes:
            return None
        data_key: DataKey = self._data_key(policy.wrapped_data_key, policy.organization_id)
        sealed = data_key.encrypt(plain, context=body_context(trace.request_id, part))
        return base64.b64encode(sealed).decode()


def body_context(event_id: UUID, part: str) -> str:
    """What a stored body is bound to: its event, and whether it is the request or the response."""
    return f"usage-body:{event_id}:{part}"
