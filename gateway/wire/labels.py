"""Labels in headers: what a client says of a request beside its body. Pure.

Session and agent, the calling site, custom metadata, and the wish to keep a request's text out of
the log. The body wins over headers (CONTRACT 3.6 #22). Only `special_of` looks at every header of
a request; what it gives is empty for clients that send none of these.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from msgspec.structs import replace

from gateway.errors import InvalidValue
from gateway.wire.chat_request import ChatRequest
from gateway.wire.checks import UNSAFE_CHARACTERS, label

Headers = Mapping[bytes, bytes]

SESSION_HEADERS = (b"x-session-id", b"x-bf-session-id", b"x-session-affinity", b"session_id", b"session-id")
SESSION_COOKIE = "session_id"
AGENT_HEADERS = (b"x-agent", b"x-client-agent")
SOURCE_HEADERS = (b"x-source", b"http-referer")
METADATA_PREFIXES = (b"x-llmgateway-", b"x-farebox-metadata-", b"x-bf-prom-", b"x-bf-maxim-")
# Bifrost's attribution: kept as metadata under these names.
METADATA_HEADERS = {
    b"x-bf-customer-id": "customer-id",
    b"x-bf-customer-name": "customer-name",
    b"x-bf-parent-request-id": "parent-request-id",
}
NO_LOG_HEADER = b"x-bf-disable-content-logging"
METADATA_NAME_CHARACTERS_LIMIT = 64

# Beside labels what `gateway.exchange` forwards: all that a header can ask of us but who is calling.
_SPECIAL_STARTS = (
    b"x-bf-", b"x-llmgateway-", b"x-farebox-metadata-", b"x-session-", b"session", b"x-agent",
    b"x-client-agent", b"x-source", b"http-referer", b"cookie", b"anthropic-beta", b"openai-beta",
    b"x-no-fallback",
)  # fmt: skip
_SOURCE_START = re.compile(r"^(?:https?://)?(?:www\.)?", re.IGNORECASE)
_SOURCE = re.compile(r"[A-Za-z0-9._~:/@+%\-\[\]]{1,256}")
_SWITCH_WORDS = {"true": True, "1": True, "false": False, "0": False}


def special_of(headers: Headers) -> dict[bytes, bytes]:
    """Those of the headers that ask for something; of most requests none."""
    return {name: value for name, value in headers.items() if name.startswith(_SPECIAL_STARTS)}


def labelled(
    request: ChatRequest, headers: Headers, *, pairs_limit: int, characters_limit: int
) -> ChatRequest:
    """The request with what its headers say of it. Raises a 400 that names the header."""
    _check_source(headers)
    changes: dict[str, Any] = {}
    if not request.session_id and (session_id := _first(headers, SESSION_HEADERS) or _cookie(headers)):
        changes["session_id"] = session_id
    if not request.agent and (agent := _first(headers, AGENT_HEADERS)):
        changes["agent"] = agent
    if _is_text_unwanted(headers):
        changes |= {"log_query_body": False, "log_response_body": False}
    if metadata := dict(_metadata(headers, characters_limit)):
        changes["metadata"] = _joined(metadata, request.metadata, pairs_limit)
    return replace(request, **changes) if changes else request


def readable_labels(headers: Headers) -> dict[str, str]:
    """What the headers say, for a request that is refused anyhow; what cannot be kept is left out."""
    found = {"session_id": "", "agent": ""}
    with suppress(InvalidValue):
        found["session_id"] = _first(headers, SESSION_HEADERS) or _cookie(headers)
    with suppress(InvalidValue):
        found["agent"] = _first(headers, AGENT_HEADERS)
    return {name: text for name, text in found.items() if text}


def source_of(headers: Headers) -> str:
    """The calling site or application, without scheme and query; "" if there is none that can be shown."""
    place = _source_place(headers)
    return _SOURCE_START.sub("", place[1], count=1) if place and _SOURCE.fullmatch(place[1]) else ""


def _check_source(headers: Headers) -> None:
    place = _source_place(headers)
    if place and not _SOURCE.fullmatch(place[1]):
        name = place[0]
        raise InvalidValue(
            f"{name} must be a host, an address or a name of 1 to 256 letters, digits and -._~:/@+%[].",
            param=name,
        )


def _source_place(headers: Headers) -> tuple[str, str] | None:
    """Which header names the source, and what it says up to its query, which is nobody's business."""
    for name in SOURCE_HEADERS:
        if value := headers.get(name):
            return name.decode(), re.split("[?#]", value.decode("utf-8", "replace").strip(), maxsplit=1)[0]
    return None


def _first(headers: Headers, names: tuple[bytes, ...]) -> str:
    """What the first of these headers says that is there and not blank."""
    for name in names:
        if text := _text(headers, name):
            label(text, name.decode())
            return text
    return ""


def _cookie(headers: Headers) -> str:
    """The session cookie; one that is no label was not meant for us and is passed over."""
    for part in headers.get(b"cookie", b"").decode("utf-8", "replace").split(";"):
        name, _, value = part.strip().partition("=")
        if name == SESSION_COOKIE:
            value = value.strip('"')
            return "" if len(value) > 256 or UNSAFE_CHARACTERS.search(value) else value
    return ""


def _is_text_unwanted(headers: Headers) -> bool:
    if NO_LOG_HEADER not in headers:
        return False
    word = _text(headers, NO_LOG_HEADER).lower()
    if word not in _SWITCH_WORDS:
        name = NO_LOG_HEADER.decode()
        raise InvalidValue(f"{name} must be true or false.", param=name)
    return _SWITCH_WORDS[word]


def _metadata(headers: Headers, characters_limit: int) -> Iterator[tuple[str, str]]:
    for header in headers:
        name = METADATA_HEADERS.get(header, "")
        for prefix in METADATA_PREFIXES:
            name = name or (header.removeprefix(prefix).decode() if header.startswith(prefix) else "")
        if not name or not (value := _text(headers, header)):
            continue
        shown = header.decode()[: METADATA_NAME_CHARACTERS_LIMIT + 20]
        if len(name) > METADATA_NAME_CHARACTERS_LIMIT or len(value) > characters_limit:
            raise InvalidValue(
                f"A name of metadata must have at most {METADATA_NAME_CHARACTERS_LIMIT} characters, "
                f"a value at most {characters_limit}.",
                param=shown,
            )
        if UNSAFE_CHARACTERS.search(value):
            raise InvalidValue(f"{shown} must not hold control characters.", param=shown)
        yield name, value


def _joined(of_headers: dict[str, str], of_body: Mapping[str, str], pairs_limit: int) -> dict[str, str]:
    metadata = {**of_headers, **of_body}
    if len(metadata) > pairs_limit:
        raise InvalidValue(
            f"A request may carry {pairs_limit} pairs of metadata in its headers and body, "
            f"got {len(metadata)}.",
            param="metadata",
        )
    return metadata


def _text(headers: Headers, name: bytes) -> str:
    try:
        return headers.get(name, b"").decode().strip()
    except UnicodeDecodeError as exc:
        raise InvalidValue(f"{name.decode()} must be UTF-8.", param=name.decode()) from exc
