"""A small JSON document that fits a JSON schema. The same schema gives the same document.

Knows what the official SDKs produce from typed classes; `pattern` and `not` are beyond it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

MAX_DEPTH = 12
OPTIONAL_DEPTH = 4

_FORMATS = {
    "date-time": "2026-01-02T03:04:05Z",
    "date": "2026-01-02",
    "time": "03:04:05Z",
    "duration": "P1D",
    "email": "alice@example.com",
    "uri": "https://example.com/",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uuid": "00000000-0000-4000-8000-000000000001",
}

Schema = Mapping[str, Any]


def document_for(schema: Any) -> Any:
    """A document that fits; `null` where the schema is no object or nests deeper than MAX_DEPTH."""
    root = schema if isinstance(schema, Mapping) else {}
    return _value(root, root, depth=0)


def _value(schema: Any, root: Schema, *, depth: int) -> Any:
    if not isinstance(schema, Mapping) or depth > MAX_DEPTH:
        return None
    if "const" in schema:
        return schema["const"]
    if isinstance(schema.get("enum"), list) and schema["enum"]:
        return schema["enum"][0]
    for resolve in (_referenced, _alternative, _merged):
        inner = resolve(schema, root, depth)
        if inner is not None:
            return _value(inner, root, depth=depth + 1)
    return _typed(schema, root, depth)


def _referenced(schema: Schema, root: Schema, _depth: int) -> Any:
    reference = schema.get("$ref")
    if not isinstance(reference, str) or not reference.startswith("#"):
        return None
    target: Any = root
    for part in reference.removeprefix("#").strip("/").split("/"):
        if part:
            target = target.get(part) if isinstance(target, Mapping) else None
    return target


def _alternative(schema: Schema, _root: Schema, depth: int) -> Any:
    """The first alternative; deep down the last, where typed classes put `null` and so end a recursion."""
    alternatives = schema.get("anyOf") or schema.get("oneOf")
    if not isinstance(alternatives, list) or not alternatives:
        return None
    return alternatives[-1 if depth > OPTIONAL_DEPTH else 0]


def _merged(schema: Schema, root: Schema, depth: int) -> Any:
    parts = schema.get("allOf")
    if not isinstance(parts, list) or not parts:
        return None
    merged: dict[str, Any] = {name: part for name, part in schema.items() if name != "allOf"}
    for part in parts:
        resolved = _referenced(part, root, depth) or part
        if isinstance(resolved, Mapping):
            properties = {**merged.get("properties", {}), **resolved.get("properties", {})}
            required = [*merged.get("required", []), *resolved.get("required", [])]
            merged = {**merged, **resolved, "properties": properties, "required": required}
    return merged


def _typed(schema: Schema, root: Schema, depth: int) -> Any:
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = kind[0] if kind else None
    if kind is None:
        kind = "object" if "properties" in schema else "string"
    if kind == "object":
        return _object(schema, root, depth)
    if kind == "array":
        return _array(schema, root, depth)
    if kind in ("integer", "number"):
        return _number(schema, is_integer=kind == "integer")
    if kind == "boolean":
        return True
    return _string(schema) if kind == "string" else None


def _object(schema: Schema, root: Schema, depth: int) -> dict[str, Any]:
    properties = schema.get("properties")
    if not isinstance(properties, Mapping):
        return {}
    required = schema.get("required", [])
    return {
        name: _value(inner, root, depth=depth + 1)
        for name, inner in properties.items()
        if depth <= OPTIONAL_DEPTH or name in required
    }


def _array(schema: Schema, root: Schema, depth: int) -> list[Any]:
    least = schema.get("minItems", 1 if depth <= OPTIONAL_DEPTH else 0)
    count = min(least, 16) if isinstance(least, int) else 1
    return [_value(schema.get("items", {"type": "string"}), root, depth=depth + 1) for _ in range(count)]


def _number(schema: Schema, *, is_integer: bool) -> int | float:
    step = schema.get("multipleOf")
    step = step if isinstance(step, int | float) and step > 0 else 1
    value: int | float = 1 if step == 1 else step
    if isinstance(least := schema.get("minimum"), int | float) and value < least:
        value = math.ceil(least / step) * step
    if isinstance(above := schema.get("exclusiveMinimum"), int | float) and value <= above:
        value = (math.floor(above / step) + 1) * step
    if isinstance(most := schema.get("maximum"), int | float) and value > most:
        value = math.floor(most / step) * step
    if isinstance(below := schema.get("exclusiveMaximum"), int | float) and value >= below:
        value = (math.ceil(below / step) - 1) * step
    return int(value) if is_integer else value


def _string(schema: Schema) -> str:
    text = _FORMATS.get(str(schema.get("format")), "w01")
    if isinstance(least := schema.get("minLength"), int):
        text = text.ljust(min(least, 10_000), "w")
    if isinstance(most := schema.get("maxLength"), int):
        text = text[: max(most, 0)]
    return text
