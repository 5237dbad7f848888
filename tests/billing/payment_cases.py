"""What tests of payments share: paying on the test processor's page, and its webhooks, signed."""

import json
import uuid
from decimal import Decimal

from django.test import Client
from django.urls import reverse

from billing.models import LedgerEntry, Payment, TestCharge
from billing.processors.built_in_test import SIGNATURE_HEADER, signature_of
from billing.selectors import balance_usd


def ask(somebody, credit="50", **fields):
    """Ask for credit on the billing page; the answer leads to the checkout."""
    url = reverse("top_up", args=[somebody.organization.slug])
    return somebody.browser.post(url, {"credit_usd": credit, **fields})


def pay(somebody, credit="50", card="good", **fields):
    """Buy credit to the end, and give the payment as it stands then."""
    checkout = ask(somebody, credit, **fields).url
    answer = somebody.browser.post(checkout, {"card": card})
    somebody.browser.get(answer.url)
    return latest(somebody)


def latest(somebody):
    return Payment.objects.filter(organization=somebody.organization).latest("created_at")


def charge_of(payment):
    return TestCharge.objects.get(order_id=payment.pk)


def balance(somebody):
    return balance_usd(somebody.organization)


def moves(somebody):
    """Kind and amount of everything that moved the credit, in order."""
    rows = LedgerEntry.objects.filter(
        account__organization=somebody.organization, account__kind="prepaid_credit"
    )
    return [(row.transfer.kind, row.amount_usd) for row in rows.select_related("transfer").order_by("pk")]


def paid_event(payment, **changes):
    """The processor's news of a payment that went well."""
    state = {"standing": "paid", "amount": int(payment.amount_usd * 100), "refunded": 0}
    return {
        "id": f"test_evt_{uuid.uuid4().hex}",
        "type": "payment.paid",
        "order": str(payment.pk),
        "ref": payment.checkout_ref,
        "state": {**state, **changes.pop("state", {})},
        **changes,
    }


def dispute_event(payment, turn, amount_cents, dispute="dp_1"):
    return {
        "id": f"test_evt_{uuid.uuid4().hex}",
        "type": f"dispute.{turn}",
        "dispute": dispute,
        "ref": payment.checkout_ref,
        "amount": amount_cents,
    }


def tell(event, *, header=None, at_seconds=None):
    """Send a webhook to the door."""
    body = json.dumps(event).encode()
    signature = signature_of(body, at_seconds=at_seconds) if header is None else header
    return Client().post(
        reverse("payment_webhook"),
        data=body,
        content_type="application/json",
        headers={SIGNATURE_HEADER: signature},
    )


def usd(text):
    return Decimal(text)
