"""Prices from the `genai-prices` data: what they say of the models in the book, and how that differs.

Nothing is taken over in silence: each difference is shown by model and unit, and what cannot be
expressed here is named. Pure; the data come as the package's own objects, which `manage.py
importprices` reads. https://github.com/pydantic/genai-prices (0.2.3, checked 2026-11-27)
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any

from billing.errors import InvalidPrice
from billing.money import PICO_PER_USD
from billing.price_book import ModelListing, PriceBook
from billing.price_facts import (
    PER_OF,
    REQUEST_FIELD,
    SEARCH_FIELD,
    TOKENS_PER_MILLION,
    UNITS,
    Numbers,
    rate_pico,
)
from billing.price_list import PriceList
from billing.pricing import DEFAULT_TIER, TIERS, Price

PROVIDERS = {
    "anthropic": "anthropic", "deepseek": "deepseek", "fireworks": "fireworks-ai", "google": "google",
    "groq": "groq", "mistral": "mistral", "openai": "openai", "together": "together-ai",
}  # fmt: skip
UNIT_OF = {
    "input_mtok": "input", "cache_read_mtok": "cached_input", "cache_write_mtok": "cache_write",
    "cache_write_1h_mtok": "cache_write_1h", "output_mtok": "output", "output_reasoning_mtok": "reasoning",
    "input_audio_mtok": "audio_input", "output_audio_mtok": "audio_output", "input_image_mtok": "image_input",
    "web_searches_kcount": SEARCH_FIELD,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Difference:
    """One unit of one price. None: it has no rate there."""

    unit: str
    old_usd: Decimal | None
    new_usd: Decimal | None

    def __str__(self) -> str:
        if self.old_usd is None:
            return f"+ {self.unit} {self.new_usd:f}"
        if self.new_usd is None:
            return f"- {self.unit} {self.old_usd:f}"
        if not self.old_usd:
            return f"~ {self.unit} 0 -> {self.new_usd:f}"
        percent = (self.new_usd - self.old_usd) * 100 / self.old_usd
        return f"~ {self.unit} {self.old_usd:f} -> {self.new_usd:f} ({percent:+.1f} %)"


@dataclass(frozen=True, slots=True)
class Proposal:
    """A price that the data say otherwise than the book, and from which day on."""

    provider: str
    model: str
    tier: str
    valid_from: date
    numbers: Numbers
    differences: tuple[Difference, ...]


@dataclass(slots=True)
class Comparison:
    """What the data would change, and what they say that cannot be said here."""

    proposals: list[Proposal] = field(default_factory=list)
    same: int = 0
    gone: list[str] = field(default_factory=list)
    unlisted: list[str] = field(default_factory=list)
    unexpressed: list[str] = field(default_factory=list)


def compare(providers: Iterable[Any], *, book: PriceBook, prices: PriceList, today: date) -> Comparison:
    """Every model of the book beside what the data say of it today."""
    comparison = Comparison()
    data = {PROVIDERS[each.id]: each for each in providers if each.id in PROVIDERS}
    seen: set[tuple[str, str]] = set()
    for listing in book.listings():
        provider = data.get(listing.provider)
        model = next((m for m in provider.models if m.is_match(listing.model)), None) if provider else None
        if model is None:
            if listing.provider in PROVIDERS.values():
                comparison.gone.append(f"{listing.provider}/{listing.model}")
            continue
        seen.add((listing.provider, model.id))
        _compare_model(listing, model, comparison, prices, today)
    for slug, provider in data.items():
        missing = [m.id for m in provider.models if (slug, m.id) not in seen]
        comparison.unlisted += [f"{slug}/{model_id}" for model_id in missing]
    return comparison


def _compare_model(
    listing: ModelListing, model: Any, comparison: Comparison, prices: PriceList, today: date
) -> None:
    name = f"{listing.provider}/{listing.model}"
    found = _in_force(model.prices, name, comparison, today)
    if found is None:
        return
    base, valid_from = found
    terms = prices.terms_at(listing.provider, listing.model, today, listing=listing)
    ours = {price.tier: price for price in ((terms.price, *terms.price.tiers) if terms else ())}
    for tier, stated, start in _variants(model, base, valid_from, name, comparison, today):
        try:
            numbers = _numbers(stated, f"{name} {tier}", comparison)
            differences = tuple(_differences(ours.get(tier), numbers))
        except InvalidPrice as refusal:
            comparison.unexpressed.append(f"{name} {tier}: {refusal}")
            continue
        if differences:
            comparison.proposals.append(
                Proposal(listing.provider, listing.model, tier, start, numbers, differences)
            )
        else:
            comparison.same += 1


def _in_force(
    stated: Any, name: str, comparison: Comparison, today: date
) -> tuple[dict[str, Any], date] | None:
    """The prices that hold today and their first day; None where they change with the hour of the day."""
    if not isinstance(stated, list):
        return _plain(stated), today
    starts = [getattr(each.constraint, "start_date", None) for each in stated]
    if any(each.constraint is not None and not start for each, start in zip(stated, starts, strict=True)):
        comparison.unexpressed.append(f"{name}: prices by the hour of the day")
        return None
    current: tuple[dict[str, Any], date] | None = None
    for each, start in zip(stated, starts, strict=True):
        if start is None or start <= today:
            current = _plain(each.prices), start or today
    return current


def _variants(
    model: Any, base: dict[str, Any], valid_from: date, name: str, comparison: Comparison, today: date
) -> Iterator[tuple[str, dict[str, Any], date]]:
    """The price of each service tier; a variant says only what differs from the base."""
    yield DEFAULT_TIER, base, valid_from
    for variant in getattr(model, "price_variants", None) or ():
        start = getattr(variant.constraint, "start_date", None)
        tier = _tier_of(variant.when)
        if tier is None or (variant.constraint is not None and start is None):
            comparison.unexpressed.append(f"{name}: a price for {variant.when}")
        elif start is None or start <= today:
            yield tier, base | _plain(variant.prices), start or today


def _tier_of(when: Mapping[str, str]) -> str | None:
    if dict(when) == {"processing": "batch"}:
        return "batch"
    tier = when.get("service_tier") if len(when) == 1 else None
    return tier if tier in TIERS and tier != DEFAULT_TIER else None


def _plain(prices: Any) -> dict[str, Any]:
    return {key: value for key, value in vars(prices).items() if value is not None and key[0] != "_"}


def _numbers(stated: Mapping[str, Any], name: str, comparison: Comparison) -> Numbers:
    """The data's units as ours, with the context tiers that any of them has."""
    for key in sorted(set(stated) - set(UNIT_OF) - {"requests_kcount"}):
        comparison.unexpressed.append(f"{name}: {key}")
    known = {UNIT_OF[key]: value for key, value in stated.items() if key in UNIT_OF}
    searches, requests = known.pop(SEARCH_FIELD, None), stated.get("requests_kcount")
    starts = sorted({tier.start for value in known.values() for tier in getattr(value, "tiers", ())})
    base = {unit: _at(value, 0) for unit, value in known.items()}
    return Numbers(
        usd_per_million={} if _is_free(base) else base,
        is_free=_is_free(base),
        usd_per_request=None if requests is None else _at(requests, 0) / 1_000,
        usd_per_thousand_searches=None if searches is None else _at(searches, 0),
        above={start: {unit: _at(value, start) for unit, value in known.items()} for start in starts},
    )


def _at(value: Any, prompt_tokens: int) -> Decimal:
    """The rate above so many prompt tokens."""
    rate: Decimal = getattr(value, "base", value)
    for tier in getattr(value, "tiers", ()):
        if 0 < tier.start <= prompt_tokens:
            rate = tier.price
    return rate


def _is_free(rates: Mapping[str, Decimal]) -> bool:
    return bool(rates) and not any(rates.values())


def _differences(ours: Price | None, numbers: Numbers) -> Iterator[Difference]:
    """Unit by unit, what differs; long prompts are compared at each of their thresholds."""
    old, new = _flat_price(ours), _flat_numbers(numbers)
    for unit in [*old, *(unit for unit in new if unit not in old)]:
        if old.get(unit) != new.get(unit):
            yield Difference(unit, old.get(unit), new.get(unit))


def _flat_price(price: Price | None) -> dict[str, Decimal]:
    if price is None:
        return {}
    flat = {unit: _usd(unit, pico) for unit in UNITS if (pico := getattr(price, unit)) is not None}
    if price.per_request_pico:
        flat[REQUEST_FIELD] = _usd(REQUEST_FIELD, price.per_request_pico)
    if price.per_search_pico is not None:
        flat[SEARCH_FIELD] = _usd(SEARCH_FIELD, price.per_search_pico)
    for tier in price.long_contexts:
        for unit in UNITS:
            if (pico := getattr(tier.rates, unit)) is not None:
                flat[f"{unit} above {tier.above_prompt_tokens}"] = _usd(unit, pico)
    return flat


def _flat_numbers(numbers: Numbers) -> dict[str, Decimal]:
    if numbers.is_free:
        free = (unit for unit in UNITS if unit != "cache_write_1h")
        return dict.fromkeys(free, Decimal(0))
    flat = {unit: _exact(unit, usd) for unit, usd in numbers.usd_per_million.items()}
    if numbers.usd_per_request:
        flat[REQUEST_FIELD] = _exact(REQUEST_FIELD, numbers.usd_per_request)
    if numbers.usd_per_thousand_searches is not None:
        flat[SEARCH_FIELD] = _exact(SEARCH_FIELD, numbers.usd_per_thousand_searches)
    for start, rates in numbers.above.items():
        flat |= {f"{unit} above {start}": _exact(unit, usd) for unit, usd in rates.items()}
    return flat


def _exact(unit: str, amount_usd: Decimal) -> Decimal:
    """The amount as a price would keep it; raises InvalidPrice for what it cannot."""
    return _usd(unit, rate_pico(unit, amount_usd))


def _usd(unit: str, pico: int) -> Decimal:
    return (Decimal(pico) * PER_OF.get(unit, TOKENS_PER_MILLION) / PICO_PER_USD).normalize()
