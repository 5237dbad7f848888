"""What people do with budgets: make, change and remove them.

Each function is one transaction and bumps the organization's epoch, so that the data plane sees it
within a second. Any number of budgets may bind one request; all of them must have room.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from decimal import Decimal
from typing import Any

from django.db import transaction
from django.db.models import Model, QuerySet

from accounts.models import ApiKey, Organization, Project
from accounts.services import bump_epoch, lock_organization
from billing.budgets import WINDOWS, bucket_seconds, zone_named
from billing.errors import InvalidAmount, InvalidBudget
from billing.families import checked_family
from billing.models import Budget
from billing.money import SMALLEST_USD, usd_to_nano
from billing.services import MAX_AMOUNT_USD

MAX_NAME_CHARACTERS = 64
MAX_TAG_CHARACTERS = 64
MAX_END_USER_CHARACTERS = 256
MAX_ALERTS = 10
MAX_ALERT_PERCENT = 100
# Each one is a line in the script that decides a request.
MAX_BUDGETS_OF_ONE_SCOPE = 20
MAX_LABEL_BUDGETS = 100

LABELS = (Budget.Scope.TAG, Budget.Scope.END_USER, Budget.Scope.MODEL)


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetTerms:
    """Everything that can be said about a budget; `scope_id` None is the organization's own."""

    scope: str
    scope_id: uuid.UUID | None = None
    subject: str = ""
    is_each: bool = False
    amount_usd: Decimal
    window: str
    is_rolling: bool = False
    time_zone: str = "UTC"
    name: str = ""
    is_observed: bool = False
    alert_percents: Sequence[int] = (50, 80, 100)

    @property
    def counted(self) -> dict[str, Any]:
        """What decides which spending it counts, and when."""
        names = ("scope", "scope_id", "subject", "is_each", "window", "is_rolling", "time_zone")
        return {name: getattr(self, name) for name in names}

    @property
    def said(self) -> dict[str, Any]:
        """What may change while it counts on."""
        names = ("amount_usd", "name", "is_observed", "alert_percents")
        return {name: getattr(self, name) for name in names}


@transaction.atomic
def create_budget(*, organization: Organization, terms: BudgetTerms) -> Budget:
    """A budget beside those there are. Raises InvalidBudget and InvalidAmount, which name the field."""
    checked = _checked(organization, terms)
    _require_room(organization, checked)
    budget = Budget.objects.create(organization=organization, **checked.counted, **checked.said)
    bump_epoch(organization.pk)
    return budget


@transaction.atomic
def update_budget(*, budget: Budget, terms: BudgetTerms) -> Budget:
    """Change a budget, and give it: another row if it counts something else from here on.

    What has been spent keeps counting. Raises InvalidBudget and InvalidAmount, which name the field.
    """
    lock_organization(budget.organization_id)
    if not Budget.objects.filter(pk=budget.pk).exists():
        raise InvalidBudget("The budget was removed or replaced meanwhile.")
    checked = _checked(budget.organization, terms)
    if checked.counted == {name: getattr(budget, name) for name in checked.counted}:
        for name, value in checked.said.items():
            setattr(budget, name, value)
        budget.save(update_fields=list(checked.said))
        bump_epoch(budget.organization_id)
        return budget
    budget.delete()
    return create_budget(organization=budget.organization, terms=checked)


@transaction.atomic
def set_budget(
    *,
    organization: Organization,
    scope: str,
    scope_id: uuid.UUID,
    amount_usd: Decimal,
    window: str,
    time_zone: str = "UTC",
) -> Budget:
    """Set what a scope may spend by the calendar, in place of its oldest such budget of this window.

    Raises InvalidBudget if the scope is not the organization's own, or for an unknown window or
    time zone; InvalidAmount for an amount that is none.
    """
    terms = BudgetTerms(
        scope=scope, scope_id=scope_id, amount_usd=amount_usd, window=window, time_zone=time_zone
    )
    lock_organization(organization.pk)
    rows = Budget.objects.filter(organization=organization, scope=scope, scope_id=scope_id, window=window)
    budget = rows.filter(is_rolling=False, is_observed=False).order_by("created_at").first()
    if budget is None:
        return create_budget(organization=organization, terms=terms)
    return update_budget(
        budget=budget, terms=replace(terms, name=budget.name, alert_percents=budget.alert_percents)
    )


@transaction.atomic
def remove_budget(*, organization: Organization, budget_id: uuid.UUID) -> bool:
    """Lift a budget; False when the organization has none of this id. What runs settles as it would have."""
    _, removed = Budget.objects.filter(organization=organization, pk=budget_id).delete()
    if removed:
        bump_epoch(organization.pk)
    return bool(removed)


def terms_of(budget: Budget) -> BudgetTerms:
    """What is said about a budget at this moment."""
    names = [field.name for field in fields(BudgetTerms)]
    return BudgetTerms(**{name: getattr(budget, name) for name in names})


def _checked(organization: Organization, terms: BudgetTerms) -> BudgetTerms:
    if terms.scope not in Budget.Scope.values:
        allowed = ", ".join(Budget.Scope.values)
        raise InvalidBudget(f"scope must be one of {allowed}, got {terms.scope!r}.", field="scope")
    if terms.window not in WINDOWS:
        allowed = ", ".join(WINDOWS)
        raise InvalidBudget(f"window must be one of {allowed}, got {terms.window!r}.", field="window")
    if terms.is_rolling:
        bucket_seconds(terms.window)
    zone_named(terms.time_zone)
    name = terms.name.strip()
    if len(name) > MAX_NAME_CHARACTERS or not name.isprintable():
        raise InvalidBudget(
            f"name must have at most {MAX_NAME_CHARACTERS} printable characters.", field="name"
        )
    return replace(
        terms,
        scope_id=_checked_scope_id(organization, terms),
        subject=_checked_subject(terms),
        amount_usd=checked_amount(terms.amount_usd),
        name=name,
        alert_percents=_checked_percents(terms.alert_percents),
    )


def checked_amount(amount_usd: Decimal) -> Decimal:
    """The amount of a budget. Raises InvalidAmount, which names the range."""
    allowed = f"between ${SMALLEST_USD:f} and ${MAX_AMOUNT_USD:,}"
    try:
        usd_to_nano(amount_usd)
    except ValueError as exc:
        raise InvalidAmount(
            f"amount_usd must be {allowed}, in whole nano-dollars: {exc}.", field="amount_usd"
        ) from exc
    if not SMALLEST_USD <= amount_usd <= MAX_AMOUNT_USD:
        raise InvalidAmount(f"amount_usd must be {allowed}, got {amount_usd:f}.", field="amount_usd")
    return amount_usd


def _checked_scope_id(organization: Organization, terms: BudgetTerms) -> uuid.UUID:
    scope_id = terms.scope_id or organization.pk
    owned: dict[str, QuerySet[Any, Model]] = {
        Budget.Scope.PROJECT: Project.objects.filter(organization=organization),
        Budget.Scope.KEY: ApiKey.objects.filter(organization=organization),
    }
    is_own = owned[terms.scope].filter(pk=scope_id).exists() if terms.scope in owned else None
    if is_own or (is_own is None and scope_id == organization.pk):
        return scope_id
    raise InvalidBudget(
        f"The organization has no {terms.scope} {scope_id} to set a budget for.", field="scope_id"
    )


def _checked_subject(terms: BudgetTerms) -> str:
    subject = terms.subject.strip()
    if terms.is_each and terms.scope not in (Budget.Scope.TAG, Budget.Scope.END_USER):
        raise InvalidBudget("Only tags and end users can have a budget each.", field="is_each")
    if terms.scope not in LABELS or terms.is_each:
        if subject:
            raise InvalidBudget("This budget names nobody: leave it empty.", field="subject")
        return ""
    if terms.scope == Budget.Scope.MODEL:
        return checked_family(subject)
    limit = MAX_TAG_CHARACTERS if terms.scope == Budget.Scope.TAG else MAX_END_USER_CHARACTERS
    if not subject or len(subject) > limit or not subject.isprintable():
        whom = Budget.Scope(terms.scope).label.lower()
        raise InvalidBudget(
            f"Name the {whom} that it binds, in 1 to {limit} printable characters.", field="subject"
        )
    return subject


def _checked_percents(percents: Sequence[int]) -> list[int]:
    tidy = sorted(set(percents))
    if len(tidy) > MAX_ALERTS or not all(1 <= percent <= MAX_ALERT_PERCENT for percent in tidy):
        raise InvalidBudget(
            f"alert_percents must be at most {MAX_ALERTS} numbers from 1 to {MAX_ALERT_PERCENT}.",
            field="alert_percents",
        )
    return tidy


def _require_room(organization: Organization, terms: BudgetTerms) -> None:
    # One at a time, so that two cannot both take the last place.
    lock_organization(organization.pk)
    budgets = Budget.objects.filter(organization=organization)
    if terms.scope in LABELS:
        count, limit = budgets.filter(scope__in=LABELS).count(), MAX_LABEL_BUDGETS
        whom = "tags, end users and model families"
    else:
        count = budgets.filter(scope=terms.scope, scope_id=terms.scope_id or organization.pk).count()
        limit, whom = MAX_BUDGETS_OF_ONE_SCOPE, f"one {terms.scope}"
    if count >= limit:
        raise InvalidBudget(f"There are {limit} budgets of {whom}, which is the most.", field="scope")
