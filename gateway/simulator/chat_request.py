"""What a chat completion request asks of the simulator, parsed and checked. Pure.

Only what changes the answer is kept; everything else a client may send is accepted unread.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson

from gateway.simulator.behaviour import MODELS
from gateway.simulator.tokens import TOKENS_PER_IMAGE, TOKENS_PER_MESSAGE, count_text_tokens

MAX_CHOICES = 128
MAX_TOP_LOGPROBS = 20
TOOL_KINDS = ("function", "custom")
SERVICE_TIERS = ("auto", "default", "flex", "priority")

REASONING_TOKENS_BY_EFFORT = {"none": 0, "minimal": 2, "low": 4, "medium": 8, "high": 16, "xhigh": 32}


class Refused(Exception):
    """The call is answered with an error; the fields are those of OpenAI's error object."""

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        kind: str = "invalid_request_error",
        param: str | None = None,
        code: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message, self.status, self.kind, self.param, self.code = message, status, kind, param, code


@dataclass(frozen=True, slots=True)
class Tool:
    name: str
    parameters: Any
    kind: str = "function"


@dataclass(frozen=True, slots=True)
class Wording:
    """How the answer is to be written down; hashable, since rendered answers are cached by it."""

    is_stream: bool = False
    includes_usage: bool = False
    top_logprobs: int | None = None
    service_tier: str = "default"
    is_spoken: bool = False
    is_searched: bool = False


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """`json_schema` is None for prose; a tool choice that names a function is in `chosen_tool`."""

    model: str
    last_user_text: str
    ends_with_tool_result: bool
    prompt_tokens: int
    wording: Wording = Wording()
    max_tokens: int | None = None
    choices: int = 1
    stops: tuple[str, ...] = ()
    effort: str | None = None
    json_schema: dict[str, Any] | None = None
    tools: tuple[Tool, ...] = ()
    tool_choice: str = "auto"
    chosen_tool: str = ""


def parse_chat_request(body: bytes) -> ChatRequest:
    """Raises Refused with the status and the words for the client."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as exc:
        raise Refused("The body of the request is not valid JSON.") from exc
    if not isinstance(document, dict):
        raise Refused("The body of the request must be a JSON object.")
    model = _model(document.get("model"))
    messages = _messages(document.get("messages"))
    tool_choice, chosen_tool = _tool_choice(document.get("tool_choice"))
    return ChatRequest(
        model=model,
        last_user_text=_last_user_text(messages),
        ends_with_tool_result=messages[-1].get("role") == "tool",
        prompt_tokens=sum(map(_prompt_tokens, messages)),
        wording=_wording(document),
        max_tokens=_max_tokens(document),
        choices=_integer(document, "n", most=MAX_CHOICES) or 1,
        stops=_stops(document.get("stop")),
        effort=_effort(document.get("reasoning_effort")),
        json_schema=_json_schema(document.get("response_format")),
        tools=_tools(document.get("tools")),
        tool_choice=tool_choice,
        chosen_tool=chosen_tool,
    )


def _model(model: Any) -> str:
    if model is None:
        raise _missing("model")
    if not isinstance(model, str):
        raise _invalid("model", "a string")
    if model not in MODELS:
        message = f"The model `{model[:200]}` does not exist or you do not have access to it."
        raise Refused(message, status=404, param="model", code="model_not_found")
    return model


def _messages(messages: Any) -> list[dict[str, Any]]:
    if messages is None:
        raise _missing("messages")
    if not isinstance(messages, list) or not messages:
        raise _invalid("messages", "a non-empty array")
    for index, message in enumerate(messages):
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise _invalid(f"messages[{index}]", "an object with a role")
        if not isinstance(message.get("content"), str | list | None):
            raise _invalid(f"messages[{index}].content", "a string or an array of parts")
    return messages


def _parts(message: dict[str, Any]) -> list[dict[str, Any]]:
    content = message.get("content")
    return [part for part in content if isinstance(part, dict)] if isinstance(content, list) else []


def _text_of(message: dict[str, Any]) -> str:
    content = message.get("content")
    if isinstance(content, str):
        return content
    return "".join(part["text"] for part in _parts(message) if isinstance(part.get("text"), str))


def _prompt_tokens(message: dict[str, Any]) -> int:
    images = len([part for part in _parts(message) if part.get("type") == "image_url"])
    return count_text_tokens(_text_of(message)) + TOKENS_PER_MESSAGE + images * TOKENS_PER_IMAGE


def _last_user_text(messages: list[dict[str, Any]]) -> str:
    for message in reversed(messages):
        if message["role"] == "user":
            return _text_of(message)
    return ""


def _wording(document: dict[str, Any]) -> Wording:
    is_stream = document.get("stream") or False
    if not isinstance(is_stream, bool):
        raise _invalid("stream", "a boolean")
    options = document.get("stream_options") or {}
    if options and not is_stream:
        message = "The 'stream_options' parameter is only allowed when 'stream' is enabled."
        raise Refused(message, param="stream_options")
    if not isinstance(options, dict):
        raise _invalid("stream_options", "an object")
    top_logprobs = _integer(document, "top_logprobs", least=0, most=MAX_TOP_LOGPROBS) or 0
    tier = document.get("service_tier") or "default"
    if tier not in SERVICE_TIERS:
        raise _invalid("service_tier", f"one of {', '.join(SERVICE_TIERS)}")
    return Wording(
        is_stream=is_stream,
        service_tier="default" if tier == "auto" else tier,
        includes_usage=options.get("include_usage") is True,
        top_logprobs=top_logprobs if document.get("logprobs") is True else None,
        is_spoken="audio" in (document.get("modalities") or ()),
        is_searched=document.get("web_search_options") is not None,
    )


def _max_tokens(document: dict[str, Any]) -> int | None:
    caps = [_integer(document, "max_completion_tokens"), _integer(document, "max_tokens")]
    return min((cap for cap in caps if cap is not None), default=None)


def _integer(document: dict[str, Any], name: str, *, least: int = 1, most: int = 2**63 - 1) -> int | None:
    value = document.get(name)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise _invalid(name, f"an integer from {least} to {most}")
    return value


def _stops(stop: Any) -> tuple[str, ...]:
    stops = [stop] if isinstance(stop, str) else stop or []
    if not isinstance(stops, list) or not all(isinstance(one, str) for one in stops):
        raise _invalid("stop", "a string or an array of strings")
    return tuple(filter(None, stops))


def _effort(effort: Any) -> str | None:
    if effort is None:
        return None
    if not isinstance(effort, str) or effort not in REASONING_TOKENS_BY_EFFORT:
        raise _invalid("reasoning_effort", f"one of {', '.join(REASONING_TOKENS_BY_EFFORT)}")
    return effort


def _json_schema(response_format: Any) -> dict[str, Any] | None:
    if response_format is None:
        return None
    kind = response_format.get("type") if isinstance(response_format, dict) else None
    if kind == "json_object":
        return {"type": "object", "properties": {"answer": {"type": "string"}}}
    if kind == "json_schema":
        inner = response_format.get("json_schema")
        schema = inner.get("schema") if isinstance(inner, dict) else None
        if not isinstance(schema, dict):
            raise _missing("response_format.json_schema.schema")
        return schema
    if kind != "text":
        raise _invalid("response_format.type", "one of text, json_object, json_schema")
    return None


def _tools(tools: Any) -> tuple[Tool, ...]:
    if tools is None:
        return ()
    if not isinstance(tools, list):
        raise _invalid("tools", "an array")
    return tuple(_tool(tool, index) for index, tool in enumerate(tools))


def _tool(tool: Any, index: int) -> Tool:
    kind = tool.get("type", "function") if isinstance(tool, dict) else ""
    named = tool.get(kind) if kind in TOOL_KINDS else None
    if not isinstance(named, dict) or not isinstance(named.get("name"), str):
        raise _missing(f"tools[{index}].function.name")
    return Tool(named["name"], named.get("parameters") or {"type": "object"}, kind)


def _tool_choice(choice: Any) -> tuple[str, str]:
    """The word, and the tool that must be called; of allowed tools the first is the one."""
    if choice is None:
        return "auto", ""
    if choice in ("none", "auto", "required"):
        return choice, ""
    kind = choice.get("type", "function") if isinstance(choice, dict) else ""
    word = "required"
    if kind == "allowed_tools":
        allowed = choice["allowed_tools"]
        word, choice = allowed["mode"], allowed["tools"][0]
        kind = choice["type"]
    named = choice.get(kind) if kind in TOOL_KINDS else None
    if not isinstance(named, dict) or not isinstance(named.get("name"), str):
        raise _invalid("tool_choice", "none, auto, required or an object that names a tool")
    return word, named["name"]


def _missing(name: str) -> Refused:
    message = f"Missing required parameter: '{name}'."
    return Refused(message, param=name, code="missing_required_parameter")


def _invalid(name: str, expected: str) -> Refused:
    return Refused(f"Invalid value for '{name}': expected {expected}.", param=name, code="invalid_value")
