"""Chains `a->b`: one after the other, each with model and provider, given or filled in from its neighbours.

Unify's fallback chain (CONTRACT 1.1.3, 2): `m@p1->p2` is one model at two providers, `m1->m2@p`
two models at one. A model whose provider nobody names goes to the best one, as on its own.
"""

from collections.abc import Callable

from gateway.routing.composite import Outline
from gateway.routing.criteria import criteria_begin
from gateway.routing.leaves import ROUTER, is_place, is_whole, parse_body, split_options, with_options
from gateway.routing.source import INVALID_LEAF, SYNTAX_ERROR, UNSUPPORTED_CONSTRUCT, Piece, Source, shown
from gateway.routing.tree import Automatic, ByMetric, Chain, Leaf, Named, Options

ARROW = "->"

ReadLeaf = Callable[[Piece, Source], Leaf]


def parse_chain(piece: Piece, layout: Outline, source: Source, read_leaf: ReadLeaf) -> Chain:
    """Reads the elements, then fills in what they leave out."""
    _check_construct(piece, layout, source)
    reader = _Reader(source, read_leaf)
    parts = piece.split(ARROW)
    source.check_number(len(parts), "elements", piece)
    for raw in parts:
        part = raw.trimmed()
        if not part.text:
            raise source.fault(SYNTAX_ERROR, "An element of the chain is empty.", raw)
        bar = part.text.find("|")
        if bar >= 0 and not owns_bars(part.text):
            raise source.fault(
                UNSUPPORTED_CONSTRUCT,
                "'->' and '|' both mean failover; use one of them.",
                part.part(bar, bar + 1),
            )
        reader.read(part)
    return reader.chain()


def owns_bars(text: str) -> bool:
    """Whether the first `|` of this text joins criteria, and does not part models (CONTRACT 3.7, 2)."""
    head = text.partition("|")[0].partition("?")[0].rstrip()
    return ROUTER.match(head) is not None or criteria_begin(head) >= 0


def _check_construct(piece: Piece, layout: Outline, source: Source) -> None:
    others = [place for operator, place in layout.operators if operator != "|"]
    if layout.has_brackets:
        others.append(piece.text.index("["))
    if others:
        place = min(others)
        raise source.fault(
            UNSUPPORTED_CONSTRUCT,
            f"'->' does not go together with {piece.text[place]!r}; use '|' instead of '->'.",
            piece.part(place, place + 1),
        )


class _Reader:
    """What was read of a chain so far."""

    def __init__(self, source: Source, read_leaf: ReadLeaf) -> None:
        self._source = source
        self._read_leaf = read_leaf
        self._steps: list[Leaf] = []
        self._waiting: list[tuple[int, Piece, Options]] = []
        """Models without a provider, which the next one to the right fills in."""
        self._model = ""
        self._is_placed = False

    def read(self, part: Piece) -> None:
        body, options = split_options(part, self._source)
        if "@" in body.text:
            leaf = parse_body(body, self._source)
            if not _is_bare(leaf):
                self._place(leaf, body, options)
                return
        elif is_whole(body.text, self._source):
            leaf = self._read_leaf(part, self._source)
            self._model = leaf.model if isinstance(leaf, Named) else self._model
            self._is_placed = True
            self._waiting.clear()
            self._steps.append(leaf)
            return
        if self._is_placed:
            self._steps.append(self._at_place(body, options))
            return
        self._model = body.text
        self._waiting.append((len(self._steps), body, options))
        self._steps.append(with_options(parse_body(body, self._source), options))

    def chain(self) -> Chain:
        return Chain(tuple(self._steps))

    def _place(self, leaf: Leaf, body: Piece, options: Options) -> None:
        """A model with its provider, which is also that of the models before it that have none."""
        place = _place_of(leaf, body)
        for position, waiting, its_options in self._waiting if place else ():
            filled = _joined(waiting.text, place, self._source, waiting)
            self._steps[position] = with_options(filled, its_options)
        self._waiting.clear()
        self._model, self._is_placed = _model_of(leaf) or self._model, True
        self._steps.append(with_options(leaf, options))

    def _at_place(self, body: Piece, options: Options) -> Leaf:
        """A provider or a metric, for the model before it."""
        if not self._model or not is_place(body.text, self._source):
            raise self._source.fault(
                INVALID_LEAF,
                f"{shown(body.text)} is no provider; behind an element with '@' an element without it names "
                "one. Write model@provider.",
                body,
            )
        return with_options(_joined(self._model, body.text, self._source, body), options)


def _joined(model: str, place: str, source: Source, at: Piece) -> Leaf:
    leaf = parse_body(Piece(f"{model}@{place}", at.start), source)
    if isinstance(leaf, Automatic) or _is_bare(leaf):
        raise source.fault(INVALID_LEAF, f"{shown(model)} cannot be asked for at {shown(place)}.", at)
    return leaf


def _place_of(leaf: Leaf, body: Piece) -> str:
    """What stands behind the '@'; a router has no place that another model could be asked for at."""
    if isinstance(leaf, ByMetric):
        return body.text[criteria_begin(body.text) + 1 :].lstrip() if leaf.model else ""
    return leaf.provider or "" if isinstance(leaf, Named) else ""


def _model_of(leaf: Leaf) -> str:
    return leaf.model or "" if isinstance(leaf, Named | ByMetric) else ""


def _is_bare(leaf: Leaf) -> bool:
    return isinstance(leaf, Named) and leaf.provider is None
