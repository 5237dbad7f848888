"""Paying with the built-in test processor, from the billing page to the ledger."""

import dataclasses
from datetime import timedelta
from decimal import Decimal

import pytest
from django.urls import reverse
from django.utils import timezone

from billing.models import Payment, TestCharge
from billing.open_payments import MAX_PAYMENTS_PER_SWEEP, settle_open_payments
from billing.profiles import profile_of
from tests.billing.payment_cases import ask, balance, charge_of, latest, moves, pay


@pytest.fixture
def fee(settings):
    """A fee of 5.5 % on top of bought credit."""
    settings.FAREBOX_CONSOLE = dataclasses.replace(settings.FAREBOX_CONSOLE, top_up_fee_basis_points=550)


def test_credit_is_bought_from_the_page_to_the_ledger(alice):
    checkout = ask(alice, "50")
    assert checkout.url.startswith("/payments/test/test_pi_")
    assert "Pay $50.00" in alice.browser.get(checkout.url).content.decode()

    answer = alice.browser.post(checkout.url, {"card": "good"})
    page = alice.browser.get(answer.url)

    assert "$50.00 of credit was added" in page.content.decode()
    assert moves(alice) == [("top_up", Decimal(50))]
    payment = latest(alice)
    assert (payment.status, payment.kind, payment.created_by) == ("succeeded", "checkout", alice.person)


def test_the_page_that_the_payer_comes_back_to_posts_once_however_often_it_is_opened(alice):
    payment = pay(alice, "20")

    for _ in range(3):
        alice.browser.get(reverse("payment", args=[alice.organization.slug, payment.pk]))

    assert balance(alice) == 20


def test_a_fee_comes_on_top_and_is_a_transfer_of_its_own(alice, fee):
    payment = pay(alice, "10.01")

    assert (payment.credit_usd, payment.fee_usd, payment.amount_usd) == (
        Decimal("10.01"),
        Decimal("0.55"),
        Decimal("10.56"),
    )
    assert moves(alice) == [("top_up", Decimal("10.56")), ("fee", Decimal("-0.55"))]
    assert balance(alice) == Decimal("10.01")


def test_a_declined_card_adds_nothing_and_another_one_may_follow(alice):
    checkout = ask(alice, "50").url

    page = alice.browser.post(checkout, {"card": "declined"})
    assert "was declined" in page.content.decode()
    assert moves(alice) == []

    alice.browser.get(alice.browser.post(checkout, {"card": "good"}).url)
    assert balance(alice) == 50


def test_a_bank_that_asks_is_answered_before_anything_is_paid(alice):
    checkout = ask(alice, "50").url

    page = alice.browser.post(checkout, {"card": "confirm"})
    assert "is it you who pays?" in page.content.decode()
    assert charge_of(latest(alice)).status == "open"
    refused = alice.browser.post(checkout, {"card": "confirm", "answer": "no"})
    assert "was declined" in refused.content.decode()
    confirmed = alice.browser.post(checkout, {"card": "confirm", "answer": "yes"})
    alice.browser.get(confirmed.url)

    assert balance(alice) == 50


def test_whoever_leaves_the_checkout_finds_the_payment_open(alice):
    ask(alice, "50")

    page = alice.browser.get(reverse("payment", args=[alice.organization.slug, latest(alice).pk]))

    assert "has not arrived yet" in page.content.decode()
    assert moves(alice) == []


def test_a_paid_checkout_is_not_paid_again(alice):
    payment = pay(alice, "50")

    again = alice.browser.post(reverse("test_checkout", args=[payment.checkout_ref]), {"card": "good"})

    assert again.status_code == 302
    assert balance(alice) == 50


@pytest.mark.parametrize(
    ("credit", "words"),
    [
        ("-5", "greater than or equal to 5"),
        ("0", "greater than or equal to 5"),
        ("4.99", "greater than or equal to 5"),
        ("10000.01", "less than or equal to 10000"),
        ("1e30", "Ensure that there are no more than"),
        ("5.001", "no more than 2 decimal places"),
        ("0.0000000001", "decimal places"),
        ("NaN", "Enter a number"),
        ("lots", "Enter a number"),
        ("", "required"),
    ],
)
def test_an_amount_that_cannot_be_bought_is_told_beside_its_field(alice, credit, words):
    page = ask(alice, credit)

    assert page.status_code == 200
    assert words in str(page.context["top_up_form"].errors["credit_usd"])
    assert not Payment.objects.filter(organization=alice.organization).exists()


@pytest.mark.parametrize("credit", ["5", "10000"])
def test_the_smallest_and_the_largest_amount_can_be_bought(alice, credit):
    assert pay(alice, credit).status == "succeeded"
    assert balance(alice) == Decimal(credit)


def test_a_card_is_saved_only_when_the_payer_wants_it(alice):
    pay(alice, "10")
    assert profile_of(alice.organization).card_ref == ""

    payment = pay(alice, "10", is_card_to_save="on")

    assert profile_of(alice.organization).card_label == "Test card (good)"
    assert payment.is_card_to_save is False


def test_a_payment_that_nobody_told_us_of_is_found_by_the_sweep(alice):
    checkout = ask(alice, "30").url
    alice.browser.post(checkout, {"card": "good"})
    assert balance(alice) == 0
    Payment.objects.update(created_at=latest(alice).created_at.replace(year=2025))

    settle_open_payments()

    assert balance(alice) == 30
    assert latest(alice).status == "succeeded"


def test_a_payment_that_cannot_be_settled_does_not_keep_the_others_from_it(alice, charlie):
    ask(alice, "30")
    charlie.browser.post(ask(charlie, "30").url, {"card": "good"})
    Payment.objects.update(created_at=timezone.now() - timedelta(hours=2))
    Payment.objects.filter(pk=latest(alice).pk).update(created_at=timezone.now() - timedelta(hours=3))
    TestCharge.objects.filter(order_id=latest(alice).pk).update(status="of no kind")

    assert settle_open_payments() == 1

    assert balance(charlie) == 30


def test_payments_that_are_never_told_of_do_not_keep_the_sweep_from_others(alice, charlie):
    alice.browser.post(ask(alice, "30").url, {"card": "good"})
    Payment.objects.filter(pk=latest(alice).pk).update(created_at=timezone.now() - timedelta(hours=1))
    stuck = Payment.objects.bulk_create(
        Payment(
            organization=charlie.organization,
            kind="checkout",
            processor="test",
            credit_usd=5,
            amount_usd=5,
            checkout_ref=f"unknown-{number}",
        )
        for number in range(MAX_PAYMENTS_PER_SWEEP)
    )
    ids = [payment.pk for payment in stuck]
    Payment.objects.filter(pk__in=ids).update(created_at=timezone.now() - timedelta(hours=2))

    assert settle_open_payments() == MAX_PAYMENTS_PER_SWEEP
    assert balance(alice) == 0
    settle_open_payments()

    assert balance(alice) == 30


def test_without_a_processor_nothing_can_be_bought_and_nothing_pretends(alice, settings):
    settings.FAREBOX_PAYMENT_PROCESSOR = "none"

    page = ask(alice, "50")

    assert "takes no payments" in str(page.context["top_up_form"].errors)
    assert not Payment.objects.exists()
    assert alice.browser.get("/payments/test/test_pi_x/").status_code == 404
    assert alice.browser.post(reverse("payment_webhook"), b"{}", "application/json").status_code == 404
