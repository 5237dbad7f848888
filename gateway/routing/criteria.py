"""Criteria behind `@`: metrics to order by, thresholds, a weighted objective, and where to look.

Unify's metric providers (CONTRACT 1.1.3): `gpt-4o@lowest-input-cost`, `m@cost|itl<20`,
`router@q:1|c:0.5|models:a,b`.
"""

import re
from decimal import Decimal

from gateway.routing.source import INVALID_LEAF, SYNTAX_ERROR, UNSUPPORTED_CONSTRUCT, Piece, Source, shown
from gateway.routing.tree import Criteria, Search, Sort, Term, Threshold

QUALITY, TTFT, ITL = "quality", "time-to-first-token", "inter-token-latency"
COST, INPUT_COST, OUTPUT_COST = "cost", "input-cost", "output-cost"
METRICS = {
    QUALITY: QUALITY, "q": QUALITY,
    TTFT: TTFT, "ttft": TTFT, "t": TTFT,
    ITL: ITL, "itl": ITL, "i": ITL,
    COST: COST, "c": COST,
    INPUT_COST: INPUT_COST, "ic": INPUT_COST,
    OUTPUT_COST: OUTPUT_COST, "oc": OUTPUT_COST,
}  # fmt: skip
SEARCHES = ("models", "providers", "endpoints")

_NAMES = "|".join(sorted(METRICS, key=len, reverse=True))
_METRIC = rf"(?:(?P<direction>lowest|highest)-)?(?P<metric>{_NAMES})"
CRITERION = re.compile(rf"{_METRIC}\s*(?:(?P<operator><=|>=|[<>:])(?P<value>.*))?", re.DOTALL)
SEARCH = re.compile(rf"(?P<skip>skip_)?(?P<kind>{'|'.join(SEARCHES)}):(?P<names>.*)", re.DOTALL)
# Begins at an '@': what stands behind it is a list of criteria, and no provider.
_START = re.compile(
    rf"@\s*(?:(?:(?:lowest|highest)-)?(?:{_NAMES})(?=\s*(?:\Z|[<>:|]))|(?:skip_)?(?:{'|'.join(SEARCHES)}):)"
)
DECIMAL = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,12})?")
NAMES_LIMIT = 64


def criteria_begin(text: str) -> int:
    """Where the '@' of a list of criteria stands, or -1."""
    found = _START.search(text)
    return found.start() if found else -1


def is_criterion(text: str) -> bool:
    """Whether this reads as one criterion, well or badly."""
    return CRITERION.fullmatch(text) is not None or SEARCH.fullmatch(text) is not None


def parse_criteria(piece: Piece, source: Source) -> Criteria:
    """Reads criteria joined by `|`."""
    sorts: list[Sort] = []
    thresholds: list[Threshold] = []
    terms: list[Term] = []
    searches: list[Search] = []
    parts = piece.split("|")
    source.check_number(len(parts), "criteria", piece)
    for raw in parts:
        part = raw.trimmed()
        if not part.text:
            raise source.fault(SYNTAX_ERROR, "A criterion is empty.", raw)
        read = _criterion(part, source)
        for one in read:
            match one:
                case Sort():
                    sorts.append(one)
                case Threshold():
                    thresholds.append(one)
                case Term():
                    terms.append(one)
                case Search():
                    searches.append(one)
    criteria = Criteria(tuple(sorts), tuple(thresholds), tuple(terms), tuple(searches))
    _check_together(criteria, piece, source)
    return criteria


def _criterion(part: Piece, source: Source) -> tuple[Sort | Threshold | Term | Search, ...]:
    if search := SEARCH.fullmatch(part.text):
        return (_search(search, part, source),)
    found = CRITERION.fullmatch(part.text)
    if found is None:
        raise source.fault(
            INVALID_LEAF,
            f"{shown(part.text)} is no criterion; metrics are quality, ttft, itl, cost, input-cost and "
            "output-cost, as in cost, itl<20 or cost:0.5.",
            part,
        )
    metric, direction, operator = METRICS[found["metric"]], found["direction"], found["operator"]
    order = Sort(metric, direction == "highest" if direction else metric == QUALITY)
    if operator is None:
        return (order,)
    value = part.part(found.start("value"), found.end("value")).trimmed()
    if DECIMAL.fullmatch(value.text) is None:
        raise source.fault(
            INVALID_LEAF, f"{shown(value.text)} must be a decimal number of at least 0, as in 0.5.", value
        )
    number = Decimal(value.text)
    if operator != ":":
        threshold = Threshold(metric, operator, number)
        return (order, threshold) if direction else (threshold,)
    if direction:
        raise source.fault(
            UNSUPPORTED_CONSTRUCT, "A factor goes with a metric alone, without lowest- or highest-.", part
        )
    return (Term(metric, number),)


def _search(found: "re.Match[str]", part: Piece, source: Source) -> Search:
    names = tuple(dict.fromkeys(name.strip() for name in found["names"].split(",")))
    if not all(names) or len(names) > NAMES_LIMIT:
        raise source.fault(
            INVALID_LEAF, f"{found['kind']}: must list 1 to {NAMES_LIMIT} names, separated by commas.", part
        )
    return Search(found["kind"], names, found["skip"] is not None)


def _check_together(criteria: Criteria, piece: Piece, source: Source) -> None:
    kinds = [search.kind for search in criteria.searches]
    for kind in kinds:
        if kinds.count(kind) > 1:
            raise source.fault(
                UNSUPPORTED_CONSTRUCT, f"{kind}: and skip_{kind}: may stand once, and not both.", piece
            )
    terms = [term.metric for term in criteria.objective]
    if len(set(terms)) < len(terms):
        raise source.fault(UNSUPPORTED_CONSTRUCT, "A metric has two factors.", piece)
    if COST in terms and not {INPUT_COST, OUTPUT_COST}.isdisjoint(terms):
        raise source.fault(
            UNSUPPORTED_CONSTRUCT, "cost holds input-cost and output-cost; weigh one or the other.", piece
        )
    if terms and criteria.sorts:
        raise source.fault(
            UNSUPPORTED_CONSTRUCT, "A weighted objective and a metric to order by exclude each other.", piece
        )
