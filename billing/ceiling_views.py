"""The page of an organization's ceiling: what a model without a price may cost at most."""

from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from accounts.permissions import Action
from accounts.tenancy import tenant_of
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
    form = CeilingForm(request.POST) if request.method == "POST" else CeilingForm(initial=_initial(tenant))
    if request.method == "POST" and form.is_valid():
        try:
            set_ceiling(organization=tenant.organization, **form.cleaned_data)
        except InvalidPrice as refusal:
            form.add_error(refusal.field, str(refusal))
        else:
            messages.success(request, "The ceiling is saved and holds within a second.")
            return redirect("price_ceiling", slug)
    return render(request, "billing/price_ceiling.html", {"form": form})


def _initial(tenant: Any) -> dict[str, str]:
    ceiling = tenant.scoped(PriceCeiling.objects.all()).first()
    if ceiling is None:
        return {}
    return {name: f"{getattr(ceiling, name).normalize():f}" for name in CeilingForm.base_fields}
