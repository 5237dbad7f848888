"""The table of a chat request's parameters: who reads each, and what values it may have.

Messages are checked in `messages`, tools and formats in `tools`. Parameters that are in no list
here are unknown to the gateway and go to the provider as they are (CONTRACT 3.6 #19).
"""

from typing import Any

from gateway.errors import InvalidValue, UnsupportedParameter
from gateway.wire.checks import (
    Check,
    boolean,
    integer,
    label,
    number,
    object_,
    one_of,
    positive_integer,
    shown,
    text,
)
from gateway.wire.options import (
    LEVELS,
    audio,
    modalities,
    prediction,
    stream_options,
    web_search_options,
)
from gateway.wire.shapes import JsonObject

OUTPUT_TOKENS_LIMIT = 2**31 - 1
STOP_SEQUENCES_LIMIT, STOP_CHARACTERS_LIMIT = 4, 256
BIASES_LIMIT, BIAS_RANGE = 300, 100
METADATA_PAIRS_LIMIT, METADATA_KEY_LIMIT, METADATA_VALUE_LIMIT = 16, 64, 512
REASONING_EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh")
PREFERENCES = ("auto", "price", "throughput", "latency")
CACHE_RETENTIONS = ("in_memory", "in-memory", "24h")

# Read by the gateway, never sent to a provider under these names.
GATEWAY_PARAMETERS = frozenset(
    {
        "model", "stream", "stream_options", "tags", "signature", "use_custom_keys", "drop_params", "region",
        "log_query_body", "log_response_body", "fallbacks", "session_id", "agent", "plugins", "web_search",
        "free_models_only", "no_reasoning", "reasoning", "reasoning_effort", "effort", "extra_body",
        "request_context_tokens", "web_search_options", "budget_clamp", "thinking_budget", "routing",
        "sensitive_word_check", "onboarding",
    }
)  # fmt: skip

# A request never chooses where it goes, as whom, or with which headers.
FORBIDDEN_PARAMETERS = frozenset(
    {
        "api_base", "api_key", "api_type", "api_version", "base_url", "custom_llm_provider",
        "default_headers", "extra_headers", "extra_query", "headers", "litellm_params", "organization",
        "proxy", "aws_access_key_id", "aws_secret_access_key", "aws_session_token", "aws_region_name",
        "vertex_credentials", "vertex_location", "vertex_project", "azure_ad_token",
    }
)  # fmt: skip

# Other providers' names for how much is generated. The hold is computed from `n` and the output
# cap, so a second cap that a provider might obey instead would break it.
RIVAL_PARAMETERS = {
    "best_of": "n",
    "candidate_count": "n",
    "candidateCount": "n",
    "num_return_sequences": "n",
    "max_length": "max_completion_tokens",
    "max_new_tokens": "max_completion_tokens",
    "max_output_tokens": "max_completion_tokens",
    "maxOutputTokens": "max_completion_tokens",
    "num_predict": "max_completion_tokens",
    # llama.cpp's own, which goes before max_tokens.
    "n_predict": "max_completion_tokens",
}


def check_names(payload: JsonObject, *, prefix: str = "") -> None:
    """Refuses fields that would redirect a request or outgrow its hold."""
    for name in payload.keys() & FORBIDDEN_PARAMETERS:
        raise UnsupportedParameter(f"{prefix}{name} cannot be set by a request.", param=f"{prefix}{name}")
    for name in payload.keys() & RIVAL_PARAMETERS.keys():
        raise UnsupportedParameter(
            f"{prefix}{name} is not supported; use {RIVAL_PARAMETERS[name]}.", param=f"{prefix}{name}"
        )


def check_values(payload: JsonObject) -> None:
    """Checks every known parameter on its own. Nulls must have been taken out."""
    for name, value in payload.items():
        check = CHECKS.get(name)
        if check is not None:
            check(value, name)


def check_combinations(payload: JsonObject) -> None:
    """Checks what parameters say together."""
    if "stream_options" in payload and not payload.get("stream"):
        raise InvalidValue("stream_options is only allowed when stream is true.", param="stream_options")
    if payload.get("top_logprobs") and not payload.get("logprobs"):
        raise InvalidValue("top_logprobs needs logprobs to be true.", param="top_logprobs")
    caps = {payload[name] for name in ("max_tokens", "max_completion_tokens") if name in payload}
    if len(caps) > 1:
        raise InvalidValue(
            "max_tokens and max_completion_tokens disagree; send max_completion_tokens only.",
            param="max_tokens",
        )


def _stop(value: Any, name: str) -> None:
    sequences = [value] if type(value) is str else value
    if type(sequences) is not list:
        raise InvalidValue(f"{name} must be a string or an array of strings, got {shown(value)}.", param=name)
    if len(sequences) > STOP_SEQUENCES_LIMIT:
        raise InvalidValue(
            f"{name} must have at most {STOP_SEQUENCES_LIMIT} sequences, got {len(sequences)}.", param=name
        )
    for sequence in sequences:
        text(sequence, name)
        if not 1 <= len(sequence) <= STOP_CHARACTERS_LIMIT:
            raise InvalidValue(
                f"A sequence of {name} must have 1 to {STOP_CHARACTERS_LIMIT} characters, "
                f"got {len(sequence)}.",
                param=name,
            )


def _logit_bias(value: Any, name: str) -> None:
    object_(value, name)
    if len(value) > BIASES_LIMIT:
        raise InvalidValue(f"{name} must have at most {BIASES_LIMIT} tokens, got {len(value)}.", param=name)
    check_bias = number(-BIAS_RANGE, BIAS_RANGE)
    for token, bias in value.items():
        if not (token.isascii() and token.isdigit()):
            raise InvalidValue(f'The keys of {name} must be token ids, such as "1734".', param=name)
        check_bias(bias, name)


def _metadata(value: Any, name: str) -> None:
    object_(value, name)
    if len(value) > METADATA_PAIRS_LIMIT:
        raise InvalidValue(
            f"{name} must have at most {METADATA_PAIRS_LIMIT} pairs, got {len(value)}.", param=name
        )
    for key, content in value.items():
        text(content, name)
        if len(key) > METADATA_KEY_LIMIT or len(content) > METADATA_VALUE_LIMIT:
            raise InvalidValue(
                f"A key of {name} must have at most {METADATA_KEY_LIMIT} characters, "
                f"a value at most {METADATA_VALUE_LIMIT}.",
                param=name,
            )


def _generation_config(value: Any, name: str) -> None:
    object_(value, name)
    check_names(value, prefix=f"{name}.")


# Known too, and checked elsewhere.
OTHER_KNOWN_PARAMETERS = frozenset(
    {"messages", "n", "tools", "tool_choice", "functions", "function_call", "response_format", "google"}
)

CHECKS: dict[str, Check] = {
    "temperature": number(0, 2),
    "top_p": number(0, 1),
    "frequency_penalty": number(-2, 2),
    "presence_penalty": number(-2, 2),
    "max_tokens": positive_integer(OUTPUT_TOKENS_LIMIT),
    "max_completion_tokens": positive_integer(OUTPUT_TOKENS_LIMIT),
    "seed": integer(-(2**63), 2**63 - 1),
    "top_k": integer(-1, 2**31 - 1),
    "top_logprobs": integer(0, 20),
    "thinking_budget": integer(-1, OUTPUT_TOKENS_LIMIT),
    "stop": _stop,
    "logit_bias": _logit_bias,
    "metadata": _metadata,
    "stream_options": stream_options,
    "modalities": modalities,
    "audio": audio,
    "prediction": prediction,
    "web_search_options": web_search_options,
    "generation_config": _generation_config,
    "generationConfig": _generation_config,
    "reasoning_effort": one_of(*REASONING_EFFORTS),
    "effort": one_of(*LEVELS),
    "verbosity": one_of(*LEVELS),
    "routing": one_of(*PREFERENCES),
    "prompt_cache_retention": one_of(*CACHE_RETENTIONS),
    **dict.fromkeys(
        (
            "stream", "logprobs", "parallel_tool_calls", "use_custom_keys", "drop_params", "log_query_body",
            "log_response_body", "web_search", "free_models_only", "no_reasoning", "store", "budget_clamp",
            "sensitive_word_check", "onboarding",
        ),
        boolean,
    ),
    **dict.fromkeys(
        (
            "user", "signature", "session_id", "agent", "region", "service_tier", "safety_identifier",
            "prompt_cache_key", "truncation",
        ),
        label,
    ),
    **dict.fromkeys(("request_metadata", "reasoning", "extra_body", "image_config"), object_),
}  # fmt: skip


def is_known(name: str) -> bool:
    """Whether the gateway knows what this parameter means."""
    return name in CHECKS or name in OTHER_KNOWN_PARAMETERS or name in GATEWAY_PARAMETERS
