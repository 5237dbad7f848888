"""The grammar of `model`: text in, tree out (CONTRACT 3.7).

    openai/gpt-4o                   one model                 gateway.routing.leaves
    gpt-4o@cost|itl<20              the best by criteria      gateway.routing.criteria
    gpt-4o@openai->claude@anthropic a chain                   gateway.routing.chain
    a|b   [weight=3]a^b   a!b       failover, choice, race    gateway.routing.composite

Whether a model exists is not asked here. Time and memory grow with the text, which is bounded.
"""

import re

from msgspec import Struct
from msgspec.structs import replace

from gateway.errors import InvalidModel
from gateway.routing.chain import ARROW, owns_bars, parse_chain
from gateway.routing.composite import FAILOVER, outline, parse_composite
from gateway.routing.leaves import parse_body, parse_leaf, split_options, with_options
from gateway.routing.source import SYNTAX_ERROR, UNSUPPORTED_CONSTRUCT, Piece, Source, Vocabulary, shown
from gateway.routing.tree import Automatic, ByMetric, Leaf, Named, Selector

SELECTOR_CHARACTERS_LIMIT = 1024
# Nearly every request names a model with these alone, and then there is nothing but a leaf.
PLAIN = re.compile(r"[A-Za-z0-9._/:@-]+")


class Parsed(Struct, frozen=True):
    """A selector, and what of it was ignored."""

    selector: Selector
    notes: tuple[str, ...] = ()


def parse_selector(text: str, *, vocabulary: Vocabulary, param: str = "model") -> Parsed:
    """Reads one selector. Raises InvalidModel, which tells the place of the fault."""
    text = text.strip()
    source = Source(text, vocabulary, param)
    if len(text) > SELECTOR_CHARACTERS_LIMIT:
        raise InvalidModel(
            f"{param} must have at most {SELECTOR_CHARACTERS_LIMIT} characters, got {len(text)}.", param=param
        )
    if not text:
        raise source.fault(SYNTAX_ERROR, "must not be empty.", Piece(text))
    if text in vocabulary.aliases:
        return Parsed(_alias(text, source), tuple(source.notes))
    if PLAIN.fullmatch(text):
        return Parsed(parse_body(Piece(text), source), tuple(source.notes))
    return Parsed(_parse(Piece(text), source), tuple(source.notes))


def is_leaf(selector: Selector) -> bool:
    """Whether this is one model, or one way to find one."""
    return isinstance(selector, Named | Automatic | ByMetric)


def _parse(piece: Piece, source: Source) -> Selector:
    layout = outline(piece, source)
    if ARROW in piece.text:
        return parse_chain(piece, layout, source, _read_leaf)
    if not layout.has_brackets and not layout.operators:
        return _read_leaf(piece, source)
    if FAILOVER in layout.kinds and owns_bars(piece.text):
        if layout.kinds == FAILOVER and not layout.has_brackets:
            return parse_leaf(piece, source)
        raise source.fault(
            UNSUPPORTED_CONSTRUCT,
            "A list of criteria (m@cost|itl<20) stands alone, without brackets and other operators.",
            piece,
        )
    return parse_composite(piece, layout, source, _read_leaf)


def _read_leaf(piece: Piece, source: Source) -> Leaf:
    body, options = split_options(piece, source)
    if body.text not in source.vocabulary.aliases:
        return with_options(parse_body(body, source), options)
    meant = _alias(body.text, source)
    if isinstance(meant, Named | Automatic | ByMetric):
        return with_options(meant, options)
    raise source.fault(
        UNSUPPORTED_CONSTRUCT,
        f"The alias {shown(body.text)} stands for several models, so it is used on its own.",
        piece,
    )


def _alias(name: str, source: Source) -> Selector:
    """What an alias stands for; in it no alias means anything, so that none leads to itself."""
    meant = source.vocabulary.aliases[name].strip()
    source.note(f"{shown(name)} is an alias of this organization and stands for {shown(meant)}.")
    within = Source(meant, replace(source.vocabulary, aliases={}), source.param, source.notes)
    return _parse(Piece(meant), within)
