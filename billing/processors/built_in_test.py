"""The built-in test processor: pays without money, so that an installation can be tried to its end.

It plays the hosted checkout (`billing.test_checkout_views`), keeps its own book (`TestCharge`) and
sends signed webhooks over HTTP to the same address as any other processor. The production mode
refuses it. Cards are chosen by what they do; no card number is asked for.
"""

import hashlib
import hmac
import json
import logging
import time
import uuid
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from functools import cache
from typing import Any
from uuid import UUID

import httpx
from celery import shared_task
from django.conf import settings
from django.db import transaction
from django.db.models import TextChoices
from django.urls import reverse
from django.utils import timezone
from kombu.exceptions import OperationalError

from billing.payment_models import TestCharge
from billing.processors.base import (
    WEBHOOK_TOLERANCE_SECONDS,
    CardDeclined,
    Checkout,
    Dispute,
    DisputeTurn,
    ForgedWebhook,
    Order,
    PaymentState,
    ProcessorNews,
    ProcessorUnavailable,
    RefundRefused,
    SavedCard,
    Standing,
)

SIGNATURE_HEADER = "farebox-test-signature"
CUSTOMER = "test_customer"
CHECKOUT_LIFETIME = timedelta(hours=24)
DELIVERY_TIMEOUT_SECONDS = 10.0
DELIVERY_TRIES = 5
DELIVERY_PAUSE_SECONDS = 10
DECLINED_TEXT = "The test card was declined."
OWNER_NEEDED_TEXT = "The card's bank wants its owner to confirm; pay once on the billing page."

logger = logging.getLogger(__name__)


class TestCard(TextChoices):
    """The cards there are, by what they do."""

    __test__ = False

    GOOD = "good", "Pays at once"
    DECLINED = "declined", "Is declined"
    CONFIRM = "confirm", "Asks its bank's confirmation"
    GOOD_ONCE = "good_once", "Pays now, and is declined when it is charged again"


class TestProcessor:
    """The interface of `billing.processors.base`, over a table of this database."""

    __test__ = False
    name = "test"

    def open_checkout(self, order: Order, *, return_url: str, is_card_kept: bool) -> Checkout:
        charge, _ = TestCharge.objects.get_or_create(
            order_id=order.payment_id,
            defaults={
                "ref": f"test_pi_{uuid.uuid4().hex}",
                "amount_cents": order.amount_cents,
                "is_card_kept": is_card_kept,
                "return_url": return_url,
                "description": order.description,
            },
        )
        return Checkout(charge.ref, reverse("test_checkout", args=[charge.ref]))

    def charge_card(self, order: Order, *, card_ref: str) -> PaymentState:
        card = TestCard(card_ref.split("_", 3)[-1])
        charge, _ = TestCharge.objects.get_or_create(
            order_id=order.payment_id,
            defaults={
                "ref": f"test_pi_{uuid.uuid4().hex}",
                "amount_cents": order.amount_cents,
                "card": card,
                "status": Standing.PAID if card == TestCard.GOOD else Standing.DECLINED,
                "description": order.description,
            },
        )
        if charge.status == Standing.DECLINED:
            raise CardDeclined(OWNER_NEEDED_TEXT if card == TestCard.CONFIRM else DECLINED_TEXT)
        tell_of("payment.paid", charge)
        return _state_of(charge)

    def state_of(self, *, checkout_ref: str, payment_ref: str) -> PaymentState:
        charge = TestCharge.objects.filter(pk=payment_ref or checkout_ref).first()
        if charge is None:
            raise ProcessorUnavailable("unknown reference")
        return _state_of(charge)

    def card_of(self, payment_ref: str) -> SavedCard | None:
        charge = TestCharge.objects.filter(pk=payment_ref, is_card_kept=True).first()
        if charge is None or not charge.card:
            return None
        label = f"Test card ({charge.card.replace('_', ' ')})"
        return SavedCard(CUSTOMER, f"test_card_is_{charge.card}", label)

    def forget_card(self, card_ref: str) -> None:
        """Nothing is kept of it."""

    def refund(self, *, refund_id: UUID, payment_ref: str, amount_cents: int) -> None:
        with transaction.atomic():
            paid = TestCharge.objects.filter(pk=payment_ref, status=Standing.PAID)
            charge = paid.select_for_update().first()
            if charge is not None and refund_id in charge.refund_ids:
                return
            if charge is None or charge.refunded_cents + amount_cents > charge.amount_cents:
                raise RefundRefused("The test processor holds less than that of the payment.")
            charge.refunded_cents += amount_cents
            charge.refund_ids = [*charge.refund_ids, refund_id]
            charge.save(update_fields=["refunded_cents", "refund_ids"])
            tell_of("payment.refunded", charge)

    def order_of(self, payment_ref: str) -> UUID | None:
        charge = TestCharge.objects.filter(pk=payment_ref).first()
        return charge.order_id if charge else None

    def read_webhook(self, body: bytes, headers: Mapping[str, str]) -> ProcessorNews:
        _check_signature(body, headers.get(SIGNATURE_HEADER, ""))
        try:
            return _news_of(json.loads(body))
        except (ValueError, KeyError, TypeError, AttributeError) as exc:
            raise ForgedWebhook(type(exc).__name__) from exc


@cache
def test_processor() -> TestProcessor:
    return TestProcessor()


test_processor.__test__ = False  # type: ignore[attr-defined]  # pytest would take the name for a test's


def pay(charge: TestCharge, card: str) -> Standing:
    """What the payer does on the checkout page; paying twice changes nothing."""
    standing = Standing.DECLINED if card == TestCard.DECLINED else Standing.PAID
    open_charges = TestCharge.objects.filter(pk=charge.pk).exclude(status=Standing.PAID)
    if open_charges.update(status=standing, card=card):
        charge.refresh_from_db()
        tell_of(f"payment.{standing}", charge)
    return standing


def tell_of(kind: str, charge: TestCharge) -> None:
    """Have the worker send the webhook, after the commit."""
    state = {"standing": charge.status, "amount": charge.amount_cents, "refunded": charge.refunded_cents}
    event = {
        "id": f"test_evt_{charge.ref}_{kind}_{charge.refunded_cents}_{charge.card}",
        "type": kind,
        "order": str(charge.order_id),
        "ref": charge.ref,
        "state": state,
    }
    body = json.dumps(event)
    transaction.on_commit(lambda: _hand_over(body))


def _hand_over(body: str) -> None:
    """Without a broker the webhook is lost, as it may be with any processor."""
    url = f"{settings.FAREBOX_PUBLIC_URL}{reverse('payment_webhook')}"
    try:
        deliver_test_webhook.delay(url, body)
    except OperationalError:
        logger.warning("test webhook not handed over")


@shared_task(name="billing.tasks.deliver_test_webhook", bind=True, max_retries=DELIVERY_TRIES)
def deliver_test_webhook(task: Any, url: str, body: str) -> None:
    """Send one webhook to our own door, signed; again in a while if nobody took it."""
    headers = {SIGNATURE_HEADER: signature_of(body.encode()), "content-type": "application/json"}
    try:
        httpx.post(url, content=body, headers=headers, timeout=DELIVERY_TIMEOUT_SECONDS).raise_for_status()
    except httpx.HTTPError as exc:
        logger.warning("test webhook not delivered", extra={"reason": type(exc).__name__})
        raise task.retry(exc=exc, countdown=DELIVERY_PAUSE_SECONDS) from exc


def signature_of(body: bytes, *, at_seconds: int | None = None) -> str:
    """The signature of a webhook: its moment, and an HMAC over moment and body."""
    moment = int(time.time()) if at_seconds is None else at_seconds
    signed = f"{moment}.".encode() + body
    return f"t={moment},v1={hmac.new(_webhook_secret(), signed, hashlib.sha256).hexdigest()}"


def _webhook_secret() -> bytes:
    """This installation's own, so that nobody else can sign."""
    return hmac.new(settings.SECRET_KEY.encode(), b"payments: test webhooks", hashlib.sha256).digest()


def _check_signature(body: bytes, header: str) -> None:
    parts = dict(part.split("=", 1) for part in header.split(",") if "=" in part)
    moment = parts.get("t", "")
    if not (moment.isascii() and moment.isdigit() and len(moment) < 12):
        raise ForgedWebhook("no moment")
    expected = signature_of(body, at_seconds=int(moment))
    if not hmac.compare_digest(expected.encode(), header.encode()):
        raise ForgedWebhook("signature")
    if abs(time.time() - int(moment)) > WEBHOOK_TOLERANCE_SECONDS:
        raise ForgedWebhook("moment")


def _news_of(event: Any) -> ProcessorNews:
    news = ProcessorNews(event_ref=str(event["id"]), type=str(event["type"]))
    if news.type in ("payment.paid", "payment.declined", "payment.refunded", "payment.expired"):
        state = event["state"]
        return replace(
            news,
            order_id=UUID(event["order"]),
            payment_ref=event["ref"],
            state=PaymentState(
                standing=Standing(state["standing"]),
                ref=event["ref"],
                amount_cents=int(state["amount"]),
                refunded_cents=int(state["refunded"]),
                failure=DECLINED_TEXT if state["standing"] == Standing.DECLINED else "",
            ),
        )
    if news.type in ("dispute.withdrawn", "dispute.reinstated"):
        turn = DisputeTurn(news.type.removeprefix("dispute."))
        dispute = Dispute(ref=event["dispute"], turn=turn, amount_cents=int(event["amount"]))
        return replace(news, payment_ref=event["ref"], dispute=dispute)
    return news


def is_open(charge: TestCharge) -> bool:
    """Whether it can still be paid."""
    age = timezone.now() - charge.created_at
    return charge.status in (Standing.OPEN, Standing.DECLINED) and age < CHECKOUT_LIFETIME


def _state_of(charge: TestCharge) -> PaymentState:
    is_unpaid = charge.status == Standing.OPEN
    return PaymentState(
        standing=Standing.EXPIRED if is_unpaid and not is_open(charge) else Standing(charge.status),
        ref=charge.ref,
        amount_cents=charge.amount_cents,
        refunded_cents=charge.refunded_cents,
        failure=DECLINED_TEXT if charge.status == Standing.DECLINED else "",
    )
