"""The body of a chat request, read: strict JSON in, a checked ChatRequest out.

What is refused here costs nothing and reaches nobody. Whether the model exists, may be used
and can do what is asked is decided by routing.
"""

from dataclasses import dataclass
from typing import Any

import orjson

from gateway.wire.chat_request import REASONING_BUDGET, ChatRequest, PromptSize
from gateway.wire.checks import integer
from gateway.wire.gateway_fields import (
    read_context_tokens,
    read_fallbacks,
    read_model,
    read_plugins,
    read_reasoning,
    read_tags,
)
from gateway.wire.json_body import parse_json_body
from gateway.wire.list_body import read_list
from gateway.wire.messages import PromptTally, check_messages
from gateway.wire.normal_form import json_expansion_bytes
from gateway.wire.parameters import GATEWAY_PARAMETERS, check_combinations, check_names, check_values
from gateway.wire.shapes import JsonObject
from gateway.wire.tools import check_functions, check_response_format, check_tool_choice, check_tools

REQUIRED_BY_FORMAT = {"json_object": "json_mode", "json_schema": "json_schema"}
NOTHING_DEMANDED: frozenset[str] = frozenset()
# Read by the model as instructions, so they make part of the prompt.
INSTRUCTIONS = ("tools", "functions", "response_format")
TOOL_SETTINGS = frozenset({"tools", "tool_choice", "parallel_tool_calls"})
# Services of one of the sources that no provider offers; asked for, they are named as dropped.
UNSERVED = ("sensitive_word_check", "onboarding")
EMPTY_MEANS_ABSENT = frozenset(
    {
        "tools", "functions", "stop", "response_format", "reasoning", "logit_bias", "stream_options",
        "modalities",
    }
)  # fmt: skip
# Fields of a ChatRequest that are parameters of the same name and meaning.
TAKEN_AS_SENT = frozenset(
    {
        "n", "user", "session_id", "agent", "signature", "metadata", "use_custom_keys", "drop_params",
        "region", "log_query_body", "log_response_body", "effort", "free_models_only", "no_reasoning",
        "budget_clamp", "routing",
    }
)  # fmt: skip
SEARCH_TOOL = ("web_search", "")
SIZED_TYPES = frozenset({str, list, dict})


@dataclass(frozen=True, slots=True, kw_only=True)
class ParseLimits:
    """The bounds of a request body that an operator may move."""

    depth: int = 64
    nodes: int = 100_000
    choices: int = 8
    messages: int = 2048
    tools: int = 128
    tools_bytes: int = 262_144
    tags: int = 20
    tag_characters: int = 64
    list_requests: int = 5
    metadata_pairs: int = 32
    metadata_characters: int = 512


DEFAULT_LIMITS = ParseLimits()


def parse_chat_request(body: bytes, *, limits: ParseLimits = DEFAULT_LIMITS) -> ChatRequest:
    """Reads and checks a whole request. Raises a 400 that names the field and what is allowed."""
    document = parse_json_body(body, depth_limit=limits.depth, nodes_limit=limits.nodes)
    if isinstance(document, list):
        return read_list(document, lambda sent: _read(sent, limits), limit=limits.list_requests)
    return _read(document, limits)


def _read(sent: JsonObject, limits: ParseLimits) -> ChatRequest:
    payload = _present(sent)
    check_names(payload)
    model = read_model(payload.get("model"))
    tally = check_messages(payload.get("messages"), messages_limit=limits.messages)
    check_values(payload)
    integer(1, limits.choices)(payload.get("n", 1), "n")
    check_combinations(payload)
    search = _web_search(payload, _check_tools(payload, limits))
    effort, reasoning_tokens, reasoning_options = read_reasoning(payload)
    options = payload.get("stream_options", {})
    forwarded = _forwarded(payload)
    return ChatRequest(
        model=model,
        forwarded=forwarded,
        prompt=_measure(forwarded, tally, has_search=search is not None),
        is_stream=payload.get("stream", False),
        include_usage=options.get("include_usage"),
        include_obfuscation=options.get("include_obfuscation"),
        max_output_tokens=payload.get("max_completion_tokens", payload.get("max_tokens")),
        tags=read_tags(payload.get("tags"), tags_limit=limits.tags, characters_limit=limits.tag_characters),
        fallbacks=read_fallbacks(payload.get("fallbacks")),
        plugins=read_plugins(payload.get("plugins")),
        web_search=search is not None,
        web_search_options=search or {},
        reasoning_effort=effort,
        reasoning_max_tokens=reasoning_tokens,
        reasoning_options=reasoning_options,
        reasoning_budget_param="thinking_budget" if payload.get("thinking_budget") else REASONING_BUDGET,
        unserved=_unserved(payload),
        has_cache_control=tally.has_cache_control or _caches_tools(payload),
        message_fields=frozenset(tally.fields),
        required_capabilities=_required_capabilities(payload, tally, has_search=search is not None),
        request_context_tokens=read_context_tokens(payload.get("request_context_tokens")),
        **{name: payload[name] for name in payload.keys() & TAKEN_AS_SENT},
    )


def _present(sent: JsonObject) -> JsonObject:
    """What was sent, without nulls and empty containers that say nothing.

    Fields of `extra_body` count as if they stood beside it, but never override what does. So a
    cap or a number of choices that hides there is checked like any other.
    """
    payload = _without_nulls(sent)
    extra = payload.get("extra_body")
    if type(extra) is dict:
        payload = _without_nulls(extra) | payload
    for name in payload.keys() & EMPTY_MEANS_ABSENT:
        if not payload[name] and type(payload[name]) in (list, dict):
            del payload[name]
    return payload


def _without_nulls(sent: JsonObject) -> JsonObject:
    return {name: value for name, value in sent.items() if value is not None}


def _unserved(payload: JsonObject) -> tuple[str, ...]:
    return tuple([name for name in UNSERVED if payload.get(name)])


def _check_tools(payload: JsonObject, limits: ParseLimits) -> set[tuple[str, str]]:
    """Checks what is said of tools and formats, and gives the tools there are as (type, name)."""
    known = check_tools(payload.get("tools", []), tools_limit=limits.tools, bytes_limit=limits.tools_bytes)
    if payload.get("web_search") or "web_search_options" in payload:
        known.add(SEARCH_TOOL)
    if "functions" in payload:
        check_functions(payload["functions"], tools_limit=limits.tools, bytes_limit=limits.tools_bytes)
    if "tool_choice" in payload:
        check_tool_choice(payload["tool_choice"], known)
    if "response_format" in payload:
        check_response_format(payload["response_format"], bytes_limit=limits.tools_bytes)
    return known


def _web_search(payload: JsonObject, known: set[tuple[str, str]]) -> JsonObject | None:
    """The options of the web search that was asked for in any of three ways, or None."""
    if SEARCH_TOOL not in known:
        return None
    for tool in payload.get("tools", ()) if payload.get("tool_choice") != "none" else ():
        if tool["type"] == "web_search":
            return {name: value for name, value in tool.items() if name != "type" and value is not None}
    if "web_search_options" in payload:
        options: JsonObject = payload["web_search_options"]
        return {name: value for name, value in options.items() if value is not None}
    return {} if payload.get("web_search") else None


def _forwarded(payload: JsonObject) -> JsonObject:
    """What any provider may get. What is said about tools goes only where tools go."""
    forwarded = {name: value for name, value in payload.items() if name not in GATEWAY_PARAMETERS}
    tools = [tool for tool in forwarded.get("tools", ()) if tool["type"] != "web_search"]
    if tools:
        if _chooses_search(forwarded.get("tool_choice")):
            del forwarded["tool_choice"]
        return forwarded | {"tools": tools}
    for name in forwarded.keys() & TOOL_SETTINGS:
        del forwarded[name]
    return forwarded


def _chooses_search(choice: Any) -> bool:
    """A search that is asked for takes place: providers have no other word for it."""
    return type(choice) is dict and choice.get("type") == "web_search"


def _required_capabilities(payload: JsonObject, tally: PromptTally, *, has_search: bool) -> frozenset[str]:
    """What the model must be able to do. Anything else that it lacks may be dropped."""
    has_images = tally.image_count + tally.low_detail_image_count > 0
    if "response_format" not in payload and not (has_search or has_images or tally.has_audio):
        return NOTHING_DEMANDED
    form = payload["response_format"]["type"] if "response_format" in payload else "text"
    demands = {
        REQUIRED_BY_FORMAT.get(form, ""): form in REQUIRED_BY_FORMAT,
        "web_search": has_search,
        "vision": has_images,
        "audio": tally.has_audio,
    }
    return frozenset(name for name, is_demanded in demands.items() if is_demanded)


def _caches_tools(payload: JsonObject) -> bool:
    tools = payload.get("tools", ())
    return bool(tools) and any(tool.get("cache_control") is not None for tool in tools)


def _measure(forwarded: JsonObject, tally: PromptTally, *, has_search: bool) -> PromptSize:
    instructions: list[Any] = [forwarded[name] for name in INSTRUCTIONS if name in forwarded]
    unread = [
        value
        for name, value in forwarded.items()
        if type(value) in SIZED_TYPES and name != "messages" and name not in INSTRUCTIONS
    ]
    instructed = orjson.dumps(instructions) if instructions else b""
    beside = orjson.dumps(unread) if unread else b""
    return PromptSize(
        text_bytes=tally.text_bytes,
        text_tokens_estimate=tally.text_tokens_estimate,
        instruction_bytes=tally.rest_bytes + len(instructed),
        message_count=len(forwarded["messages"]),
        tool_count=len(forwarded.get("tools", ())) + len(forwarded.get("functions", ())),
        part_count=tally.part_count,
        expansion_bytes=(
            tally.expansion_bytes + json_expansion_bytes(instructed) + json_expansion_bytes(beside)
        ),
        image_count=tally.image_count,
        low_detail_image_count=tally.low_detail_image_count,
        audio_milliseconds_bound=tally.audio_milliseconds_bound,
        media_tokens_estimate=tally.media_tokens_estimate,
        unread_bytes=len(beside),
        is_open=tally.is_open or has_search or _reads_stored_context(forwarded),
    )


def _reads_stored_context(forwarded: JsonObject) -> bool:
    """Whether the prompt goes on from something that lies at the provider, of unknown length.

    https://ai.google.dev/gemini-api/docs/openai#extra-body (checked 2026-11-27)
    """
    google = forwarded.get("google")
    return "cached_content" in forwarded or (type(google) is dict and "cached_content" in google)
