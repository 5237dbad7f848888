"""Reads one billing/prices/<provider>.yaml into listings and refuses what cannot be right.

Numbers are read as Decimal, never as float; every error names the file and the line.
The book over all files is `billing.price_book`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import TypeVar

from billing.errors import InvalidPrice, UnknownPrice
from billing.price_facts import (
    FREE,
    REQUEST_FIELD,
    SEARCH_FIELD,
    check_long_contexts,
    name_of,
    price_of,
    rate_pico,
    rates_of,
)
from billing.price_yaml import Entry, read_entry
from billing.pricing import DEFAULT_TIER, TIERS, LongContext, Price, Rates

KINDS = frozenset({"openai-compatible"})
CAPABILITIES = frozenset(
    {"tools", "vision", "json_mode", "json_schema", "reasoning", "web_search", "audio", "prompt_caching"}
)
NUMBERS = ("free", "usd_per_million", REQUEST_FIELD, SEARCH_FIELD, "above", "tiers")

_Result = TypeVar("_Result")


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
    """A price and the first day (UTC) it holds, with where and when that was read.

    `regions` are the prices of endpoints that the provider bills otherwise; `ends_on` is the first
    day on which it no longer holds, None while it does.
    """

    starts_on: date
    price: Price
    source_url: str
    checked: date
    ends_on: date | None = None
    regions: tuple[Price, ...] = ()

    @property
    def variants(self) -> tuple[Price, ...]:
        """Every price there is on these days: each region with each of its service tiers."""
        return tuple(each for price in (self.price, *self.regions) for each in (price, *price.tiers))

    def in_region(self, region: str) -> Price:
        """The region's price; where the provider names none for it, the price of everywhere."""
        return next((price for price in self.regions if price.region == region), self.price)


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
    deprecated_on: date | None = None
    deactivated_on: date | None = None

    def is_deactivated(self, day: date) -> bool:
        """Whether the provider serves it no more on this day."""
        return self.deactivated_on is not None and self.deactivated_on <= day

    def price_at(self, day: date, *, region: str = "") -> Price:
        """The price of this day. Raises UnknownPrice before the first one starts and after the last ends."""
        started = [dated for dated in self.prices if dated.starts_on <= day]
        if not started or (started[-1].ends_on is not None and day >= started[-1].ends_on):
            raise UnknownPrice(f"{self.provider}/{self.model} has no price on {day.isoformat()}.")
        return started[-1].in_region(region) if region else started[-1].price


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
        "capabilities", "created", "deprecated", "deactivated", "prices",
    )  # fmt: skip
    model = entry.text("model")
    capabilities = frozenset(entry.texts("capabilities"))
    if capabilities - CAPABILITIES:
        raise entry.error(f"unknown capabilities {sorted(capabilities - CAPABILITIES)}")
    written = entry.entries("prices")
    prices = tuple(_dated_price(each, provider, model) for each in written)
    _check_days(written, prices)
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
        deprecated_on=entry.day("deprecated") if entry.has("deprecated") else None,
        deactivated_on=entry.day("deactivated") if entry.has("deactivated") else None,
    )
    if listing.deprecated_on and listing.deactivated_on and listing.deactivated_on < listing.deprecated_on:
        raise entry.error("deactivated must not be a day before deprecated")
    if listing.max_output_tokens > listing.context_window_tokens:
        raise entry.error("max_output_tokens is larger than context_window_tokens")
    return listing


def _check_days(written: list[Entry], prices: tuple[DatedPrice, ...]) -> None:
    """Every day from the first on has one price: none has two, and none in between has none."""
    for entry, earlier, later in zip(written[1:], prices, prices[1:], strict=False):
        day, end = later.starts_on, earlier.ends_on
        if day <= earlier.starts_on:
            raise entry.error(
                f"prices must start on different days, the earliest first; {day} does not come after"
                f" {earlier.starts_on}"
            )
        if end is not None and end > day:
            raise entry.error(
                f"the price from {day} overlaps the one before it, which holds until {end - timedelta(1)}"
            )
        if end is not None and end < day:
            raise entry.error(f"there is a gap: no price holds from {end} until {day - timedelta(1)}")


def _dated_price(entry: Entry, provider: str, model: str) -> DatedPrice:
    entry.allow("from", "until", "source", "checked", "regions", *NUMBERS)
    starts_on = entry.day("from")
    # `until` is the last day on which it holds.
    ends_on = entry.day("until") + timedelta(1) if entry.has("until") else None
    if ends_on is not None and ends_on <= starts_on:
        raise entry.error("until must not be a day before from")
    regions = entry.named_entries("regions") if entry.has("regions") else {}
    for region, each in regions.items():
        each.allow(*NUMBERS)
        if not region.isascii() or not region.replace("-", "").isalnum() or region in TIERS:
            raise each.error(f"a region is letters, digits and dashes, and no service tier, got {region!r}")
    return DatedPrice(
        starts_on,
        _price(entry, provider, model, starts_on),
        entry.url("source"),
        entry.day("checked"),
        ends_on,
        tuple(_price(each, provider, model, starts_on, region=name) for name, each in regions.items()),
    )


def _price(
    entry: Entry, provider: str, model: str, starts_on: date, *, region: str = "", tier: str = DEFAULT_TIER
) -> Price:
    rates = _free_rates(entry) if entry.has("free") else _rates(entry.entry("usd_per_million"))
    return price_of(
        name=name_of(provider, model, region=region, tier=tier),
        valid_from=starts_on,
        rates=rates,
        per_request_pico=_pico(entry, REQUEST_FIELD),
        per_search_pico=_pico(entry, SEARCH_FIELD),
        long_contexts=_long_contexts(entry, rates),
        region=region,
        tier=tier,
        tiers=tuple(
            _price(each, provider, model, starts_on, region=region, tier=name)
            for name, each in _tiers(entry).items()
        ),
    )


def _tiers(entry: Entry) -> dict[str, Entry]:
    tiers = entry.named_entries("tiers") if entry.has("tiers") else {}
    for name, each in tiers.items():
        each.allow("usd_per_million", REQUEST_FIELD, SEARCH_FIELD, "above")
        if name not in TIERS or name == DEFAULT_TIER:
            raise each.error(f"a service tier is one of {', '.join(TIERS[1:])}, got {name!r}")
    return tiers


def _long_contexts(entry: Entry, base: Rates) -> tuple[LongContext, ...]:
    written = entry.entries("above") if entry.has("above") else []
    tiers: list[LongContext] = []
    for tier in written:
        tier.allow("prompt_tokens", "usd_per_million")
        rates = _rates(tier.entry("usd_per_million"))
        tiers.append(LongContext(above_prompt_tokens=tier.count("prompt_tokens"), rates=rates))
        _or_error(tier, lambda: check_long_contexts(base, tiers))
    return tuple(tiers)


def _free_rates(entry: Entry) -> Rates:
    if entry.get("free") is not True or entry.has("usd_per_million"):
        raise entry.error("a free price says `free: true` and no usd_per_million")
    return FREE


def _rates(entry: Entry) -> Rates:
    named = {name: entry.decimal(name) for name in entry.values}
    return _or_error(entry, lambda: rates_of(named))


def _pico(entry: Entry, name: str) -> int | None:
    """The rate of one unit in pico-dollars; None when the file names none."""
    if not entry.has(name):
        return None
    return _or_error(entry, lambda: rate_pico(name, entry.decimal(name)))


def _or_error(entry: Entry, check: Callable[[], _Result]) -> _Result:
    """What the check gives; what it refuses is refused with the file and the line."""
    try:
        return check()
    except InvalidPrice as exc:
        raise entry.error(str(exc)) from exc
