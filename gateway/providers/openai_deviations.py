"""Where providers with an OpenAI-compatible address deviate from OpenAI, parameter by parameter.

What a model lacks is in the price book's capabilities; this is about the address it is behind.
"""

# Refuses what it does not know (422 "Extra inputs are not permitted") and calls the seed by
# another name. https://docs.mistral.ai/api (read 2026-11-21)
MISTRAL = frozenset(
    {
        "audio", "function_call", "functions", "logit_bias", "logprobs", "max_completion_tokens",
        "modalities", "safety_identifier", "service_tier", "store", "stream_options", "top_logprobs", "user",
        "verbosity",
    }
)  # fmt: skip

# Ignores these without a word. https://docs.claude.com/en/api/openai-sdk (read 2026-11-21)
ANTHROPIC = frozenset(
    {
        "audio", "frequency_penalty", "logit_bias", "logprobs", "metadata", "modalities", "n", "prediction",
        "presence_penalty", "reasoning_effort", "seed", "service_tier", "store", "top_logprobs", "user",
    }
)  # fmt: skip

# Refuses these as unknown names. https://ai.google.dev/gemini-api/docs/openai (read 2026-11-21)
GOOGLE = frozenset({"frequency_penalty", "logit_bias", "presence_penalty", "seed"})

# Refuses these with 400. https://console.groq.com/docs/openai (read 2026-11-21)
GROQ = frozenset({"logit_bias", "logprobs", "n", "top_logprobs"})

UNSUPPORTED_PARAMS = {"anthropic": ANTHROPIC, "google": GOOGLE, "groq": GROQ, "mistral": MISTRAL}
OTHER_NAMES = {"mistral": {"seed": "random_seed"}}

_NONE: frozenset[str] = frozenset()
_SAME: dict[str, str] = {}


def unsupported_params(provider: str) -> frozenset[str]:
    """Parameters that must not be sent to this provider."""
    return UNSUPPORTED_PARAMS.get(provider, _NONE)


def other_names(provider: str) -> dict[str, str]:
    """Parameters that this provider knows under another name."""
    return OTHER_NAMES.get(provider, _SAME)
