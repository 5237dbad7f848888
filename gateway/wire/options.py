"""Checks of parameters that are objects: audio, predictions, searches, caching, streams, images.

Members that are not known here go to the provider as they are; null means absent.
"""

from typing import Any

from gateway.errors import InvalidValue, MissingParameter
from gateway.wire.checks import Check, array, boolean, label, object_, one_of, positive_integer, shown, text

SEARCH_USES_LIMIT = 1_000
SEARCH_DOMAINS_LIMIT = 100
AUDIO_FORMATS = ("wav", "aac", "mp3", "flac", "opus", "pcm16")
MODALITIES = ("text", "audio", "image")
LEVELS = ("low", "medium", "high")
PLACE_FIELDS = ("city", "country", "region", "timezone")


def stream_options(value: Any, name: str) -> None:
    object_(value, name)
    for option, content in value.items():
        if content is not None:
            boolean(content, f"{name}.{option}")


def modalities(value: Any, name: str) -> None:
    array(value, name)
    if len(value) > len(MODALITIES):
        raise InvalidValue(
            f"{name} must have at most {len(MODALITIES)} elements, got {len(value)}.", param=name
        )
    check_modality = one_of(*MODALITIES)
    for modality in value:
        check_modality(modality, name)


def audio(value: Any, name: str) -> None:
    """How the answer is to be spoken: a voice by name, or one's own by id."""
    object_(value, name)
    _member(value, name, "format", one_of(*AUDIO_FORMATS))
    voice = value.get("voice")
    if type(voice) is dict:
        label(voice.get("id"), f"{name}.voice.id")
    elif voice is not None:
        label(voice, f"{name}.voice")


def prediction(value: Any, name: str) -> None:
    """What the answer will probably say: text, or parts of it."""
    object_(value, name)
    one_of("content")(value.get("type"), f"{name}.type")
    content = value.get("content")
    if content is None:
        raise MissingParameter(
            f"{name}.content is missing: send text or an array of text parts.", param=f"{name}.content"
        )
    if type(content) is str:
        return
    if type(content) is not list:
        raise InvalidValue(
            f"{name}.content must be a string or an array of parts, got {shown(content)}.",
            param=f"{name}.content",
        )
    for index, part in enumerate(content):
        path = f"{name}.content[{index}]"
        object_(part, path)
        one_of("text")(part.get("type"), f"{path}.type")
        text(part.get("text"), f"{path}.text")


def web_search_options(value: Any, name: str) -> None:
    """How the web is to be searched; a tool of type web_search has the same members."""
    object_(value, name)
    _member(value, name, "search_context_size", one_of(*LEVELS))
    _member(value, name, "max_uses", positive_integer(SEARCH_USES_LIMIT))
    for domains in ("allowed_domains", "blocked_domains"):
        _member(value, name, domains, _domains)
    place = value.get("user_location")
    if place is not None:
        path = f"{name}.user_location"
        object_(place, path)
        inner = place.get("approximate")
        if inner is not None:
            object_(inner, f"{path}.approximate")
        for field in PLACE_FIELDS:
            _member(inner or place, path, field, label)


def cache_control(value: Any, name: str) -> None:
    """Anthropic's mark behind the part of a prompt that is to be cached."""
    object_(value, name)
    one_of("ephemeral")(value.get("type"), f"{name}.type")
    _member(value, name, "ttl", label)


def _member(holder: dict[str, Any], name: str, member: str, check: Check) -> None:
    value = holder.get(member)
    if value is not None:
        check(value, f"{name}.{member}")


def _domains(value: Any, name: str) -> None:
    array(value, name)
    if len(value) > SEARCH_DOMAINS_LIMIT:
        raise InvalidValue(
            f"{name} must have at most {SEARCH_DOMAINS_LIMIT} domains, got {len(value)}.", param=name
        )
    for index, domain in enumerate(value):
        label(domain, f"{name}[{index}]")
