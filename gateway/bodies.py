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
from gateway.wire.shapes import ChatAnswer, ChatChunk

REMEMBERED_DATA_KEYS = 1024


class Transcript:
    """Joins the deltas of a stream into the message they make up, one per choice."""

    def __init__(self) -> None:
        self._messages: dict[int, dict[str, Any]] = {}

    def observe(self, chunk: ChatChunk) -> None:
        for choice in chunk.choices:
            message = self._messages.setdefault(choice.get("index", 0), {"role": "assistant", "content": ""})
            delta = choice.get("delta") or {}
            for name in ("content", "reasoning_content", "reasoning", "refusal"):
                if isinstance(delta.get(name), str):
                    message[name] = (message.get(name) or "") + delta[name]
            for call in delta.get("tool_calls") or ():
                _join_call(message.setdefault("tool_calls", []), call)

    def observe_answer(self, answer: ChatAnswer) -> None:
        """A buffered answer is its own transcript."""
        for position, choice in enumerate(answer.choices):
            self._messages[choice.get("index", position)] = choice.get("message") or {}

    def as_answer(self) -> bytes:
        choices = [{"index": index, "message": message} for index, message in sorted(self._messages.items())]
        return orjson.dumps({"choices": choices})


def _join_call(calls: list[dict[str, Any]], delta: dict[str, Any]) -> None:
    position = delta.get("index", 0)
    while isinstance(position, int) and len(calls) <= position < 128:
        calls.append({"id": "", "type": "function", "function": {"name": "", "arguments": ""}})
    if not isinstance(position, int) or position >= len(calls):
        return
    call, function = calls[position], delta.get("function") or {}
    call["id"] = delta.get("id") or call["id"]
    call["function"]["name"] = function.get("name") or call["function"]["name"]
    call["function"]["arguments"] += function.get("arguments") or ""


class BodyLog:
    """Decides whether bodies are kept, and seals them."""

    def __init__(self, vault: Vault, *, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._data_key = lru_cache(maxsize=REMEMBERED_DATA_KEYS)(vault.unwrap)

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
