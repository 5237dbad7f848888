"""The way from a new organization to its first request: one key, shown once, and a page that waits.

Naming the organization, the step before, is a page of `accounts`.
"""

from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from accounts.audit_log import record_on_page
from accounts.models import ApiKey
from accounts.permissions import Action
from accounts.tenancy import Tenant, tenant_of
from gateway import services
from gateway.forms import FirstKeyForm
from gateway.snippets import first_model, snippets_for

CREATE_KEY_STEP, FIRST_REQUEST_STEP = 2, 3


@never_cache
@login_required
@require_http_methods(["GET", "POST"])
def first_key(request: HttpRequest, slug: str) -> HttpResponse:
    tenant = tenant_of(request, slug)
    tenant.require(Action.CREATE_KEY)
    form = FirstKeyForm(request.POST or None, initial={"name": "First key"})
    if not form.is_valid():
        return render(request, "gateway/welcome.html", _create_key(tenant, form))
    with transaction.atomic():
        key, secret = services.issue_first_key(
            organization=tenant.organization,
            project=tenant.projects()[0],
            person=tenant.person,
            name=form.cleaned_data["name"],
        )
        record_on_page(tenant, "key.create", target=str(key), target_id=key.pk)
    return render(request, "gateway/welcome.html", _first_request(tenant, key, secret))


def _create_key(tenant: Tenant, form: FirstKeyForm) -> dict[str, object]:
    return {
        "step": CREATE_KEY_STEP,
        "form": None,
        "secret": None,
        "organization_name": tenant.organization.name,
        "key_form": form,
        "key_action": reverse("first_key", args=[tenant.organization.slug]),
    }


def _first_request(tenant: Tenant, key: ApiKey, secret: str) -> dict[str, object]:
    slug = tenant.organization.slug
    return {
        "step": FIRST_REQUEST_STEP,
        "form": None,
        "secret": secret,
        "organization_name": tenant.organization.name,
        "snippets": snippets_for(secret, model=first_model(tenant.organization, allowed_models=None)),
        "key_id": key.pk.hex,
        "live_url": f"/ws/o/{slug}/live",
        "overview_href": reverse("overview", args=[slug]),
        "requests_href": reverse("requests", args=[slug]),
    }
