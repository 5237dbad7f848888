"""What some models add to an answer: sources, images, sound, refusals, reasoning in detail. Pure.

Sources of the shapes: OpenAI for `annotations`, `audio` and `refusal`
(https://platform.openai.com/docs/api-reference/chat/object), Perplexity for `citations`,
`search_results` and `videos` (https://docs.perplexity.ai/api-reference/chat-completions-post),
OpenRouter for `images` and `reasoning_details` (https://openrouter.ai/docs/use-cases/reasoning-tokens)
(checked 2026-11-27)
"""

from __future__ import annotations

import base64
from typing import Any

from gateway.simulator.answer import Choice
from gateway.simulator.behaviour import Behaviour, Mark
from gateway.simulator.chat_request import Wording
from gateway.simulator.tokens import Kind, Token

AUDIO_ID = "audio_simulator"
AUDIO_ENDS_AT = 1_900_000_000
SOURCE_URL = "https://example.test/source"
IMAGE = {
    "type": "image_url",
    "image_url": {
        "url": "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk"
    },
}
ANNOTATION = {
    "type": "url_citation",
    "url_citation": {"start_index": 0, "end_index": 3, "title": "A source", "url": SOURCE_URL},
}
SOURCES: dict[str, Any] = {
    "citations": [SOURCE_URL],
    "search_results": [
        {
            "title": "A source",
            "url": SOURCE_URL,
            "date": "2026-01-02",
            "last_updated": "2026-02-03",
            "snippet": "What it says.",
            "source": "web",
        }
    ],
    "videos": [
        {
            "url": f"{SOURCE_URL}.mp4",
            "thumbnail_url": f"{SOURCE_URL}.png",
            "thumbnail_width": 320,
            "thumbnail_height": 180,
            "duration": 12,
        }
    ],
}


def sources(behaviour: Behaviour) -> dict[str, Any]:
    """Fields beside the choices, of the whole answer and of each chunk."""
    return SOURCES if Mark.CITATIONS in behaviour.marks else {}


def adorned_message(
    message: dict[str, Any], choice: Choice, wording: Wording, behaviour: Behaviour
) -> dict[str, Any]:
    """The message, saying what it says in the way that was asked for."""
    text = "".join(token.text for token in choice.tokens if token.kind is Kind.TEXT)
    if Mark.REFUSAL in behaviour.marks:
        message = message | {"content": None, "refusal": text}
    elif wording.is_spoken and not choice.call_names:
        message = message | {"content": None, "audio": _audio(text)}
    if Mark.REASONING_DETAILS in behaviour.marks and "reasoning_content" in message:
        reasoning = message.pop("reasoning_content")
        message |= {"reasoning": reasoning, "reasoning_details": [_detail(reasoning)]}
    return message | {"annotations": _annotations(wording, behaviour)} | _images(behaviour)


def closing_delta(choice: Choice, wording: Wording, behaviour: Behaviour) -> dict[str, Any]:
    """What a stream says after the last token and before its finish; empty for most."""
    delta = _images(behaviour)
    if annotations := _annotations(wording, behaviour):
        delta["annotations"] = annotations
    if wording.is_spoken and not choice.call_names:
        spoken = _audio("".join(token.text for token in choice.tokens if token.kind is Kind.TEXT))
        delta["audio"] = {"id": AUDIO_ID, "data": spoken["data"], "expires_at": spoken["expires_at"]}
    return delta


def token_delta(token: Token, wording: Wording, behaviour: Behaviour) -> dict[str, Any]:
    """A token of text or reasoning as a delta."""
    if token.kind is Kind.REASONING:
        if Mark.REASONING_DETAILS in behaviour.marks:
            return {"reasoning": token.text, "reasoning_details": [_detail(token.text)]}
        return {"reasoning_content": token.text}
    if Mark.REFUSAL in behaviour.marks:
        return {"refusal": token.text}
    if wording.is_spoken:
        return {"audio": {"id": AUDIO_ID, "transcript": token.text}}
    return {"content": token.text}


def _audio(text: str) -> dict[str, Any]:
    sound = base64.b64encode(text.encode()).decode()
    return {"id": AUDIO_ID, "data": sound, "expires_at": AUDIO_ENDS_AT, "transcript": text}


def _detail(text: str) -> dict[str, Any]:
    return {"type": "reasoning.text", "index": 0, "text": text, "signature": None}


def _annotations(wording: Wording, behaviour: Behaviour) -> list[dict[str, Any]]:
    return [ANNOTATION] if wording.is_searched or Mark.CITATIONS in behaviour.marks else []


def _images(behaviour: Behaviour) -> dict[str, Any]:
    return {"images": [IMAGE]} if Mark.IMAGE in behaviour.marks else {}
