"""What was stated about prices, as it was known at a moment.

Rows to values; what they mean together is `billing.price_list`.
"""

from datetime import datetime
from uuid import UUID

from billing.models import Markup, PriceFact
from billing.price_list import Layer, PriceList, layer_of, markups_of

_FACT = ("id", "provider", "model", "region", "tier", "valid_from", "valid_until", "version", "facts")
_MARKUP = ("id", "provider", "multiplier_ppm", "fee_pico", "valid_from")


def operator_prices(*, known_at: datetime | None = None) -> PriceList:
    """The operator's prices and markups; None as they are known now."""
    markups = Markup.objects.order_by()
    if known_at is not None:
        markups = markups.filter(known_from__lte=known_at)
    return PriceList(operator=_layer(None, known_at), markups=markups_of(markups.values(*_MARKUP)))


def own_prices(organization_id: UUID, *, known_at: datetime | None = None) -> Layer:
    """What one organization is charged."""
    return _layer(organization_id, known_at)


def _layer(organization_id: UUID | None, known_at: datetime | None) -> Layer:
    rows = PriceFact.objects.order_by().exclude(source=PriceFact.Source.SHIPPED)
    if organization_id is None:
        rows = rows.filter(organization__isnull=True)
    else:
        rows = rows.filter(organization_id=organization_id)
    if known_at is not None:
        rows = rows.filter(known_from__lte=known_at)
    return layer_of(rows.values(*_FACT))
