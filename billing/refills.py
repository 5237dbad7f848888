"""Automatic refill: charge the saved card when the credit is below what its owner has set.

One at a time to an organization, held by a constraint. A payment is written down before its card
is charged; whoever finds it pending asks for it again under the same id and with the same words, which
charges once as long as the processor remembers the id. After that it is given up, not asked again.
"""

import logging
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import F, OuterRef, Q, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce
from django.utils import timezone

from billing.budgets import period_of
from billing.columns import usd_field
from billing.credit_mail import mail_refill_declined
from billing.errors import BillingError
from billing.models import BillingProfile, LedgerAccount, Payment
from billing.money import ZERO_USD
from billing.payments import finish_unpaid, new_payment, note_asked, order_of, record_state
from billing.processors.base import (
    ASKED_AGAIN_FOR,
    CardDeclined,
    PaymentState,
    ProcessorUnavailable,
    Standing,
)
from billing.processors.chosen import are_payments_on, chosen_processor
from billing.single_flight import each_done, for_a_while

MAX_REFILLS_PER_SWEEP = 100
NO_CARD = "There is no saved card."
NOT_TOLD = "The payment processor did not tell in time whether the card was charged."
# After the n-th decline in a row; after the last one the refill is switched off.
PAUSES_AFTER_DECLINES = (timedelta(hours=1), timedelta(hours=6))
DECLINES_UNTIL_OFF = len(PAUSES_AFTER_DECLINES) + 1

logger = logging.getLogger(__name__)


def refill_credit() -> int:
    """Refill whoever is due, and go on with what an earlier run left; how many were charged."""
    if not are_payments_on():
        return 0
    list(each_done(begin_refill, _due(timezone.now())))
    longest_unasked = _pending().order_by(F("asked_at").asc(nulls_first=True), "created_at")
    pending = list(longest_unasked.values_list("pk", flat=True)[:MAX_REFILLS_PER_SWEEP])
    return sum(each_done(charge, for_a_while(pending)))


def begin_refill(organization_id: UUID) -> UUID | None:
    """Write down a refill that is due; None when it is not, or another one is under way."""
    try:
        with transaction.atomic():
            profile = BillingProfile.objects.select_for_update().get(pk=organization_id)
            if not _is_due(profile, timezone.now(), asked_usd=profile.refill_amount_usd):
                return None
            payment = new_payment(
                organization=profile.organization,
                kind=Payment.Kind.REFILL,
                credit_usd=profile.refill_amount_usd,
            )
            # The one before may have been paid between that look and this row; from here on none is.
            if not _is_due(profile, timezone.now(), asked_usd=ZERO_USD):
                transaction.set_rollback(True)
                return None
            return payment.pk
    except IntegrityError:
        return None
    except BillingError as refusal:
        # What may be bought at once was changed since: its owner must set the refill anew.
        logger.warning("refill not begun", extra={"reason": str(refusal)})
        return None


def charge(payment_id: UUID) -> bool:
    """Charge a pending refill and record what comes of it; whether it was paid."""
    payment = Payment.objects.select_related("organization").get(pk=payment_id)
    is_late = payment.created_at < timezone.now() - ASKED_AGAIN_FOR
    if not _has_card(payment):
        finish_unpaid(payment_id=payment_id, status=Payment.Status.FAILED, failure=NO_CARD)
        return False
    if is_late and not payment.processor_ref:
        return _give_up(payment)
    note_asked(payment_id)
    try:
        state = _ask(payment)
    except CardDeclined as exc:
        _record_decline(payment, str(exc))
        return False
    except ProcessorUnavailable as exc:
        logger.warning("refill not confirmed", extra={"payment": str(payment_id), "reason": str(exc)})
        return False
    if state.standing is Standing.OPEN:
        return _give_up(payment) if is_late else _keep_ref(payment, state)
    return _record_paid(payment, state)


def _has_card(payment: Payment) -> bool:
    """Whether there is a card to charge: the one of then, unless it was replaced before it was ever asked."""
    if not payment.card_ref or payment.processor != chosen_processor().name:
        return False
    saved = BillingProfile.objects.filter(pk=payment.organization_id, processor=payment.processor)
    return payment.asked_at is not None or saved.filter(card_ref=payment.card_ref).exists()


def _ask(payment: Payment) -> PaymentState:
    """Charge, or ask how the charge stands that the processor has told us of. Raises CardDeclined."""
    if not payment.processor_ref:
        state = chosen_processor().charge_card(order_of(payment), card_ref=payment.card_ref)
    else:
        state = chosen_processor().state_of(checkout_ref="", payment_ref=payment.processor_ref)
    if state.standing is Standing.DECLINED:
        raise CardDeclined(state.failure or "The card was declined.")
    return state


def _keep_ref(payment: Payment, state: PaymentState) -> bool:
    """The charge is under way: from now on we ask how it stands, by its own name."""
    Payment.objects.filter(pk=payment.pk, status=Payment.Status.PENDING).update(processor_ref=state.ref)
    return False


def _give_up(payment: Payment) -> bool:
    """Asked again, the processor would take it for another order. Money that still comes is recorded."""
    if finish_unpaid(payment_id=payment.pk, status=Payment.Status.FAILED, failure=NOT_TOLD):
        logger.error("refill given up", extra={"payment": str(payment.pk)})
    return False


def _due(now: datetime) -> list[UUID]:
    """Organizations whose credit is below their refill's threshold; who was looked at last comes last."""
    balance = LedgerAccount.objects.filter(
        organization_id=OuterRef("pk"), kind=LedgerAccount.Kind.PREPAID_CREDIT
    )
    rows = (
        BillingProfile.objects.filter(is_refill_on=True)
        .filter(Q(refill_paused_until=None) | Q(refill_paused_until__lte=now))
        .exclude(organization__payments__in=_pending())
        .annotate(
            balance_usd=Coalesce(Subquery(balance.values("balance_usd")), ZERO_USD, output_field=usd_field())
        )
        .filter(balance_usd__lt=F("refill_below_usd"), organization__is_active=True)
    )
    longest_ago = rows.order_by(F("refill_looked_at").asc(nulls_first=True), "pk")
    found = list(longest_ago.values_list("pk", flat=True)[:MAX_REFILLS_PER_SWEEP])
    BillingProfile.objects.filter(pk__in=found).update(refill_looked_at=now)
    return found


def _is_due(profile: BillingProfile, now: datetime, *, asked_usd: Decimal) -> bool:
    """Looked at again under the lock, with the caps; `asked_usd` is not written down yet."""
    is_paused = profile.refill_paused_until is not None and profile.refill_paused_until > now
    if not profile.is_refill_on or is_paused or profile.processor != chosen_processor().name:
        return False
    accounts = LedgerAccount.objects.filter(
        organization_id=profile.pk, kind=LedgerAccount.Kind.PREPAID_CREDIT
    )
    account = accounts.first()
    if (account.balance_usd if account else ZERO_USD) >= profile.refill_below_usd:
        return False
    caps = {"day": profile.refill_most_a_day_usd, "month": profile.refill_most_a_month_usd}
    return all(
        _refilled_usd(profile, window, now) + asked_usd <= most_usd for window, most_usd in caps.items()
    )


def _refilled_usd(profile: BillingProfile, window: str, now: datetime) -> Decimal:
    """What refills of this day or month have added or may still add, by the organization's calendar."""
    period = period_of(window, profile.time_zone, now)
    refills = Payment.objects.filter(
        organization_id=profile.pk,
        kind=Payment.Kind.REFILL,
        status__in=[Payment.Status.PENDING, Payment.Status.SUCCEEDED],
        created_at__gte=period.starts_at,
    )
    return refills.aggregate(total=Sum("credit_usd"))["total"] or ZERO_USD


def _pending() -> QuerySet[Payment]:
    return Payment.objects.filter(kind=Payment.Kind.REFILL, status=Payment.Status.PENDING)


def _record_paid(payment: Payment, state: PaymentState) -> bool:
    record_state(payment_id=payment.pk, state=state)
    is_paid = Payment.objects.filter(pk=payment.pk, status=Payment.Status.SUCCEEDED).exists()
    if is_paid:
        BillingProfile.objects.filter(pk=payment.organization_id).update(
            refill_declines=0, refill_paused_until=None
        )
    return is_paid


@transaction.atomic
def _record_decline(payment: Payment, reason: str) -> None:
    """End the payment, pause the refill or switch it off, and tell its owners."""
    if not finish_unpaid(payment_id=payment.pk, status=Payment.Status.FAILED, failure=reason):
        return
    profile = BillingProfile.objects.select_for_update().get(pk=payment.organization_id)
    profile.refill_declines += 1
    is_over = profile.refill_declines >= DECLINES_UNTIL_OFF
    if is_over:
        profile.is_refill_on, profile.refill_paused_until = False, None
    else:
        pause = PAUSES_AFTER_DECLINES[profile.refill_declines - 1]
        profile.refill_paused_until = timezone.now() + pause
    profile.save(update_fields=["is_refill_on", "refill_declines", "refill_paused_until"])
    transaction.on_commit(
        lambda: mail_refill_declined(payment, reason=reason, retry_at=profile.refill_paused_until)
    )
