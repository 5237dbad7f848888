"""Stored prompts and answers as a conversation: decrypted, read leniently, given as plain text.

Whoever calls has asked the tenant for the right to read bodies. Pages escape what comes from here.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.conf import settings

from accounts.models import Organization
from accounts.vault import SealBroken, Vault
from billing.models import UsageBody

MAX_MESSAGES = 500
MAX_CHARACTERS = 200_000


@dataclass(frozen=True, slots=True)
class Message:
    role: str
    text: str


@dataclass(frozen=True, slots=True)
class Bodies:
    """What was asked and answered; None where it is not stored or cannot be read."""

    request: dict[str, Any] | None
    response: dict[str, Any] | None

    @property
    def messages(self) -> tuple[Message, ...]:
        asked = (self.request or {}).get("messages")
        answered = (self.response or {}).get("choices")
        found = [*_asked(asked), *_answered(answered)]
        return tuple(found[:MAX_MESSAGES])


def open_bodies(organization: Organization, body: UsageBody | None) -> Bodies | None:
    """The stored bodies of an event in the clear; None when there are none, or the seal does not fit."""
    opened = open_json(organization, body)
    return Bodies(*map(_object, opened)) if opened else None


def open_json(organization: Organization, body: UsageBody | None) -> tuple[Any, Any] | None:
    """Request and answer as whatever JSON they are, None for what is not kept; None as `open_bodies` says."""
    if body is None or organization.encrypted_data_key is None:
        return None
    try:
        vault = Vault(settings.FAREBOX_MASTER_KEY)
        data_key = vault.unwrap(bytes(organization.encrypted_data_key), organization.pk)
        parts = [
            data_key.decrypt(bytes(sealed), context=f"usage-body:{body.event_id}:{part}") if sealed else None
            for sealed, part in ((body.encrypted_request, "request"), (body.encrypted_response, "response"))
        ]
    except SealBroken:
        return None
    asked, answered = map(_json, parts)
    return asked, answered


def _json(content: bytes | None) -> Any:
    try:
        return json.loads(content) if content else None
    except (ValueError, RecursionError):
        return None


def _object(found: Any) -> dict[str, Any] | None:
    return found if isinstance(found, dict) else None


def _asked(messages: Any) -> Iterable[Message]:
    for message in messages if isinstance(messages, list) else ():
        if isinstance(message, dict):
            yield Message(str(message.get("role", "message")), _text_of(message))


def _answered(choices: Any) -> Iterable[Message]:
    for choice in choices if isinstance(choices, list) else ():
        message = choice.get("message") if isinstance(choice, dict) else None
        if isinstance(message, dict):
            yield Message("assistant", _text_of(message))


def _text_of(message: dict[str, Any]) -> str:
    """All a message says, one part after the other."""
    parts = [*_content(message.get("reasoning_content") or message.get("reasoning"))]
    parts += _content(message.get("content"))
    parts += _content(message.get("refusal"))
    if message.get("tool_calls"):
        parts.append(json.dumps(message["tool_calls"], indent=2, ensure_ascii=False))
    return "\n\n".join(parts)[:MAX_CHARACTERS]


def _content(content: Any) -> list[str]:
    if isinstance(content, str):
        return [content] if content else []
    if not isinstance(content, list):
        return []
    return [
        str(part["text"])
        if isinstance(part, dict) and isinstance(part.get("text"), str)
        else f"[{part.get('type', 'part') if isinstance(part, dict) else 'part'}]"
        for part in content
    ]
