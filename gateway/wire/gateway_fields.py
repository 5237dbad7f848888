"""The fields of a chat request that only the gateway reads: model, tags, fallbacks, plugins, reasoning."""

from typing import Any

from gateway.errors import InvalidModel, InvalidValue, MissingParameter
from gateway.wire.chat_request import HEALING_PLUGIN
from gateway.wire.checks import UNSAFE_CHARACTERS, array, label, one_of, positive_integer, shown
from gateway.wire.parameters import OUTPUT_TOKENS_LIMIT, REASONING_EFFORTS
from gateway.wire.shapes import JsonObject

MODEL_CHARACTERS_LIMIT = 1024
FALLBACKS_LIMIT = 16
KNOWN_PLUGINS = (HEALING_PLUGIN,)


def read_model(model: Any) -> str:
    if model is None:
        raise MissingParameter("model is missing: name one, such as openai/gpt-4o.", param="model")
    if type(model) is not str:
        raise InvalidModel(f"model must be a string, got {shown(model)}.", param="model")
    model = model.strip()
    if not model:
        raise InvalidModel("model must not be empty.", param="model")
    if len(model) > MODEL_CHARACTERS_LIMIT:
        raise InvalidModel(
            f"model must have at most {MODEL_CHARACTERS_LIMIT} characters, got {len(model)}.", param="model"
        )
    if UNSAFE_CHARACTERS.search(model):
        raise InvalidModel("model must not hold control characters.", param="model")
    return str(model)


def read_tags(tags: Any, *, tags_limit: int, characters_limit: int) -> tuple[str, ...]:
    """A string is a comma-separated list; an array is taken as it is (CONTRACT 3.6 #21)."""
    if tags is None:
        return ()
    if type(tags) is str:
        tags = [tag.strip() for tag in tags.split(",") if tag.strip()]
    elif type(tags) is not list:
        raise InvalidValue(f"tags must be a string or an array of strings, got {shown(tags)}.", param="tags")
    if len(tags) > tags_limit:
        raise InvalidValue(f"tags must have at most {tags_limit} tags, got {len(tags)}.", param="tags")
    for index, tag in enumerate(tags):
        path = f"tags[{index}]"
        label(tag, path)
        if not tag.strip() or len(tag) > characters_limit:
            raise InvalidValue(
                f"{path} must have 1 to {characters_limit} characters, got {len(tag.strip())}.", param=path
            )
    return tuple(dict.fromkeys(tags))


def read_fallbacks(fallbacks: Any) -> tuple[str, ...]:
    if fallbacks is None:
        return ()
    array(fallbacks, "fallbacks")
    if len(fallbacks) > FALLBACKS_LIMIT:
        raise InvalidValue(
            f"fallbacks must have at most {FALLBACKS_LIMIT} models, got {len(fallbacks)}.", param="fallbacks"
        )
    for index, fallback in enumerate(fallbacks):
        path = f"fallbacks[{index}]"
        label(fallback, path)
        if not fallback.strip():
            raise InvalidModel(f"{path} must not be empty.", param=path)
    return tuple(fallback.strip() for fallback in fallbacks)


def read_plugins(plugins: Any) -> tuple[str, ...]:
    if plugins is None:
        return ()
    array(plugins, "plugins")
    named = plugins[: len(KNOWN_PLUGINS) + 1]
    names: list[Any] = [plugin.get("id") if type(plugin) is dict else None for plugin in named]
    for index, name in enumerate(names):
        one_of(*KNOWN_PLUGINS)(name, f"plugins[{index}].id")
    return tuple(dict.fromkeys(names))


def read_reasoning(payload: JsonObject) -> tuple[str | None, int | None, tuple[str, ...]]:
    """Effort, exact token count, and the names of further members of `reasoning`."""
    effort: str | None = payload.get("reasoning_effort")
    reasoning = {name: value for name, value in payload.get("reasoning", {}).items() if value is not None}
    other: str | None = reasoning.pop("effort", None)
    tokens: int | None = reasoning.pop("max_tokens", None)
    if other is not None:
        one_of(*REASONING_EFFORTS)(other, "reasoning.effort")
    if tokens is not None:
        positive_integer(OUTPUT_TOKENS_LIMIT)(tokens, "reasoning.max_tokens")
    if effort is not None and other is not None and effort != other:
        raise InvalidValue(
            "reasoning_effort and reasoning.effort disagree; send one of them.", param="reasoning_effort"
        )
    budget: int | None = payload.get("thinking_budget")
    if budget is not None and budget > 0:
        if tokens is not None and tokens != budget:
            raise InvalidValue(
                "thinking_budget and reasoning.max_tokens disagree; send one of them.",
                param="thinking_budget",
            )
        tokens = budget
    effort = effort or other
    # Google's words: a budget of 0 is no thinking, -1 leaves it to the model.
    # https://ai.google.dev/gemini-api/docs/thinking#set-budget (checked 2026-11-27)
    return ("none" if budget == 0 and effort is None else effort), tokens, tuple(reasoning)


def read_context_tokens(tokens: Any) -> int | None:
    """A count, or a string of digits; anything else is ignored (CONTRACT 1.0.3)."""
    if type(tokens) is str and tokens.isascii() and tokens.isdigit() and len(tokens) <= len(str(2**53)):
        return int(tokens)
    return tokens if type(tokens) is int and tokens >= 0 else None
