"""Pages of API keys: list, create, detail, change and revoke.

A secret is in the answer to the POST that created it and nowhere else. None of these pages is cached.
"""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import F
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

import accounts.services
from accounts.audit_log import record_on_page
from accounts.context import time_zone_of
from accounts.errors import AccountsRefusal
from accounts.models import ApiKey
from accounts.permissions import Action, Role, may_delegate
from accounts.tenancy import Tenant, tenant_of
from billing.errors import BillingError
from billing.models import Budget
from gateway import services
from gateway.budget_bars import bars_of_keys
from gateway.counters import read_running
from gateway.forms import KeyLimitsForm, KeyRoleForm, NewKeyForm, limits_form_of
from gateway.key_rows import key_row, key_rows, recent_days, usage_of_key
from gateway.limit_services import plain_budget
from gateway.snippets import first_model, snippets_for


@never_cache
@login_required
@require_GET
def keys(request: HttpRequest, slug: str) -> HttpResponse:
    tenant, days = tenant_of(request, slug), recent_days(time_zone_of(request))
    found = tenant.keys().order_by(F("revoked_at").desc(nulls_first=True), "-created_at")
    context = {
        "keys": key_rows(tenant.organization, found, days=days),
        "may_create": tenant.may(Action.CREATE_KEY),
        "new_href": reverse("key_new", args=[slug]),
        "period_text": days.period_text,
        "as_of": days.as_of,
    }
    return render(request, "gateway/keys.html", context)


@never_cache
@login_required
@require_http_methods(["GET", "POST"])
def key_new(request: HttpRequest, slug: str) -> HttpResponse:
    tenant, time_zone = tenant_of(request, slug), time_zone_of(request)
    tenant.require(Action.CREATE_KEY)
    form = NewKeyForm(request.POST or None, tenant=tenant, time_zone=time_zone)
    if form.is_valid():
        try:
            with transaction.atomic():
                key, secret = services.issue_key(
                    organization=tenant.organization,
                    person=tenant.person,
                    issuer_role=tenant.role,
                    time_zone=time_zone,
                    **form.cleaned_data,
                )
                record_on_page(tenant, "key.create", target=str(key), target_id=key.pk)
        except (AccountsRefusal, BillingError) as refusal:
            form.add_error(None, str(refusal))
        else:
            return render(request, "gateway/key_created.html", _created(tenant, key, secret))
    context = {"form": form, "cancel_href": reverse("keys", args=[slug])}
    return render(request, "gateway/key_new.html", context)


@never_cache
@login_required
@require_GET
def key_detail(request: HttpRequest, slug: str, key_id: UUID) -> HttpResponse:
    tenant = tenant_of(request, slug)
    key = tenant.key(key_id)
    budget = plain_budget(tenant.organization, Budget.Scope.KEY, key.pk)
    return _detail_page(request, tenant, key, limits_form_of(key, budget))


@never_cache
@login_required
@require_POST
def key_limits(request: HttpRequest, slug: str, key_id: UUID) -> HttpResponse:
    tenant = tenant_of(request, slug)
    key, form = tenant.key(key_id), KeyLimitsForm(request.POST)
    tenant.require(Action.MANAGE_KEYS)
    if form.is_valid():
        try:
            networks = form.cleaned_data.pop("allowed_networks")
            with transaction.atomic():
                services.update_key(key=key, time_zone=time_zone_of(request), **form.cleaned_data)
                accounts.services.set_key_networks(key=key, allowed_networks=networks)
                record_on_page(
                    tenant,
                    "key.update",
                    target=str(key),
                    target_id=key.pk,
                    changed=form.changed_data,
                )
        except (AccountsRefusal, BillingError) as refusal:
            form.add_error(None, str(refusal))
        else:
            messages.success(request, f"The limits of {key.name} are saved and hold within a second.")
            return redirect("key_detail", slug, key_id)
    return _detail_page(request, tenant, key, form)


@never_cache
@login_required
@require_POST
def key_role(request: HttpRequest, slug: str, key_id: UUID) -> HttpResponse:
    tenant = tenant_of(request, slug)
    key, form = tenant.key(key_id), KeyRoleForm(request.POST, own_role=tenant.role)
    tenant.require(Action.MANAGE_KEYS)
    if form.is_valid():
        role = form.cleaned_data["role"]
        try:
            with transaction.atomic():
                accounts.services.set_key_role(key=key, role=role, issuer_role=tenant.role)
                record_on_page(tenant, "key.update", target=str(key), target_id=key.pk, changed=["role"])
        except AccountsRefusal as refusal:
            messages.error(request, str(refusal))
        else:
            shown = Role(role).label if role else "no role"
            messages.success(request, f"{key.name} has {shown} in management calls.")
    else:
        messages.error(request, "Choose one of the roles.")
    return redirect("key_detail", slug, key_id)


@never_cache
@login_required
@require_POST
def key_revoke(request: HttpRequest, slug: str, key_id: UUID) -> HttpResponse:
    tenant = tenant_of(request, slug)
    key = tenant.key(key_id)
    if not tenant.may_change(key):
        raise PermissionDenied(Action.MANAGE_KEYS.label)
    with transaction.atomic():
        accounts.services.revoke_key(key=key)
        record_on_page(tenant, "key.revoke", target=str(key), target_id=key.pk)
    messages.success(request, f"{key.name} is revoked: requests with it are refused within a second.")
    return redirect("key_detail", slug, key_id)


def _created(tenant: Tenant, key: ApiKey, secret: str) -> dict[str, Any]:
    slug = tenant.organization.slug
    model = first_model(tenant.organization, allowed_models=key.allowed_models)
    return {
        "key_id": key.pk,
        "key_name": key.name,
        "secret": secret,
        "snippets": snippets_for(secret, model=model),
        "detail_href": reverse("key_detail", args=[slug, key.pk]),
        "keys_href": reverse("keys", args=[slug]),
    }


def _detail_page(request: HttpRequest, tenant: Tenant, key: ApiKey, form: KeyLimitsForm) -> HttpResponse:
    organization, days = tenant.organization, recent_days(time_zone_of(request))
    bars = bars_of_keys(organization, [key.pk], now=days.as_of).get(key.pk, ())
    usage = usage_of_key(organization, key, days=days)
    row = key_row(
        key,
        slug=organization.slug,
        now=days.as_of,
        budget=next(iter(bars), None),
        spend_usd=usage.spend_usd,
    )
    may_change_limits = tenant.may(Action.MANAGE_KEYS) and row.revoked_at is None
    place = [organization.slug, key.pk]
    context = {
        "key": row,
        "spend_usd": usage.spend_usd,
        "requests": usage.requests,
        "errors": usage.errors,
        "requests_href": usage.requests_href,
        "period_text": days.period_text,
        "as_of": days.as_of,
        "budgets": bars,
        "limits_form": form if may_change_limits else None,
        "limits_action": reverse("key_limits", args=place),
        "role": Role(key.role).label if key.role else "",
        "role_form": _role_form(tenant, key) if may_change_limits else None,
        "role_action": reverse("key_role", args=place),
        "may_manage": tenant.may_change(key) and row.revoked_at is None,
        "revoke_action": reverse("key_revoke", args=place),
        "running_requests": read_running(organization.pk, key.pk) if key.concurrent_requests else None,
    }
    return render(request, "gateway/key_detail.html", context)


def _role_form(tenant: Tenant, key: ApiKey) -> KeyRoleForm | None:
    """The form, unless the key may do more than this person, who could not give it back."""
    if not may_delegate(tenant.role, key.role):
        return None
    return KeyRoleForm(own_role=tenant.role, current=key.role)
