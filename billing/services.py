"""What people do with credit: top up, grant and adjust it. Budgets are in `billing.budget_services`.

Each function is one transaction and bumps the organization's epoch, so that the data plane sees
it within a second. Charges come from `billing.ingest`.
"""

import uuid
from decimal import Decimal

from django.db import transaction
from django.utils import timezone

from accounts.models import Organization
from accounts.services import bump_epoch
from billing.errors import InvalidAmount
from billing.ledger import AccountKind, Transfer, TransferKind, credit_legs, post_transfers
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
def adjust_credit(
    *, organization: Organization, amount_usd: Decimal, description: str, id: uuid.UUID | None = None
) -> uuid.UUID:
    """Correct the credit by an amount, negative to take; a repeated `id` moves nothing.

    The credit may become negative by it. Raises InvalidAmount.
    """
    checked_amount(abs(amount_usd))
    if not description.strip():
        raise InvalidAmount("An adjustment needs a reason, which stands in the ledger.")
    transfer = Transfer(
        id=id or uuid.uuid4(),
        organization_id=organization.pk,
        kind=TransferKind.ADJUSTMENT,
        legs=credit_legs(source=AccountKind.ADJUSTMENT, amount_usd=amount_usd),
        occurred_at=timezone.now(),
        description=description.strip()[:256],
    )
    if post_transfers([transfer]):
        bump_epoch(organization.pk)
    return transfer.id


def checked_amount(amount_usd: Decimal) -> Decimal:
    """The amount, if it is one that can be moved. Raises InvalidAmount."""
    try:
        usd_to_nano(amount_usd)
    except ValueError as exc:
        raise InvalidAmount(f"{exc}.") from exc
    if amount_usd <= ZERO_USD:
        raise InvalidAmount(f"The amount must be more than $0, got {amount_usd}.")
    if amount_usd > MAX_AMOUNT_USD:
        raise InvalidAmount(f"The amount must be at most ${MAX_AMOUNT_USD:,}, got {amount_usd}.")
    return amount_usd


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
        legs=credit_legs(source=source, amount_usd=checked_amount(amount_usd)),
        occurred_at=timezone.now(),
        description=description,
    )
    if post_transfers([transfer]):
        bump_epoch(organization.pk)
    return transfer.id
