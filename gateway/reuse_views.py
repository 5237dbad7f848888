"""The page of what an organization wants of doubles, and of questions that are alike."""

from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from accounts.audit_log import record_on_page
from accounts.permissions import Action
from accounts.tenancy import Tenant, tenant_of
from billing.money import ZERO_USD, plain_usd
from gateway import reuse_services
from gateway.connection_rules import WrongConnection
from gateway.models import (
    MAX_DEDUPLICATION_SECONDS,
    MAX_MODEL_CHARACTERS,
    PRICE_DECIMALS,
    PRICE_DIGITS,
    ProviderConnection,
    ReusePolicy,
)
from gateway.reuse_services import NO_VECTORS, WrongReuse, has_vectors


class ReuseForm(forms.Form):
    """Whether doubles are refused, and who tells how alike two questions are."""

    deduplication_seconds = forms.IntegerField(
        label="Refuse duplicates within, in seconds",
        required=False,
        min_value=0,
        max_value=MAX_DEDUPLICATION_SECONDS,
        help_text="The same session, model, messages and tools again so soon get 429. Three seconds are "
        "usual; 0 refuses none. What failed may be sent again at once.",
    )
    embedding_connection = forms.ModelChoiceField(
        label="Embeddings come from",
        required=False,
        queryset=ProviderConnection.objects.none(),
        empty_label="Nobody: questions are not compared",
        help_text="A provider that you connected with a key of your own, or an endpoint of your own.",
    )
    embedding_model = forms.CharField(
        label="Embedding model",
        required=False,
        max_length=MAX_MODEL_CHARACTERS,
        help_text="As in text-embedding-3-small.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    embedding_usd_per_million = forms.DecimalField(
        label="US dollars per million tokens",
        required=False,
        min_value=0,
        max_digits=PRICE_DIGITS,
        decimal_places=PRICE_DECIMALS,
        widget=forms.NumberInput(attrs={"step": "any", "inputmode": "decimal"}),
        help_text="Your provider bills you; here it counts towards budgets. Enter 0 if it costs nothing.",
    )

    def __init__(self, *arguments: Any, tenant: Tenant, **options: Any) -> None:
        super().__init__(*arguments, **options)
        field = self.fields["embedding_connection"]
        assert isinstance(field, forms.ModelChoiceField), "it is declared as one"
        field.queryset = tenant.scoped(ProviderConnection.objects.filter(is_active=True))


@never_cache
@login_required
@require_http_methods(["GET", "POST"])
def organization_reuse(request: HttpRequest, slug: str) -> HttpResponse:
    tenant = tenant_of(request, slug)
    tenant.require(Action.MANAGE_ORGANIZATION)
    form = ReuseForm(request.POST or None, initial=_initial(tenant), tenant=tenant)
    if form.is_valid() and _save(tenant, form):
        messages.success(request, "The settings are saved and hold within a second.")
        return redirect("settings", slug)
    context = {"form": form, "missing": "" if has_vectors() else NO_VECTORS}
    return render(request, "gateway/organization_reuse.html", context)


def _initial(tenant: Tenant) -> dict[str, Any]:
    policy = tenant.scoped(ReusePolicy.objects.all()).first()
    if policy is None:
        return {"deduplication_seconds": 0, "embedding_usd_per_million": "0"}
    return {
        "deduplication_seconds": policy.deduplication_seconds,
        "embedding_connection": policy.embedding_connection_id,
        "embedding_model": policy.embedding_model,
        "embedding_usd_per_million": plain_usd(policy.embedding_usd_per_million),
    }


def _save(tenant: Tenant, form: ReuseForm) -> bool:
    try:
        with transaction.atomic():
            _store(tenant, form.cleaned_data)
            organization, changed = tenant.organization, form.changed_data
            record_on_page(
                tenant, "reuse.update", target=organization.name, target_id=organization.pk, changed=changed
            )
    except WrongReuse as refusal:
        form.add_error(refusal.field, str(refusal))
        return False
    except WrongConnection as refusal:
        form.add_error("embedding_model", str(refusal))
        return False
    return True


def _store(tenant: Tenant, wanted: dict[str, Any]) -> None:
    reuse_services.set_embedding_endpoint(
        organization=tenant.organization,
        connection=wanted["embedding_connection"],
        model=wanted["embedding_model"],
        usd_per_million=wanted["embedding_usd_per_million"] or ZERO_USD,
    )
    reuse_services.set_deduplication(
        organization=tenant.organization, seconds=wanted["deduplication_seconds"] or 0
    )
