"""Refunds that the operator gives: first out of the credit, then by the processor.

The credit is taken in the ledger before the processor is asked, so that what goes back cannot be
spent meanwhile. If the processor refuses, a top-up gives it again: no turnover, so no invoice bills it.
A refund may also fail days after it was done: its webhook gives the credit again as well.
What the processor refunds on its own account (its dashboard) comes in through
`billing.payments.record_state`; it may be why a refund is refused, so that a refusal asks for it.
"""

import logging
import uuid
from collections.abc import Sequence
from decimal import Decimal

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from billing.amounts import cents_of, usd_of_cents
from billing.errors import PaymentsOff, RefundTooLarge, RefundUnderWay
from billing.models import LedgerAccount, Payment, PaymentTransfer
from billing.money import format_usd
from billing.operator_alerts import alert_operator
from billing.payments import LinkKind, Outcome, Status, move, moved_usd, note_asked, record_state
from billing.processors.base import (
    ASKED_AGAIN_FOR,
    FailedRefund,
    PaymentState,
    ProcessorUnavailable,
    RefundRefused,
)
from billing.processors.chosen import chosen_processor
from billing.services import checked_amount
from billing.single_flight import each_done, for_a_while
from billing.wallet import free_credit_usd

LinkStatus = PaymentTransfer.Status

MAX_REFUNDS_PER_SWEEP = 50
NOT_TOLD = "the payment processor did not tell in time of it."

logger = logging.getLogger(__name__)


def refund_payment(*, payment: Payment, amount_usd: Decimal, id: uuid.UUID | None = None) -> str:
    """Give back so much of a payment; a repeated `id` gives nothing more. How it stands after that.

    Never more than what was paid and not given back yet, nor than the credit that is free. Calls
    admitted within the second that gateways take to learn of it are the operator's risk. Raises
    InvalidAmount, RefundTooLarge, RefundUnderWay, PaymentsOff, CreditUnknown.
    """
    refund_id = id or uuid.uuid4()
    _take_from_credit(payment_id=payment.pk, amount_usd=amount_usd, refund_id=refund_id)
    return ask_processor(refund_id)


def ask_processor(refund_id: uuid.UUID) -> str:
    """Ask for a refund that is on its way, and record what comes of it; safe to repeat.

    Once the processor may have forgotten its id, it is not asked for again: what was refunded tells.
    """
    link = PaymentTransfer.objects.select_related("payment", "transfer").get(pk=refund_id)
    if link.status != LinkStatus.ASKED:
        return link.status
    if link.transfer.posted_at < timezone.now() - ASKED_AGAIN_FOR:
        return _give_up(link)
    try:
        chosen_processor().refund(
            refund_id=refund_id,
            payment_ref=link.payment.processor_ref,
            amount_cents=cents_of(-link.amount_usd),
        )
    except ProcessorUnavailable as exc:
        logger.warning("refund not confirmed", extra={"refund": str(refund_id), "reason": str(exc)})
        return LinkStatus.ASKED
    except RefundRefused as exc:
        return _record_refusal(link, str(exc))
    return _record_done(link)


def ask_again() -> int:
    """Ask once more for the refunds whose answer got lost, within bounds; how many."""
    ours = PaymentTransfer.objects.filter(payment__processor=chosen_processor().name)
    asked = ours.filter(status=LinkStatus.ASKED).order_by(
        F("payment__asked_at").asc(nulls_first=True), "transfer__posted_at"
    )
    refund_ids = asked.values_list("pk", flat=True)
    return len(list(each_done(_ask_again, for_a_while(refund_ids[:MAX_REFUNDS_PER_SWEEP]))))


@transaction.atomic
def record_failed_refund(*, payment_id: uuid.UUID, failed: FailedRefund) -> Outcome:
    """Give the credit again, once. Of a refund that we did not ask for the operator is told instead."""
    ours = PaymentTransfer.objects.filter(payment=payment_id, kind=LinkKind.REFUND, pk=failed.refund_id)
    link = ours.first()
    if link is None:
        transaction.on_commit(lambda: _tell_of_foreign(payment_id, failed))
        return Outcome.MISMATCH
    is_given_again = _give_again(
        payment_id=payment_id,
        refund_id=link.pk,
        reason=failed.failure,
        standings=(LinkStatus.ASKED, LinkStatus.DONE),
    )
    return Outcome.APPLIED if is_given_again else Outcome.NOTHING_TO_DO


def has_refused_refund(payment: Payment) -> bool:
    """Whether a refund of it came to nothing, so that older news of what was refunded may be wrong."""
    return payment.transfers.filter(kind=LinkKind.REFUND, status=LinkStatus.REFUSED).exists()


@transaction.atomic
def _take_from_credit(*, payment_id: uuid.UUID, amount_usd: Decimal, refund_id: uuid.UUID) -> None:
    payment = Payment.objects.select_for_update().select_related("organization").get(pk=payment_id)
    # In the order that every poster takes them, so that two refunds do not both count the same credit.
    accounts = LedgerAccount.objects.filter(organization=payment.organization).order_by("pk")
    list(accounts.select_for_update())
    if PaymentTransfer.objects.filter(pk=refund_id).exists():
        return
    cents_of(checked_amount(amount_usd))
    if payment.status != Status.SUCCEEDED:
        raise RefundTooLarge("Nothing was paid that could be given back.")
    if payment.processor != chosen_processor().name:
        raise PaymentsOff(f"The payment was taken by {payment.processor}, which is not in use.")
    if PaymentTransfer.objects.filter(payment=payment, status=LinkStatus.ASKED).exists():
        raise RefundUnderWay("A refund of this payment is on its way; wait until it is done or refused.")
    left_usd = payment.amount_usd - payment.refunded_usd - payment.disputed_usd
    if amount_usd > left_usd:
        raise RefundTooLarge(f"At most {format_usd(left_usd)} of this payment can still be given back.")
    free_usd = free_credit_usd(payment.organization)
    if amount_usd > free_usd:
        raise RefundTooLarge(f"Only {format_usd(free_usd)} of the credit is left.")
    move(
        payment,
        LinkKind.REFUND,
        -amount_usd,
        id=refund_id,
        description="Refund of a payment",
        status=LinkStatus.ASKED,
    )


def _ask_again(refund_id: uuid.UUID) -> str:
    note_asked(PaymentTransfer.objects.get(pk=refund_id).payment_id)
    return ask_processor(refund_id)


def _give_up(link: PaymentTransfer) -> str:
    """End a refund that nobody answered for, by what was refunded of the payment. How the refund stands."""
    state = _state_of(link)
    if state is None:
        return LinkStatus.ASKED
    # One refund of a payment is on its way at a time, so what is missing is this one.
    is_given = cents_of(moved_usd(link.payment, LinkKind.REFUND)) <= state.refunded_cents
    if not is_given:
        logger.error("refund given up", extra={"refund": str(link.pk), "payment": str(link.payment_id)})
        return _refuse(link, state, NOT_TOLD)
    record_state(payment_id=link.payment_id, state=state)
    return _record_done(link)


def _record_done(link: PaymentTransfer) -> str:
    PaymentTransfer.objects.filter(pk=link.pk, status=LinkStatus.ASKED).update(status=LinkStatus.DONE)
    return LinkStatus.DONE


def _record_refusal(link: PaymentTransfer, reason: str) -> str:
    state = _state_of(link)
    return LinkStatus.ASKED if state is None else _refuse(link, state, reason)


def _state_of(link: PaymentTransfer) -> PaymentState | None:
    """How the refund's payment stands at the processor; None while that cannot be told."""
    try:
        return chosen_processor().state_of(
            checkout_ref=link.payment.checkout_ref, payment_ref=link.payment.processor_ref
        )
    except ProcessorUnavailable as exc:
        logger.warning("refund not confirmed", extra={"refund": str(link.pk), "reason": str(exc)})
        return None


@transaction.atomic
def _refuse(link: PaymentTransfer, state: PaymentState, reason: str) -> str:
    """Give the credit again and take what was refunded without us, in one step. How the refund stands."""
    _give_again(payment_id=link.payment_id, refund_id=link.pk, reason=reason)
    record_state(payment_id=link.payment_id, state=state)
    return LinkStatus.REFUSED


def _give_again(
    *,
    payment_id: uuid.UUID,
    refund_id: uuid.UUID,
    reason: str,
    standings: Sequence[LinkStatus] = (LinkStatus.ASKED,),
) -> bool:
    # The payment before the accounts, as everywhere.
    payment = Payment.objects.select_for_update().get(pk=payment_id)
    given = PaymentTransfer.objects.filter(pk=refund_id, status__in=standings)
    link = given.first()
    if link is None:
        return False
    given.update(status=LinkStatus.REFUSED)
    return move(
        payment,
        LinkKind.REFUND,
        -link.amount_usd,
        id=uuid.uuid5(refund_id, "refused"),
        description=f"Refund was not possible: {reason}"[:256],
    )


def _tell_of_foreign(payment_id: uuid.UUID, failed: FailedRefund) -> None:
    amount = format_usd(usd_of_cents(failed.amount_cents))
    alert_operator(
        subject="A refund failed",
        text=f"A refund of {amount} of payment {payment_id} that was not asked for here has failed"
        f" ({failed.failure}) Its credit was taken and is not given again by itself.\n\n"
        "What to do: docs/runbook.md, Take payments.",
    )
