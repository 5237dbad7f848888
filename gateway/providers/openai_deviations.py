"""Where providers with an OpenAI-compatible address deviate from OpenAI, parameter by parameter.

What a model lacks is in the price book's capabilities; this is about the address it is behind.
Parameters in none of these lists are sent as they are.
"""

from collections.abc import Mapping

# Words of other APIs. OpenAI and who follows it strictly refuse them as unknown.
FOREIGN = frozenset({"top_k", "generation_config", "request_metadata", "truncation", "image_config"})

# https://platform.openai.com/docs/api-reference/chat/create (read 2026-11-27)
OPENAI = FOREIGN

# Refuses what it does not know (422 "Extra inputs are not permitted") and calls the seed by
# another name. https://docs.mistral.ai/api (read 2026-11-21)
MISTRAL = FOREIGN | {
    "audio", "function_call", "functions", "logit_bias", "logprobs", "max_completion_tokens",
    "modalities", "prompt_cache_key", "prompt_cache_retention", "safety_identifier", "service_tier", "store",
    "stream_options", "top_logprobs", "user", "verbosity",
}  # fmt: skip

# Ignores these without a word. https://docs.claude.com/en/api/openai-sdk (read 2026-11-27)
ANTHROPIC = FOREIGN | {
    "audio", "frequency_penalty", "logit_bias", "logprobs", "metadata", "modalities", "n", "prediction",
    "presence_penalty", "prompt_cache_key", "prompt_cache_retention", "reasoning_effort", "safety_identifier",
    "seed", "service_tier", "store", "top_logprobs", "user", "verbosity",
}  # fmt: skip

# Refuses these as unknown names. https://ai.google.dev/gemini-api/docs/openai (read 2026-11-21)
GOOGLE = FOREIGN | {
    "frequency_penalty", "logit_bias", "metadata", "prediction", "presence_penalty", "prompt_cache_key",
    "prompt_cache_retention", "safety_identifier", "seed", "store", "verbosity",
}  # fmt: skip

# Refuses these with 400. https://console.groq.com/docs/openai (read 2026-11-27)
GROQ = FOREIGN | {
    "audio", "logit_bias", "logprobs", "modalities", "n", "prediction", "prompt_cache_key",
    "prompt_cache_retention", "safety_identifier", "store", "top_logprobs", "verbosity",
}  # fmt: skip

# Lists none of these, and knows the cap by its old name only.
# https://api-docs.deepseek.com/api/create-chat-completion (read 2026-11-27)
DEEPSEEK = FOREIGN | {
    "audio", "logit_bias", "max_completion_tokens", "metadata", "modalities", "n", "prediction",
    "prompt_cache_key", "prompt_cache_retention", "safety_identifier", "seed", "service_tier", "store",
    "user", "verbosity",
}  # fmt: skip

# Both take `top_k`. https://docs.together.ai/reference/chat-completions-1
# https://docs.fireworks.ai/api-reference/post-chatcompletions (read 2026-11-27)
HOSTS_OF_OPEN_MODELS = FOREIGN - {"top_k"} | {
    "audio",
    "prediction",
    "safety_identifier",
    "store",
    "verbosity",
}

UNSUPPORTED_PARAMS: Mapping[str, frozenset[str]] = {
    "openai": OPENAI,
    "anthropic": ANTHROPIC,
    "google": GOOGLE,
    "groq": GROQ,
    "mistral": MISTRAL,
    "deepseek": DEEPSEEK,
    "together-ai": HOSTS_OF_OPEN_MODELS | {"max_completion_tokens"},
    "fireworks-ai": HOSTS_OF_OPEN_MODELS,
}
OTHER_NAMES = {"mistral": {"seed": "random_seed"}}

# Marks of a prompt's parts for caching are Anthropic's own, and its compatible address does not take them.
# https://docs.claude.com/en/api/openai-sdk (read 2026-11-27)
WITHOUT_CACHE_CONTROL = frozenset(UNSUPPORTED_PARAMS)
# Tools that are called with free text. https://platform.openai.com/docs/guides/function-calling#custom-tools
WITHOUT_CUSTOM_TOOLS = frozenset(UNSUPPORTED_PARAMS) - {"openai"}

# Fields of messages that are refused or mean nothing there. Answers have them, so clients send them back.
# Groq: 400 "property 'reasoning_content' is unsupported", https://console.groq.com/docs/openai
# Mistral: 422 "Extra inputs are not permitted", https://github.com/BerriAI/litellm/issues/30835
# (read 2026-11-27)
ANSWERED_FIELDS = frozenset({"annotations", "images", "reasoning", "reasoning_content", "reasoning_details"})
MESSAGE_FIELDS: Mapping[str, frozenset[str]] = {
    "openai": ANSWERED_FIELDS,
    "google": ANSWERED_FIELDS | {"audio", "refusal"},
    "anthropic": ANSWERED_FIELDS | {"audio", "name", "refusal"},
    "groq": ANSWERED_FIELDS | {"audio", "name", "refusal"},
    "mistral": ANSWERED_FIELDS | {"audio", "name", "refusal"},
    "deepseek": ANSWERED_FIELDS - {"reasoning_content"} | {"audio", "refusal"},
}

# The efforts that models know, by provider and the beginning of a name; the longest beginning counts.
# https://platform.openai.com/docs/guides/reasoning (read 2026-11-27)
# https://console.groq.com/docs/reasoning (read 2026-11-27)
# https://ai.google.dev/gemini-api/docs/openai#thinking (read 2026-11-27)
EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh")
KNOWN_EFFORTS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "openai": {
        "gpt-5": ("none", "low", "medium", "high", "xhigh"),
        "gpt-5.1": ("none", "low", "medium", "high"),
        "gpt-6": ("none", "low", "medium", "high", "xhigh"),
    },
    "groq": {"gpt-oss": ("low", "medium", "high"), "qwen": ("none",)},
    "google": {
        "gemini": ("none", "minimal", "low", "medium", "high"),
        "gemini-2.5-pro": ("minimal", "low", "medium", "high"),
        "gemini-3": ("minimal", "low", "medium", "high"),
        "gemini-4": ("minimal", "low", "medium", "high"),
    },
}

# Anthropic thinks with no less and no more. https://docs.claude.com/en/api/openai-sdk (read 2026-11-27)
LEAST_THINKING_TOKENS, MOST_THINKING_TOKENS = 1_024, 128_000

_NONE: frozenset[str] = frozenset()
_SAME: dict[str, str] = {}


def unsupported_params(provider: str) -> frozenset[str]:
    """Parameters that must not be sent to this provider."""
    return UNSUPPORTED_PARAMS.get(provider, _NONE)


def other_names(provider: str) -> dict[str, str]:
    """Parameters that this provider knows under another name."""
    return OTHER_NAMES.get(provider, _SAME)


def unsupported_message_fields(provider: str) -> frozenset[str]:
    """Fields of messages that must not be sent to this provider."""
    return MESSAGE_FIELDS.get(provider, _NONE)


def nearest_effort(effort: str, provider: str, model: str) -> str:
    """The effort itself if the model knows it or nobody can say, else the nearest; of two the lower."""
    known = KNOWN_EFFORTS.get(provider)
    if known is None:
        return effort
    beginnings = [beginning for beginning in known if model.startswith(beginning)]
    if not beginnings:
        return effort
    efforts = known[max(beginnings, key=len)]
    wanted = EFFORTS.index(effort)
    return min(efforts, key=lambda other: (abs(EFFORTS.index(other) - wanted), EFFORTS.index(other)))


def thinking_budget(tokens: int, provider: str) -> dict[str, object] | None:
    """How this provider is told how many tokens to think with; None if it cannot be told."""
    if provider == "anthropic":
        budget = min(max(tokens, LEAST_THINKING_TOKENS), MOST_THINKING_TOKENS)
        return {"thinking": {"type": "enabled", "budget_tokens": budget}}
    if provider == "google":
        return {"google": {"thinking_config": {"thinking_budget": tokens}}}
    return None
