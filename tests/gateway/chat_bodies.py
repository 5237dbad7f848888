"""Bodies of chat requests for tests: one that is good, and ways to spoil it."""

from typing import Any

import orjson

JSON = "invalid_json"
VALUE = "invalid_value"
MISSING = "missing_required_parameter"
MODEL = "invalid_model"
UNSUPPORTED = "unsupported_parameter"

USER = {"role": "user", "content": "Hello"}


def body(**fields: Any) -> bytes:
    """A good request with these fields added or replaced."""
    return orjson.dumps({"model": "fake/echo", "messages": [USER], **fields})


GOOD = body()


def said(message: Any) -> bytes:
    """A good request whose only message is this."""
    return body(messages=[message])


def part(**fields: Any) -> bytes:
    """A good request whose only message has this content part."""
    return said({"role": "user", "content": [fields]})


def tool(name: Any = "look_up", **function: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, **function}}


def nested(levels: int) -> bytes:
    """A request whose unknown field makes the whole body this many levels deep."""
    return b'{"model":"m","messages":[{"role":"user","content":"x"}],"deep":%b%b}' % (
        b"[" * (levels - 1),
        b"]" * (levels - 1),
    )


def schema(levels: int) -> dict[str, Any]:
    """A JSON Schema of objects in objects, each level under `properties`."""
    inner: dict[str, Any] = {"type": "string"}
    for _ in range(levels - 1):
        inner = {"type": "object", "properties": {"a": inner}}
    return inner
