"""Choice by metric: `gpt-4o@cost|itl<20` among one model's providers, `router@…` among all models.

Costs are the price book's, speeds what was measured here lately. Nothing measures quality here, so
it orders nothing, and a threshold on it leaves nothing (CONTRACT 1.1.3, 5).
"""

import operator
from collections.abc import Callable, Sequence
from decimal import Decimal

from gateway.errors import GatewayError, NoProviderInThresholds
from gateway.routing.criteria import COST, INPUT_COST, ITL, OUTPUT_COST, QUALITY, TTFT
from gateway.routing.found import Found
from gateway.routing.health_view import TargetHealth
from gateway.routing.reach import measured_tokens, too_long
from gateway.routing.target import Offer
from gateway.routing.tree import Criteria, Search
from gateway.wire.chat_request import ChatRequest

PICO_PER_MILLIONTH_USD = 1_000_000
# Unify's mix: three tokens of input to one of output.
INPUT_SHARE, SHARES = 3, 4
NO_QUALITY = "Nothing measures quality here: all models count as equally good."

COMPARISONS: dict[str, Callable[[Decimal, Decimal], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def value_of(metric: str, offer: Offer, health: TargetHealth) -> Decimal | None:
    """Milliseconds or US dollars per million tokens; None where nobody knows it."""
    if metric == TTFT:
        return _measured(health.ttft_ms(offer.provider, offer.model))
    if metric == ITL:
        return _measured(health.inter_token_ms(offer.provider, offer.model))
    price = offer.price
    if metric == QUALITY or price is None:
        return None
    if metric == INPUT_COST:
        return _usd(price.input)
    if metric == OUTPUT_COST:
        return _usd(price.output)
    if price.input is None or price.output is None:
        return None
    return Decimal(INPUT_SHARE * price.input + price.output) / SHARES / PICO_PER_MILLIONTH_USD


def choose_by_metric(
    offers: Sequence[Offer], criteria: Criteria, request: ChatRequest, health: TargetHealth
) -> Found:
    """The offers that meet the criteria, the best first; the cheaper one decides a tie.

    Raises NoProviderInThresholds, or ContextLengthExceeded if the prompt alone leaves nothing.
    """
    kept: list[Offer] = []
    refused: list[tuple[Offer, GatewayError]] = []
    for offer in offers:
        reason = _reason_against(offer, criteria, request, health)
        if reason is None:
            kept.append(offer)
        else:
            refused.append((offer, reason))
    if not kept:
        raise _nothing_left(refused)
    asked = _asked_metrics(criteria)
    figures = {
        (offer.provider, offer.model): {metric: value_of(metric, offer, health) for metric in asked}
        for offer in offers
    }
    notes = (NO_QUALITY,) if QUALITY in asked else ()
    return Found(_ordered(kept, criteria, health), tuple(refused), figures, notes)


def _reason_against(
    offer: Offer, criteria: Criteria, request: ChatRequest, health: TargetHealth
) -> GatewayError | None:
    if not all(_is_within(offer, search) for search in criteria.searches):
        return NoProviderInThresholds("It is outside the search space.")
    for threshold in criteria.thresholds:
        value = value_of(threshold.metric, offer, health)
        if value is None:
            return NoProviderInThresholds(f"Its {threshold.metric} is not known.")
        if not COMPARISONS[threshold.operator](value, threshold.bound):
            return NoProviderInThresholds(
                f"Its {threshold.metric} is {float(value):.6g}, not {threshold.operator} {threshold.bound}."
            )
    window, tokens = offer.context_window_tokens, measured_tokens(request)
    return too_long(offer, window, tokens) if window is not None and tokens > window else None


def _nothing_left(refused: Sequence[tuple[Offer, GatewayError]]) -> GatewayError:
    reasons = [reason for _, reason in refused]
    if reasons and not any(isinstance(reason, NoProviderInThresholds) for reason in reasons):
        return reasons[0]
    return NoProviderInThresholds()


def _is_within(offer: Offer, search: Search) -> bool:
    names = {
        "models": {offer.model},
        "providers": {offer.provider},
        "endpoints": {f"{offer.model}@{offer.provider}", f"{offer.provider}/{offer.model}"},
    }[search.kind]
    return names.isdisjoint(search.names) is search.is_skipped


def _ordered(offers: Sequence[Offer], criteria: Criteria, health: TargetHealth) -> list[Offer]:
    """Stable orders one after the other, so that the last is dominant; what is not known comes last."""
    ordered = sorted(offers, key=lambda offer: (*_rank(COST, offer, health), offer.provider, offer.model))
    if criteria.objective:
        return sorted(ordered, key=lambda offer: _objective(offer, criteria, health))
    for sort in criteria.sorts:
        sign = -1 if sort.is_highest_first else 1
        ordered.sort(key=lambda offer: _rank(sort.metric, offer, health, sign))  # used at once
    return ordered


def _rank(metric: str, offer: Offer, health: TargetHealth, sign: int = 1) -> tuple[bool, Decimal]:
    value = value_of(metric, offer, health)
    return value is None, Decimal(0) if value is None else sign * value


def _objective(offer: Offer, criteria: Criteria, health: TargetHealth) -> tuple[bool, Decimal]:
    total, is_unknown = Decimal(0), False
    for term in criteria.objective:
        value = value_of(term.metric, offer, health)
        if value is not None:
            total += term.factor * value
        elif term.metric != QUALITY and term.factor:
            is_unknown = True
    return is_unknown, total


def _asked_metrics(criteria: Criteria) -> tuple[str, ...]:
    sorts = (sort.metric for sort in criteria.sorts)
    thresholds = (threshold.metric for threshold in criteria.thresholds)
    terms = (term.metric for term in criteria.objective)
    return tuple(dict.fromkeys((*sorts, *thresholds, *terms)))


def _measured(milliseconds: float | None) -> Decimal | None:
    return None if milliseconds is None else Decimal(repr(milliseconds))


def _usd(pico: int | None) -> Decimal | None:
    return None if pico is None else Decimal(pico) / PICO_PER_MILLIONTH_USD
