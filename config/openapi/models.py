"""The calls of models in the OpenAPI document: completions on each mount, model lists, `/v0` and `/v1` calls.

Paths are those that `gateway.asgi` and Django's resolver serve; a test compares them.
"""

import inspect
import re
from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.urls import URLResolver, get_resolver

from accounts.management import ManagementView
from config.openapi.answers import COMPONENTS, HEADERS
from config.openapi.failures import refusal
from config.openapi.parameters import CHAT_BODY, CHAT_REQUEST, MESSAGE, TOOL
from gateway.asgi import (
    CHAT_MODEL_LISTS,
    EXPLAIN,
    MODEL_ID,
    MODEL_LISTS,
    MOUNTS,
    OPERATIONS,
    UNIFY_LISTS,
    V1_LISTS,
    GatewayApplication,
)

Schema = dict[str, Any]

COMPLETIONS, LISTS, CALLS = "Completions", "Models", "Calls with an API key"
KEY: list[dict[str, list[str]]] = [{"apiKey": []}]
KEY_SCHEME: Schema = {
    "type": "http",
    "scheme": "bearer",
    "description": "An API key, `fbx_…`. Also taken as `x-api-key`, `api-key`, `x-bf-vk`, `x-goog-api-key`.",
}
COMPLETION_REFUSALS = (400, 401, 402, 403, 404, 408, 409, 413, 415, 422, 429, 500, 502, 503, 504)
LIST_REFUSALS = (400, 401, 403, 404, 429, 500, 503)
DIALECTS = {
    "/v0": "Unify's dialect: `model@provider` in answers, a list of places in a 400.",
    "/v1": "OpenAI's shapes with cost and metadata beside them.",
    "/api/v1": "As `/v1`; a stream's usage comes on a last chunk without choices.",
    "/openai/v1": "Bifrost's dialect: `usage.cost` is an object, errors have an `event_id`.",
}
FURTHER = "Described in docs/api.md."
METHODS = ("get", "post", "put", "patch", "delete")


def add_model_calls(result: Schema, generator: Any, **_: Any) -> Schema:
    """Postprocessing hook: the calls that take an API key, before those of management."""
    components = result.setdefault("components", {})
    request = {"ChatBody": CHAT_BODY, "ChatRequest": CHAT_REQUEST, "ChatMessage": MESSAGE, "ChatTool": TOOL}
    components.setdefault("schemas", {}).update(request | COMPONENTS)
    components.setdefault("securitySchemes", {})["apiKey"] = KEY_SCHEME
    known = {**_completions(), **_lists()}
    result["paths"] = {**known, **_further(known), **_django_calls(), **result["paths"]}
    return result


def _completions() -> dict[str, Schema]:
    return {f"{mount}/chat/completions": {"post": _completion(mount)} for mount in MOUNTS}


def _completion(mount: str) -> Schema:
    answer = {
        "application/json": {"schema": _named("ChatCompletion")},
        "text/event-stream": {
            "schema": {"type": "string", "description": "`data:` lines of `ChatChunk`, then `data: [DONE]`."}
        },
    }
    return {
        "operationId": f"complete{_identifier(mount)}",
        "summary": f"A chat completion, below {mount}.",
        "description": DIALECTS[mount],
        "tags": [COMPLETIONS],
        "security": KEY,
        "parameters": [
            {
                "name": "Idempotency-Key",
                "in": "header",
                "description": "One key is one upstream call, one charge and one answer.",
                "schema": {"type": "string", "maxLength": 255},
            }
        ],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": _named("ChatBody")}},
        },
        "responses": {
            "200": {
                "description": "The answer, whole or as a stream.",
                "headers": HEADERS,
                "content": answer,
            },
            **_refusals(COMPLETION_REFUSALS),
        },
    }


def _lists() -> dict[str, Schema]:
    paths: dict[str, Schema] = {}
    for path in (*MODEL_LISTS, *CHAT_MODEL_LISTS):
        name = _identifier(path)
        paths[path] = {"get": _get(f"list{name}", "The models that the key may use.", _named("ModelList"))}
        single = _get(f"read{name}", "One model; its id may contain `/` and `@`.", _named("Model"))
        paths[path + MODEL_ID] = {"get": {**single, "parameters": [_path_parameter("id")]}}
    return paths


def _further(known: dict[str, Schema]) -> dict[str, Schema]:
    """Whatever else the data plane serves to whoever shows a key."""
    paths: dict[str, Schema] = {}
    for method, path in sorted(GatewayApplication(settings.FAREBOX_GATEWAY).routes):
        if path not in known and path not in OPERATIONS:
            paths.setdefault(path, {})[method.lower()] = _further_call(method, path)
    return paths


def _further_call(method: str, path: str) -> Schema:
    operation = _get(f"{method.lower()}{_identifier(path)}", _SUMMARIES.get(path, FURTHER), {})
    identifiers = re.findall(r"\{(\w+)\}", path)
    operation["parameters"] = [_path_parameter(name) for name in identifiers]
    if method == "POST":
        content = {"application/json": {"schema": _named("ChatBody")}}
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _django_calls() -> dict[str, Schema]:
    """What clients of other gateways call with an API key, as Django serves it."""
    return {path: dict(_operations(path, view)) for path, view in django_calls()}


def django_calls() -> Iterator[tuple[str, Any]]:
    """Path and view class of each call that Django answers below the data plane's mounts."""
    for route, entry in _routes(get_resolver()):
        view = getattr(entry.callback, "view_class", None)
        if view is not None and issubclass(view, ManagementView):
            # `v0/x/(?P<name>…)/?$` and `v0/x/<name>` alike.
            text = route.replace("^", "").removesuffix("$").removesuffix("/?")
            named = re.sub(r"\(\?P<(\w+)>[^)]*\)|<(?:\w+:)?(\w+)>", lambda m: f"{{{m[1] or m[2]}}}", text)
            yield f"/{named}", view


def _routes(resolver: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for entry in resolver.url_patterns:
        route = prefix + str(entry.pattern)
        if isinstance(entry, URLResolver):
            yield from _routes(entry, route)
        else:
            yield route, entry


def _operations(path: str, view: Any) -> Iterator[tuple[str, Schema]]:
    names = re.findall(r"\{(\w+)\}", path)
    for method in METHODS:
        handler = getattr(view, method, None)
        if handler is None:
            continue
        operation = _get(f"{method}{_identifier(path)}", _first_line(handler) or _first_line(view), {})
        operation["tags"] = [CALLS]
        operation["parameters"] = [_path_parameter(name) for name in names]
        yield method, operation


def _path_parameter(name: str) -> Schema:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}


def _get(operation_id: str, summary: str, schema: Schema) -> Schema:
    content = {"application/json": {"schema": schema}}
    return {
        "operationId": operation_id,
        "summary": summary,
        "tags": [LISTS],
        "security": KEY,
        "responses": {
            "200": {"description": "", "headers": HEADERS, "content": content},
            **_refusals(LIST_REFUSALS),
        },
    }


def _refusals(statuses: tuple[int, ...]) -> Schema:
    return {str(status): refusal(status) for status in statuses}


def _named(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _identifier(path: str) -> str:
    return "".join(word[:1].upper() + word[1:] for word in re.findall(r"\w+", path))


def _first_line(thing: Any) -> str:
    return (inspect.getdoc(thing) or "").partition("\n")[0] if thing.__doc__ else ""


_SUMMARIES = {path: _first_line(consumer) for path, consumer in (UNIFY_LISTS | V1_LISTS).items()} | {
    EXPLAIN: "What a completion with this body would do and why, without doing it."
}
