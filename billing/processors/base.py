"""What a payment processor must be able to do, and what it tells: plain values in US cents.

Processors know orders by our payment's id, which they carry along as metadata and as idempotency
key: asking for the same order twice makes one payment. Nothing here touches the database; what
follows from a fact is in `billing.payments`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Protocol
from uuid import UUID

WEBHOOK_TOLERANCE_SECONDS = 300
ORDER_KEY = "farebox_payment"
REFUND_KEY = "farebox_refund"
# An hour less than the 24 for which Stripe remembers an idempotency key at least.
# https://docs.stripe.com/api/idempotent_requests (checked 2026-11-27)
ASKED_AGAIN_FOR = timedelta(hours=23)


class ProcessorUnavailable(Exception):
    """The processor did not answer, or not as agreed: whether it acted is not known. Ask again."""


class CardDeclined(Exception):
    """The saved card was not charged; the message is for its owner."""


class RefundRefused(Exception):
    """The processor will not refund this, whenever it is asked, or could not."""


class ForgedWebhook(Exception):
    """A webhook that the processor did not send, or that was sent too long ago or in the future."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A payment that is asked for."""

    payment_id: UUID
    amount_cents: int
    description: str
    email: str = ""
    customer_ref: str = ""


@dataclass(frozen=True, slots=True)
class Checkout:
    """Where the payer pays."""

    ref: str
    url: str


@dataclass(frozen=True, slots=True)
class SavedCard:
    """A card that the processor keeps for us."""

    customer_ref: str
    card_ref: str
    label: str


class Standing(StrEnum):
    """How an order stands at the processor."""

    OPEN = "open"
    PAID = "paid"
    DECLINED = "declined"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentState:
    """What the processor knows of an order; `refunded_cents` is all that went back by refunds."""

    standing: Standing
    ref: str = ""
    amount_cents: int = 0
    refunded_cents: int = 0
    failure: str = ""


class DisputeTurn(StrEnum):
    """Which way a dispute moved the money."""

    WITHDRAWN = "withdrawn"
    REINSTATED = "reinstated"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispute:
    """Money that a card's bank took back, or returned."""

    ref: str
    turn: DisputeTurn
    amount_cents: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedRefund:
    """A refund whose money came back to us; `refund_id` is None when we did not ask for it."""

    refund_id: UUID | None
    amount_cents: int
    failure: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessorNews:
    """One webhook, read. `order_id` is None when the processor did not send it: see `order_of`.

    Neither `state`, `dispute` nor `failed_refund`: a type that moves no money of ours.
    """

    event_ref: str
    type: str
    order_id: UUID | None = None
    payment_ref: str = ""
    state: PaymentState | None = None
    dispute: Dispute | None = None
    failed_refund: FailedRefund | None = None


class PaymentProcessor(Protocol):
    """A processor. Every method but `read_webhook` may raise ProcessorUnavailable."""

    name: str

    def open_checkout(self, order: Order, *, return_url: str, is_card_kept: bool) -> Checkout:
        """Make a page on which the payer pays this order and comes back to `return_url`."""

    def charge_card(self, order: Order, *, card_ref: str) -> PaymentState:
        """Charge a saved card while its owner is away. Raises CardDeclined."""

    def state_of(self, *, checkout_ref: str, payment_ref: str) -> PaymentState:
        """How an order stands, by whichever reference is known."""

    def card_of(self, payment_ref: str) -> SavedCard | None:
        """The card that was saved with a payment; None if none was."""

    def forget_card(self, card_ref: str) -> None:
        """Have the processor drop a saved card; one that is gone already is no error."""

    def refund(self, *, refund_id: UUID, payment_ref: str, amount_cents: int) -> None:
        """Give money back, once per `refund_id`. Raises RefundRefused."""

    def order_of(self, payment_ref: str) -> UUID | None:
        """Our payment's id for the processor's own; None if it is not of ours."""

    def read_webhook(self, body: bytes, headers: Mapping[str, str]) -> ProcessorNews:
        """Check the signature and read. Raises ForgedWebhook."""
