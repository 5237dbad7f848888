"""Price facts: one price as exact numbers, as JSON, and as the version that names exactly these numbers.

A fact reads the same in a price file, in a row of the database and in an import; what may stand
in it is checked here, once. Pure. Reading files is `billing.price_files`, rows `billing.price_rows`.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import date
from decimal import Decimal
from typing import Any

from billing.errors import InvalidPrice
from billing.money import PICO_PER_USD
from billing.pricing import DEFAULT_TIER, LongContext, Price, Rates

UNITS = tuple(field.name for field in fields(Rates))
TOKENS_PER_MILLION = 1_000_000
SEARCHES_PER_THOUSAND = 1_000
PER_OF = {"usd_per_request": 1, "usd_per_thousand_searches": SEARCHES_PER_THOUSAND}
REQUEST_FIELD, SEARCH_FIELD = PER_OF

# In memory a rate is an integer of pico-dollars, so a millionth of a dollar per million is the finest.
MAX_USD_PER_MILLION = Decimal(100_000)
MAX_USD_PER_REQUEST = Decimal(1_000)
MAX_USD_PER_THOUSAND_SEARCHES = Decimal(100_000)
MAX_PROMPT_TOKENS = 100_000_000
MAX_LONG_CONTEXTS = 8

# Providers that give cache writes away say so; every other zero must be declared as a free price.
MAY_BE_ZERO = frozenset({"cache_write", "cache_write_1h"})
# Fingerprints are older than these units and stay what they are for prices that do not name them.
_LATER_UNITS = frozenset({"cache_write_1h"})

FREE = Rates(**dict.fromkeys((unit for unit in UNITS if unit not in _LATER_UNITS), 0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbers:
    """What a price says, in the units of price files. `above` maps prompt tokens to rates."""

    usd_per_million: Mapping[str, Decimal] = field(default_factory=dict)
    is_free: bool = False
    usd_per_request: Decimal | None = None
    usd_per_thousand_searches: Decimal | None = None
    above: Mapping[int, Mapping[str, Decimal]] = field(default_factory=dict)


def rate_pico(name: str, amount_usd: Decimal) -> int:
    """The rate in pico-dollars per token, request or search, of a field in its own unit.

    `name` is a unit of tokens (USD per million), `usd_per_request` or `usd_per_thousand_searches`.
    Raises InvalidPrice, naming the field and what is allowed.
    """
    highest_usd = {REQUEST_FIELD: MAX_USD_PER_REQUEST, SEARCH_FIELD: MAX_USD_PER_THOUSAND_SEARCHES}.get(
        name, MAX_USD_PER_MILLION
    )
    per = PER_OF.get(name, TOKENS_PER_MILLION)
    if not amount_usd.is_finite():
        raise InvalidPrice(f"{name} must be a number, got {amount_usd}", field=name)
    if not 0 <= amount_usd <= highest_usd:
        raise InvalidPrice(
            f"{name} must not be negative nor above {highest_usd:,} US dollars, got {amount_usd}", field=name
        )
    pico, rest = divmod(amount_usd * PICO_PER_USD, per)
    if rest or pico != pico.to_integral_value():
        raise InvalidPrice(
            f"{name} must not be negative nor finer than a pico-dollar for one, got {amount_usd}", field=name
        )
    return int(pico)


def rates_of(usd_per_million: Mapping[str, Decimal]) -> Rates:
    """The rates of a price that is not free.

    Raises InvalidPrice for an unknown unit, and for a rate that is missing, zero or out of range.
    """
    unknown = sorted(set(usd_per_million) - set(UNITS))
    if unknown:
        raise InvalidPrice(f"unknown units {unknown}; there are {', '.join(UNITS)}", field=unknown[0])
    for unit in ("input", "output"):
        if unit not in usd_per_million:
            raise InvalidPrice(f"{unit} is missing", field=unit)
    rates = {unit: rate_pico(unit, amount_usd) for unit, amount_usd in usd_per_million.items()}
    zero = [unit for unit in UNITS if rates.get(unit) == 0 and unit not in MAY_BE_ZERO]
    if zero:
        raise InvalidPrice(
            f"{zero} cost nothing: declare the price `free: true` or give the rate", field=zero[0]
        )
    return Rates(**rates)


def check_long_contexts(base: Rates, long_contexts: Sequence[LongContext]) -> None:
    """Raises InvalidPrice unless the context tiers ascend and name every rate that the price has."""
    thresholds = [tier.above_prompt_tokens for tier in long_contexts]
    if thresholds != sorted(set(thresholds)):
        raise InvalidPrice("the tiers must ascend by prompt_tokens", field="above")
    if any(not 1 <= threshold <= MAX_PROMPT_TOKENS for threshold in thresholds):
        raise InvalidPrice(f"prompt_tokens must be between 1 and {MAX_PROMPT_TOKENS}", field="above")
    if len(thresholds) > MAX_LONG_CONTEXTS:
        raise InvalidPrice(f"there may be {MAX_LONG_CONTEXTS} context tiers at most", field="above")
    for tier in long_contexts:
        missing = missing_rates(base, tier.rates)
        if missing:
            raise InvalidPrice(f"the tier has no rate for {missing}, which the price has", field="above")


def missing_rates(base: Rates, other: Rates) -> list[str]:
    """The units that `base` has a rate for and `other` has not."""
    return [unit for unit in UNITS if getattr(base, unit) is not None and getattr(other, unit) is None]


def name_of(provider: str, model: str, *, region: str = "", tier: str = DEFAULT_TIER) -> str:
    """What a version begins with: `openai/gpt-5.4`, `openai/gpt-5.4~flex`, `anthropic/claude~us.batch`."""
    variant = ".".join(part for part in (region, "" if tier == DEFAULT_TIER else tier) if part)
    return f"{provider}/{model}~{variant}" if variant else f"{provider}/{model}"


def price_of(
    *,
    name: str,
    valid_from: date,
    rates: Rates,
    per_request_pico: int | None = None,
    per_search_pico: int | None = None,
    long_contexts: tuple[LongContext, ...] = (),
    region: str = "",
    tier: str = DEFAULT_TIER,
    tiers: tuple[Price, ...] = (),
) -> Price:
    """The price with its version: the name, the first day it holds, and a fingerprint of its numbers."""
    fingerprint = _fingerprint(rates, per_request_pico, per_search_pico, long_contexts)
    return Price(
        version=f"{name}@{valid_from.isoformat()}.{fingerprint}",
        per_request_pico=per_request_pico or 0,
        per_search_pico=per_search_pico,
        long_contexts=long_contexts,
        region=region,
        tier=tier,
        tiers=tiers,
        **{unit: getattr(rates, unit) for unit in UNITS},
    )


def to_json(price: Price) -> dict[str, Any]:
    """The numbers of a price, in pico-dollars, without those that it does not name."""
    return {
        "rates": _rates_json(price),
        "per_request": price.per_request_pico,
        "per_search": price.per_search_pico,
        "above": [
            {"prompt_tokens": tier.above_prompt_tokens, "rates": _rates_json(tier.rates)}
            for tier in price.long_contexts
        ],
    }


def from_json(
    content: Mapping[str, Any], *, version: str, region: str = "", tier: str = DEFAULT_TIER
) -> Price:
    """The price whose numbers `to_json` gave."""
    return Price(
        version=version,
        per_request_pico=content["per_request"],
        per_search_pico=content["per_search"],
        long_contexts=tuple(
            LongContext(above_prompt_tokens=each["prompt_tokens"], rates=Rates(**each["rates"]))
            for each in content["above"]
        ),
        region=region,
        tier=tier,
        **content["rates"],
    )


def _rates_json(rates: Rates) -> dict[str, int]:
    return {unit: getattr(rates, unit) for unit in UNITS if getattr(rates, unit) is not None}


def _fingerprint(
    rates: Rates,
    per_request_pico: int | None,
    per_search_pico: int | None,
    long_contexts: Sequence[LongContext],
) -> str:
    """Eight hex digits that differ when any rate does, so that a corrected price is another version."""
    tiers = [
        f"LongContext(above_prompt_tokens={tier.above_prompt_tokens}, rates={_rates_text(tier.rates)})"
        for tier in long_contexts
    ]
    above = f"({tiers[0]},)" if len(tiers) == 1 else f"({', '.join(tiers)})"
    facts = f"({_rates_text(rates)}, {per_request_pico}, {per_search_pico}, {above})"
    return hashlib.sha256(facts.encode()).hexdigest()[:8]


def _rates_text(rates: Rates) -> str:
    named = [(unit, getattr(rates, unit)) for unit in UNITS]
    shown = [f"{unit}={rate}" for unit, rate in named if unit not in _LATER_UNITS or rate is not None]
    return f"Rates({', '.join(shown)})"
