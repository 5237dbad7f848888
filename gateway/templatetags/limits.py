"""Cards for the settings page, which is of accounts: limits and budget, doubles and likeness."""

from typing import Any

from django import template
from django.urls import reverse
from django.utils import timezone

from accounts.permissions import Action
from accounts.tenancy import Tenant
from billing.models import Budget
from gateway.budget_bars import bars_of
from gateway.key_rows import limits_text
from gateway.models import ReusePolicy

register = template.Library()


@register.inclusion_tag("gateway/organization_reuse_card.html")
def organization_reuse(tenant: Tenant) -> dict[str, Any]:
    """What is done with requests that are doubles or alike."""
    policy = tenant.scoped(ReusePolicy.objects.all()).first()
    may_change = tenant.may(Action.MANAGE_ORGANIZATION)
    return {
        "seconds": policy.deduplication_seconds if policy else 0,
        "model": policy.embedding_model if policy else "",
        "change_href": reverse("organization_reuse", args=[tenant.organization.slug]) if may_change else "",
    }


@register.inclusion_tag("gateway/organization_limits_card.html")
def organization_limits(tenant: Tenant) -> dict[str, Any]:
    """What binds all keys together; the money only for those who may see the organization's spend."""
    organization, may_view_spend = tenant.organization, tenant.may(Action.VIEW_SPEND)
    may_change = tenant.may(Action.MANAGE_ORGANIZATION) or tenant.may(Action.MANAGE_BILLING)
    bars = (
        bars_of(organization, Budget.Scope.ORGANIZATION, [organization.pk], now=timezone.now())
        if may_view_spend
        else {}
    )
    return {
        "limits_text": limits_text(organization),
        "may_view_spend": may_view_spend,
        "budgets": bars.get(organization.pk, ()),
        "change_href": reverse("organization_limits", args=[organization.slug]) if may_change else "",
    }
