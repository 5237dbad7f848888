"""The page of an organization's routing: aliases of selectors and fallbacks, a line for each."""

from collections.abc import Mapping
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
from gateway.models import RoutingPolicy
from gateway.routing_services import ALIASES_LIMIT, FALLBACKS_LIMIT, WrongRouting, set_routing

MAX_FIELD_CHARACTERS = 64_000


class RoutingForm(forms.Form):
    """Aliases as `name = selector`, and fallbacks, each on a line of its own."""

    model_aliases = forms.CharField(
        label="Aliases",
        required=False,
        max_length=MAX_FIELD_CHARACTERS,
        widget=forms.Textarea(attrs={"rows": 6, "spellcheck": "false"}),
        help_text=f"A line for each, up to {ALIASES_LIMIT}: fast = openai/gpt-4o-mini|groq/llama-3.3-70b",
    )
    default_fallbacks = forms.CharField(
        label="Fallbacks",
        required=False,
        max_length=MAX_FIELD_CHARACTERS,
        widget=forms.Textarea(attrs={"rows": 3, "spellcheck": "false"}),
        help_text=f"A model on each line, up to {FALLBACKS_LIMIT}, tried in this order.",
    )

    def clean_model_aliases(self) -> dict[str, str]:
        aliases: dict[str, str] = {}
        for line in _lines(self.cleaned_data["model_aliases"]):
            name, equals, selector = (part.strip() for part in line.partition("="))
            if not (name and equals and selector):
                raise forms.ValidationError(f"Write {line[:64]!r} as name = selector.")
            if name in aliases:
                raise forms.ValidationError(f"The alias {name!r} stands twice.")
            aliases[name] = selector
        return aliases

    def clean_default_fallbacks(self) -> list[str]:
        return _lines(self.cleaned_data["default_fallbacks"])


@never_cache
@login_required
@require_http_methods(["GET", "POST"])
def organization_routing(request: HttpRequest, slug: str) -> HttpResponse:
    tenant = tenant_of(request, slug)
    tenant.require(Action.MANAGE_PROVIDERS)
    form = RoutingForm(request.POST) if request.method == "POST" else RoutingForm(initial=_initial(tenant))
    if form.is_bound and form.is_valid():
        try:
            _set(tenant, form.cleaned_data)
        except WrongRouting as refusal:
            form.add_error(refusal.field, str(refusal))
        else:
            messages.success(request, "The routing is saved and holds within a second.")
            return redirect("organization_routing", slug)
    return render(request, "gateway/organization_routing.html", {"form": form})


def _set(tenant: Tenant, given: Mapping[str, Any]) -> None:
    organization = tenant.organization
    with transaction.atomic():
        stored = _stored(tenant)
        changed = [name for name, value in given.items() if value != getattr(stored, name)]
        set_routing(
            organization=organization,
            model_aliases=given["model_aliases"],
            default_fallbacks=given["default_fallbacks"],
        )
        record_on_page(
            tenant, "routing.update", target=organization.name, target_id=organization.pk, changed=changed
        )


def _stored(tenant: Tenant) -> RoutingPolicy:
    return tenant.scoped(RoutingPolicy.objects.all()).first() or RoutingPolicy()


def _initial(tenant: Tenant) -> dict[str, str]:
    policy = _stored(tenant)
    aliases = (f"{name} = {selector}" for name, selector in policy.model_aliases.items())
    return {
        "model_aliases": "\n".join(aliases),
        "default_fallbacks": "\n".join(policy.default_fallbacks),
    }


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]
