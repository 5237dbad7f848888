"""The parameters of a chat request in the OpenAPI document.

Limits are read from the code that checks them; a test holds each type, range and choice against it.
"""

from typing import Any

from gateway.wire.chat import DEFAULT_LIMITS
from gateway.wire.checks import LABEL_CHARACTERS_LIMIT
from gateway.wire.gateway_fields import FALLBACKS_LIMIT, KNOWN_PLUGINS, MODEL_CHARACTERS_LIMIT
from gateway.wire.messages import ROLES
from gateway.wire.options import LEVELS
from gateway.wire.parameters import (
    BIAS_RANGE,
    BIASES_LIMIT,
    CACHE_RETENTIONS,
    METADATA_KEY_LIMIT,
    METADATA_PAIRS_LIMIT,
    METADATA_VALUE_LIMIT,
    OUTPUT_TOKENS_LIMIT,
    PREFERENCES,
    REASONING_EFFORTS,
    STOP_CHARACTERS_LIMIT,
    STOP_SEQUENCES_LIMIT,
)
from gateway.wire.tools import CHOICES, FORMAT_TYPES, TOOL_TYPES

Schema = dict[str, Any]

# What the operator has not set otherwise.
MAX_TAGS, MAX_TAG_CHARACTERS = DEFAULT_LIMITS.tags, DEFAULT_LIMITS.tag_characters
MAX_TOOLS, MAX_CHOICES = DEFAULT_LIMITS.tools, DEFAULT_LIMITS.choices


def _of(kind: str, description: str, **bounds: Any) -> Schema:
    """A parameter that may be null, which is as if it were not sent."""
    return {"type": [kind, "null"], "description": description, **bounds}


def _label(description: str) -> Schema:
    return _of("string", description, maxLength=LABEL_CHARACTERS_LIMIT)


def _choice(description: str, *choices: str) -> Schema:
    return {"enum": [*choices, None], "description": description}


MESSAGE: Schema = {
    "type": "object",
    "required": ["role"],
    "properties": {
        "role": {"enum": list(ROLES)},
        "content": {
            "description": "Text, or parts: `text`, `image_url`, `input_audio`, `file`, `video_url`.",
            "type": ["string", "array", "null"],
            "items": {"type": "object"},
        },
        "name": {"type": ["string", "null"]},
        "tool_calls": {"type": ["array", "null"], "items": {"type": "object"}},
        "tool_call_id": {"type": ["string", "null"], "description": "The call that a tool message answers."},
    },
}
TOOL: Schema = {
    "type": "object",
    "required": ["type"],
    "properties": {
        "type": {"enum": list(TOOL_TYPES)},
        "function": {"type": "object", "description": "`name`, `description`, `parameters`, `strict`."},
        "custom": {"type": "object", "description": "`name`, `description`, `format` with a grammar."},
        "cache_control": {"type": ["object", "null"]},
    },
}

MODEL_PARAMETERS: dict[str, Schema] = {
    "model": {
        "type": "string",
        "minLength": 1,
        "maxLength": MODEL_CHARACTERS_LIMIT,
        "description": "`gpt-4o`, `openai/gpt-4o`, `gpt-4o@openai`, a chain `a->b`, or another selector.",
    },
    "messages": {"type": "array", "minItems": 1, "items": {"$ref": "#/components/schemas/ChatMessage"}},
    "fallbacks": {
        "type": ["array", "null"],
        "maxItems": FALLBACKS_LIMIT,
        "items": {"type": "string"},
        "description": "Models to try in order if the one asked for fails before its first token.",
    },
    "routing": _choice("What the choice of a provider goes by.", *PREFERENCES),
    "region": _label("Where the provider's endpoint shall be."),
    "use_custom_keys": _of("boolean", "Only the organization's own provider keys, or only credit."),
    "free_models_only": _of("boolean", "With `auto`: models that cost nothing alone."),
    "no_reasoning": _of("boolean", "With `auto`: no models that reason."),
}
SAMPLING_PARAMETERS: dict[str, Schema] = {
    "temperature": _of("number", "Higher is more random.", minimum=0, maximum=2),
    "top_p": _of("number", "Of the likeliest tokens, this share.", minimum=0, maximum=1),
    "top_k": _of("integer", "Of the likeliest tokens, so many.", minimum=-1, maximum=2**31 - 1),
    "frequency_penalty": _of("number", "Against repeated tokens.", minimum=-2, maximum=2),
    "presence_penalty": _of("number", "Against tokens that occurred.", minimum=-2, maximum=2),
    "logit_bias": _of(
        "object",
        f"At most {BIASES_LIMIT} token ids, each with a bias.",
        maxProperties=BIASES_LIMIT,
        additionalProperties={"type": "number", "minimum": -BIAS_RANGE, "maximum": BIAS_RANGE},
    ),
    "seed": _of("integer", "For answers that repeat.", minimum=-(2**63), maximum=2**63 - 1),
    "n": _of("integer", "How many answers; all are billed.", minimum=1, maximum=MAX_CHOICES),
    "stop": {
        "type": ["string", "array", "null"],
        "minLength": 1,
        "maxLength": STOP_CHARACTERS_LIMIT,
        "maxItems": STOP_SEQUENCES_LIMIT,
        "items": {"type": "string", "minLength": 1, "maxLength": STOP_CHARACTERS_LIMIT},
        "description": "Texts that end the answer.",
    },
    "max_tokens": _of("integer", "The output cap.", minimum=1, maximum=OUTPUT_TOKENS_LIMIT),
    "max_completion_tokens": _of("integer", "The output cap.", minimum=1, maximum=OUTPUT_TOKENS_LIMIT),
    "logprobs": _of("boolean", "Tell each token's probability."),
    "top_logprobs": _of("integer", "And its rivals'; needs `logprobs`.", minimum=0, maximum=20),
}
OUTPUT_PARAMETERS: dict[str, Schema] = {
    "stream": _of("boolean", "Server-sent events that end with `data: [DONE]`."),
    "stream_options": _of("object", "`include_usage`; only with `stream`."),
    "response_format": {
        "type": ["object", "null"],
        "properties": {"type": {"enum": list(FORMAT_TYPES)}, "json_schema": {"type": "object"}},
        "description": "Text, any JSON object, or JSON of a schema.",
    },
    "modalities": {
        "type": ["array", "null"],
        "items": {"enum": ["text", "audio"]},
        "description": "What the answer may be made of.",
    },
    "audio": _of("object", "`voice` and `format` of spoken answers."),
    "prediction": _of("object", "What of the answer is known before."),
    "verbosity": _choice("How long answers are.", *LEVELS),
    "image_config": _of("object", "For models that draw."),
    "plugins": {
        "type": ["array", "null"],
        "items": {"type": "object", "required": ["id"], "properties": {"id": {"enum": list(KNOWN_PLUGINS)}}},
        "description": "`response-healing` repairs broken JSON.",
    },
}
TOOL_PARAMETERS: dict[str, Schema] = {
    "tools": {
        "type": ["array", "null"],
        "maxItems": MAX_TOOLS,
        "items": {"$ref": "#/components/schemas/ChatTool"},
    },
    "tool_choice": {
        "type": ["string", "object", "null"],
        "description": f"{', '.join(CHOICES)}, or an object that names a tool.",
    },
    "parallel_tool_calls": _of("boolean", "Whether several tools may be called at once."),
    "functions": {"type": ["array", "null"], "items": {"type": "object"}, "description": "Before `tools`."},
    "function_call": {"type": ["string", "object", "null"], "description": "Before `tool_choice`."},
    "web_search": _of("boolean", "Let the model search the web."),
    "web_search_options": _of("object", "How it searches."),
}
REASONING_PARAMETERS: dict[str, Schema] = {
    "reasoning_effort": _choice("How much the model thinks.", *REASONING_EFFORTS),
    "reasoning": _of("object", "`effort` or `max_tokens`."),
    "thinking_budget": _of("integer", "Tokens of thinking.", minimum=-1, maximum=OUTPUT_TOKENS_LIMIT),
    "effort": _choice("How much work goes into the answer.", *LEVELS),
}
ACCOUNTING_PARAMETERS: dict[str, Schema] = {
    "tags": {
        "type": ["string", "array", "null"],
        "items": {"type": "string", "maxLength": MAX_TAG_CHARACTERS},
        "maxItems": MAX_TAGS,
        "description": "What the cost is booked under; a string is split at commas.",
    },
    "user": _label("The end user, who may have a budget."),
    "session_id": _label("Groups requests, and keeps them at one provider."),
    "agent": _label("Which agent asks."),
    "signature": _label("Which client asks."),
    "metadata": _of(
        "object",
        f"At most {METADATA_PAIRS_LIMIT} pairs; a key has at most {METADATA_KEY_LIMIT} characters.",
        maxProperties=METADATA_PAIRS_LIMIT,
        additionalProperties={"type": "string", "maxLength": METADATA_VALUE_LIMIT},
    ),
    "request_metadata": _of("object", "Passed on to the provider."),
    "log_query_body": _of("boolean", "Whether the request may be stored."),
    "log_response_body": _of("boolean", "Whether the answer may be stored."),
    "budget_clamp": _of("boolean", "A shorter answer instead of a 402 where money is short."),
}
PROVIDER_PARAMETERS: dict[str, Schema] = {
    "drop_params": _of("boolean", "Whether parameters that a model lacks are left out, and named."),
    "service_tier": _label("The provider's tier."),
    "store": _of("boolean", "Whether the provider keeps the answer."),
    "safety_identifier": _label("The end user, for the provider."),
    "prompt_cache_key": _label("Which prompts share a provider's cache."),
    "prompt_cache_retention": _choice("How long the provider's cache lives.", *CACHE_RETENTIONS),
    "truncation": _label("What the provider does with a prompt that is too long."),
    "generation_config": _of("object", "Google's settings."),
    "generationConfig": _of("object", "The same by Google's other spelling."),
    "google": {"description": "Google's further settings."},
    "sensitive_word_check": _of("boolean", "The provider's own check."),
    "onboarding": _of("boolean", "Marks first requests."),
    "request_context_tokens": {"description": "The prompt's exact size for `[max_context=N]`."},
    "extra_body": _of("object", "Fields that count as if they stood beside it, and never override."),
}
GROUPS: tuple[tuple[str, dict[str, Schema]], ...] = (
    ("The model", MODEL_PARAMETERS),
    ("Sampling", SAMPLING_PARAMETERS),
    ("The answer", OUTPUT_PARAMETERS),
    ("Tools", TOOL_PARAMETERS),
    ("Reasoning", REASONING_PARAMETERS),
    ("Accounting", ACCOUNTING_PARAMETERS),
    ("The provider", PROVIDER_PARAMETERS),
)
CHAT_BODY: Schema = {
    "description": "A request, or a list of which the first that can be answered is.",
    "oneOf": [
        {"$ref": "#/components/schemas/ChatRequest"},
        {"type": "array", "minItems": 1, "items": {"$ref": "#/components/schemas/ChatRequest"}},
    ],
}
CHAT_REQUEST: Schema = {
    "type": "object",
    "description": "What is not listed goes to the provider as it is, unless it would redirect the request.",
    "required": ["model", "messages"],
    "properties": {name: schema for _, group in GROUPS for name, schema in group.items()},
}
