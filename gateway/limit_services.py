"""Every write of what projects and organizations may do and spend; keys' are in `gateway.services`.

Each function is one transaction and takes keywords only; rates are stored by accounts, budgets by
billing, and both bump the organization's epoch. Raises AccountsRefusal and BillingError.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from uuid import UUID

from django.conf import settings
from django.db import transaction

import accounts.services
from accounts.models import Organization, Project
from accounts.rules import DEFAULT_CACHE_TTL_SECONDS
from accounts.services import bump_epoch, lock_organization
from accounts.tenancy import scoped
from billing import budget_services
from billing.budget_services import BudgetTerms, terms_of
from billing.errors import InvalidAmount
from billing.models import Budget
from billing.money import SMALLEST_USD
from gateway.models import OutagePolicy


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
    is_body_logging_on: bool = True,
    is_caching_on: bool = False,
    cache_ttl_seconds: int = DEFAULT_CACHE_TTL_SECONDS,
) -> Project:
    """A new project with its limits; the budget's periods follow the calendar of `time_zone`."""
    lock_organization(organization.pk)
    project = accounts.services.create_project(organization=organization, name=name, mode=mode)
    accounts.services.set_project_body_logging(project=project, is_on=is_body_logging_on)
    accounts.services.set_project_caching(project=project, is_on=is_caching_on, ttl_seconds=cache_ttl_seconds)
    accounts.services.set_rates(
        holder=project,
        requests_per_minute=requests_per_minute,
        tokens_per_minute=tokens_per_minute,
        concurrent_requests=concurrent_requests,
    )
    _set_project_budget(project, budget_usd, budget_window, time_zone=time_zone)
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
    is_body_logging_on: bool,
    is_caching_on: bool,
    cache_ttl_seconds: int,
    is_calendar_kept: bool = True,
) -> None:
    """Replace everything that can be said about a project; None lifts a limit.

    Whether the budget keeps its calendar: `set_plain_budget`.
    """
    lock_organization(project.organization_id)
    accounts.services.update_project(project=project, name=name, mode=mode)
    accounts.services.set_project_body_logging(project=project, is_on=is_body_logging_on)
    accounts.services.set_project_caching(project=project, is_on=is_caching_on, ttl_seconds=cache_ttl_seconds)
    accounts.services.set_rates(
        holder=project,
        requests_per_minute=requests_per_minute,
        tokens_per_minute=tokens_per_minute,
        concurrent_requests=concurrent_requests,
    )
    _set_project_budget(
        project, budget_usd, budget_window, time_zone=time_zone, is_calendar_kept=is_calendar_kept
    )


@transaction.atomic
def set_organization_budget(
    *, organization: Organization, budget_usd: Decimal | None, budget_window: str, time_zone: str
) -> None:
    """What all keys of the organization may spend together; None lifts the budget."""
    set_plain_budget(
        organization=organization,
        scope=Budget.Scope.ORGANIZATION,
        scope_id=organization.pk,
        amount_usd=budget_usd,
        window=budget_window,
        time_zone=time_zone,
    )


@transaction.atomic
def set_redis_away_allowance(*, organization: Organization, amount_usd: Decimal) -> None:
    """What the organization lets through while Redis is away; 0 refuses. Raises InvalidAmount."""
    most_usd = settings.FAREBOX_GATEWAY.redis_away_limit_usd
    if not amount_usd.is_finite() or not 0 <= amount_usd <= most_usd:
        raise InvalidAmount(
            f"The amount must be between $0 and ${most_usd}, the operator's limit.", field="redis_away_usd"
        )
    if amount_usd != amount_usd.quantize(SMALLEST_USD):
        raise InvalidAmount("The amount can have nine decimals at most.", field="redis_away_usd")
    OutagePolicy.objects.update_or_create(organization=organization, defaults={"redis_away_usd": amount_usd})
    bump_epoch(organization.pk)


@transaction.atomic
def set_plain_budget(
    *,
    organization: Organization,
    scope: Budget.Scope,
    scope_id: UUID,
    amount_usd: Decimal | None,
    window: str,
    time_zone: str,
    is_calendar_kept: bool = True,
) -> None:
    """Set, change or lift the one budget that a scope's own page shows; others stay as they are.

    Where `is_calendar_kept`, `time_zone` is for another window alone: changing the amount begins no new
    period then, wherever the person who does it is.
    """
    lock_organization(organization.pk)
    budget = plain_budget(organization, scope, scope_id)
    if amount_usd is None:
        if budget is not None:
            budget_services.remove_budget(organization=organization, budget_id=budget.pk)
        return
    if budget is None:
        terms = BudgetTerms(
            scope=scope, scope_id=scope_id, amount_usd=amount_usd, window=window, time_zone=time_zone
        )
        budget_services.create_budget(organization=organization, terms=terms)
        return
    is_kept = is_calendar_kept and budget.window == window
    calendar = budget.time_zone if is_kept else time_zone
    terms = replace(terms_of(budget), amount_usd=amount_usd, window=window, time_zone=calendar)
    budget_services.update_budget(budget=budget, terms=terms)


def plain_budget(organization: Organization, scope: Budget.Scope, scope_id: UUID) -> Budget | None:
    """The oldest budget of a key, a project or the organization that refuses and goes by the calendar."""
    budgets = scoped(Budget.objects.filter(scope=scope, scope_id=scope_id), organization)
    return budgets.filter(is_rolling=False, is_observed=False).order_by("created_at").first()


def plain_budgets(
    organization: Organization, scope: Budget.Scope, scope_ids: Sequence[UUID]
) -> Mapping[UUID, Budget]:
    """`plain_budget` of each of these keys or projects that has one."""
    budgets = scoped(Budget.objects.filter(scope=scope, scope_id__in=scope_ids), organization)
    found = budgets.filter(is_rolling=False, is_observed=False).order_by("-created_at")
    return {budget.scope_id: budget for budget in found}


def _set_project_budget(
    project: Project,
    amount_usd: Decimal | None,
    window: str,
    *,
    time_zone: str,
    is_calendar_kept: bool = True,
) -> None:
    set_plain_budget(
        organization=project.organization,
        scope=Budget.Scope.PROJECT,
        scope_id=project.pk,
        amount_usd=amount_usd,
        window=window,
        time_zone=time_zone,
        is_calendar_kept=is_calendar_kept,
    )
