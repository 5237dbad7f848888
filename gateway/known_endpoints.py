"""Which `model@provider` there is for an organization, whether or not it can be reached at this moment."""

from django.db.models import Q

from accounts.models import Organization
from billing.price_book import load_price_book
from gateway.models import CustomEndpoint, CustomModel


def is_known_endpoint(organization: Organization, *, model: str, provider: str) -> bool:
    """Whether the price book has it, or the organization or the operator declared it."""
    if load_price_book().listing(provider, model) is not None:
        return True
    reach = Q(connection__organization=organization) | Q(connection__organization=None)
    declared = CustomModel.objects.filter(reach, connection__provider=provider, model=model)
    own = CustomEndpoint.objects.filter(organization=organization, provider=provider, model=model)
    return declared.exists() or own.exists()
