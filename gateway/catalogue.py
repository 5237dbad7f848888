"""What one key can reach: the price book, the operator's connections and the organization's own.

Answers `gateway.routing.select`'s questions. Nothing is fetched here.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date
from functools import cached_property

from msgspec import Struct
from msgspec.structs import replace

from billing.errors import UnknownPrice
from billing.price_book import ModelListing, PriceBook
from billing.price_list import PriceList, ceiling_price
from billing.pricing import Price
from billing.terms import Terms
from gateway.errors import CustomKeyNotFound
from gateway.policy import Ceiling, Reach
from gateway.routing.grammar import Parsed, parse_selector
from gateway.routing.source import Vocabulary
from gateway.routing.target import Connection, Offer

NOTHING_STATED = PriceList()
NO_ALIASES: Mapping[str, str] = {}
REMEMBERED_SELECTORS, REMEMBERED_CHARACTERS = 64, 128


class Unpriced(Struct, frozen=True):
    """What a model without a price may cost, and whether the operator's keys reach it too."""

    ceiling: Ceiling
    is_for_own_keys_alone: bool


class Catalogue:
    """The models and connections behind one key on one day. Own connections come first.

    It serves many requests: what the price book says of a model is put together once.
    """

    def __init__(
        self,
        book: PriceBook,
        *,
        own: Reach,
        operator: Reach,
        today: date,
        prices: PriceList = NOTHING_STATED,
        unpriced: Unpriced | None = None,
        aliases: Mapping[str, str] = NO_ALIASES,
    ) -> None:
        self._book = book
        self._own = own
        self._operator = operator
        self._today = today
        # None, as for nearly everyone: the hot path then asks the book and nothing else.
        self._prices = prices or None
        self._unpriced = unpriced
        self._connections: defaultdict[str, list[Connection]] = defaultdict(list)
        for connection in own.connections + operator.connections:
            self._connections[connection.provider].append(connection)
        own_names = {provider for provider, _ in own.offers}
        self.vocabulary = Vocabulary(
            providers=self._connections.keys() | book.providers.keys() | own_names,
            regions=self._regions(),
            aliases=aliases,
        )
        self._parsed: dict[str, Parsed] = {}
        self._listed: dict[tuple[str, str], Offer] = {}

    def parsed(self, text: str) -> Parsed:
        """The selector of a `model`: most requests say what others have said before."""
        known = self._parsed.get(text)
        if known is not None:
            return known
        parsed = parse_selector(text, vocabulary=self.vocabulary)
        if len(text) <= REMEMBERED_CHARACTERS and len(self._parsed) < REMEMBERED_SELECTORS:
            self._parsed[text] = parsed
        return parsed

    def _regions(self) -> frozenset[str]:
        """Wherever a connection is."""
        connected = {connection.region for ways in self._connections.values() for connection in ways}
        return frozenset(connected - {""})

    def with_key(self, wanted: str) -> "Catalogue":
        """What can be reached by one of the organization's own keys alone, named by its id or provider.

        Raises CustomKeyNotFound if there is no such key.
        """
        chosen = tuple(
            connection
            for connection in self._own.connections
            if wanted in (connection.provider, str(connection.id))
        )
        if not chosen:
            raise CustomKeyNotFound(param="x-bf-api-key")
        return Catalogue(
            self._book,
            own=Reach(chosen, {name: each for name, each in self._own.offers.items() if not each.connection}),
            operator=Reach((), self._operator.offers),
            today=self._today,
            prices=self._prices or NOTHING_STATED,
            unpriced=self._unpriced,
            aliases=self.vocabulary.aliases,
        )

    def connections_for(self, provider: str) -> Sequence[Connection]:
        """How this provider can be reached, the organization's own way first."""
        return self._connections.get(provider, ())

    def listing(self, provider: str, model: str) -> Offer | None:
        """The model at this provider: as declared by its owner, else from the price book."""
        offer = self._listed.get((provider, model)) or self._declared.get((provider, model))
        if offer is not None:
            return offer
        listing = self._book.listing(provider, model)
        if listing is None:
            return self._unlisted(provider, model)
        if listing.is_deactivated(self._today):
            return None
        offer = self._listed[provider, model] = self._offer(listing)
        return offer

    def in_region(self, offer: Offer, region: str) -> Offer:
        """The offer at the prices of an endpoint in this region."""
        listing = self._book.listing(offer.provider, offer.model)
        if (offer.provider, offer.model) in self._declared or listing is None:
            return offer
        return self._offer(listing, region=region)

    def providers_of(self, model: str) -> Sequence[Offer]:
        """Every offer of a bare model name by a provider that can be reached; declared prices win."""
        found = {
            listing.provider: self._offer(listing)
            for listing in self._book.providers_of(model)
            if not listing.is_deactivated(self._today)
        }
        found |= {provider: offer for (provider, name), offer in self._declared.items() if name == model}
        return [
            offer
            for provider, offer in found.items()
            if offer.connection is not None or self.connections_for(provider)
        ]

    def offers(self, *, with_deactivated: bool = False) -> list[Offer]:
        """Everything that can be reached, by provider and model; declared prices win."""
        offers = {
            (listing.provider, listing.model): self._offer(listing)
            for listing in self._book.listings()
            if listing.provider in self._connections
            and (with_deactivated or not listing.is_deactivated(self._today))
        }
        return [*{**offers, **self._declared}.values()]

    @cached_property
    def _declared(self) -> Mapping[tuple[str, str], Offer]:
        """Prices that owners declared; an organization's own never price what the operator's key pays."""
        operator = self._operator.offers if self._prices is None else self._marked_up(self._prices)
        if not self._own.offers:
            return operator
        paid_by_operator = {connection.provider for connection in self._operator.connections}
        own = {
            name: offer if offer.price is not None else self._at_ceiling(offer)
            for name, offer in self._own.offers.items()
            if name[0] not in paid_by_operator
        }
        return {**operator, **own}

    def _marked_up(self, prices: PriceList) -> Mapping[tuple[str, str], Offer]:
        return {
            (provider, model): replace(offer, terms=prices.charged(offer.price, provider, model, self._today))
            for (provider, model), offer in self._operator.offers.items()
            if offer.price is not None
        }

    def _offer(self, listing: ModelListing, *, region: str = "") -> Offer:
        price, terms = self._priced(listing, region)
        offer = Offer(
            provider=listing.provider,
            model=listing.model,
            upstream_name=listing.upstream_name,
            price=price,
            terms=terms,
            context_window_tokens=listing.context_window_tokens,
            max_output_tokens=listing.max_output_tokens,
            capabilities=listing.capabilities,
        )
        return offer if price is not None else self._at_ceiling(offer)

    def _priced(self, listing: ModelListing, region: str) -> tuple[Price | None, Terms | None]:
        if self._prices is None:
            try:
                return listing.price_at(self._today, region=region), None
            except UnknownPrice:
                return None, None
        terms = self._prices.terms_at(
            listing.provider, listing.model, self._today, listing=listing, region=region
        )
        return (terms.price, terms) if terms else (None, None)

    def _unlisted(self, provider: str, model: str) -> Offer | None:
        """A model that the book does not list: at the price the operator has stated, else the ceiling."""
        if (self._prices is None and self._unpriced is None) or not self.connections_for(provider):
            return None
        offer = Offer(provider=provider, model=model, upstream_name=model, price=None)
        if self._prices is not None:
            terms = self._prices.terms_at(provider, model, self._today, listing=None)
            if terms is not None:
                return replace(offer, price=terms.price, terms=terms)
        return self._at_ceiling(offer) if self._unpriced else None

    def _at_ceiling(self, offer: Offer) -> Offer:
        """The offer at its owner's ceiling, if there is one: a price is never nothing."""
        if self._unpriced is None:
            return offer
        ceiling = self._unpriced.ceiling
        price = ceiling_price(
            offer.provider,
            offer.model,
            input_usd_per_million=ceiling.input_usd_per_million,
            output_usd_per_million=ceiling.output_usd_per_million,
        )
        return replace(offer, price=price, is_for_own_keys_alone=self._unpriced.is_for_own_keys_alone)
