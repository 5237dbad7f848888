"""What inside messages and tools an OpenAI-compatible provider does not take, and the request without it."""

from typing import Any

from gateway.providers.openai_deviations import (
    WITHOUT_CACHE_CONTROL,
    WITHOUT_CUSTOM_TOOLS,
    unsupported_message_fields,
)
from gateway.routing.target import Target
from gateway.wire.chat_request import ChatRequest
from gateway.wire.shapes import JsonObject

MARK = "cache_control"
# What is said of tools, and means nothing where none are left.
ABOUT_TOOLS = ("tools", "tool_choice", "parallel_tool_calls")


def tailored_content(
    fields: JsonObject, request: ChatRequest, target: Target
) -> tuple[JsonObject, list[str]]:
    """The fields that have to be other ones (None: left out), and the names of what they lose."""
    changed: JsonObject = {}
    lost: list[str] = []
    refused = request.message_fields & unsupported_message_fields(target.provider)
    if refused:
        changed["messages"], named = _without_fields(request.forwarded["messages"], refused)
        lost += [f"messages.{name}" for name in sorted(named)]
    tools: list[JsonObject] = fields.get("tools", [])
    if target.provider in WITHOUT_CUSTOM_TOOLS and any(tool["type"] == "custom" for tool in tools):
        changed |= _without_custom_tools(fields)
        lost.append("tools.custom")
    if request.has_cache_control and target.provider in WITHOUT_CACHE_CONTROL:
        messages: list[JsonObject] = changed.get("messages") or request.forwarded["messages"]
        changed["messages"] = [_without_marks(message) for message in messages]
        kept = changed.get("tools", tools)
        if kept:
            changed["tools"] = [_without_mark(tool) for tool in kept]
        lost.append(MARK)
    return changed, lost


def _without_fields(messages: list[JsonObject], refused: frozenset[str]) -> tuple[list[JsonObject], set[str]]:
    """The messages, and which fields said something: what was null or empty is not missed."""
    kept: list[JsonObject] = []
    named: set[str] = set()
    for message in messages:
        lost = refused & message.keys()
        if lost and message["role"] == "function":
            # There it says which function answers.
            lost -= {"name"}
        named |= {name for name in lost if message[name]}
        kept.append({name: value for name, value in message.items() if name not in lost} if lost else message)
    return kept, named


def _without_custom_tools(fields: JsonObject) -> JsonObject:
    tools = [tool for tool in fields["tools"] if tool["type"] != "custom"]
    if not tools:
        return dict.fromkeys(ABOUT_TOOLS)
    choice = fields.get("tool_choice")
    if type(choice) is not dict:
        return {"tools": tools}
    if choice["type"] == "custom":
        return {"tools": tools, "tool_choice": None}
    if choice["type"] == "allowed_tools":
        allowed = choice["allowed_tools"]
        listed = [tool for tool in allowed["tools"] if tool["type"] != "custom"]
        choice = {**choice, "allowed_tools": {**allowed, "tools": listed}} if listed else None
    return {"tools": tools, "tool_choice": choice}


def _without_marks(message: JsonObject) -> JsonObject:
    """The message without marks on it or its parts."""
    content: Any = message.get("content")
    if type(content) is list:
        message = {**message, "content": [_without_mark(part) for part in content]}
    return _without_mark(message)


def _without_mark(part: JsonObject) -> JsonObject:
    return {name: value for name, value in part.items() if name != MARK} if MARK in part else part
