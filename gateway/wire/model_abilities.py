"""What a model can do, in the words of model lists."""

from collections.abc import Sequence

from gateway.routing.target import Offer
from gateway.wire.shapes import JsonObject

COMMON_PARAMETERS = (
    "frequency_penalty", "logit_bias", "logprobs", "max_completion_tokens", "max_tokens", "n",
    "presence_penalty", "seed", "stop", "stream", "stream_options", "temperature", "top_logprobs", "top_p",
    "user",
)  # fmt: skip
PARAMETERS_OF_CAPABILITY = {
    "tools": ("tools", "tool_choice", "parallel_tool_calls"),
    "json_mode": ("response_format",),
    "json_schema": ("response_format",),
    "reasoning": ("reasoning", "reasoning_effort"),
    "web_search": ("web_search", "web_search_options"),
    "audio": ("audio", "modalities"),
    "effort": ("effort",),
}
INPUT_OF_CAPABILITY = {"vision": "image", "audio": "audio"}
OUTPUT_OF_CAPABILITY = {"audio": "audio"}


def abilities_of(offers: Sequence[Offer]) -> frozenset[str]:
    """What the model can do at any of its providers."""
    return frozenset[str]().union(*(offer.capabilities or () for offer in offers))


def input_modalities(abilities: frozenset[str]) -> list[str]:
    return ["text", *(name for ability, name in INPUT_OF_CAPABILITY.items() if ability in abilities)]


def output_modalities(abilities: frozenset[str]) -> list[str]:
    return ["text", *(name for ability, name in OUTPUT_OF_CAPABILITY.items() if ability in abilities)]


def parameters_of(abilities: frozenset[str]) -> list[str]:
    """The names of the parameters that it takes."""
    special = {name for ability in abilities for name in PARAMETERS_OF_CAPABILITY.get(ability, ())}
    return sorted(special.union(COMMON_PARAMETERS))


def provider_abilities(offer: Offer) -> JsonObject:
    """The switches of a provider's entry."""
    abilities = offer.capabilities or frozenset()
    return {
        "streaming": True,
        "cancellation": True,
        "vision": "vision" in abilities,
        "tools": "tools" in abilities,
        "parallelToolCalls": "tools" in abilities,
        "reasoning": "reasoning" in abilities,
        "json_output": "json_mode" in abilities or "json_schema" in abilities,
        "structured_outputs": "json_schema" in abilities,
    }
