"""Answers of the data plane in the OpenAPI document: completions, streams, lists."""

from typing import Any

Schema = dict[str, Any]

_MAYBE_TEXT: Schema = {"type": ["string", "null"]}
_COUNT: Schema = {"type": "integer", "minimum": 0}
MESSAGE: Schema = {
    "type": "object",
    "required": ["role", "content"],
    "properties": {
        "role": {"type": "string"},
        "content": _MAYBE_TEXT,
        "refusal": _MAYBE_TEXT,
        "tool_calls": {"type": "array", "items": {"type": "object"}},
        "reasoning": _MAYBE_TEXT,
        "reasoning_details": {"type": "array"},
        "annotations": {"type": "array", "items": {"type": "object"}},
        "images": {"type": "array"},
        "audio": {"type": ["object", "null"]},
    },
}
USAGE: Schema = {
    "type": ["object", "null"],
    "description": "Token counts, and what they cost in US dollars.",
    "required": ["prompt_tokens", "completion_tokens", "total_tokens"],
    "properties": {
        "prompt_tokens": {"type": "integer", "minimum": 1},
        "completion_tokens": _COUNT,
        "total_tokens": _COUNT,
        "reasoning_tokens": _COUNT,
        "prompt_tokens_details": {"type": "object"},
        "completion_tokens_details": {"type": "object"},
        "cost": {"type": ["number", "object"], "description": "An object below `/openai` alone."},
        "cost_usd_total": {"type": "number"},
        "cost_usd_input": {"type": "number"},
        "cost_usd_output": {"type": "number"},
        "cost_usd_cached_input": {"type": "number"},
        "cost_usd_request": {"type": "number"},
    },
}
_FRAME: Schema = {
    "id": {"type": "string", "pattern": "^chatcmpl-"},
    "created": {"type": "integer", "description": "Unix seconds."},
    "model": {"type": "string", "description": "Which served, in the form of the path's dialect."},
    "system_fingerprint": _MAYBE_TEXT,
    "service_tier": _MAYBE_TEXT,
    "metadata": {"type": "object", "description": "What was asked for, what served, and each attempt."},
    "extra_fields": {"type": "object", "description": "Provider, latency, `dropped_params`, `cache_debug`."},
}
COMPLETION: Schema = {
    "type": "object",
    "required": ["id", "object", "created", "model", "choices", "usage"],
    "properties": {
        **_FRAME,
        "object": {"const": "chat.completion"},
        "choices": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["index", "message", "finish_reason"],
                "properties": {
                    "index": _COUNT,
                    "message": {"$ref": "#/components/schemas/ChatAnswerMessage"},
                    "finish_reason": {"enum": ["stop", "length", "tool_calls", "content_filter", None]},
                    "logprobs": {"type": ["object", "null"]},
                },
            },
        },
        "usage": {"$ref": "#/components/schemas/ChatUsage"},
    },
}
CHUNK: Schema = {
    "type": "object",
    "description": "One event of a stream. An error in its middle is an event `error`, and has `error`.",
    "required": ["id", "object", "created", "model", "choices"],
    "properties": {
        **_FRAME,
        "object": {"const": "chat.completion.chunk"},
        "choices": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["index", "delta"],
                "properties": {
                    "index": _COUNT,
                    "delta": {"type": "object", "description": "What is new of the message."},
                    "finish_reason": {
                        "enum": ["stop", "length", "tool_calls", "content_filter", "error", None]
                    },
                },
            },
        },
        "usage": {"$ref": "#/components/schemas/ChatUsage"},
        "error": {"type": "object"},
    },
}
MODEL: Schema = {
    "type": "object",
    "required": ["id", "object", "created", "owned_by"],
    "properties": {
        "id": {"type": "string"},
        "object": {"const": "model"},
        "created": {"type": "integer"},
        "owned_by": {"type": "string"},
        "name": {"type": "string"},
        "context_length": {"type": ["integer", "null"]},
        "max_output_tokens": {"type": ["integer", "null"]},
        "pricing": {"type": "object", "description": "US dollars per token, as decimal strings."},
        "providers": {"type": "array", "items": {"type": "object"}},
        "supported_parameters": {"type": "array", "items": {"type": "string"}},
        "free": {"type": "boolean"},
    },
}
MODEL_LIST: Schema = {
    "type": "object",
    "required": ["object", "data"],
    "properties": {
        "object": {"const": "list"},
        "data": {"type": "array", "items": {"$ref": "#/components/schemas/Model"}},
    },
}
COMPONENTS: dict[str, Schema] = {
    "ChatAnswerMessage": MESSAGE,
    "ChatUsage": USAGE,
    "ChatCompletion": COMPLETION,
    "ChatChunk": CHUNK,
    "Model": MODEL,
    "ModelList": MODEL_LIST,
}
HEADERS: dict[str, Schema] = {
    "x-request-id": {"description": "Yours if you sent one.", "schema": {"type": "string"}},
}
