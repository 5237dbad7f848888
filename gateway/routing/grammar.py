"""The grammar of `model`: a bare name, `model@provider`, `provider/model` or `provider:model`.

Forms of the contract (3.7) that choose among several models are recognised, so that they are
refused by name and never taken for a model that does not exist.
"""

import re
from collections.abc import Container

from msgspec import Struct

from gateway.errors import InvalidModel

SELECTOR_CHARACTERS_LIMIT = 1024
AUTOMATIC = ("auto", "llmgateway/auto")
OPERATORS = {
    "->": "fallback chains (a->b); send a list in `fallbacks`",
    "|": "failover and criteria lists (a|b); send a list in `fallbacks`",
    "^": "weighted choices (a^b)",
    "!": "races (a!b)",
    "[": "annotations in brackets",
    "]": "annotations in brackets",
    "?": "parameters in the model string; send them in the body",
}
METRICS = (
    "quality", "q", "time-to-first-token", "ttft", "t", "inter-token-latency", "itl", "i",
    "cost", "c", "input-cost", "ic", "output-cost", "oc",
)  # fmt: skip
METRIC = re.compile(rf"(?:lowest-|highest-)?(?:{'|'.join(METRICS)})(?:[<>:].*)?")
ROUTER = re.compile(r"router(?:_[^@]*)?")
INSTANCE = re.compile(r"(.+)\.\d+")


class Selector(Struct, frozen=True):
    """`provider` None: any that lists the model. `text` is what was asked for, as it was written."""

    text: str
    model: str
    provider: str | None = None


def parse_selector(text: str, *, known_providers: Container[str], param: str = "model") -> Selector:
    """Reads one selector. Raises InvalidModel; whether the model exists is not its question."""
    text = text.strip()
    if not text:
        raise InvalidModel(f"{param} must not be empty.", param=param)
    if len(text) > SELECTOR_CHARACTERS_LIMIT:
        raise InvalidModel(
            f"{param} must have at most {SELECTOR_CHARACTERS_LIMIT} characters, got {len(text)}.", param=param
        )
    _refuse_composites(text, param)
    selector = _split_at(text, known_providers, param) or _split_prefix(text, known_providers, param)
    return selector or Selector(text, text)


def _refuse_composites(text: str, param: str) -> None:
    for operator, meaning in OPERATORS.items():
        if operator in text:
            raise InvalidModel(f"{param}: this gateway does not offer {meaning}.", param=param)
    if text in AUTOMATIC:
        raise InvalidModel(f"{param}: automatic choice (auto) is not offered; name a model.", param=param)


def _split_at(text: str, known_providers: Container[str], param: str) -> Selector | None:
    """`model@provider`. A suffix that is no provider belongs to the name, such as a date."""
    model, at, provider = text.rpartition("@")
    if not at:
        return None
    if not model or not provider:
        raise InvalidModel(f"{param} must name both sides of '@', as in gpt-4o@openai.", param=param)
    if provider in known_providers:
        return Selector(text, model, provider)
    if ROUTER.fullmatch(model) or METRIC.fullmatch(provider):
        raise InvalidModel(
            f"{param}: choosing by metric is not offered; name a provider after '@'.", param=param
        )
    if provider == "custom" or provider.startswith("custom-") or provider == "external":
        raise InvalidModel(
            f"{param}: endpoints '@{provider}' are not offered; connect a provider and use its name.",
            param=param,
        )
    return None


def _split_prefix(text: str, known_providers: Container[str], param: str) -> Selector | None:
    """`provider/model` or `provider:model`, if what comes first is a provider."""
    for separator in "/:":
        provider, found, model = text.partition(separator)
        if not found:
            continue
        if provider in known_providers:
            if not model:
                raise InvalidModel(f"{param} must name a model after '{provider}{separator}'.", param=param)
            return Selector(text, model, provider)
        instance = INSTANCE.fullmatch(provider) if separator == ":" else None
        if instance and instance[1] in known_providers:
            raise InvalidModel(f"{param}: numbered instances of a provider are not offered.", param=param)
    return None
