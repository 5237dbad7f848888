"""When two requests are the same: digests of everything that changes an answer, and of nothing else. Pure.

Whoever asks, how the answer is written down and what is logged of it makes no other request. A field
that is unknown here counts, so that a parameter that is added never lets two questions meet.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import orjson
from msgspec import structs

from gateway.wire.chat_request import ChatRequest
from gateway.wire.shapes import JsonObject

# Of a ChatRequest: names and labels of the caller, the form of the answer, and what others say as well.
NOT_OF_THE_ANSWER = frozenset(
    {
        "model", "forwarded", "prompt", "is_stream", "include_usage", "include_obfuscation", "tags", "user",
        "session_id", "agent", "signature", "log_query_body", "log_response_body", "fallbacks", "plugins",
        "budget_clamp", "request_context_tokens", "required_capabilities", "metadata", "wants_raw",
    }
)  # fmt: skip
# Of what providers get: who asks, how they find prompts again, and what the request says by another name.
NOT_OF_THE_QUESTION = frozenset(
    {
        "user", "safety_identifier", "metadata", "request_metadata", "prompt_cache_key",
        "prompt_cache_retention", "max_tokens", "max_completion_tokens", "n",
    }
)  # fmt: skip
INSTRUCTING_ROLES = ("system", "developer")

ProviderHeaders = tuple[tuple[str, str], ...]


class Asked(NamedTuple):
    """Who is asked first, and with which of the client's headers."""

    provider: str
    model: str
    region: str = ""
    headers: ProviderHeaders = ()


def fingerprint(request: ChatRequest, *, asked_of: Asked, scope: str, is_healed: bool) -> str:
    """The digest of the whole question, asked of this model first, within one scope of answers."""
    return _digest([scope, _settings(request, asked_of, is_healed), request.forwarded["messages"]])


def kinship(request: ChatRequest, *, asked_of: Asked, scope: str, is_healed: bool) -> bytes:
    """The digest of everything but what is asked: only requests that share it may be alike in meaning."""
    instructions = [each for each in request.forwarded["messages"] if each.get("role") in INSTRUCTING_ROLES]
    digest = _digest([scope, _settings(request, asked_of, is_healed), instructions])
    return bytes.fromhex(digest)


def asked_text(request: ChatRequest) -> str | None:
    """The conversation as text; None when a part of it is no text."""
    lines = []
    for message in request.forwarded["messages"]:
        if message.get("role") in INSTRUCTING_ROLES:
            continue
        text = _plain_text(message.get("content"))
        if text is None or message.get("tool_calls"):
            return None
        lines.append(f"{message.get('role')}: {text}")
    return "\n".join(lines)


def conversation_digest(request: ChatRequest, *, caller: str, headers: ProviderHeaders = ()) -> str:
    """What makes a request a double: its session or key, model, messages, tools and headers for providers."""
    asked = request.forwarded
    said = [asked["messages"], asked.get("tools"), headers]
    return _digest([caller, request.session_id, request.model, *said])


def _settings(request: ChatRequest, asked_of: Asked, is_healed: bool) -> JsonObject:
    own = {name: value for name, value in structs.asdict(request).items() if name not in NOT_OF_THE_ANSWER}
    sent = {
        name: value
        for name, value in request.forwarded.items()
        if name not in NOT_OF_THE_QUESTION and name != "messages"
    }
    provider, model = asked_of.provider, asked_of.model
    known_names = {f"{provider}/{model}", f"{model}@{provider}", f"{provider}:{model}"}
    asked_for = "" if request.model in known_names else request.model
    return {"model": asked_for, "at": asked_of, "own": own, "sent": sent, "healed": is_healed}


def _plain_text(content: Any) -> str | None:
    if isinstance(content, str):
        return content
    if not isinstance(content, Sequence):
        return None
    parts = [part if isinstance(part, Mapping) else {} for part in content]
    if any(part.get("type") != "text" or not isinstance(part.get("text"), str) for part in parts):
        return None
    return "\n".join(part["text"] for part in parts)


def _digest(document: Any) -> str:
    content = orjson.dumps(document, default=_plain, option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(content).hexdigest()


def _plain(value: Any) -> Any:
    """Sets have no order; everything else that orjson does not know is told by its own words."""
    return sorted(map(str, value)) if isinstance(value, frozenset | set) else repr(value)
