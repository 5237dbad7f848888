"""Refunds: of a payment, within what was paid and within the credit that is free."""

import threading
import uuid
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import connections, transaction

from billing.errors import InvalidAmount, PaymentsOff, RefundTooLarge
from billing.invoices import issue_documents
from billing.models import LedgerAccount, Payment, TestCharge
from billing.refunds import ask_again, ask_processor, refund_payment
from billing.services import adjust_credit
from billing.wallet import free_credit_usd, wallet_key
from gateway.counter_names import wallet_counter
from gateway.policy import shard_of, shard_prefix
from tests.billing.payment_cases import ask, balance, charge_of, latest, moves, pay
from tests.house import eventually
from tests.people import founder
from tests.waiting import is_somebody_waiting


@pytest.fixture
def wallet(alice, redis_client):
    """What the data plane counts of alice's wallet."""
    key = wallet_key(alice.organization.pk, settings.FAREBOX_SHARDS)

    def count(*, spent_nano, held_nano):
        redis_client.hset(key, mapping={"s": spent_nano, "h": held_nano})

    yield count
    redis_client.delete(key)


def test_part_of_a_payment_is_given_back(alice):
    payment = pay(alice, "50")

    assert refund_payment(payment=payment, amount_usd=Decimal("12.50")) == "done"

    assert moves(alice) == [("top_up", Decimal(50)), ("refund", Decimal("-12.50"))]
    assert charge_of(payment).refunded_cents == 1250
    payment.refresh_from_db()
    assert payment.refunded_usd == Decimal("12.50")


def test_a_refund_that_is_asked_for_twice_is_given_once(alice):
    payment, refund_id = pay(alice, "50"), uuid.uuid4()

    for _ in range(2):
        refund_payment(payment=payment, amount_usd=Decimal(20), id=refund_id)

    assert balance(alice) == 30
    assert charge_of(payment).refunded_cents == 2000


def test_no_more_than_was_paid_is_given_back(alice):
    payment = pay(alice, "50")
    pay(alice, "50")
    refund_payment(payment=payment, amount_usd=Decimal(30))

    with pytest.raises(RefundTooLarge, match=r"At most \$20.00 of this payment"):
        refund_payment(payment=payment, amount_usd=Decimal("20.01"))

    assert balance(alice) == 70
    assert refund_payment(payment=payment, amount_usd=Decimal(20)) == "done"


def test_no_more_than_the_credit_that_is_left_is_given_back(alice):
    payment = pay(alice, "50")
    adjust_credit(organization=alice.organization, amount_usd=Decimal(-40), description="Spent")

    with pytest.raises(RefundTooLarge, match=r"Only \$10.00 of the credit is left"):
        refund_payment(payment=payment, amount_usd=Decimal("10.01"))

    assert refund_payment(payment=payment, amount_usd=Decimal(10)) == "done"
    assert balance(alice) == 0


def test_what_running_requests_hold_is_not_given_back(alice, wallet):
    payment = pay(alice, "50")
    wallet(spent_nano=5_000_000_000, held_nano=15_000_000_001)
    assert free_credit_usd(alice.organization) == Decimal("29.999999999")

    with pytest.raises(RefundTooLarge, match=r"29\.999999999"):
        refund_payment(payment=payment, amount_usd=Decimal(30))

    assert refund_payment(payment=payment, amount_usd=Decimal("29.99")) == "done"


def test_the_wallet_is_read_where_the_data_plane_writes_it(alice):
    organization_id = alice.organization.pk
    prefix = shard_prefix(shard_of(organization_id, 16))

    assert wallet_key(organization_id, 16) == f"{prefix}money:{wallet_counter(organization_id)}"


@pytest.mark.parametrize("amount", ["0", "-5", "0.001", "1e20", "NaN", "0.0000000001"])
def test_an_amount_that_is_no_refund_is_refused(alice, amount):
    payment = pay(alice, "50")

    with pytest.raises(InvalidAmount):
        refund_payment(payment=payment, amount_usd=Decimal(amount))

    assert balance(alice) == 50


def test_a_payment_that_was_not_paid_cannot_be_given_back(alice):
    pay(alice, "50")
    ask(alice, "50")

    with pytest.raises(RefundTooLarge, match="Nothing was paid"):
        refund_payment(payment=latest(alice), amount_usd=Decimal(1))


def test_a_refund_that_the_processor_refuses_is_credited_again(alice):
    payment = pay(alice, "50")
    TestCharge.objects.filter(order_id=payment.pk).update(status="declined")

    assert refund_payment(payment=payment, amount_usd=Decimal(20)) == "refused"

    assert moves(alice)[1:] == [("refund", Decimal(-20)), ("top_up", Decimal(20))]
    payment.refresh_from_db()
    assert payment.refunded_usd == 0


def test_a_refusal_tells_what_was_refunded_at_the_processor(alice):
    payment = pay(alice, "50")
    TestCharge.objects.filter(order_id=payment.pk).update(refunded_cents=4500)

    assert refund_payment(payment=payment, amount_usd=Decimal(20)) == "refused"

    assert moves(alice)[1:] == [
        ("refund", Decimal(-20)),
        ("top_up", Decimal(20)),
        ("refund", Decimal(-45)),
    ]
    payment.refresh_from_db()
    assert payment.refunded_usd == 45


def test_a_refusal_changes_no_invoice(alice):
    payment = pay(alice, "50")
    TestCharge.objects.filter(order_id=payment.pk).update(status="declined")
    refund_payment(payment=payment, amount_usd=Decimal(20))

    assert issue_documents(alice.organization, datetime(2050, 1, 1, tzinfo=UTC)) == 0


def test_a_refusal_waits_for_the_payment_before_it_takes_the_accounts(committed):
    somebody = founder("refused-refund@example.com", organization_name="Refused refund")
    payment = pay(somebody, "50")
    refund_id = uuid.uuid4()
    refund_payment(payment=payment, amount_usd=Decimal(20), id=refund_id)
    payment.transfers.filter(pk=refund_id).update(status="asked")
    TestCharge.objects.filter(order_id=payment.pk).update(refunded_cents=4500, refund_ids=[])
    answers = []

    def refuse():
        try:
            answers.append(ask_processor(refund_id))
        finally:
            connections.close_all()

    refusing = threading.Thread(target=refuse)
    with transaction.atomic():
        Payment.objects.select_for_update().get(pk=payment.pk)
        refusing.start()
        eventually(is_somebody_waiting, "the refusal to wait for the payment")
        accounts = LedgerAccount.objects.filter(organization=somebody.organization)
        assert len(accounts.select_for_update(nowait=True)) > 0
    refusing.join()

    assert answers == ["refused"]
    assert balance(somebody) == 5


def test_a_refund_whose_answer_was_lost_is_asked_for_again_and_given_once(alice):
    payment = pay(alice, "50")
    refund_payment(payment=payment, amount_usd=Decimal(20))
    payment.transfers.filter(kind="refund").update(status="asked")

    assert ask_again() == 1
    assert ask_again() == 0

    assert charge_of(payment).refunded_cents == 2000
    assert balance(alice) == 30


def test_a_refund_that_cannot_be_asked_for_does_not_keep_the_others_waiting(alice, charlie):
    broken, waiting = pay(alice, "50"), pay(charlie, "50")
    for payment in (broken, waiting):
        refund_payment(payment=payment, amount_usd=Decimal(20))
        payment.transfers.filter(kind="refund").update(status="asked")
    TestCharge.objects.filter(order_id=broken.pk).update(status="of no kind")

    assert ask_again() == 1

    assert waiting.transfers.get(kind="refund").status == "done"


def test_a_payment_of_a_processor_that_is_not_in_use_is_not_refunded(alice):
    payment = pay(alice, "50")
    type(payment).objects.filter(pk=payment.pk).update(processor="stripe")

    with pytest.raises(PaymentsOff, match="taken by stripe, which is not in use"):
        refund_payment(payment=payment, amount_usd=Decimal(1))

    assert balance(alice) == 50


def test_the_operator_refunds_by_command(alice, capsys):
    payment = pay(alice, "50")

    call_command("refundpayment", str(payment.pk), "12.50")

    assert "done" in capsys.readouterr().out
    assert balance(alice) == Decimal("37.50")
    with pytest.raises(CommandError, match="At most"):
        call_command("refundpayment", str(payment.pk), "40")
    with pytest.raises(CommandError, match="no payment"):
        call_command("refundpayment", str(uuid.uuid4()), "1")
    with pytest.raises(CommandError, match="not an amount"):
        call_command("refundpayment", str(payment.pk), "ten")
