"""Webhooks of the payment processor: each event applied once, in whatever order they come.

The row of an event and what it changes are one transaction, so an event that fails is told again
by the processor and one that is told twice is known. Signatures are the processors' business.
"""

import logging
from collections.abc import Mapping
from dataclasses import replace
from uuid import UUID

from django.db import transaction

from billing.models import Payment, ProcessorEvent
from billing.payments import Outcome, record_dispute, record_state, refresh_payment, save_wanted_card
from billing.processors.base import ProcessorNews, ProcessorUnavailable
from billing.processors.chosen import chosen_processor
from billing.refunds import has_refused_refund, record_failed_refund

logger = logging.getLogger(__name__)


def take_webhook(body: bytes, headers: Mapping[str, str]) -> str:
    """Apply a webhook, and give what came of it.

    Raises ForgedWebhook, PaymentsOff, and ProcessorUnavailable when the processor must be asked
    about it and does not answer; it will tell the event again.
    """
    processor = chosen_processor()
    news = processor.read_webhook(body, headers)
    payment = _payment_of(news)
    if news.dispute and payment and payment.status != Payment.Status.SUCCEEDED:
        # A dispute that overtook its payment: ask for what came before it.
        refresh_payment(_with_ref(payment, news.payment_ref))
    if news.state and news.state.refunded_cents and payment and has_refused_refund(payment):
        # It may count money that came back since. One that comes back in this very moment is not seen,
        # and left at that: its own news and that of its refund are days apart.
        state = processor.state_of(checkout_ref=payment.checkout_ref, payment_ref=news.payment_ref)
        news = replace(news, state=state)
    outcome = _apply_once(processor.name, news, payment.pk if payment else None)
    if outcome in (Outcome.MISMATCH, Outcome.UNKNOWN_PAYMENT):
        logger.error("webhook does not fit", extra={"event": news.event_ref, "outcome": outcome})
    if payment:
        _save_card_if_possible(payment.pk)
    return outcome


@transaction.atomic
def _apply_once(processor: str, news: ProcessorNews, payment_id: UUID | None) -> str:
    event, is_new = ProcessorEvent.objects.get_or_create(
        processor=processor,
        event_ref=news.event_ref,
        defaults={"type": news.type[:128], "outcome": Outcome.NOTHING_TO_DO, "payment_id": payment_id},
    )
    if not is_new:
        return Outcome.NOTHING_TO_DO
    event.outcome = _apply(news, payment_id)
    event.save(update_fields=["outcome"])
    return event.outcome


def _apply(news: ProcessorNews, payment_id: UUID | None) -> str:
    if news.state is None and news.dispute is None and news.failed_refund is None:
        return Outcome.UNKNOWN_TYPE
    if payment_id is None:
        return Outcome.UNKNOWN_PAYMENT
    if news.state:
        return record_state(payment_id=payment_id, state=news.state)
    if news.failed_refund:
        return record_failed_refund(payment_id=payment_id, failed=news.failed_refund)
    assert news.dispute is not None, "an event of ours has a state, a failed refund or a dispute"
    return record_dispute(payment_id=payment_id, dispute=news.dispute)


def _payment_of(news: ProcessorNews) -> Payment | None:
    """Our payment that the event is about, by its id or by the processor's."""
    processor = chosen_processor()
    ours = Payment.objects.filter(processor=processor.name)
    if news.order_id:
        return ours.filter(pk=news.order_id).first()
    if not news.payment_ref:
        return None
    known = ours.filter(processor_ref=news.payment_ref).first()
    if known:
        return known
    order_id = processor.order_of(news.payment_ref)
    return ours.filter(pk=order_id).first() if order_id else None


def _with_ref(payment: Payment, payment_ref: str) -> Payment:
    payment.processor_ref = payment_ref
    return payment


def _save_card_if_possible(payment_id: UUID) -> None:
    try:
        save_wanted_card(payment_id)
    except ProcessorUnavailable:
        logger.warning("card not saved yet", extra={"payment": str(payment_id)})
