"""Amounts that cross the border to a payment processor: whole US cents."""

from decimal import ROUND_HALF_UP, Decimal

from django.conf import settings

from billing.errors import InvalidAmount
from billing.services import checked_amount

CENT = Decimal("0.01")
BASIS_POINTS = Decimal(10_000)


def cents_of(amount_usd: Decimal) -> int:
    """The amount in cents. Raises InvalidAmount when it is finer than a cent."""
    if amount_usd != amount_usd.quantize(CENT):
        raise InvalidAmount(f"The amount must be in whole cents, got {amount_usd}.")
    return int(amount_usd * 100)


def usd_of_cents(cents: int) -> Decimal:
    return Decimal(cents).scaleb(-2)


def checked_top_up(credit_usd: Decimal) -> Decimal:
    """The amount, if credit of it can be bought at once. Raises InvalidAmount."""
    checked_amount(credit_usd)
    cents_of(credit_usd)
    least = settings.FAREBOX_CONSOLE.top_up_minimum_usd
    most = settings.FAREBOX_CONSOLE.top_up_maximum_usd
    if not least <= credit_usd <= most:
        raise InvalidAmount(f"The amount must be from ${least} to ${most:,}, got {credit_usd}.")
    return credit_usd


def fee_of(credit_usd: Decimal) -> Decimal:
    """The operator's fee for buying this much credit, to the cent, halves up."""
    share = settings.FAREBOX_CONSOLE.top_up_fee_basis_points / BASIS_POINTS
    return (credit_usd * share).quantize(CENT, ROUND_HALF_UP)
