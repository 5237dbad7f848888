"""The price book: which models each provider offers and what they cost since when.

The facts stand in billing/prices/*.yaml and are read by `billing.price_files`; this is the
read-only book that routing, admission and the pages ask. Arithmetic is in `billing.pricing`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import MappingProxyType

from billing.errors import PriceBookError, UnknownPrice
from billing.price_files import DatedPrice, ModelListing, ProviderListing, read_price_file
from billing.pricing import Price

PRICES_DIRECTORY = Path(__file__).parent / "prices"

__all__ = ["DatedPrice", "ModelListing", "PriceBook", "ProviderListing", "load_price_book", "read_price_book"]


@dataclass(frozen=True, slots=True)
class PriceBook:
    """Every provider and model that has a price."""

    providers: Mapping[str, ProviderListing]
    _listings: tuple[ModelListing, ...]
    _by_name: Mapping[tuple[str, str], ModelListing] = field(repr=False)
    _by_model: Mapping[str, tuple[ModelListing, ...]] = field(repr=False)
    _by_version: Mapping[str, Price] = field(repr=False)

    def listing(self, provider: str, model: str) -> ModelListing | None:
        """The model at this provider by its name, an alias or the provider's own name for it."""
        return self._by_name.get((provider, model))

    def providers_of(self, model: str) -> tuple[ModelListing, ...]:
        """Every provider's listing of this model (by name or alias), in the order of the provider's slug."""
        return self._by_model.get(model, ())

    def listings(self) -> tuple[ModelListing, ...]:
        """Every model of every provider, by provider and then by model."""
        return self._listings

    def price_of_version(self, version: str) -> Price:
        """The price that an earlier request was billed at. Raises UnknownPrice if the book has dropped it."""
        try:
            return self._by_version[version]
        except KeyError as exc:
            raise UnknownPrice(f"The price book knows no price version {version!r}.") from exc


@cache
def load_price_book() -> PriceBook:
    """The book that ships with this version. Raises PriceBookError naming the file and the line."""
    return read_price_book(sorted(PRICES_DIRECTORY.glob("*.yaml")))


def read_price_book(paths: Iterable[Path]) -> PriceBook:
    """Read, validate and index price files. Raises PriceBookError naming the file and the line."""
    providers: dict[str, ProviderListing] = {}
    listings: list[ModelListing] = []
    for path in paths:
        provider, models = read_price_file(path)
        if provider.slug in providers:
            raise PriceBookError(f"{path.name}: the provider {provider.slug!r} has another file already")
        providers[provider.slug] = provider
        listings += models
    return _index(providers, sorted(listings, key=lambda listing: (listing.provider, listing.model)))


def _index(providers: dict[str, ProviderListing], listings: list[ModelListing]) -> PriceBook:
    by_name: dict[tuple[str, str], ModelListing] = {}
    by_model: dict[str, tuple[ModelListing, ...]] = {}
    for listing in listings:
        for name in {listing.model, *listing.aliases, listing.upstream_name}:
            if (listing.provider, name) in by_name:
                raise PriceBookError(f"{listing.provider}.yaml: two models answer to the name {name!r}")
            by_name[listing.provider, name] = listing
        for name in {listing.model, *listing.aliases}:
            by_model[name] = (*by_model.get(name, ()), listing)
    return PriceBook(
        providers=MappingProxyType(providers),
        _listings=tuple(listings),
        _by_name=by_name,
        _by_model=by_model,
        _by_version={
            price.version: price
            for listing in listings
            for dated in listing.prices
            for price in dated.variants
        },
    )
