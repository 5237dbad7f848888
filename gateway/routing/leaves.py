"""Leaves of a selector: one model, or one way to find one, with its parameters behind `?`.

The forms and their order are the contract's (3.7, 3). Whether a model exists is not asked here.
"""

import re
from urllib.parse import unquote

from msgspec.structs import replace

from gateway.routing.criteria import criteria_begin, is_criterion, parse_criteria
from gateway.routing.source import INVALID_LEAF, SYNTAX_ERROR, UNSUPPORTED_CONSTRUCT, Piece, Source, shown
from gateway.routing.tree import (
    NO_OPTIONS,
    REASONING_EFFORTS,
    VERBOSITIES,
    Automatic,
    ByMetric,
    Leaf,
    Named,
    Options,
)

AUTOMATIC = ("auto", "llmgateway/auto")
ROUTER = re.compile(r"router(?:_(?P<name>[^@|]*))?@")
INSTANCE = re.compile(r"(?P<provider>.+)\.(?P<number>[0-9]{1,4})")
EXTERNAL = "external"
OWN_ENDPOINT, OWN_ENDPOINT_PREFIX = "custom", "custom-"

_DECIMAL = re.compile(r"[0-9](?:\.[0-9]{1,9})?")
_INTEGER = re.compile(r"[0-9]{1,9}")
RANGES = {"temperature": 2.0, "top_p": 1.0}
WORDS = {"reasoning_effort": REASONING_EFFORTS, "verbosity": VERBOSITIES}


def parse_leaf(piece: Piece, source: Source) -> Leaf:
    """Reads a trimmed leaf. Aliases are `gateway.routing.grammar`'s business."""
    body, options = split_options(piece, source)
    return with_options(parse_body(body, source), options)


def split_options(piece: Piece, source: Source) -> tuple[Piece, Options]:
    """What stands before the first `?`, and the parameters behind it.

    Unknown names and values out of range are ignored and noted (CONTRACT 3.7, 5).
    """
    mark = piece.text.find("?")
    if mark < 0:
        return piece, NO_OPTIONS
    query = piece.part(mark + 1)
    if "|" in query.text:
        bar = query.text.index("|")
        raise source.fault(
            UNSUPPORTED_CONSTRUCT,
            "Criteria stand before the parameters: model@cost|itl<20?temperature=0.",
            query.part(bar, bar + 1),
        )
    found: dict[str, float | int | str] = {}
    for pair in query.text.split("&") if query.text else ():
        name, _, raw = pair.partition("=")
        name, value = name.strip(), _option(name.strip(), unquote(raw).strip())
        if value is None:
            source.note(f"The parameter {shown(pair)} is unknown or out of range, and ignored.")
        else:
            found[name] = value
    return piece.part(0, mark).trimmed(), Options(**found) if found else NO_OPTIONS  # type: ignore[arg-type]  # by name


def _option(name: str, text: str) -> float | int | str | None:
    if name in RANGES and _DECIMAL.fullmatch(text) and float(text) <= RANGES[name]:
        return float(text)
    if name == "top_k" and _INTEGER.fullmatch(text):
        return int(text)
    return text if text in WORDS.get(name, ()) else None


def with_options(leaf: Leaf, options: Options) -> Leaf:
    """The leaf, whose own parameters give way to these."""
    if options == NO_OPTIONS:
        return leaf
    given = {name: value for name, value in _fields(options) if value is not None}
    return replace(leaf, options=replace(leaf.options, **given))


def _fields(options: Options) -> list[tuple[str, object]]:
    return [(name, getattr(options, name)) for name in Options.__struct_fields__]


def parse_body(body: Piece, source: Source) -> Leaf:
    """A leaf without parameters."""
    text = body.text
    if not text:
        raise source.fault(SYNTAX_ERROR, "A model is missing.", body)
    if text in AUTOMATIC:
        return Automatic()
    leaf = _at(body, source) if "@" in text else None
    leaf = leaf or _prefixed(body, source)
    if leaf is None and ("<" in text or ">" in text or "|" in text):
        raise source.fault(
            INVALID_LEAF, f"{shown(text)} is no model; criteria stand behind '@', as in gpt-4o@cost.", body
        )
    return leaf or Named(text, text)


def _at(body: Piece, source: Source) -> Leaf | None:
    """`model@provider`. A suffix that is no provider and no metric belongs to the name, such as a date."""
    text = body.text
    at = text.rfind("@")
    model, provider = text[:at].rstrip(), text[at + 1 :].lstrip()
    is_provider = provider in source.vocabulary.providers and not 0 <= criteria_begin(text) < at
    if not is_provider and (metric := _by_metric(body, source)) is not None:
        return metric
    if not model or not provider:
        raise source.fault(INVALID_LEAF, "Both sides of '@' must be named, as in gpt-4o@openai.", body)
    if provider == EXTERNAL and not is_provider:
        raise source.fault(
            INVALID_LEAF,
            "'@external' names calls made elsewhere, for logging with POST /v0/queries; it cannot be called.",
            body.part(at),
        )
    if is_provider or provider == OWN_ENDPOINT or provider.startswith(OWN_ENDPOINT_PREFIX):
        return Named(f"{model}@{provider}", model, provider)
    return None


def _by_metric(body: Piece, source: Source) -> ByMetric | None:
    text = body.text
    if router := ROUTER.match(text):
        name = router["name"] or ""
        criteria = parse_criteria(body.part(router.end()), source)
        if name:
            source.note(f"No router {shown(name)} is trained here; the criteria alone choose the model.")
        return ByMetric(None, criteria, name)
    at = criteria_begin(text)
    if at < 0:
        return None
    model = text[:at].strip()
    if not model:
        raise source.fault(INVALID_LEAF, "Both sides of '@' must be named, as in gpt-4o@cost.", body)
    return ByMetric(model, parse_criteria(body.part(at + 1), source))


def _prefixed(body: Piece, source: Source) -> Named | None:
    """`provider/model`, `provider/model:region`, `provider:model` or `provider.2:model`."""
    text, providers = body.text, source.vocabulary.providers
    for separator in "/:":
        provider, found, model = text.partition(separator)
        if not found:
            continue
        instance = INSTANCE.fullmatch(provider) if separator == ":" and provider not in providers else None
        if instance and instance["provider"] in providers:
            return _instance(body, instance, model, source)
        if provider in providers:
            if not model:
                raise source.fault(
                    INVALID_LEAF, f"A model must be named after {shown(provider + separator)}.", body
                )
            name, _, region = model.rpartition(":")
            if separator == "/" and name and region in source.vocabulary.regions:
                return Named(text, name, provider, region=region)
            return Named(text, model, provider)
    return None


def _instance(body: Piece, instance: "re.Match[str]", model: str, source: Source) -> Named:
    number = int(instance["number"])
    if not model or not number:
        raise source.fault(
            INVALID_LEAF, "An instance is written as provider.N:model, and N counts from 1.", body
        )
    return Named(body.text, model, instance["provider"], instance=number)


def is_whole(text: str, source: Source) -> bool:
    """Whether this leaf, which has no '@', names a model with its provider, or needs none."""
    if text in AUTOMATIC or text in source.vocabulary.aliases:
        return True
    return _prefixed(Piece(text), source) is not None


def is_place(text: str, source: Source) -> bool:
    """Whether this can stand behind an '@' on its own: a provider, or a metric."""
    is_own = text == OWN_ENDPOINT or text.startswith(OWN_ENDPOINT_PREFIX)
    return text in source.vocabulary.providers or is_own or is_criterion(text)
