"""Where providers with an OpenAI-compatible address deviate from OpenAI, parameter by parameter.

What a model lacks is in the price book's capabilities; this is about the address it is behind.
Parameters in none of these lists are sent as they are.
"""

from collections.abc import Mapping

# "Not stated" means that the vendor is silent, and that the entry is a conclusion from what is named there.

# Words of other APIs. OpenAI and who follows it strictly refuse them as unknown.
FOREIGN = frozenset(
    {"top_k", "generation_config", "generationConfig", "request_metadata", "truncation", "image_config"}
)

# https://github.com/openai/openai-python/blob/e43b422/src/openai/types/chat/completion_create_params.py
# (release of 2026-08-21, read 2026-11-27)
OPENAI = FOREIGN

# Refuses what it does not know (422 "Extra inputs are not permitted") and calls the seed by
# another name. https://docs.mistral.ai/api (read 2026-11-21)
MISTRAL = FOREIGN | {
    "audio", "function_call", "functions", "logit_bias", "logprobs", "max_completion_tokens",
    "modalities", "prompt_cache_key", "prompt_cache_retention", "safety_identifier", "service_tier", "store",
    "stream_options", "top_logprobs", "user", "verbosity",
}  # fmt: skip

# Ignores these without a word, and wants an `n` of 1. https://platform.claude.com/docs/en/api/openai-sdk
# (archived copies of its table, read 2026-11-27). The two of the prompt cache, the safety identifier and the
# verbosity are not in that table: it says only that most unsupported fields are ignored. It calls
# `response_format` ignored too, but the address takes a `json_schema` and answers 400 to other types, so that
# one is sent: https://github.com/chrisvel/tududi/issues/1353
ANTHROPIC = FOREIGN | {
    "audio", "frequency_penalty", "logit_bias", "logprobs", "metadata", "modalities", "n", "prediction",
    "presence_penalty", "prompt_cache_key", "prompt_cache_retention", "reasoning_effort", "safety_identifier",
    "seed", "service_tier", "store", "top_logprobs", "user", "verbosity",
}  # fmt: skip

# Refuses unknown names (400 `Unknown name "store": Cannot find field`); which names it knows is not stated.
# Read of store, metadata, frequency_penalty, prompt_cache_key and seed in its answers, the rest concluded:
# https://github.com/liliMozi/openhanako/issues/394 and 2494, https://github.com/ed-donner/agents/issues/45,
# https://github.com/Vali-98/ChatterUI/issues/227 (2025-02 to 2026-08, read 2026-11-27)
GOOGLE = FOREIGN | {
    "frequency_penalty", "logit_bias", "metadata", "prediction", "presence_penalty", "prompt_cache_key",
    "prompt_cache_retention", "safety_identifier", "seed", "store", "verbosity",
}  # fmt: skip

# Refuses logit_bias, logprobs, top_logprobs and an `n` that is not 1:
# https://console.groq.com/docs/openai (archived copy, read 2026-11-27)
# Supports neither metadata nor store, and the penalties with no model (2026-08-18, read 2026-11-27):
# https://github.com/groq/groq-python/blob/9620fde/src/groq/types/chat/completion_create_params.py
# The rest is in no list of Groq's, which answers 400 "property 'verbosity' is unsupported" to what it does
# not know: https://github.com/CherryHQ/cherry-studio/issues/11435 and, of the prompt cache's key,
# https://github.com/eigent-ai/eigent/issues/1827
GROQ = FOREIGN | {
    "audio", "frequency_penalty", "logit_bias", "logprobs", "metadata", "modalities", "n", "prediction",
    "presence_penalty", "prompt_cache_key", "prompt_cache_retention", "safety_identifier", "store",
    "top_logprobs", "verbosity",
}  # fmt: skip

# Lists none of these: https://api-docs.deepseek.com/api/create-chat-completion (third parties' copies, read
# 2026-11-27). What it does with them is not stated; the cap's second name it was seen to ignore without a
# word (2026-08), so what it does not list is named: https://github.com/earendil-works/pi/issues/8018
DEEPSEEK = FOREIGN | {
    "audio", "logit_bias", "max_completion_tokens", "metadata", "modalities", "n", "prediction",
    "prompt_cache_key", "prompt_cache_retention", "safety_identifier", "seed", "service_tier", "store",
    "user", "verbosity",
}  # fmt: skip

# Both take `top_k`. What they do with names that they do not list is not stated, so only what means nothing
# with open models is held back; the rest is sent.
# https://github.com/togethercomputer/openapi/blob/090263a/openapi.yaml (2026-04-28, read 2026-11-27)
TOGETHER = FOREIGN - {"top_k"} | {
    "audio", "max_completion_tokens", "prediction", "safety_identifier", "store", "verbosity",
}  # fmt: skip
# https://github.com/fw-ai-external/python-sdk/blob/8399c12/src/fireworks/types/chat/completion_create_params.py
# (2026-07-21, read 2026-11-27)
FIREWORKS = FOREIGN - {"top_k"} | {"audio", "safety_identifier", "store", "verbosity"}

UNSUPPORTED_PARAMS: Mapping[str, frozenset[str]] = {
    "openai": OPENAI,
    "anthropic": ANTHROPIC,
    "google": GOOGLE,
    "groq": GROQ,
    "mistral": MISTRAL,
    "deepseek": DEEPSEEK,
    "together-ai": TOGETHER,
    "fireworks-ai": FIREWORKS,
}
OTHER_NAMES = {"mistral": {"seed": "random_seed"}}

# Marks of a prompt's parts for caching are Anthropic's own, and its compatible address does not take them:
# https://platform.claude.com/docs/en/api/openai-sdk (archived copy, read 2026-11-27)
# Of the others it is not stated.
WITHOUT_CACHE_CONTROL = frozenset(UNSUPPORTED_PARAMS)
# Tools that are called with free text: https://platform.openai.com/docs/guides/function-calling#custom-tools
# Groq, Together and Fireworks take functions alone, as their lists above say; of the others it is not stated.
WITHOUT_CUSTOM_TOOLS = frozenset(UNSUPPORTED_PARAMS) - {"openai"}

# Fields of messages that are refused or mean nothing there. Answers have them, so clients send them back.
# OpenAI, Groq: what the message types beside the lists above do not have. Groq takes its own `reasoning`
# there, but answers 400 to a `name` (https://console.groq.com/docs/openai) and to `reasoning_content`:
# https://github.com/tashfeenahmed/freellmapi/issues/1070 (2026-08)
# Anthropic ignores `name`, and audio: https://platform.claude.com/docs/en/api/openai-sdk
# Mistral: 422 "Extra inputs are not permitted", https://github.com/BerriAI/litellm/issues/30835
# DeepSeek wants `reasoning_content` back: https://api-docs.deepseek.com/guides/thinking_mode
# Google: not stated, concluded from its refusal of unknown names. (read 2026-11-27)
ANSWERED_FIELDS = frozenset({"annotations", "images", "reasoning", "reasoning_content", "reasoning_details"})
MESSAGE_FIELDS: Mapping[str, frozenset[str]] = {
    "openai": ANSWERED_FIELDS,
    "google": ANSWERED_FIELDS | {"audio", "refusal"},
    "anthropic": ANSWERED_FIELDS | {"audio", "name", "refusal"},
    "groq": ANSWERED_FIELDS - {"reasoning"} | {"audio", "name", "refusal"},
    "mistral": ANSWERED_FIELDS | {"audio", "name", "refusal"},
    "deepseek": ANSWERED_FIELDS - {"reasoning_content"} | {"audio", "refusal"},
}

# The efforts that a model knows. A model that is not here gets the effort that was asked for: its provider
# refuses what it does not know. DeepSeek maps them to its own, but says nothing of "none", which was seen to
# end the thinking (read 2026-11-27): https://api-docs.deepseek.com/guides/thinking_mode (archived copy),
# https://github.com/clacky-ai/openclacky/issues/427
EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh")
_TO_HIGH = ("low", "medium", "high")
_TO_XHIGH = (*_TO_HIGH, "xhigh")
KNOWN_EFFORTS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "openai": {
        # Its own refusals name them: https://github.com/openai/openai-agents-python/issues/2089 (gpt-5.1),
        # https://github.com/getzep/graphiti/pull/1395 (gpt-5.4-mini; its sisters concluded from it).
        "gpt-5.1": ("none", *_TO_HIGH),
        "gpt-5.4": ("none", *_TO_XHIGH),
        "gpt-5.4-mini": ("none", *_TO_XHIGH),
        "gpt-5.4-nano": ("none", *_TO_XHIGH),
        # https://developers.openai.com/api/docs/models/gpt-5.5 (not read itself; 2026-11-27 as
        # https://github.com/AntSeed/antseed/pull/1040 quotes it)
        "gpt-5.5": ("none", *_TO_XHIGH),
        # Astra always thinks, Terra need not (archived copies, read 2026-11-27):
        # https://developers.openai.com/api/docs/guides/latest-model, https://developers.openai.com/api/docs/models
        # That Astra refuses "minimal" too: https://github.com/UKGovernmentBEIS/inspect_ai/pull/5254
        # GPT-6.1 Sol, in a translation of that guide:
        # https://www.w3cschool.cn/openai_api/openai-api-docs-using-gpt.html
        "gpt-6-astra": _TO_XHIGH,
        "gpt-6.1-sol": _TO_XHIGH,
        "gpt-6.1-terra": ("none", *_TO_XHIGH),
        # That these two know "none" (archived copy, read 2026-11-27); that they lack "minimal" is not stated.
        # https://developers.openai.com/api/docs/guides/deployment-checklist
        "gpt-6-sol": ("none", *_TO_XHIGH),
        "gpt-6-luna": ("none", *_TO_XHIGH),
    },
    "groq": {
        # As in the list above, of 2026-08-18.
        "gpt-oss-120b": _TO_HIGH,
        "gpt-oss-20b": _TO_HIGH,
        # https://github.com/groq/groq-python/pull/284 (2026-08-20), which is Groq's own but was not merged
        "qwen3.8-27b": ("none", *_TO_HIGH),
    },
    "google": {
        # https://ai.google.dev/gemini-api/docs/openai#thinking: only Gemini 2.5 below Pro can leave it
        # (read as https://github.com/HKUDS/DeepTutor/pull/809 quotes it, 2026-08).
        "gemini-2.5-pro": ("minimal", *_TO_HIGH),
        "gemini-2.5-flash": ("none", "minimal", *_TO_HIGH),
        "gemini-2.5-flash-lite": ("none", "minimal", *_TO_HIGH),
        # Archived copy, read 2026-11-27:
        # https://docs.cloud.google.com/gemini-enterprise-agent-platform/models/guides/gemini-3-5-flash
        "gemini-3.1-pro-preview": _TO_HIGH,
        "gemini-3.1-flash-lite": ("minimal", *_TO_HIGH),
        # https://docs.cloud.google.com/gemini-enterprise-agent-platform/models/thinking (not read itself;
        # 2026-11-27 as https://github.com/AntSeed/antseed/pull/1040 quotes Google). Of Gemini 4 nothing was
        # read.
        "gemini-3.8-flash": _TO_HIGH,
    },
    # The two lists above name what they take.
    "fireworks-ai": {"gpt-oss-20b": _TO_HIGH},
    "together-ai": {"gpt-oss-120b": _TO_HIGH},
}

# Anthropic thinks with no less and no more: not read there, but as others found it (read 2026-11-27),
# https://github.com/router-for-me/CLIProxyAPI/pull/1435
LEAST_THINKING_TOKENS, MOST_THINKING_TOKENS = 1_024, 128_000
# These refuse a budget (400 "thinking.type.enabled" is not supported for this model): it is "not accepted" on
# models later than 4.6, https://platform.claude.com/docs/en/about-claude/models/overview (read as
# https://github.com/talex-touch/tuff/pull/1935 quotes it, 2026-11-27).
WITHOUT_THINKING_BUDGET = frozenset(
    {"claude-opus-4-8", "claude-opus-5-5", "claude-sonnet-5-5", "claude-haiku-5-5", "claude-fable-5-1"}
)

_NONE: frozenset[str] = frozenset()
_SAME: dict[str, str] = {}
_NO_MODELS: Mapping[str, tuple[str, ...]] = {}


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
    efforts = KNOWN_EFFORTS.get(provider, _NO_MODELS).get(model)
    if efforts is None:
        return effort
    wanted = EFFORTS.index(effort)
    return min(efforts, key=lambda other: (abs(EFFORTS.index(other) - wanted), EFFORTS.index(other)))


def thinking_budget(tokens: int, provider: str, model: str) -> dict[str, object] | None:
    """How this model is told how many tokens to think with; None if it cannot be told."""
    if provider == "anthropic" and model not in WITHOUT_THINKING_BUDGET:
        budget = min(max(tokens, LEAST_THINKING_TOKENS), MOST_THINKING_TOKENS)
        return {"thinking": {"type": "enabled", "budget_tokens": budget}}
    if provider == "google":
        # https://discuss.ai.google.dev/t/how-to-include-thoughts-on-openai-compatibility/87141 (2026-11-27)
        return {"google": {"thinking_config": {"thinking_budget": tokens}}}
    return None
