"""The audit of payments, codes and invoices: quiet on what is right, and it finds what is planted."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.utils import timezone

from billing.audit import audit_ledger
from billing.invoices import issue_documents
from billing.ledger import TransferKind
from billing.models import Invoice, TestCharge
from billing.price_book import load_price_book
from billing.promotions import create_promotion_code, redeem_promotion_code
from billing.refunds import refund_payment
from billing.services import adjust_credit
from tests.billing.payment_cases import dispute_event, pay, tell
from tests.billing.test_invoices import credit, fee

SAYS = "A payment's transfers are what it says: paid once, given back never more than that"
MOVED = "What a payment or a promotion code says it moved is what the ledger moved"
CODES = "A promotion code was used as often as its redemptions say"
NUMBERS = "Invoice numbers run from 1 without a gap"
BYTES = "Every invoice is the bytes that were issued"
BILLED = "An invoice and its notes bill what the ledger took in their period"
NOVEMBER = datetime(2026, 11, 1, 6, tzinfo=UTC)

TAMPERINGS = {
    "a payment is called unpaid": ("UPDATE billing_payment SET status = 'failed'", {SAYS}),
    "a payment's fee is forgotten": (
        "UPDATE billing_payment SET fee_usd = 1, amount_usd = amount_usd + 1, credit_usd = amount_usd",
        {SAYS},
    ),
    "a refund is forgotten": ("UPDATE billing_payment SET refunded_usd = 0", {SAYS}),
    "a refund is halved": (
        "UPDATE billing_paymenttransfer SET amount_usd = amount_usd / 2 WHERE kind = 'refund'",
        {SAYS, MOVED},
    ),
    "a code is made dearer": ("UPDATE billing_promotioncode SET amount_usd = amount_usd + 1", {MOVED}),
    "a code's uses are turned back": ("UPDATE billing_promotioncode SET uses = 0", {CODES}),
    "an invoice's PDF is changed": ("UPDATE billing_invoice SET pdf = pdf || '\\x00'::bytea", {BYTES}),
    "an invoice's page is changed": ("UPDATE billing_invoice SET html = html || '\\x20'::bytea", {BYTES}),
    "an invoice's total is changed": (
        "UPDATE billing_invoice SET total_usd = total_usd + 1 WHERE corrects_id IS NULL",
        {BILLED},
    ),
    "a credit note is thrown away": (
        "DELETE FROM billing_invoice WHERE corrects_id IS NOT NULL",
        {BILLED, NUMBERS},
    ),
}


def broken():
    """How many rows break each rule, by its title."""
    audit = audit_ledger(load_price_book(), events_kept_since=timezone.now() - timedelta(days=400))
    return {finding.title: finding.differences for finding in audit.findings}


@pytest.fixture
def before(alice):
    """Every kind of movement, an invoice and its note, and nothing that differs because of them."""
    counts = broken()
    payment = pay(alice, "50")
    refund_payment(payment=payment, amount_usd=Decimal(5))
    refused = pay(alice, "20")
    TestCharge.objects.filter(order_id=refused.pk).update(refunded_cents=1500)
    assert refund_payment(payment=refused, amount_usd=Decimal(10)) == "refused"
    tell(dispute_event(payment, "withdrawn", 1000))
    tell(dispute_event(payment, "reinstated", 1000))
    create_promotion_code(code="AUDIT", amount_usd=Decimal(3), most_uses=5)
    redeem_promotion_code(organization=alice.organization, person=None, code="AUDIT")
    for amount in ("-1", "0.5"):
        adjust_credit(organization=alice.organization, amount_usd=Decimal(amount), description="Correction")
    fee(alice, "2", "2026-10-03T10:00:00")
    issue_documents(alice.organization, NOVEMBER)
    credit(alice, "1", "2026-10-25T00:00:00", TransferKind.ADJUSTMENT, "adjustment")
    issue_documents(alice.organization, NOVEMBER)
    assert Invoice.objects.filter(organization=alice.organization).count() == 2
    return counts


def test_every_kind_of_movement_leaves_the_audit_quiet(before):
    assert broken() == before


@pytest.mark.parametrize("name", TAMPERINGS)
def test_what_is_altered_is_found(before, name):
    statement, rules = TAMPERINGS[name]

    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(statement)
        cursor.execute("SET LOCAL session_replication_role = origin")

    found = broken()
    assert {title for title in found if found[title] > before[title]} == rules
