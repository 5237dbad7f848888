"""Pages of projects: list, create, change. A project shares the organization's money out among its keys."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from urllib.parse import urlencode
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods

from accounts.audit_log import record_on_page
from accounts.context import time_zone_of
from accounts.errors import AccountsRefusal
from accounts.permissions import Action
from accounts.tenancy import Tenant, tenant_of
from billing.errors import BillingError
from billing.models import Budget
from billing.money import ZERO_USD
from billing.selectors import spend_by_project
from gateway import limit_services
from gateway.budget_bars import Bar, bars_of
from gateway.key_rows import RecentDays, limits_text, recent_days
from gateway.limit_forms import ProjectForm, amount_of, rates_of
from gateway.limit_services import plain_budget


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectRow:
    """One project. Spend and budget are None for those who may not see the organization's spend."""

    name: str
    href: str
    mode_text: str
    keys: int
    limits_text: str
    budget: Bar | None
    spend_usd: Decimal | None
    requests_href: str


@never_cache
@login_required
@require_GET
def projects(request: HttpRequest, slug: str) -> HttpResponse:
    tenant, days = tenant_of(request, slug), recent_days(time_zone_of(request))
    may_manage = tenant.may(Action.MANAGE_PROJECTS)
    context = {
        "projects": _rows(tenant, days),
        "may_manage": may_manage,
        "may_view_spend": tenant.may(Action.VIEW_SPEND),
        "new_href": reverse("project_new", args=[slug]),
        "period_text": days.period_text,
        "as_of": days.as_of,
    }
    return render(request, "gateway/projects.html", context)


@never_cache
@login_required
@require_http_methods(["GET", "POST"])
def project_new(request: HttpRequest, slug: str) -> HttpResponse:
    tenant = tenant_of(request, slug)
    tenant.require(Action.MANAGE_PROJECTS)
    form = ProjectForm(request.POST or None)
    if form.is_valid():
        try:
            with transaction.atomic():
                project = limit_services.create_project(
                    organization=tenant.organization, time_zone=time_zone_of(request), **form.cleaned_data
                )
                record_on_page(tenant, "project.create", target=project.name, target_id=project.pk)
        except (AccountsRefusal, BillingError) as refusal:
            form.add_error(None, str(refusal))
        else:
            messages.success(request, f"{project.name} is ready for keys.")
            return redirect("projects", slug)
    return render(request, "gateway/project.html", {"form": form, "submit_label": "Create project"})


@never_cache
@login_required
@require_http_methods(["GET", "POST"])
def project_detail(request: HttpRequest, slug: str, project_id: UUID) -> HttpResponse:
    tenant = tenant_of(request, slug)
    project = tenant.project(project_id)
    tenant.require(Action.MANAGE_PROJECTS)
    name, budget = project.name, plain_budget(tenant.organization, Budget.Scope.PROJECT, project.pk)
    initial = {
        "name": name,
        "mode": project.mode,
        "is_body_logging_on": project.is_body_logging_on,
        "is_caching_on": project.is_caching_on,
        "cache_ttl_seconds": project.cache_ttl_seconds,
        **rates_of(project),
        **amount_of(budget),
    }
    form = ProjectForm(request.POST or None, initial=initial)
    if form.is_valid():
        try:
            with transaction.atomic():
                limit_services.update_project(
                    project=project, time_zone=time_zone_of(request), **form.cleaned_data
                )
                record_on_page(
                    tenant,
                    "project.update",
                    target=project.name,
                    target_id=project.pk,
                    changed=form.changed_data,
                )
        except (AccountsRefusal, BillingError) as refusal:
            form.add_error(None, str(refusal))
        else:
            messages.success(request, f"{project.name} is saved; its limits hold within a second.")
            return redirect("projects", slug)
    days = recent_days(time_zone_of(request))
    bars = bars_of(tenant.organization, Budget.Scope.PROJECT, [project.pk], now=days.as_of)
    context = {
        "form": form,
        "submit_label": "Save project",
        "name": name,
        "budgets": bars.get(project.pk, ()),
    }
    return render(request, "gateway/project.html", context)


def _rows(tenant: Tenant, days: RecentDays) -> list[ProjectRow]:
    organization, may_manage = tenant.organization, tenant.may(Action.MANAGE_PROJECTS)
    living = Q(revoked_at=None) & (Q(expires_at=None) | Q(expires_at__gt=days.as_of))
    keys = dict(tenant.keys().filter(living).order_by().values_list("project_id").annotate(Count("pk")))
    bars: Mapping[UUID, Sequence[Bar]] = {}
    spend: Mapping[UUID, Decimal] | None = None
    found = list(tenant.projects())
    if tenant.may(Action.VIEW_SPEND):
        bars = bars_of(organization, Budget.Scope.PROJECT, [each.pk for each in found], now=days.as_of)
        spend = spend_by_project(organization, start=days.start, end=days.as_of)
    place = reverse("requests", args=[organization.slug])
    span = {"from": days.start.isoformat(), "to": days.as_of.isoformat()}
    return [
        ProjectRow(
            name=project.name,
            href=reverse("project_detail", args=[organization.slug, project.pk]) if may_manage else "",
            mode_text=project.get_mode_display(),
            keys=keys.get(project.pk, 0),
            limits_text=limits_text(project),
            budget=next(iter(bars.get(project.pk, ())), None),
            spend_usd=spend.get(project.pk, ZERO_USD) if spend is not None else None,
            requests_href=f"{place}?{urlencode({'project': str(project.pk), **span})}",
        )
        for project in found
    ]
