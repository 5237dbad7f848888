"""Every write of what projects and organizations may do and spend; keys' are in `gateway.services`.

Each function is one transaction and takes keywords only; rates are stored by accounts, budgets by
billing, and both bump the organization's epoch. Raises AccountsRefusal and BillingError.
"""

from decimal import Decimal
from uuid import UUID

from django.db import transaction

import accounts.services
import billing.services
from accounts.models import Organization, Project
from billing.models import Budget


@transaction.atomic
def create_project(
    *,
    organization: Organization,
    name: str,
    mode: str = Project.Mode.HYBRID,
    requests_per_minute: int | None = None,
    tokens_per_minute: int | None = None,
    concurrent_requests: int | None = None,
    budget_usd: Decimal | None = None,
    budget_window: str = Budget.Window.MONTH,
    time_zone: str = "UTC",
) -> Project:
    """A new project with its limits; the budget's periods follow the calendar of `time_zone`."""
    project = accounts.services.create_project(organization=organization, name=name, mode=mode)
    accounts.services.set_rates(
        holder=project,
        requests_per_minute=requests_per_minute,
        tokens_per_minute=tokens_per_minute,
        concurrent_requests=concurrent_requests,
    )
    _set_project_budget(project, budget_usd, budget_window, time_zone)
    return project


@transaction.atomic
def update_project(
    *,
    project: Project,
    name: str,
    mode: str,
    requests_per_minute: int | None,
    tokens_per_minute: int | None,
    concurrent_requests: int | None,
    budget_usd: Decimal | None,
    budget_window: str,
    time_zone: str,
) -> None:
    """Replace everything that can be said about a project; None lifts a limit."""
    accounts.services.update_project(project=project, name=name, mode=mode)
    accounts.services.set_rates(
        holder=project,
        requests_per_minute=requests_per_minute,
        tokens_per_minute=tokens_per_minute,
        concurrent_requests=concurrent_requests,
    )
    _set_project_budget(project, budget_usd, budget_window, time_zone)


@transaction.atomic
def set_organization_budget(
    *, organization: Organization, budget_usd: Decimal | None, budget_window: str, time_zone: str
) -> None:
    """What all keys of the organization may spend together; None lifts the budget."""
    set_only_budget(
        organization=organization,
        scope=Budget.Scope.ORGANIZATION,
        scope_id=organization.pk,
        amount_usd=budget_usd,
        window=budget_window,
        time_zone=time_zone,
    )


@transaction.atomic
def set_only_budget(
    *,
    organization: Organization,
    scope: Budget.Scope,
    scope_id: UUID,
    amount_usd: Decimal | None,
    window: str,
    time_zone: str,
) -> None:
    """Leave the scope with this one budget, or with none.

    A budget that keeps its window keeps its calendar, so that changing the amount begins no new period.
    """
    budgets = Budget.objects.filter(organization=organization, scope=scope, scope_id=scope_id)
    kept = budgets.filter(window=window).first() if amount_usd is not None else None
    for budget in budgets.exclude(pk=kept.pk) if kept else budgets:
        billing.services.remove_budget(organization=organization, budget_id=budget.pk)
    if amount_usd is not None:
        billing.services.set_budget(
            organization=organization,
            scope=scope,
            scope_id=scope_id,
            amount_usd=amount_usd,
            window=window,
            time_zone=kept.time_zone if kept else time_zone,
        )


def _set_project_budget(project: Project, amount_usd: Decimal | None, window: str, time_zone: str) -> None:
    set_only_budget(
        organization=project.organization,
        scope=Budget.Scope.PROJECT,
        scope_id=project.pk,
        amount_usd=amount_usd,
        window=window,
        time_zone=time_zone,
    )
