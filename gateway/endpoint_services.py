"""Writes of custom endpoints and of what their owners measured, as Unify's clients make them.

A key of a provider's own is sent to that provider's address alone; any other goes where an endpoint
says. The costs that were measured last are the endpoint's price.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils import timezone

from accounts.models import Organization
from accounts.services import bump_epoch
from accounts.tenancy import scoped
from billing.price_book import load_price_book
from gateway.connection_rules import WrongConnection, checked_price, checked_upstream_name, default_base_url
from gateway.endpoint_models import CustomEndpoint, EndpointMetric
from gateway.endpoint_rules import (
    EndpointName,
    checked_endpoint_name,
    checked_key_name,
    without_call,
)
from gateway.errors import CustomEndpointNotFound
from gateway.models import CustomModel, ProviderConnection
from gateway.provider_key_services import masked_key
from gateway.services import checked_base_url

MAX_ENDPOINTS = 500
MAX_METRICS = 10_000
COSTS = {
    EndpointMetric.Metric.INPUT_COST: "input_usd_per_million",
    EndpointMetric.Metric.OUTPUT_COST: "output_usd_per_million",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """USD per million tokens; None: nothing is said of it."""

    input_cost: Decimal | None = None
    output_cost: Decimal | None = None


def endpoints_of(organization: Organization) -> QuerySet[CustomEndpoint]:
    return scoped(CustomEndpoint.objects.all(), organization)


def endpoint_named(organization: Organization, text: str, *, param: str = "name") -> CustomEndpoint:
    """The organization's endpoint `model@provider`; raises CustomEndpointNotFound."""
    model, _, provider = text.strip().rpartition("@")
    found = endpoints_of(organization).filter(model=model, provider=provider).first()
    if found is None:
        raise CustomEndpointNotFound(param=param)
    return found


@transaction.atomic
def set_endpoint(
    *,
    organization: Organization,
    name: str,
    url: str,
    key_name: str,
    model_arg: str = "",
    costs: Costs | None = None,
) -> CustomEndpoint:
    """An endpoint, or another address and key for the one of this name.

    An empty `model_arg` is what stands before '@'; an empty `url` that of the provider in the name.
    Raises WrongConnection, CustomKeyNotFound and their kin.
    """
    place = _checked_place(organization, name)
    key = checked_key_name(key_name, field="key_name")
    masked_key(organization, key, param="key_name")
    values = {
        "base_url": _checked_address(organization, place, url, key),
        "key_name": key,
        "upstream_name": checked_upstream_name(model_arg.strip() or place.model, field="model_arg"),
    }
    endpoint, is_new = CustomEndpoint.objects.update_or_create(
        organization=organization, model=place.model, provider=place.provider, defaults=values
    )
    if is_new and endpoints_of(organization).count() > MAX_ENDPOINTS:
        raise WrongConnection(f"An organization has at most {MAX_ENDPOINTS} custom endpoints.", field="name")
    stated = costs or Costs()
    for metric, value in (("input_cost", stated.input_cost), ("output_cost", stated.output_cost)):
        if value is not None:
            record_metric(endpoint=endpoint, metric=metric, value=value)
    bump_epoch(organization.pk)
    endpoint.refresh_from_db()
    return endpoint


@transaction.atomic
def delete_endpoint(*, endpoint: CustomEndpoint) -> None:
    """Forget an endpoint and what was measured there; its key stays."""
    endpoint.delete()
    bump_epoch(endpoint.organization_id)


@transaction.atomic
def rename_endpoint(*, endpoint: CustomEndpoint, new_name: str) -> None:
    """Call an endpoint otherwise; all else of it stays. Raises WrongConnection."""
    place = _checked_place(endpoint.organization, new_name, field="new_name")
    endpoint.model, endpoint.provider = place.model, place.provider
    try:
        with transaction.atomic():
            endpoint.save(update_fields=["model", "provider"])
    except IntegrityError as exc:
        raise WrongConnection(f"There is an endpoint {place} already.", field="new_name") from exc
    bump_epoch(endpoint.organization_id)


@transaction.atomic
def record_metric(
    *, endpoint: CustomEndpoint, metric: str, value: Decimal, measured_at: datetime | None = None
) -> None:
    """What the owner measured; the same moment again replaces what was said of it. Raises WrongConnection."""
    kind = EndpointMetric.Metric(metric)
    if kind in COSTS:
        checked_price(value, field="value")
    if endpoint.metrics.count() >= MAX_METRICS:
        raise WrongConnection(
            f"An endpoint keeps {MAX_METRICS} metrics; delete some first.", field="endpoint_name"
        )
    EndpointMetric.objects.update_or_create(
        endpoint=endpoint,
        metric=kind,
        measured_at=measured_at or timezone.now(),
        defaults={"value": value},
    )
    _take_price(endpoint)


@transaction.atomic
def delete_metrics(*, endpoint: CustomEndpoint, timestamps: Iterable[datetime] | None) -> int:
    """Forget what was measured at these moments, or all of it; how much that was."""
    metrics = endpoint.metrics.all()
    if timestamps is not None:
        metrics = metrics.filter(measured_at__in=list(timestamps))
    count, _ = metrics.delete()
    _take_price(endpoint)
    return count


def _take_price(endpoint: CustomEndpoint) -> None:
    """Make the costs that were measured last the endpoint's price; without any it has none."""
    for metric, field in COSTS.items():
        latest = endpoint.metrics.filter(metric=metric).order_by("-measured_at").first()
        setattr(endpoint, field, latest.value if latest else None)
    endpoint.save(update_fields=[*COSTS.values()])
    bump_epoch(endpoint.organization_id)


def _checked_place(organization: Organization, name: str, *, field: str = "name") -> EndpointName:
    place = checked_endpoint_name(name, book=load_price_book(), field=field)
    declared = CustomModel.objects.filter(
        connection__organization=organization, connection__provider=place.provider, model=place.model
    )
    if declared.exists():
        raise WrongConnection(f"{place} is a model of the connection {place.provider!r}.", field=field)
    return place


def _checked_address(organization: Organization, place: EndpointName, url: str, key_name: str) -> str:
    connection = scoped(ProviderConnection.objects.filter(provider=key_name), organization).first()
    own_url = connection.base_url if connection is not None else ""
    try:
        text = without_call(url) or own_url or default_base_url(place.provider, load_price_book())
        base_url = checked_base_url(text, organization)
    except WrongConnection as refusal:
        raise WrongConnection(str(refusal), field="url") from refusal
    if connection is not None and base_url != connection.base_url:
        raise WrongConnection(
            f"The key {key_name!r} is that provider's, and is sent to {connection.base_url} alone. Store "
            "the key of this endpoint under another name.",
            field="key_name",
        )
    return base_url
