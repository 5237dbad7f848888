"""The sweep over payments that are not finished: webhooks may be late, lost or refused.

Each payment is asked for by itself; one that the processor does not answer for waits for the next sweep,
and comes after all others there.
"""

import logging
from datetime import timedelta
from uuid import UUID

from django.db.models import F
from django.utils import timezone

from billing.models import Payment
from billing.payments import finish_unpaid, note_asked, refresh_payment, save_wanted_card
from billing.processors.base import ProcessorUnavailable
from billing.processors.chosen import are_payments_on, chosen_processor
from billing.refunds import ask_again
from billing.single_flight import each_done, for_a_while

MAX_PAYMENTS_PER_SWEEP = 100
LONGEST_UNASKED = F("asked_at").asc(nulls_first=True)
# The payer is still on the checkout's page; webhooks tell soon enough.
LEFT_ALONE = timedelta(minutes=1)
# A checkout lives for a day; a payment that never got one cannot be paid.
# https://docs.stripe.com/api/checkout/sessions/create#create_checkout_session-expires_at (checked 2026-11-27)
CHECKOUT_LIFETIME = timedelta(hours=24)

logger = logging.getLogger(__name__)


def settle_open_payments() -> int:
    """Record how open payments stand, save cards and ask for refunds that got lost; how many payments."""
    if not are_payments_on():
        return 0
    ours = Payment.objects.filter(processor=chosen_processor().name)
    open_ones = ours.filter(
        kind=Payment.Kind.CHECKOUT, status=Payment.Status.PENDING, created_at__lt=timezone.now() - LEFT_ALONE
    )
    longest = open_ones.order_by(LONGEST_UNASKED, "created_at")[:MAX_PAYMENTS_PER_SWEEP]
    settled = list(each_done(_settle, for_a_while(longest)))
    unsaved = ours.filter(status=Payment.Status.SUCCEEDED, is_card_to_save=True)
    payment_ids = unsaved.order_by(LONGEST_UNASKED, "created_at").values_list("pk", flat=True)
    list(each_done(_save_card, for_a_while(payment_ids[:MAX_PAYMENTS_PER_SWEEP])))
    ask_again()
    return len(settled)


def _settle(payment: Payment) -> None:
    note_asked(payment.pk)
    if not payment.checkout_ref:
        if payment.created_at < timezone.now() - CHECKOUT_LIFETIME:
            finish_unpaid(payment_id=payment.pk, status=Payment.Status.EXPIRED, failure="")
        return
    try:
        refresh_payment(payment)
    except ProcessorUnavailable as exc:
        logger.warning("payment not read", extra={"payment": str(payment.pk), "reason": str(exc)})


def _save_card(payment_id: UUID) -> None:
    note_asked(payment_id)
    try:
        save_wanted_card(payment_id)
    except ProcessorUnavailable as exc:
        logger.warning("card not saved yet", extra={"payment": str(payment_id), "reason": str(exc)})
