"""Stripe, through its official SDK. The only module that imports it.

Checkout for payments with the payer present, PaymentIntents for a saved card, Refunds. Stripe's
objects do not leave this file. Which events to send to the webhook: docs/runbook.md.
"""

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from itertools import islice
from typing import Any
from uuid import UUID

import stripe
from django.conf import settings

from billing.processors.base import (
    ORDER_KEY,
    REFUND_KEY,
    WEBHOOK_TOLERANCE_SECONDS,
    CardDeclined,
    Checkout,
    Dispute,
    DisputeTurn,
    FailedRefund,
    ForgedWebhook,
    Order,
    PaymentState,
    ProcessorNews,
    ProcessorUnavailable,
    RefundRefused,
    SavedCard,
    Standing,
)

CALL_TIMEOUT_SECONDS = 20
NETWORK_RETRIES = 2
MAX_REFUNDS_OF_A_PAYMENT = 1000
CURRENCY = "usd"

# https://docs.stripe.com/api/events/types (checked 2026-11-27)
_STATE_OF_SESSION_EVENT = {
    "checkout.session.completed",
    "checkout.session.async_payment_succeeded",
    "checkout.session.async_payment_failed",
    "checkout.session.expired",
}
_STATE_OF_INTENT_EVENT = {"payment_intent.succeeded", "payment_intent.payment_failed"}
_DISPUTE_TURNS = {
    "charge.dispute.funds_withdrawn": DisputeTurn.WITHDRAWN,
    "charge.dispute.funds_reinstated": DisputeTurn.REINSTATED,
}
_REFUND_EVENTS = {"refund.failed", "refund.updated", "charge.refund.updated"}
# A refund may also fail days later: its money is in our balance again.
# https://docs.stripe.com/refunds#failed-refunds (checked 2026-11-27)
_REFUND_IS_OFF = {"failed", "canceled"}


class StripeProcessor:
    """Stripe's API for one account."""

    name = "stripe"

    def __init__(self, *, secret_key: str, webhook_secret: str, api_base: str) -> None:
        self._webhook_secret = webhook_secret
        self._client = stripe.StripeClient(
            secret_key,
            base_addresses={"api": api_base},
            max_network_retries=NETWORK_RETRIES,
            http_client=stripe.RequestsClient(timeout=CALL_TIMEOUT_SECONDS),
        )

    def open_checkout(self, order: Order, *, return_url: str, is_card_kept: bool) -> Checkout:
        metadata = {ORDER_KEY: str(order.payment_id)}
        intent: dict[str, Any] = {"metadata": metadata, "description": order.description}
        payer: dict[str, Any] = {"customer": order.customer_ref} if order.customer_ref else {}
        if is_card_kept:
            intent["setup_future_usage"] = "off_session"
        if not order.customer_ref:
            payer = {"customer_creation": "always" if is_card_kept else "if_required"}
            if order.email:
                payer["customer_email"] = order.email
        parameters: dict[str, Any] = {
            "mode": "payment",
            "client_reference_id": str(order.payment_id),
            "metadata": metadata,
            "payment_intent_data": intent,
            "line_items": [
                {
                    "quantity": 1,
                    "price_data": {
                        "currency": CURRENCY,
                        "unit_amount": order.amount_cents,
                        "product_data": {"name": order.description},
                    },
                }
            ],
            "success_url": return_url,
            "cancel_url": return_url,
            **payer,
        }
        with _translated():
            session = self._client.v1.checkout.sessions.create(
                parameters,  # type: ignore[arg-type]  # a TypedDict of the SDK, built in parts
                {"idempotency_key": f"checkout-{order.payment_id}"},
            )
        return Checkout(session.id, session.url or "")

    def charge_card(self, order: Order, *, card_ref: str) -> PaymentState:
        try:
            with _translated(stripe.CardError, stripe.InvalidRequestError):
                intent = self._client.v1.payment_intents.create(
                    {
                        "amount": order.amount_cents,
                        "currency": CURRENCY,
                        "customer": order.customer_ref,
                        "payment_method": card_ref,
                        "off_session": True,
                        "confirm": True,
                        "description": order.description,
                        "metadata": {ORDER_KEY: str(order.payment_id)},
                    },
                    {"idempotency_key": f"refill-{order.payment_id}"},
                )
        except stripe.CardError as exc:
            # Also authentication_required: the bank wants its owner, who is away.
            # https://docs.stripe.com/payments/save-and-reuse (checked 2026-11-27)
            raise CardDeclined(exc.user_message or "The card was declined.") from exc
        except stripe.InvalidRequestError as exc:
            raise CardDeclined("The saved card cannot be used any more; save one anew.") from exc
        return _state_of_intent(_plain(intent))

    def state_of(self, *, checkout_ref: str, payment_ref: str) -> PaymentState:
        with _translated():
            if payment_ref:
                state = _state_of_intent(self._intent(payment_ref))
                return replace(state, refunded_cents=self._refunded_cents(state))
            session = _plain(self._client.v1.checkout.sessions.retrieve(checkout_ref))
        return _state_of_session(session)

    def card_of(self, payment_ref: str) -> SavedCard | None:
        with _translated():
            intent = self._intent(payment_ref)
        card = intent.get("payment_method")
        if not isinstance(card, dict) or not intent.get("customer"):
            return None
        return SavedCard(str(intent["customer"]), card["id"], _label_of(card))

    def forget_card(self, card_ref: str) -> None:
        try:
            with _translated(stripe.InvalidRequestError):
                self._client.v1.payment_methods.detach(card_ref)
        except stripe.InvalidRequestError:
            return

    def refund(self, *, refund_id: UUID, payment_ref: str, amount_cents: int) -> None:
        try:
            with _translated(stripe.InvalidRequestError, stripe.CardError):
                refund = self._client.v1.refunds.create(
                    {
                        "payment_intent": payment_ref,
                        "amount": amount_cents,
                        "metadata": {REFUND_KEY: str(refund_id)},
                    },
                    {"idempotency_key": f"refund-{refund_id}"},
                )
        except (stripe.InvalidRequestError, stripe.CardError) as exc:
            raise RefundRefused(exc.user_message or "Stripe refused the refund.") from exc
        if refund.status in _REFUND_IS_OFF:
            raise RefundRefused(_failure_of(_plain(refund)))

    def order_of(self, payment_ref: str) -> UUID | None:
        try:
            with _translated(stripe.InvalidRequestError):
                return _order_in(self._intent(payment_ref))
        except stripe.InvalidRequestError:
            return None

    def read_webhook(self, body: bytes, headers: Mapping[str, str]) -> ProcessorNews:
        header = headers.get("stripe-signature", "")
        try:
            stripe.WebhookSignature.verify_header(
                body, header, self._webhook_secret, WEBHOOK_TOLERANCE_SECONDS
            )
            _refuse_the_future(header)
            event = json.loads(body)
            return _news_of(event)
        except (stripe.SignatureVerificationError, ValueError, KeyError, TypeError, AttributeError) as exc:
            raise ForgedWebhook(type(exc).__name__) from exc

    def _intent(self, payment_ref: str) -> dict[str, Any]:
        expand: Any = {"expand": ["latest_charge", "payment_method"]}
        return _plain(self._client.v1.payment_intents.retrieve(payment_ref, expand))

    def _refunded_cents(self, state: PaymentState) -> int:
        """Without the refunds that failed: whether a charge still counts those, Stripe does not say."""
        if not state.refunded_cents:
            return 0
        refunds = self._client.v1.refunds.list({"payment_intent": state.ref, "limit": 100})
        listed = islice(refunds.auto_paging_iter(), MAX_REFUNDS_OF_A_PAYMENT)
        return sum(refund.amount for refund in listed if refund.status not in _REFUND_IS_OFF)


@cache
def stripe_processor() -> StripeProcessor:
    """The processor of the settings' account."""
    console = settings.FAREBOX_CONSOLE
    return StripeProcessor(
        secret_key=console.stripe_secret_key,
        webhook_secret=console.stripe_webhook_secret,
        api_base=console.stripe_api_base,
    )


@contextmanager
def _translated(*passing: type[stripe.StripeError]) -> Iterator[None]:
    """Errors of the SDK as ProcessorUnavailable; those of a kind that the caller knows pass."""
    try:
        yield
    except passing:
        raise
    except stripe.StripeError as exc:
        raise ProcessorUnavailable(f"{type(exc).__name__}: {exc.code or 'no code'}") from exc


def _refuse_the_future(header: str) -> None:
    """The SDK refuses what is too old; a moment that has not come yet is as wrong."""
    moments = [int(part[2:]) for part in header.split(",") if part.startswith("t=")]
    if not moments or max(moments) > time.time() + WEBHOOK_TOLERANCE_SECONDS:
        raise ValueError("signed in the future")


def _news_of(event: Any) -> ProcessorNews:
    news, thing = ProcessorNews(event_ref=str(event["id"]), type=str(event["type"])), event["data"]["object"]
    ref = _id_of(thing.get("payment_intent"))
    if news.type in _STATE_OF_SESSION_EVENT:
        state = _state_of_session(thing)
        if news.type == "checkout.session.async_payment_failed":
            state = PaymentState(standing=Standing.EXPIRED, failure="The payment did not go through.")
        return replace(news, order_id=_order_in(thing), payment_ref=ref, state=state)
    if news.type in _STATE_OF_INTENT_EVENT:
        state = _state_of_intent(thing)
        return replace(news, order_id=_order_in(thing), payment_ref=thing["id"], state=state)
    if news.type == "charge.refunded":
        state_then = _state_of_charge(thing, ref)
        return replace(news, order_id=_order_in(thing), payment_ref=ref, state=state_then)
    if news.type in _DISPUTE_TURNS:
        dispute = Dispute(ref=thing["id"], turn=_DISPUTE_TURNS[news.type], amount_cents=int(thing["amount"]))
        return replace(news, payment_ref=ref, dispute=dispute)
    if news.type in _REFUND_EVENTS and thing["status"] in _REFUND_IS_OFF:
        return replace(news, payment_ref=ref, failed_refund=_failed_refund(thing))
    return news


def _state_of_session(session: dict[str, Any]) -> PaymentState:
    ref = _id_of(session.get("payment_intent"))
    if session.get("payment_status") == "paid" and session.get("currency") == CURRENCY:
        return PaymentState(standing=Standing.PAID, ref=ref, amount_cents=int(session["amount_total"]))
    if session.get("status") == "expired":
        return PaymentState(standing=Standing.EXPIRED, ref=ref)
    return PaymentState(standing=Standing.OPEN, ref=ref)


def _state_of_intent(intent: dict[str, Any]) -> PaymentState:
    ref = str(intent["id"])
    if intent["status"] == "succeeded" and intent.get("currency") == CURRENCY:
        charge = intent.get("latest_charge")
        refunded = int(charge.get("amount_refunded", 0)) if isinstance(charge, dict) else 0
        return PaymentState(
            standing=Standing.PAID,
            ref=ref,
            amount_cents=int(intent["amount_received"]),
            refunded_cents=refunded,
        )
    if intent["status"] in ("requires_payment_method", "canceled"):
        failure = (intent.get("last_payment_error") or {}).get("message") or ""
        return PaymentState(standing=Standing.DECLINED, ref=ref, failure=str(failure)[:256])
    return PaymentState(standing=Standing.OPEN, ref=ref)


def _state_of_charge(charge: dict[str, Any], ref: str) -> PaymentState | None:
    if not charge.get("paid") or charge.get("currency") != CURRENCY:
        return None
    return PaymentState(
        standing=Standing.PAID,
        ref=ref,
        amount_cents=int(charge["amount_captured"]),
        refunded_cents=int(charge["amount_refunded"]),
    )


def _failed_refund(refund: dict[str, Any]) -> FailedRefund:
    return FailedRefund(
        refund_id=_our_id_in(refund, REFUND_KEY),
        amount_cents=int(refund["amount"]),
        failure=_failure_of(refund),
    )


def _failure_of(refund: dict[str, Any]) -> str:
    reason = str(refund.get("failure_reason") or refund["status"]).replace("_", " ")
    return f"Stripe could not refund it: {reason}."


def _order_in(thing: dict[str, Any]) -> UUID | None:
    return _our_id_in(thing, ORDER_KEY)


def _our_id_in(thing: dict[str, Any], key: str) -> UUID | None:
    try:
        return UUID(str((thing.get("metadata") or {}).get(key, "")))
    except ValueError:
        return None


def _label_of(card: dict[str, Any]) -> str:
    details = card.get("card") or {}
    brand = str(details.get("brand") or card.get("type") or "card").replace("_", " ").capitalize()
    last_four = str(details.get("last4") or "")
    return f"{brand} ending in {last_four}"[:64] if last_four else brand[:64]


def _id_of(reference: Any) -> str:
    """The id of something that Stripe gives as an id or as the object itself."""
    return str(reference["id"]) if isinstance(reference, dict) else str(reference or "")


def _plain(thing: "stripe.StripeObject") -> dict[str, Any]:
    return thing.to_dict()
