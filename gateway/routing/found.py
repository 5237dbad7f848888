"""What a leaf may lead to: offers in their order, and those that were left out with the reason."""

from collections.abc import Mapping
from decimal import Decimal

from msgspec import Struct, field

from gateway.errors import GatewayError
from gateway.routing.target import Offer

Figures = Mapping[str, Decimal | float | None]


class Found(Struct, frozen=True, eq=False):
    """Offers, the best first. `figures` are what they were compared by, by (provider, model)."""

    offers: list[Offer]
    refused: tuple[tuple[Offer, GatewayError], ...] = ()
    figures: Mapping[tuple[str, str], Figures] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    effort: str | None = None
    """The reasoning effort that the choice brings with it, where the client has set none."""
