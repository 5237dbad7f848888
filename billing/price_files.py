"""Reads one billing/prices/<provider>.yaml into listings and refuses what cannot be right.

Numbers are read as Decimal, never as float; every error names the file and the line.
The book over all files is `billing.price_book`.
"""

import hashlib
from dataclasses import dataclass, fields
from datetime import date
from pathlib import Path

from billing.errors import UnknownPrice
from billing.money import PICO_PER_USD
from billing.price_yaml import Entry, read_entry
from billing.pricing import LongContext, Price, Rates

KINDS = frozenset({"openai-compatible"})
CAPABILITIES = frozenset(
    {"tools", "vision", "json_mode", "json_schema", "reasoning", "web_search", "audio", "prompt_caching"}
)
UNITS = tuple(field.name for field in fields(Rates))
TOKENS_PER_MILLION = 1_000_000
SEARCHES_PER_THOUSAND = 1_000


@dataclass(frozen=True, slots=True)
class ProviderListing:
    """A provider as its price file describes it; `source_url` documents its endpoint."""

    slug: str
    name: str
    kind: str
    base_url: str
    source_url: str
    checked: date


@dataclass(frozen=True, slots=True)
class DatedPrice:
    """A price and the first day (UTC) it holds, with where and when that was read."""

    starts_on: date
    price: Price
    source_url: str
    checked: date


@dataclass(frozen=True, slots=True)
class ModelListing:
    """One model at one provider. `prices` ascend by day; `is_free` is declared, never inferred."""

    provider: str
    model: str
    upstream_name: str
    name: str
    aliases: tuple[str, ...]
    context_window_tokens: int
    max_output_tokens: int
    capabilities: frozenset[str]
    created: date
    prices: tuple[DatedPrice, ...]
    is_free: bool

    def price_at(self, day: date) -> Price:
        """The price of this day. Raises UnknownPrice before the first one starts."""
        started = [dated.price for dated in self.prices if dated.starts_on <= day]
        if not started:
            raise UnknownPrice(f"{self.provider}/{self.model} has no price on {day.isoformat()}.")
        return started[-1]


def read_price_file(path: Path) -> tuple[ProviderListing, tuple[ModelListing, ...]]:
    """The provider and its models. Raises PriceBookError naming the file and the line."""
    entry = read_entry(path)
    entry.allow("provider", "name", "kind", "base_url", "source", "checked", "models")
    provider = ProviderListing(
        slug=entry.text("provider"),
        name=entry.text("name"),
        kind=entry.text("kind"),
        base_url=entry.url("base_url"),
        source_url=entry.url("source"),
        checked=entry.day("checked"),
    )
    if provider.slug != path.stem:
        raise entry.error(f"the file is named {path.stem!r} but its provider is {provider.slug!r}")
    if provider.kind not in KINDS:
        raise entry.error(f"kind must be one of {sorted(KINDS)}, got {provider.kind!r}")
    return provider, tuple(_model(each, provider.slug) for each in entry.entries("models"))


def _model(entry: Entry, provider: str) -> ModelListing:
    entry.allow(
        "model", "name", "upstream_name", "aliases", "context_window_tokens", "max_output_tokens",
        "capabilities", "created", "prices",
    )  # fmt: skip
    model = entry.text("model")
    capabilities = frozenset(entry.texts("capabilities"))
    if capabilities - CAPABILITIES:
        raise entry.error(f"unknown capabilities {sorted(capabilities - CAPABILITIES)}")
    prices = tuple(_dated_price(each, f"{provider}/{model}") for each in entry.entries("prices"))
    starts = [dated.starts_on for dated in prices]
    if starts != sorted(set(starts)):
        raise entry.error("prices must start on different days, the earliest first")
    listing = ModelListing(
        provider=provider,
        model=model,
        upstream_name=entry.text("upstream_name", default=model),
        name=entry.text("name"),
        aliases=tuple(entry.texts("aliases")),
        context_window_tokens=entry.count("context_window_tokens"),
        max_output_tokens=entry.count("max_output_tokens"),
        capabilities=capabilities,
        created=entry.day("created") if entry.has("created") else prices[0].starts_on,
        prices=prices,
        is_free=prices[-1].price.input == 0,
    )
    if listing.max_output_tokens > listing.context_window_tokens:
        raise entry.error("max_output_tokens is larger than context_window_tokens")
    return listing


def _dated_price(entry: Entry, name: str) -> DatedPrice:
    entry.allow(
        "from", "source", "checked", "free", "usd_per_million", "usd_per_request",
        "usd_per_thousand_searches", "above",
    )  # fmt: skip
    starts_on = entry.day("from")
    rates = _free_rates(entry) if entry.has("free") else _rates(entry.entry("usd_per_million"))
    per_request_pico = _pico(entry, "usd_per_request", per=1)
    per_search_pico = _pico(entry, "usd_per_thousand_searches", per=SEARCHES_PER_THOUSAND)
    long_contexts = _long_contexts(entry, rates)
    facts = (rates, per_request_pico, per_search_pico, long_contexts)
    price = Price(
        version=f"{name}@{starts_on.isoformat()}.{_fingerprint(facts)}",
        per_request_pico=per_request_pico or 0,
        per_search_pico=per_search_pico,
        long_contexts=long_contexts,
        **{unit: getattr(rates, unit) for unit in UNITS},
    )
    return DatedPrice(starts_on, price, entry.url("source"), entry.day("checked"))


def _long_contexts(entry: Entry, base: Rates) -> tuple[LongContext, ...]:
    tiers = []
    for tier in entry.entries("above") if entry.has("above") else ():
        tier.allow("prompt_tokens", "usd_per_million")
        rates = _rates(tier.entry("usd_per_million"))
        missing = [unit for unit in UNITS if getattr(base, unit) is not None and getattr(rates, unit) is None]
        if missing:
            raise tier.error(f"the tier has no rate for {missing}, which the price has")
        tiers.append(LongContext(above_prompt_tokens=tier.count("prompt_tokens"), rates=rates))
    thresholds = [tier.above_prompt_tokens for tier in tiers]
    if thresholds != sorted(set(thresholds)):
        raise entry.error("the tiers must ascend by prompt_tokens")
    return tuple(tiers)


def _free_rates(entry: Entry) -> Rates:
    if entry.get("free") is not True or entry.has("usd_per_million"):
        raise entry.error("a free price says `free: true` and no usd_per_million")
    return Rates(**dict.fromkeys(UNITS, 0))


def _rates(entry: Entry) -> Rates:
    entry.allow(*UNITS)
    rates = {unit: _pico(entry, unit, per=TOKENS_PER_MILLION) for unit in UNITS}
    for unit in ("input", "output"):
        if rates[unit] is None:
            raise entry.error(f"{unit} is missing")
    zero = [unit for unit in UNITS if rates[unit] == 0]
    # Providers that give cache writes away say so; every other zero must be declared with `free: true`.
    if set(zero) - {"cache_write"}:
        raise entry.error(f"{zero} cost nothing: declare the price `free: true` or give the rate")
    return Rates(**rates)


def _pico(entry: Entry, name: str, *, per: int) -> int | None:
    """The rate of one unit in pico-dollars; None when the file names none."""
    if not entry.has(name):
        return None
    amount_usd = entry.decimal(name)
    amount_pico = amount_usd * PICO_PER_USD / per
    if amount_usd < 0 or amount_pico != amount_pico.to_integral_value():
        raise entry.error(f"{name} must not be negative nor finer than a pico-dollar, got {amount_usd}")
    return int(amount_pico)


def _fingerprint(facts: object) -> str:
    """Eight hex digits that differ when any rate does, so that a corrected price is another version."""
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:8]
