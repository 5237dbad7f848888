"""What all clients say, and how a script tells what came of it: JSON in on stdin, JSON out on stdout.

In: `{"mounts": {"/v0": "http://…/v0"}, "keys": {"good": …, "unknown": …}}`. Out, by mount and by step,
what the client's own classes held, or what it raised. Runs in an environment of its own, so that
nothing here imports the project.
"""

import json
import sys
from collections.abc import Callable
from typing import Any

SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["city", "days"],
    "additionalProperties": False,
}
WEATHER = {
    "type": "function",
    "function": {"name": "get_weather", "description": "The weather to come.", "parameters": SCHEMA},
}
PIXEL = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGA"
    "WjR9awAAAABJRU5ErkJggg=="
)
LOOK = [
    {"type": "text", "text": "What is this?"},
    {"type": "image_url", "image_url": {"url": PIXEL}},
]
# What goes wrong, in which way: the key, the model and the message to send, and more parameters.
FAILURES: dict[str, tuple[str, str, str, dict[str, Any]]] = {
    "400": ("good", "fake/echo", "hello", {"temperature": 3}),
    "401": ("unknown", "fake/echo", "hello", {}),
    "402": ("spent", "fake/echo", "hello", {}),
    "403": ("blocked", "fake/echo", "hello", {}),
    "404": ("good", "fake/nothing", "hello", {}),
    "429": ("limited", "fake/echo", "hello", {}),
    "502": ("good", "fake/echo", "[[status 500]]", {}),
}
BROKEN_STREAM = "[[cut 3]]"

Step = Callable[[str, dict[str, str]], Any]
"""Takes a base URL and the keys by name."""


def said(content: Any) -> list[dict[str, Any]]:
    return [{"role": "user", "content": content}]


def run(steps: dict[str, Step]) -> None:
    given = json.load(sys.stdin)
    told = {
        mount: {name: _told(step, url, given["keys"]) for name, step in steps.items()}
        for mount, url in given["mounts"].items()
    }
    json.dump(told, sys.stdout)


def _told(step: Step, url: str, keys: dict[str, str]) -> Any:
    try:
        return step(url, keys)
    except Exception as raised:  # noqa: BLE001  # whatever it raises is what is told
        return {
            "raised": type(raised).__name__,
            "status": getattr(raised, "status_code", None),
            "code": getattr(raised, "code", None),
        }
