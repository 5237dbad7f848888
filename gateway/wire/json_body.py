"""Strict JSON: a UTF-8 object, or a list of them, with finite numbers, unique keys, bounded depth and size.

Reading is iterative and bounded: nothing here recurses over what a client sent.
"""

import json
from itertools import pairwise
from typing import Any

import orjson

from gateway.errors import InvalidJson
from gateway.wire.shapes import JsonObject

NODE_STARTS = b",[{"
SMALLEST_NODE_BYTES = 2


def parse_json_body(body: bytes, *, depth_limit: int, nodes_limit: int) -> JsonObject | list[Any]:
    """The body as a dict or a list. Raises InvalidJson, saying where and why, never what stood there."""
    if len(body) > nodes_limit * SMALLEST_NODE_BYTES:
        _check_nodes(body, nodes_limit)
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as exc:
        raise InvalidJson(f"The body is not valid JSON: {exc}") from exc
    if not isinstance(document, dict | list):
        raise InvalidJson("The body must be a JSON object, or a list of them.")
    strings = _collect_strings(document, depth_limit)
    text = "".join(strings)
    if "\0" in text:
        raise InvalidJson("Text must not hold the NUL character (\\u0000).")
    # Each string that was read has two quotes in the body; more quotes mean that a key was
    # overwritten. A twin hidden behind an equal number of \u0022 passes, which is harmless: what
    # goes upstream is written anew from this dict, so everybody reads the same one.
    if body.count(b'"') != 2 * len(strings) + text.count('"'):
        _refuse_duplicate_keys(body)
    return document


def _check_nodes(body: bytes, nodes_limit: int) -> None:
    """Counts before anything is built; strings count only if the first, rough count is too high."""
    if len(body) - len(body.translate(None, NODE_STARTS)) <= nodes_limit:
        return
    text = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    structure = b"".join(text.split(b'"')[::2])
    if len(structure) - len(structure.translate(None, NODE_STARTS)) > nodes_limit:
        raise InvalidJson(f"The body has more than {nodes_limit} values.")


def _collect_strings(document: JsonObject | list[Any], depth_limit: int) -> list[str]:
    """All keys and string values, read level by level, so that depth is bounded."""
    strings: list[str] = []
    level: list[Any] = [document]
    for _ in range(depth_limit):
        deeper: list[Any] = []
        for container in level:
            if type(container) is dict:
                strings.extend(container)
                values: Any = container.values()
            else:
                values = container
            for value in values:
                kind = type(value)
                if kind is str:
                    strings.append(value)
                elif kind is dict or kind is list:
                    deeper.append(value)
        if not deeper:
            return strings
        level = deeper
    raise InvalidJson(f"The body is nested more than {depth_limit} levels deep.")


def _refuse_duplicate_keys(body: bytes) -> None:
    json.loads(body, object_pairs_hook=_unique_pairs)


def _unique_pairs(pairs: list[tuple[str, Any]]) -> JsonObject:
    unique = dict(pairs)
    if len(unique) != len(pairs):
        keys = sorted(key for key, _ in pairs)
        twice = next(key for key, following in pairwise(keys) if key == following)
        raise InvalidJson(f"The key {twice[:64]!r} stands twice in one object.")
    return unique
