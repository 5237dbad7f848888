"""The page of an organization's ceiling: what a model without a price may cost at most."""

from collections.abc import Mapping
from decimal import Decimal

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
from billing.errors import InvalidPrice
from billing.models import PriceCeiling
from billing.price_services import set_ceiling


def _amount(label: str) -> forms.DecimalField:
    return forms.DecimalField(
        label=label,
        required=False,
        widget=forms.NumberInput(attrs={"step": "any", "inputmode": "decimal"}),
        help_text="US dollars per million tokens",
    )


class CeilingForm(forms.Form):
    """Both amounts, or none to refuse such models."""

    input_usd_per_million = _amount("Tokens in, at most")
    output_usd_per_million = _amount("Tokens out, at most")


@never_cache
@login_required
@require_http_methods(["GET", "POST"])
def price_ceiling(request: HttpRequest, slug: str) -> HttpResponse:
    """Show the ceiling and set it; two empty fields lift it."""
    tenant = tenant_of(request, slug)
    tenant.require(Action.MANAGE_BILLING)
    is_post = request.method == "POST"
    form = CeilingForm(request.POST) if is_post else CeilingForm(initial=_initial(_stored(tenant)))
    if is_post and form.is_valid():
        try:
            _set(tenant, form.cleaned_data)
        except InvalidPrice as refusal:
            form.add_error(refusal.field, str(refusal))
        else:
            messages.success(request, "The ceiling is saved and holds within a second.")
            return redirect("price_ceiling", slug)
    return render(request, "billing/price_ceiling.html", {"form": form})


def _set(tenant: Tenant, amounts: Mapping[str, Decimal | None]) -> None:
    organization = tenant.organization
    with transaction.atomic():
        stored = _stored(tenant)
        changed = [name for name, amount_usd in amounts.items() if amount_usd != stored.get(name)]
        set_ceiling(
            organization=organization,
            input_usd_per_million=amounts["input_usd_per_million"],
            output_usd_per_million=amounts["output_usd_per_million"],
        )
        record_on_page(
            tenant,
            "price_ceiling.update",
            target=organization.name,
            target_id=organization.pk,
            changed=changed,
        )


def _stored(tenant: Tenant) -> dict[str, Decimal]:
    ceiling = tenant.scoped(PriceCeiling.objects.all()).first()
    return {name: getattr(ceiling, name) for name in CeilingForm.base_fields} if ceiling else {}


def _initial(amounts: Mapping[str, Decimal]) -> dict[str, str]:
    return {name: f"{amount_usd.normalize():f}" for name, amount_usd in amounts.items()}
