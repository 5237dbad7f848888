"""What an organization sets about its billing: saved card, automatic refill, mail, the invoice's head."""

from dataclasses import dataclass
from decimal import Decimal

from django.db import transaction

from accounts.models import Organization
from accounts.rules import checked_name, checked_time_zone
from billing.amounts import checked_top_up
from billing.errors import InvalidAmount, RefillRefused
from billing.models import BillingProfile
from billing.processors.base import SavedCard
from billing.processors.chosen import chosen_processor
from billing.services import checked_amount

MAX_ADDRESS_CHARACTERS = 512
MAX_TAX_ID_CHARACTERS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class RefillRule:
    """When to charge the saved card, with how much, and how much at most in a day and in a month."""

    below_usd: Decimal
    amount_usd: Decimal
    most_a_day_usd: Decimal
    most_a_month_usd: Decimal


def profile_of(organization: Organization) -> BillingProfile:
    """The organization's profile; an unsaved one with the defaults if it has set nothing."""
    found = BillingProfile.objects.filter(pk=organization.pk).first()
    return found or BillingProfile(organization=organization)


@transaction.atomic
def remember_card(*, organization: Organization, processor: str, card: SavedCard) -> None:
    """Replace the saved card. A refill that was paused for the old one may try again."""
    profile = _locked(organization)
    profile.processor, profile.customer_ref = processor, card.customer_ref
    profile.card_ref, profile.card_label = card.card_ref, card.label
    profile.refill_declines, profile.refill_paused_until = 0, None
    profile.save()


def forget_card(*, organization: Organization) -> bool:
    """Drop the saved card here and at the processor, and switch the refill off; False if there is none.

    Raises PaymentsOff and ProcessorUnavailable, after which it is still there.
    """
    profile = profile_of(organization)
    if not profile.card_ref:
        return False
    if profile.processor == chosen_processor().name:
        chosen_processor().forget_card(profile.card_ref)
    rows = BillingProfile.objects.filter(pk=organization.pk, card_ref=profile.card_ref)
    return bool(rows.update(card_ref="", card_label="", is_refill_on=False))


@transaction.atomic
def switch_refill_on(*, organization: Organization, rule: RefillRule) -> None:
    """Refill automatically by this rule. Raises RefillRefused and InvalidAmount."""
    checked_top_up(rule.amount_usd)
    for amount_usd in (rule.below_usd, rule.most_a_day_usd, rule.most_a_month_usd):
        checked_amount(amount_usd)
    if not rule.amount_usd <= rule.most_a_day_usd <= rule.most_a_month_usd:
        raise InvalidAmount("One refill must fit into the most a day, and that into the most a month.")
    profile = _locked(organization)
    if not profile.card_ref or profile.processor != chosen_processor().name:
        raise RefillRefused("Save a card first: add credit once and have the card kept.")
    profile.is_refill_on = True
    profile.refill_below_usd, profile.refill_amount_usd = rule.below_usd, rule.amount_usd
    profile.refill_most_a_day_usd = rule.most_a_day_usd
    profile.refill_most_a_month_usd = rule.most_a_month_usd
    profile.refill_declines, profile.refill_paused_until = 0, None
    profile.save()


@transaction.atomic
def switch_refill_off(*, organization: Organization) -> bool:
    """Never charge the card again by itself; False if that was so already."""
    rows = BillingProfile.objects.filter(pk=organization.pk, is_refill_on=True)
    return bool(rows.update(is_refill_on=False))


@transaction.atomic
def set_low_balance(*, organization: Organization, below_usd: Decimal | None) -> None:
    """Mail once when the credit falls below this; None: never. Raises InvalidAmount."""
    if below_usd is not None:
        checked_amount(below_usd)
    profile = _locked(organization)
    profile.low_balance_usd, profile.low_balance_mailed_at = below_usd, None
    profile.save(update_fields=["low_balance_usd", "low_balance_mailed_at"])


@transaction.atomic
def set_invoice_head(
    *, organization: Organization, legal_name: str, address: str, tax_id: str, time_zone: str
) -> None:
    """What stands on invoices to come, and whose months they follow. Raises AccountsRefusal."""
    profile = _locked(organization)
    profile.legal_name = checked_name(legal_name, is_required=False)
    profile.address = "\n".join(" ".join(line.split()) for line in address.splitlines() if line.strip())
    profile.tax_id = checked_name(tax_id, is_required=False)
    profile.time_zone = checked_time_zone(time_zone) or "UTC"
    profile.save(update_fields=["legal_name", "address", "tax_id", "time_zone"])


def _locked(organization: Organization) -> BillingProfile:
    BillingProfile.objects.get_or_create(organization=organization)
    return BillingProfile.objects.select_for_update().get(pk=organization.pk)
