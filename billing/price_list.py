"""The price list: what a model costs on a day, and what an organization is charged, over all layers.

The files that ship are the base. What the operator has stated lies over it, variant by variant;
a charge follows from an organization's own price, else from the operator's markup. Pure: rows come
as mappings, from Django or from the data plane's own connection, and may be cut at any earlier
moment of knowledge.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from typing import Any

from billing.errors import UnknownPrice
from billing.price_facts import from_json, rate_pico
from billing.price_files import ModelListing
from billing.pricing import DEFAULT_TIER, TIERS, Price
from billing.terms import PAR_PPM, Terms

CEILING = "ceiling"
_Variant = tuple[str, str, str, str]


@dataclass(frozen=True, slots=True)
class StatedPrice:
    """A price as somebody stated it; None where the statement was taken back."""

    valid_from: date
    valid_until: date | None
    price: Price | None


@dataclass(frozen=True, slots=True)
class StatedMarkup:
    valid_from: date
    multiplier_ppm: int
    fee_pico: int


@dataclass(frozen=True, slots=True)
class Layer:
    """Statements of one kind: the operator's for everyone, or those for one organization."""

    statements: Mapping[_Variant, tuple[StatedPrice, ...]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.statements)

    def price_at(self, provider: str, model: str, day: date, *, region: str, tier: str) -> Price | None:
        """What was stated for this variant and holds on this day; None if nothing was."""
        for stated in self.statements.get((provider, model, region, tier), ()):
            is_over = stated.valid_until is not None and day >= stated.valid_until
            if stated.valid_from <= day and not is_over and stated.price is not None:
                return stated.price
        return None

    def names(self, provider: str, model: str) -> bool:
        """Whether anything was ever stated about this model."""
        return any(variant[:2] == (provider, model) for variant in self.statements)


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceList:
    """What the operator has stated; `own` is one organization's."""

    operator: Layer = field(default_factory=Layer)
    markups: Mapping[str, tuple[StatedMarkup, ...]] = field(default_factory=dict)
    own: Layer = field(default_factory=Layer)

    def __bool__(self) -> bool:
        return bool(self.operator) or bool(self.markups) or bool(self.own)

    def terms_at(
        self, provider: str, model: str, day: date, *, listing: ModelListing | None, region: str = ""
    ) -> Terms | None:
        """The terms of a request on this day; None when the model has no price."""
        price = self._cost_price(provider, model, day, listing, region)
        return None if price is None else self.charged(price, provider, model, day)

    def charged(self, price: Price, provider: str, model: str, day: date) -> Terms:
        """The terms of a cost at this price: at the own price of its model, else with the markup."""
        own = None
        if self.own:
            own = self.own.price_at(provider, model, day, region=price.region, tier=DEFAULT_TIER)
            own = own or self.own.price_at(provider, model, day, region="", tier=DEFAULT_TIER)
            own = own and self._with_tiers(self.own, own, provider, model, day, shipped=None)
        multiplier_ppm, fee_pico = self._markup(provider, day)
        return Terms(price=price, own_price=own, multiplier_ppm=multiplier_ppm, fee_pico=fee_pico)

    def _cost_price(
        self, provider: str, model: str, day: date, listing: ModelListing | None, region: str
    ) -> Price | None:
        shipped = _shipped(listing, day, region)
        base = self.operator.price_at(provider, model, day, region=region, tier=DEFAULT_TIER)
        if base is None and region and (shipped is None or shipped.region != region):
            base = self.operator.price_at(provider, model, day, region="", tier=DEFAULT_TIER)
        base = base or shipped
        if base is None or not self.operator.names(provider, model):
            return base
        return self._with_tiers(self.operator, base, provider, model, day, shipped=shipped)

    def _with_tiers(
        self, layer: Layer, base: Price, provider: str, model: str, day: date, *, shipped: Price | None
    ) -> Price:
        """The price with each service tier as stated, else as shipped."""
        tiers = []
        for tier in TIERS:
            if tier == DEFAULT_TIER:
                continue
            stated = layer.price_at(provider, model, day, region=base.region, tier=tier)
            of_file = next((each for each in (shipped.tiers if shipped else ()) if each.tier == tier), None)
            if found := stated or of_file:
                tiers.append(found)
        return replace(base, tiers=tuple(tiers))

    def _markup(self, provider: str, day: date) -> tuple[int, int]:
        for name in (provider, ""):
            for stated in self.markups.get(name, ()):
                if stated.valid_from <= day:
                    return stated.multiplier_ppm, stated.fee_pico
        return PAR_PPM, 0


def layer_of(rows: Iterable[Mapping[str, Any]]) -> Layer:
    """The layer of rows of `billing_pricefact`, each with `id` in the order in which they became known."""
    latest: dict[tuple[_Variant, date], StatedPrice] = {}
    for row in sorted(rows, key=lambda row: row["id"]):
        variant = (row["provider"], row["model"], row["region"], row["tier"])
        price = row["facts"] and from_json(
            row["facts"], version=row["version"], region=row["region"], tier=row["tier"]
        )
        latest[variant, row["valid_from"]] = StatedPrice(row["valid_from"], row["valid_until"], price or None)
    statements: defaultdict[_Variant, list[StatedPrice]] = defaultdict(list)
    for (variant, _), stated in latest.items():
        statements[variant].append(stated)
    return Layer({variant: _latest_first(found) for variant, found in statements.items()})


def markups_of(rows: Iterable[Mapping[str, Any]]) -> dict[str, tuple[StatedMarkup, ...]]:
    """The markups of rows of `billing_markup`, by provider."""
    latest: dict[tuple[str, date], StatedMarkup] = {}
    for row in sorted(rows, key=lambda row: row["id"]):
        latest[row["provider"], row["valid_from"]] = StatedMarkup(
            row["valid_from"], row["multiplier_ppm"], row["fee_pico"]
        )
    markups: defaultdict[str, list[StatedMarkup]] = defaultdict(list)
    for (provider, _), stated in latest.items():
        markups[provider].append(stated)
    return {
        provider: tuple(sorted(found, key=lambda stated: stated.valid_from, reverse=True))
        for provider, found in markups.items()
    }


def ceiling_price(
    provider: str, model: str, *, input_usd_per_million: Decimal, output_usd_per_million: Decimal
) -> Price:
    """The price of a model that has none, at its owner's ceiling: every token of a side costs the same."""
    input_pico = rate_pico("input", input_usd_per_million)
    output_pico = rate_pico("output", output_usd_per_million)
    return ceiling_of(f"{CEILING}:{provider}/{model}@{input_pico}/{output_pico}", input_pico, output_pico)


def ceiling_of(version: str, input_pico: int, output_pico: int) -> Price:
    """The price that such a version names."""
    return Price(
        version=version,
        input=input_pico,
        audio_input=input_pico,
        output=output_pico,
        audio_output=output_pico,
        is_ceiling=True,
    )


def _shipped(listing: ModelListing | None, day: date, region: str) -> Price | None:
    if listing is None:
        return None
    try:
        return listing.price_at(day, region=region)
    except UnknownPrice:
        return None


def _latest_first(statements: Iterable[StatedPrice]) -> tuple[StatedPrice, ...]:
    return tuple(sorted(statements, key=lambda stated: stated.valid_from, reverse=True))
