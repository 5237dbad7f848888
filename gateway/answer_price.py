"""What an answer costs at the target that gave it, and what its organization is charged for that. Pure."""

from collections.abc import Collection

from billing.errors import UnknownPrice
from billing.money import PICO_PER_NANO
from billing.pricing import DEFAULT_TIER, Cost, Price, cost_of
from billing.terms import Bill
from billing.usage import TokenUsage
from gateway.routing.target import Target
from gateway.wire.chat_request import ChatRequest
from gateway.wire.shapes import Reading

NO_TOKENS = TokenUsage()
FREE = Cost()


def priced(
    reading: Reading, target: Target, *, asked: ChatRequest | None, dropped: Collection[str], held_nano: int
) -> Bill:
    """The bill of this reading, whatever is held; `dropped` are parameters that the target did not get.

    A unit that the price does not know is never free: the whole hold is taken instead.
    """
    # Who pays the provider itself is charged nothing, so no terms bind.
    terms, usage = None if target.is_own_credential else target.terms, reading.usage
    price = _price_of_tier(reading, target, asked, dropped)
    version = price.version
    try:
        if terms is not None:
            terms = terms.at_tier(price.tier)
            version = terms.version
        if usage == NO_TOKENS:
            return Bill(FREE, FREE, version)
        cost = cost_of(usage, price)
        return Bill(cost, cost if terms is None else terms.charge_of(usage, cost), version)
    except UnknownPrice:
        whole = Cost(request_pico=held_nano * PICO_PER_NANO)
        return Bill(whole, whole, version)


def _price_of_tier(
    reading: Reading, target: Target, asked: ChatRequest | None, dropped: Collection[str]
) -> Price:
    """The price of the tier that the provider names, else of the one that it was asked for."""
    price = target.price
    if not price.tiers:
        return price
    served = reading.service_tier
    if served is None and asked and "service_tier" not in dropped:
        served = asked.forwarded.get("service_tier")
    try:
        return price.at_tier(served or DEFAULT_TIER)
    except UnknownPrice:
        return price
