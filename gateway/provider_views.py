"""The page of an organization's own providers: credentials, endpoints, and the models declared for them.

Stored keys are never shown; their last characters tell them apart.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from accounts.audit_log import record_on_page
from accounts.permissions import Action
from accounts.tenancy import Tenant, tenant_of
from billing.price_book import load_price_book
from gateway import services
from gateway.connection_rules import WrongConnection
from gateway.endpoint_services import delete_endpoint, endpoints_of
from gateway.forms import ConnectionForm, DeclaredModelForm
from gateway.models import CustomEndpoint, CustomModel, ProviderConnection


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRow:
    """A declared model with its price, and the address that removes it."""

    model: str
    upstream_name: str
    context_window_tokens: int
    max_output_tokens: int
    input_usd_per_million: Decimal
    output_usd_per_million: Decimal
    delete_action: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionRow:
    """One connection. `model_form` is there if this person may declare models for it."""

    name: str
    provider: str
    base_url: str
    has_key: bool
    key_tail: str
    is_active: bool
    delete_action: str
    models: Sequence[ModelRow]
    model_form: DeclaredModelForm | None
    add_model_action: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointRow:
    """An endpoint that was made by API, and the address that removes it. Prices None: none was stated."""

    name: str
    upstream_name: str
    base_url: str
    key_name: str
    input_usd_per_million: Decimal | None
    output_usd_per_million: Decimal | None
    delete_action: str


@never_cache
@login_required
@require_http_methods(["GET", "POST"])
def providers(request: HttpRequest, slug: str) -> HttpResponse:
    tenant = tenant_of(request, slug)
    if request.method == "POST":
        tenant.require(Action.MANAGE_PROVIDERS)
    form = ConnectionForm(request.POST or None)
    connection = _connected(tenant, form)
    if connection is None:
        return _page(request, tenant, form=form)
    messages.success(request, f"{_name_of(connection)} is connected and can be used within a second.")
    return redirect("providers", slug)


@never_cache
@login_required
@require_POST
def provider_disconnect(request: HttpRequest, slug: str, connection_id: UUID) -> HttpResponse:
    tenant = tenant_of(request, slug)
    connection = _managed(tenant, connection_id)
    with transaction.atomic():
        services.disconnect_provider(connection=connection)
        record_on_page(tenant, "provider.disconnect", target=connection.provider, target_id=connection_id)
    messages.success(request, f"{_name_of(connection)} is disconnected and its key forgotten.")
    return redirect("providers", slug)


@never_cache
@login_required
@require_POST
def model_declare(request: HttpRequest, slug: str, connection_id: UUID) -> HttpResponse:
    tenant = tenant_of(request, slug)
    connection = _managed(tenant, connection_id)
    form = _model_form(connection, request)
    if form.is_valid():
        try:
            with transaction.atomic():
                model = services.declare_model(connection=connection, **form.cleaned_data)
                record_on_page(tenant, "model.declare", target=model.model, target_id=model.pk)
        except WrongConnection as refusal:
            form.add_error(refusal.field, str(refusal))
        else:
            messages.success(request, f"{model.model}@{connection.provider} can be called within a second.")
            return redirect("providers", slug)
    return _page(request, tenant, form=ConnectionForm(), model_form=(connection, form))


@never_cache
@login_required
@require_POST
def model_remove(request: HttpRequest, slug: str, connection_id: UUID, model_id: UUID) -> HttpResponse:
    tenant = tenant_of(request, slug)
    connection = _managed(tenant, connection_id)
    model = get_object_or_404(connection.custom_models, pk=model_id)
    with transaction.atomic():
        services.remove_model(model=model)
        record_on_page(tenant, "model.remove", target=model.model, target_id=model_id)
    messages.success(request, f"{model.model}@{connection.provider} is removed.")
    return redirect("providers", slug)


@never_cache
@login_required
@require_POST
def endpoint_remove(request: HttpRequest, slug: str, endpoint_id: UUID) -> HttpResponse:
    tenant = tenant_of(request, slug)
    endpoint = get_object_or_404(endpoints_of(tenant.organization), pk=endpoint_id)
    tenant.require(Action.MANAGE_PROVIDERS)
    with transaction.atomic():
        record_on_page(tenant, "endpoint.remove", target=endpoint.name, target_id=endpoint.pk)
        delete_endpoint(endpoint=endpoint)
    messages.success(request, f"{endpoint.name} is removed; its key stays.")
    return redirect("providers", slug)


def _connected(tenant: Tenant, form: ConnectionForm) -> ProviderConnection | None:
    """The connection that a valid form asks for; None leaves the reason in the form."""
    if not form.is_valid():
        return None
    given = form.cleaned_data
    try:
        with transaction.atomic():
            connection = services.connect_provider(
                organization=tenant.organization,
                provider=given["provider"],
                base_url=given["base_url"],
                api_key=given["api_key"],
            )
            record_on_page(tenant, "provider.connect", target=connection.provider, target_id=connection.pk)
        return connection
    except WrongConnection as refusal:
        form.add_error("name" if refusal.field == "provider" else refusal.field, str(refusal))
        return None


def _page(
    request: HttpRequest,
    tenant: Tenant,
    *,
    form: ConnectionForm,
    model_form: tuple[ProviderConnection, DeclaredModelForm] | None = None,
) -> HttpResponse:
    """The page; `model_form` is one that came back with errors, and whose connection it is for."""
    bound = {model_form[0].pk: model_form[1]} if model_form else {}
    operators = ProviderConnection.objects.filter(organization=None, is_active=True)
    may_manage = tenant.may(Action.MANAGE_PROVIDERS)
    context = {
        "connections": [
            _row(tenant, connection, form=bound.get(connection.pk), may_manage=may_manage)
            for connection in _connections(tenant).prefetch_related("custom_models")
        ],
        "endpoints": [_endpoint_row(tenant, each) for each in endpoints_of(tenant.organization)],
        "platform_providers": [_name_of(connection) for connection in operators],
        "form": form if may_manage else None,
        "may_manage": may_manage,
    }
    return render(request, "gateway/providers.html", context)


def _row(
    tenant: Tenant, connection: ProviderConnection, *, form: DeclaredModelForm | None, may_manage: bool
) -> ConnectionRow:
    place = [tenant.organization.slug, connection.pk]
    may_declare = may_manage and services.may_declare_models(connection)
    return ConnectionRow(
        name=_name_of(connection),
        provider=connection.provider,
        base_url=connection.base_url,
        has_key=connection.has_api_key,
        key_tail=connection.api_key_tail,
        is_active=connection.is_active,
        delete_action=reverse("provider_disconnect", args=place),
        models=[
            _model_row(model, delete_action=reverse("model_remove", args=[*place, model.pk]))
            for model in connection.custom_models.all()
        ],
        model_form=(form or _model_form(connection)) if may_declare else None,
        add_model_action=reverse("model_declare", args=place),
    )


def _endpoint_row(tenant: Tenant, endpoint: CustomEndpoint) -> EndpointRow:
    return EndpointRow(
        name=endpoint.name,
        upstream_name=endpoint.upstream_name,
        base_url=endpoint.base_url,
        key_name=endpoint.key_name,
        input_usd_per_million=endpoint.input_usd_per_million,
        output_usd_per_million=endpoint.output_usd_per_million,
        delete_action=reverse("endpoint_remove", args=[tenant.organization.slug, endpoint.pk]),
    )


def _model_row(declared: CustomModel, *, delete_action: str) -> ModelRow:
    return ModelRow(
        model=declared.model,
        upstream_name=declared.upstream_name,
        context_window_tokens=declared.context_window_tokens,
        max_output_tokens=declared.max_output_tokens,
        input_usd_per_million=declared.input_usd_per_million,
        output_usd_per_million=declared.output_usd_per_million,
        delete_action=delete_action,
    )


def _model_form(connection: ProviderConnection, request: HttpRequest | None = None) -> DeclaredModelForm:
    """The form of one connection; its fields have ids of their own, since a page holds several."""
    return DeclaredModelForm(request.POST if request else None, auto_id=f"{connection.provider}_%s")


def _connections(tenant: Tenant) -> QuerySet[ProviderConnection]:
    return tenant.scoped(ProviderConnection.objects.all())


def _managed(tenant: Tenant, connection_id: UUID) -> ProviderConnection:
    """A connection that this person may change; raises Http404 and PermissionDenied."""
    connection = get_object_or_404(_connections(tenant), pk=connection_id)
    tenant.require(Action.MANAGE_PROVIDERS)
    return connection


def _name_of(connection: ProviderConnection) -> str:
    listing = load_price_book().providers.get(connection.provider)
    return listing.name if listing else connection.provider
