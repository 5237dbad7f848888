"""Pages of budgets: each as a bar, and the form that makes, changes and removes them."""

from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts.audit_log import record_on_page
from accounts.context import time_zone_of
from accounts.permissions import Action
from accounts.services import lock_organization
from accounts.tenancy import Tenant, tenant_of
from billing import budget_services
from billing.errors import BillingError
from billing.models import Budget
from gateway import alert_services
from gateway.alert_services import WrongWebhook, webhook_of
from gateway.budget_bars import bars_at
from gateway.budget_counts import place_of
from gateway.budget_forms import FIELD_OF_TERM, BudgetTermsForm, WebhookForm
from gateway.budget_rights import right_to_set
from gateway.budget_rows import budget_rows, names_of
from gateway.budget_texts import sentence_of, whom_text


@never_cache
@login_required
@require_GET
def budgets(request: HttpRequest, slug: str) -> HttpResponse:
    tenant = tenant_of(request, slug)
    tenant.require(Action.VIEW_SPEND)
    return _page(request, tenant, form=WebhookForm(initial=webhook_of(tenant.organization)))


@never_cache
@login_required
@require_POST
def alert_webhook(request: HttpRequest, slug: str) -> HttpResponse:
    tenant = tenant_of(request, slug)
    tenant.require(Action.MANAGE_BUDGETS)
    form = WebhookForm(request.POST)
    if not form.is_valid():
        return _page(request, tenant, form=form)
    if not form.cleaned_data["url"]:
        with transaction.atomic():
            alert_services.remove_webhook(organization=tenant.organization)
            record_on_page(tenant, "webhook.remove", target="", target_id=None)
        messages.success(request, "Alerts are mailed alone.")
        return redirect("budgets", slug)
    try:
        with transaction.atomic():
            url = form.cleaned_data["url"]
            secret = alert_services.set_webhook(organization=tenant.organization, url=url)
            record_on_page(tenant, "webhook.set", target=url, target_id=None)
    except WrongWebhook as refusal:
        form.add_error("url", str(refusal))
        return _page(request, tenant, form=form)
    return _page(request, tenant, form=WebhookForm(initial=webhook_of(tenant.organization)), secret=secret)


@never_cache
@login_required
@require_http_methods(["GET", "POST"])
def budget_new(request: HttpRequest, slug: str) -> HttpResponse:
    tenant = tenant_of(request, slug)
    tenant.require(Action.MANAGE_BUDGETS)
    form = BudgetTermsForm(request.POST or None, tenant=tenant, time_zone=time_zone_of(request))
    if form.is_valid():
        try:
            with transaction.atomic():
                budget = budget_services.create_budget(organization=tenant.organization, terms=form.terms)
                record_on_page(tenant, "budget.create", target=str(budget), target_id=budget.pk)
        except BillingError as refusal:
            form.add_error(FIELD_OF_TERM.get(refusal.field), str(refusal))
        else:
            messages.success(request, f"{sentence_of(budget)}: it holds within a second.")
            return redirect("budgets", slug)
    return render(request, "gateway/budget.html", {"form": form, "submit_label": "Create budget"})


@never_cache
@login_required
@require_http_methods(["GET", "POST"])
def budget_detail(request: HttpRequest, slug: str, budget_id: UUID) -> HttpResponse:
    tenant = tenant_of(request, slug)
    budget = _budget(tenant, budget_id)
    tenant.require(right_to_set(budget.scope))
    form = BudgetTermsForm(
        request.POST or None, tenant=tenant, time_zone=time_zone_of(request), budget=budget
    )
    if form.is_valid():
        try:
            with transaction.atomic():
                lock_organization(tenant.organization.pk)
                budget = _budget(tenant, budget_id)
                changed = budget_services.update_budget(budget=budget, terms=form.terms)
                record_on_page(
                    tenant,
                    "budget.update",
                    target=str(changed),
                    target_id=budget_id,
                    changed=form.changed_data,
                )
        except BillingError as refusal:
            form.add_error(FIELD_OF_TERM.get(refusal.field), str(refusal))
        else:
            messages.success(request, f"{sentence_of(changed)}: it holds within a second.")
            return redirect("budgets", slug)
        budget = _budget(tenant, budget_id)
    place = place_of(budget, timezone.now())
    context = {
        "form": form,
        "submit_label": "Save budget",
        "title": budget.name or whom_text(budget, names=names_of(tenant.organization)),
        "sentence": sentence_of(budget),
        "bar": None if budget.is_each else bars_at(tenant.organization, [place])[0],
        "delete_action": reverse("budget_delete", args=[slug, budget.pk]),
    }
    return render(request, "gateway/budget.html", context)


@never_cache
@login_required
@require_POST
def budget_delete(request: HttpRequest, slug: str, budget_id: UUID) -> HttpResponse:
    tenant = tenant_of(request, slug)
    budget = _budget(tenant, budget_id)
    tenant.require(right_to_set(budget.scope))
    with transaction.atomic():
        lock_organization(tenant.organization.pk)
        budget = _budget(tenant, budget_id)
        sentence = sentence_of(budget)
        budget_services.remove_budget(organization=tenant.organization, budget_id=budget.pk)
        record_on_page(tenant, "budget.remove", target=str(budget), target_id=budget_id)
    messages.success(request, f"The budget of {sentence} is lifted within a second.")
    return redirect("budgets", slug)


def _page(request: HttpRequest, tenant: Tenant, *, form: WebhookForm, secret: str = "") -> HttpResponse:
    """The list; `secret` is that of a webhook just set, which is shown this once."""
    now, slug, may_manage = timezone.now(), tenant.organization.slug, tenant.may(Action.MANAGE_BUDGETS)
    context = {
        "budgets": budget_rows(tenant, now=now),
        "may_manage": may_manage,
        "new_href": reverse("budget_new", args=[slug]),
        "as_of": now,
        "webhook_form": form if may_manage else None,
        "webhook_action": reverse("alert_webhook", args=[slug]),
        "secret": secret,
    }
    return render(request, "gateway/budgets.html", context)


def _budget(tenant: Tenant, budget_id: UUID) -> Budget:
    """One of the organization's; raises Http404."""
    return get_object_or_404(tenant.scoped(Budget.objects.all()), pk=budget_id)
