"""What one key can reach: the price book, the operator's connections and the organization's own.

Answers `gateway.routing.select`'s questions. Nothing is fetched here.
"""

from collections.abc import Mapping, Sequence
from datetime import date

from billing.errors import UnknownPrice
from billing.price_book import ModelListing, PriceBook
from billing.pricing import Price
from gateway.policy import Reach
from gateway.routing.target import Connection, Offer


class Catalogue:
    """The models and connections behind one key on one day. Own connections come first."""

    def __init__(self, book: PriceBook, *, own: Reach, operator: Reach, today: date) -> None:
        self._book = book
        self._own = own
        self._operator = operator
        self._today = today

    @property
    def known_providers(self) -> "Catalogue":
        return self

    def __contains__(self, provider: object) -> bool:
        both = self._own.connections + self._operator.connections
        return provider in self._book.providers or any(each.provider == provider for each in both)

    def connections_for(self, provider: str) -> Sequence[Connection]:
        """How this provider can be reached, the organization's own way first."""
        both = self._own.connections + self._operator.connections
        return [connection for connection in both if connection.provider == provider]

    def listing(self, provider: str, model: str) -> Offer | None:
        """The model at this provider: as declared by its owner, else from the price book."""
        if declared := self._declared().get((provider, model)):
            return declared
        listing = self._book.listing(provider, model)
        return self._offer(listing) if listing else None

    def providers_of(self, model: str) -> Sequence[Offer]:
        """Every offer of a bare model name by a provider that can be reached; declared prices win."""
        found = {listing.provider: self._offer(listing) for listing in self._book.providers_of(model)}
        found |= {provider: offer for (provider, name), offer in self._declared().items() if name == model}
        return [offer for provider, offer in found.items() if self.connections_for(provider)]

    def offers(self) -> list[Offer]:
        """Everything that can be reached, by provider and model; declared prices win."""
        reachable = {connection.provider for connection in self._own.connections + self._operator.connections}
        offers = {
            (listing.provider, listing.model): self._offer(listing)
            for listing in self._book.listings()
            if listing.provider in reachable
        }
        return [*{**offers, **self._declared()}.values()]

    def _declared(self) -> Mapping[tuple[str, str], Offer]:
        """Prices that owners declared; an organization's own never price what the operator's key pays."""
        if not self._own.offers:
            return self._operator.offers
        paid_by_operator = {connection.provider for connection in self._operator.connections}
        own = {name: offer for name, offer in self._own.offers.items() if name[0] not in paid_by_operator}
        return {**self._operator.offers, **own}

    def _offer(self, listing: ModelListing) -> Offer:
        return Offer(
            provider=listing.provider,
            model=listing.model,
            upstream_name=listing.upstream_name,
            price=self._price(listing),
            context_window_tokens=listing.context_window_tokens,
            max_output_tokens=listing.max_output_tokens,
            capabilities=listing.capabilities,
        )

    def _price(self, listing: ModelListing) -> Price | None:
        try:
            return listing.price_at(self._today)
        except UnknownPrice:
            return None
