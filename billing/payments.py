"""Payments: asked for once, and recorded once whatever the processor tells, how often, in which order.

Every fact comes through `record_state` or `record_dispute`: from a webhook, from the page that the
payer comes back to, and from the sweep that asks for what nobody told. A payment's top-up has the
payment's own id, so the ledger takes it once. Calls to a processor are made outside of transactions.
"""

import uuid
from collections.abc import Callable
from decimal import Decimal

from django.db import transaction
from django.db.models import Sum
from django.utils import timezone

from accounts.models import Organization, Person
from accounts.services import bump_epoch
from billing.amounts import cents_of, checked_top_up, fee_of, usd_of_cents
from billing.ledger import AccountKind, Leg, Transfer, TransferKind, post_transfers
from billing.models import BillingProfile, Payment, PaymentTransfer, ProcessorEvent
from billing.money import ZERO_USD
from billing.processors.base import (
    Dispute,
    DisputeTurn,
    Order,
    PaymentState,
    ProcessorUnavailable,
    Standing,
)
from billing.processors.chosen import chosen_processor
from billing.profiles import remember_card

Outcome = ProcessorEvent.Outcome
Status = Payment.Status
LinkKind = PaymentTransfer.Kind

NO_ANSWER = "The payment processor did not answer; nothing was charged."


def order_of(payment: Payment, *, email: str = "") -> Order:
    """The payment as its processor is asked for it."""
    return Order(
        payment_id=payment.pk,
        amount_cents=cents_of(payment.amount_usd),
        description=payment.description,
        email=email,
        customer_ref=payment.customer_ref,
    )


def start_checkout(
    *,
    organization: Organization,
    person: Person,
    credit_usd: Decimal,
    is_card_to_save: bool,
    return_url_of: Callable[[uuid.UUID], str],
) -> str:
    """Where to pay for this much credit. Raises InvalidAmount, PaymentsOff, ProcessorUnavailable."""
    processor = chosen_processor()
    payment = new_payment(
        organization=organization,
        kind=Payment.Kind.CHECKOUT,
        credit_usd=credit_usd,
        is_card_to_save=is_card_to_save,
        created_by=person,
    )
    try:
        checkout = processor.open_checkout(
            order_of(payment, email=person.email),
            return_url=return_url_of(payment.pk),
            is_card_kept=is_card_to_save,
        )
    except ProcessorUnavailable:
        finish_unpaid(payment_id=payment.pk, status=Status.FAILED, failure=NO_ANSWER)
        raise
    Payment.objects.filter(pk=payment.pk).update(checkout_ref=checkout.ref)
    return checkout.url


def new_payment(
    *,
    organization: Organization,
    kind: str,
    credit_usd: Decimal,
    is_card_to_save: bool = False,
    created_by: Person | None = None,
) -> Payment:
    """A payment that is still to be asked for, with the operator's fee on top of the credit.

    Description, customer and card stay as they are now: a processor refuses an order that is asked for
    again with others, or takes it for another one.
    """
    credit_usd = checked_top_up(credit_usd)
    fee_usd = fee_of(credit_usd)
    processor = chosen_processor()
    profile = BillingProfile.objects.filter(pk=organization.pk, processor=processor.name).first()
    return Payment.objects.create(
        organization=organization,
        kind=kind,
        processor=processor.name,
        description=f"Credit for {organization.name}"[:200],
        customer_ref=profile.customer_ref if profile else "",
        card_ref=profile.card_ref if profile and kind == Payment.Kind.REFILL else "",
        credit_usd=credit_usd,
        fee_usd=fee_usd,
        amount_usd=credit_usd + fee_usd,
        is_card_to_save=is_card_to_save,
        created_by=created_by,
    )


@transaction.atomic
def finish_unpaid(*, payment_id: uuid.UUID, status: str, failure: str) -> bool:
    """End a pending payment without money; False if it has ended already."""
    pending = Payment.objects.filter(pk=payment_id, status=Status.PENDING)
    return bool(pending.update(status=status, failure=failure[:256], finished_at=timezone.now()))


def refresh_payment(payment: Payment) -> None:
    """Ask the processor how the payment stands, and record it. Raises ProcessorUnavailable."""
    if payment.checkout_ref or payment.processor_ref:
        state = chosen_processor().state_of(
            checkout_ref=payment.checkout_ref, payment_ref=payment.processor_ref
        )
        record_state(payment_id=payment.pk, state=state)
        save_wanted_card(payment.pk)


def save_wanted_card(payment_id: uuid.UUID) -> None:
    """Remember the card of a payment whose payer wanted that. Raises ProcessorUnavailable."""
    payment = Payment.objects.filter(pk=payment_id, is_card_to_save=True, status=Status.SUCCEEDED).first()
    if payment is None:
        return
    card = chosen_processor().card_of(payment.processor_ref)
    if Payment.objects.filter(pk=payment_id, is_card_to_save=True).update(is_card_to_save=False) and card:
        remember_card(organization=payment.organization, processor=payment.processor, card=card)


def note_asked(payment_id: uuid.UUID) -> None:
    """The processor is asked about this payment now; sweeps come to it again after all others."""
    Payment.objects.filter(pk=payment_id).update(asked_at=timezone.now())


@transaction.atomic
def record_state(*, payment_id: uuid.UUID, state: PaymentState) -> Outcome:
    """Record what a processor knows of a payment; the same state twice changes nothing.

    Money that has arrived wins over everything that was heard before.
    """
    payment = Payment.objects.select_for_update().select_related("organization").get(pk=payment_id)
    if state.standing is Standing.PAID:
        return _record_paid(payment, state)
    if payment.status != Status.PENDING or state.standing is Standing.OPEN:
        return Outcome.NOTHING_TO_DO
    if state.standing is Standing.EXPIRED:
        finish_unpaid(payment_id=payment.pk, status=Status.EXPIRED, failure=state.failure)
    elif payment.kind == Payment.Kind.CHECKOUT:
        # The payer is still there and may try another card.
        Payment.objects.filter(pk=payment.pk).update(failure=state.failure[:256])
    else:
        return Outcome.NOTHING_TO_DO  # the call that charged the card says so itself
    return Outcome.APPLIED


@transaction.atomic
def record_dispute(*, payment_id: uuid.UUID, dispute: Dispute) -> Outcome:
    """Take back what the card's bank took back, or give it again; each turn of a dispute once.

    The credit may become negative by it. Automatic refill ends with the first one.
    """
    payment = Payment.objects.select_for_update().select_related("organization").get(pk=payment_id)
    if payment.status != Status.SUCCEEDED:
        return Outcome.MISMATCH
    is_withdrawn = dispute.turn is DisputeTurn.WITHDRAWN
    amount_usd = usd_of_cents(dispute.amount_cents)
    is_posted = move(
        payment,
        LinkKind.DISPUTE,
        -amount_usd if is_withdrawn else amount_usd,
        id=uuid.uuid5(payment.pk, f"dispute:{dispute.ref}:{dispute.turn}"),
        description="Payment disputed at its bank" if is_withdrawn else "Dispute decided for us",
    )
    if not is_posted:
        return Outcome.NOTHING_TO_DO
    if is_withdrawn:
        BillingProfile.objects.filter(pk=payment.organization_id).update(is_refill_on=False)
    return Outcome.APPLIED


def move(
    payment: Payment,
    kind: LinkKind,
    amount_usd: Decimal,
    *,
    id: uuid.UUID,
    description: str,
    status: str = PaymentTransfer.Status.DONE,
) -> bool:
    """Post one transfer of a payment, inside the caller's transaction; False if it was posted before."""
    transfer = Transfer(
        id=id,
        organization_id=payment.organization_id,
        kind=_transfer_kind(kind, amount_usd),
        legs=(
            Leg(AccountKind.FEES if kind is LinkKind.FEE else AccountKind.PAYMENTS, -amount_usd),
            Leg(AccountKind.PREPAID_CREDIT, amount_usd),
        ),
        occurred_at=timezone.now(),
        description=description,
    )
    if not post_transfers([transfer]):
        return False
    PaymentTransfer.objects.create(
        transfer_id=id, payment=payment, kind=kind, amount_usd=amount_usd, status=status
    )
    _restate(payment)
    bump_epoch(payment.organization_id)
    return True


def _record_paid(payment: Payment, state: PaymentState) -> Outcome:
    if state.amount_cents != cents_of(payment.amount_usd):
        return Outcome.MISMATCH
    is_applied = payment.status != Status.SUCCEEDED
    if is_applied:
        Payment.objects.filter(pk=payment.pk).update(
            status=Status.SUCCEEDED,
            processor_ref=state.ref or payment.processor_ref,
            failure="",
            finished_at=timezone.now(),
        )
        move(
            payment,
            LinkKind.TOP_UP,
            payment.amount_usd,
            id=payment.pk,
            description=payment.get_kind_display(),
        )
        if payment.fee_usd:
            move(
                payment,
                LinkKind.FEE,
                -payment.fee_usd,
                id=uuid.uuid5(payment.pk, "fee"),
                description=f"Fee of {payment.get_kind_display().lower()}",
            )
    is_refunded = _record_refunded(payment, state.refunded_cents)
    return Outcome.APPLIED if is_applied or is_refunded else Outcome.NOTHING_TO_DO


def _record_refunded(payment: Payment, refunded_cents: int) -> bool:
    """Post what was refunded at the processor beyond what we asked for ourselves."""
    beyond_usd = usd_of_cents(refunded_cents) - moved_usd(payment, LinkKind.REFUND)
    moves = PaymentTransfer.objects.filter(payment=payment, kind=LinkKind.REFUND).count()
    if beyond_usd <= 0:
        return False
    return move(
        payment,
        LinkKind.REFUND,
        -beyond_usd,
        id=uuid.uuid5(payment.pk, f"refunded:{refunded_cents}:{moves}"),
        description="Refund of a payment",
    )


def moved_usd(payment: Payment, kind: LinkKind) -> Decimal:
    """What transfers of a kind have taken from the credit, as a positive amount."""
    links = PaymentTransfer.objects.filter(payment=payment, kind=kind)
    return -(links.aggregate(total=Sum("amount_usd"))["total"] or ZERO_USD)


def _restate(payment: Payment) -> None:
    """Keep the payment's own figures as its transfers have them."""
    Payment.objects.filter(pk=payment.pk).update(
        refunded_usd=moved_usd(payment, LinkKind.REFUND), disputed_usd=moved_usd(payment, LinkKind.DISPUTE)
    )


def _transfer_kind(kind: LinkKind, amount_usd: Decimal) -> TransferKind:
    """What the ledger calls it: money that comes is a top-up, money that goes back a refund."""
    if kind is LinkKind.FEE:
        return TransferKind.FEE
    return TransferKind.TOP_UP if amount_usd > 0 else TransferKind.REFUND
