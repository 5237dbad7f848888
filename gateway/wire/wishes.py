"""Wishes in headers: what a client asks of the gateway beside its body. Pure.

The words are Bifrost's and LLM Gateway's. A header wins over the field of the body that says the same.
Labels in headers are `gateway.wire.labels`.
"""

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from gateway.errors import InvalidValue
from gateway.wire.chat_request import ChatRequest
from gateway.wire.checks import label

Headers = Mapping[bytes, bytes]

# By id or by name; who sends both must mean the same.
PROVIDER_KEY_HEADERS = (b"x-bf-api-key-id", b"x-bf-api-key")
# Header and the field of the request that it switches.
SWITCHES = {
    b"x-bf-send-back-raw-response": "wants_raw",
    b"x-no-fallback": "stays_with_provider",
    b"x-bf-passthrough-extra-params": "passes_unknown",
    b"x-bf-compat": "drop_params",
}
SWITCH_WORDS = {b"true": True, b"1": True, b"false": False, b"0": False}


def wished(request: ChatRequest, headers: Headers) -> ChatRequest:
    """The request as its headers want it. Raises a 400 that names the header."""
    changes: dict[str, Any] = {
        field: _switch(headers[name], name) for name, field in SWITCHES.items() if name in headers
    }
    keys = {_name(headers[name], name) for name in PROVIDER_KEY_HEADERS if name in headers}
    if len(keys) > 1:
        raise InvalidValue(
            "x-bf-api-key and x-bf-api-key-id name different keys; send one of them.", param="x-bf-api-key"
        )
    if keys:
        if request.use_custom_keys is False:
            raise InvalidValue(
                "x-bf-api-key chooses a key of your own, and use_custom_keys is false; send one of them.",
                param="x-bf-api-key",
            )
        changes |= {"provider_key": keys.pop(), "use_custom_keys": True}
    if changes and request.followers:
        changes["followers"] = tuple(wished(follower, headers) for follower in request.followers)
    return replace(request, **changes) if changes else request


def _switch(value: bytes, header: bytes) -> bool:
    word = SWITCH_WORDS.get(value.strip().lower())
    if word is None:
        raise InvalidValue(f"{header.decode()} must be true or false.", param=header.decode())
    return word


def _name(value: bytes, header: bytes) -> str:
    text = value.strip().decode("latin-1")
    label(text, header.decode())
    if not text:
        name = header.decode()
        raise InvalidValue(f"{name} must name a provider key, by id or name.", param=name)
    return text
