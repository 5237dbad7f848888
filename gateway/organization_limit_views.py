"""What binds all keys of an organization together: its rates, which its owner sets, and its budget.

The card that shows both on the settings page is in `gateway.templatetags.limits`.
"""

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

import accounts.services
from accounts.audit_log import record_on_page
from accounts.context import time_zone_of
from accounts.errors import AccountsRefusal
from accounts.permissions import Action
from accounts.tenancy import Tenant, tenant_of
from billing.errors import BillingError
from billing.models import Budget
from gateway import limit_services
from gateway.budget_bars import bars_of
from gateway.limit_forms import BudgetForm, OutageForm, RatesForm, allowance_of, amount_of, rates_of
from gateway.limit_services import plain_budget
from gateway.models import OutagePolicy


@never_cache
@login_required
@require_GET
def organization_limits(request: HttpRequest, slug: str) -> HttpResponse:
    tenant = tenant_of(request, slug)
    if not (tenant.may(Action.MANAGE_ORGANIZATION) or tenant.may(Action.MANAGE_BILLING)):
        raise PermissionDenied(Action.MANAGE_BILLING.label)
    return _page(request, tenant)


@never_cache
@login_required
@require_POST
def organization_rates(request: HttpRequest, slug: str) -> HttpResponse:
    tenant = tenant_of(request, slug)
    tenant.require(Action.MANAGE_ORGANIZATION)
    form = RatesForm(request.POST)
    if form.is_valid():
        try:
            with transaction.atomic():
                accounts.services.set_rates(holder=tenant.organization, **form.cleaned_data)
                _record(tenant, form.changed_data)
        except AccountsRefusal as refusal:
            form.add_error(None, str(refusal))
        else:
            messages.success(request, "The limits are saved and hold within a second.")
            return redirect("settings", slug)
    return _page(request, tenant, rates_form=form)


@never_cache
@login_required
@require_POST
def organization_budget(request: HttpRequest, slug: str) -> HttpResponse:
    tenant = tenant_of(request, slug)
    tenant.require(Action.MANAGE_BILLING)
    form = BudgetForm(request.POST)
    if form.is_valid():
        try:
            with transaction.atomic():
                limit_services.set_organization_budget(
                    organization=tenant.organization, time_zone=time_zone_of(request), **form.cleaned_data
                )
                _record(tenant, form.changed_data)
        except BillingError as refusal:
            form.add_error(None, str(refusal))
        else:
            messages.success(request, "The budget is saved and holds within a second.")
            return redirect("settings", slug)
    return _page(request, tenant, budget_form=form)


@never_cache
@login_required
@require_POST
def organization_outage(request: HttpRequest, slug: str) -> HttpResponse:
    tenant = tenant_of(request, slug)
    tenant.require(Action.MANAGE_BILLING)
    form = OutageForm(request.POST)
    if form.is_valid():
        try:
            with transaction.atomic():
                limit_services.set_redis_away_allowance(
                    organization=tenant.organization, amount_usd=form.cleaned_data["redis_away_usd"]
                )
                _record(tenant, form.changed_data)
        except BillingError as refusal:
            form.add_error("redis_away_usd", str(refusal))
        else:
            messages.success(request, "The allowance is saved and holds within a second.")
            return redirect("settings", slug)
    return _page(request, tenant, outage_form=form)


def _record(tenant: Tenant, changed: list[str]) -> None:
    organization = tenant.organization
    record_on_page(
        tenant, "limits.update", target=organization.name, target_id=organization.pk, changed=changed
    )


def _page(
    request: HttpRequest,
    tenant: Tenant,
    *,
    rates_form: RatesForm | None = None,
    budget_form: BudgetForm | None = None,
    outage_form: OutageForm | None = None,
) -> HttpResponse:
    organization = tenant.organization
    may_set_rates, may_set_budget = (
        tenant.may(Action.MANAGE_ORGANIZATION),
        tenant.may(Action.MANAGE_BILLING),
    )
    budget = plain_budget(organization, Budget.Scope.ORGANIZATION, organization.pk)
    allowance = tenant.scoped(OutagePolicy.objects.all()).first()
    bars = bars_of(organization, Budget.Scope.ORGANIZATION, [organization.pk], now=timezone.now())
    place = [organization.slug]
    context = {
        "rates_form": (rates_form or RatesForm(initial=rates_of(organization))) if may_set_rates else None,
        "budget_form": (budget_form or BudgetForm(initial=amount_of(budget))) if may_set_budget else None,
        "outage_form": (outage_form or OutageForm(initial=allowance_of(allowance)))
        if may_set_budget
        else None,
        "outage_limit_usd": settings.FAREBOX_GATEWAY.redis_away_limit_usd,
        "outage_action": reverse("organization_outage", args=place),
        "rates_action": reverse("organization_rates", args=place),
        "budget_action": reverse("organization_budget", args=place),
        "budgets": bars.get(organization.pk, ()) if may_set_budget else (),
    }
    return render(request, "gateway/organization_limits.html", context)
