"""Every model that can be named on a bill: of the price book, of stated prices, and declared ones."""

import uuid

from billing.models import PriceFact
from billing.price_book import load_price_book
from billing.reconciliation.names import ModelNames, declared_by_sources


def model_names(organization_id: uuid.UUID | None) -> ModelNames:
    """The names of the account of the operator (None) or an organization."""
    stated = PriceFact.objects.order_by().values_list("provider", "model").distinct()
    declared = {(provider, model): model for provider, model in stated}
    return ModelNames(load_price_book(), declared | declared_by_sources(organization_id))
