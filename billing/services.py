"""What people do with money: top up, grant credit, set and remove budgets.

Each function is one transaction and bumps the organization's epoch, so that the data plane sees
it within a second. Charges come from `billing.ingest`.
"""

import uuid
from decimal import Decimal

from django.db import transaction
from django.utils import timezone

from accounts.models import ApiKey, Organization, Project
from accounts.services import bump_epoch
from billing.budgets import WINDOWS, zone_named
from billing.errors import InvalidAmount, InvalidBudget
from billing.ledger import AccountKind, Transfer, TransferKind, credit_legs, post_transfers
from billing.models import Budget
from billing.money import ZERO_USD, usd_to_nano

# Redis' scripts count nano-dollars in doubles, which are exact up to 2^53: $9,007,199.
MAX_AMOUNT_USD = Decimal(9_000_000)


@transaction.atomic
def top_up(
    *,
    organization: Organization,
    amount_usd: Decimal,
    description: str = "Top-up",
    id: uuid.UUID | None = None,
) -> uuid.UUID:
    """Add paid credit; a repeated `id` adds nothing. Gives the transfer's id. Raises InvalidAmount."""
    return _credit(organization, TransferKind.TOP_UP, AccountKind.PAYMENTS, amount_usd, description, id)


@transaction.atomic
def grant_promotion(
    *, organization: Organization, amount_usd: Decimal, description: str, id: uuid.UUID | None = None
) -> uuid.UUID:
    """Add credit that nobody paid for; a repeated `id` adds nothing. Raises InvalidAmount."""
    return _credit(organization, TransferKind.PROMOTION, AccountKind.PROMOTION, amount_usd, description, id)


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
    """Set what a scope may spend in each window, replacing its budget of the same window.

    Raises InvalidBudget if the scope is not the organization's own, or for an unknown window or
    time zone; InvalidAmount for a negative or too fine amount.
    """
    if window not in WINDOWS:
        raise InvalidBudget(f"window must be one of {', '.join(WINDOWS)}, got {window!r}.")
    zone_named(time_zone)
    _require_scope(organization, scope, scope_id)
    amount_usd = _checked_amount(amount_usd, is_zero_allowed=True)
    budget, _ = Budget.objects.update_or_create(
        organization=organization,
        scope=scope,
        scope_id=scope_id,
        window=window,
        defaults={"amount_usd": amount_usd, "time_zone": time_zone},
    )
    bump_epoch(organization.pk)
    return budget


@transaction.atomic
def remove_budget(*, organization: Organization, budget_id: uuid.UUID) -> bool:
    """Lift a budget; False when the organization has none of this id."""
    removed, _ = Budget.objects.filter(organization=organization, pk=budget_id).delete()
    if removed:
        bump_epoch(organization.pk)
    return bool(removed)


def _credit(
    organization: Organization,
    kind: TransferKind,
    source: AccountKind,
    amount_usd: Decimal,
    description: str,
    id: uuid.UUID | None,
) -> uuid.UUID:
    transfer = Transfer(
        id=id or uuid.uuid4(),
        organization_id=organization.pk,
        kind=kind,
        legs=credit_legs(source=source, amount_usd=_checked_amount(amount_usd, is_zero_allowed=False)),
        occurred_at=timezone.now(),
        description=description,
    )
    if post_transfers([transfer]):
        bump_epoch(organization.pk)
    return transfer.id


def _checked_amount(amount_usd: Decimal, *, is_zero_allowed: bool) -> Decimal:
    try:
        usd_to_nano(amount_usd)
    except ValueError as exc:
        raise InvalidAmount(f"{exc}.") from exc
    if amount_usd < ZERO_USD or (amount_usd == ZERO_USD and not is_zero_allowed):
        raise InvalidAmount(f"The amount must be more than $0, got {amount_usd}.")
    if amount_usd > MAX_AMOUNT_USD:
        raise InvalidAmount(f"The amount must be at most ${MAX_AMOUNT_USD:,}, got {amount_usd}.")
    return amount_usd


def _require_scope(organization: Organization, scope: str, scope_id: uuid.UUID) -> None:
    owned = {
        Budget.Scope.ORGANIZATION: Organization.objects.filter(pk=organization.pk),
        Budget.Scope.PROJECT: Project.objects.filter(organization=organization),
        Budget.Scope.KEY: ApiKey.objects.filter(organization=organization),
    }
    rows = owned.get(Budget.Scope(scope)) if scope in Budget.Scope.values else None
    if rows is None or not rows.filter(pk=scope_id).exists():
        raise InvalidBudget(f"The organization has no {scope} {scope_id} to set a budget for.")
