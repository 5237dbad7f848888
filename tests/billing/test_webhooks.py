"""Webhooks: signed by whom they say, each applied once, in any order, at any hour."""

import itertools
import time
import uuid
from decimal import Decimal

import pytest
from django.test import Client
from django.urls import reverse

from billing.models import BillingProfile, Payment, ProcessorEvent
from billing.processors.built_in_test import SIGNATURE_HEADER, signature_of
from tests.billing.payment_cases import (
    ask,
    balance,
    dispute_event,
    latest,
    moves,
    paid_event,
    pay,
    tell,
)

HOUR_SECONDS = 3600


@pytest.fixture
def asked(alice):
    """A payment of $50 that its payer has left open."""
    ask(alice, "50")
    return latest(alice)


def outcome_of(answer):
    assert answer.status_code == 200, answer.content
    return answer.json()["outcome"]


def test_the_webhook_alone_adds_the_credit(alice, asked):
    assert outcome_of(tell(paid_event(asked))) == "applied"

    assert moves(alice) == [("top_up", Decimal(50))]


def test_an_event_that_is_told_again_changes_nothing(alice, asked):
    event = paid_event(asked)

    assert [outcome_of(tell(event)) for _ in range(3)] == ["applied", "nothing_to_do", "nothing_to_do"]

    assert balance(alice) == 50
    assert ProcessorEvent.objects.filter(event_ref=event["id"]).count() == 1


def test_the_same_payment_told_by_another_event_adds_nothing(alice, asked):
    outcomes = [outcome_of(tell(paid_event(asked))) for _ in range(2)]

    assert outcomes == ["applied", "nothing_to_do"]
    assert balance(alice) == 50


@pytest.mark.parametrize(
    "header",
    [
        "",
        "t=1,v1=",
        "v1=0000",
        "t=now,v1=0000",
        f"t={int(time.time())},v1={'0' * 64}",
        "t=" + "9" * 40 + ",v1=00",
        "ü",
    ],
)
def test_a_forged_webhook_is_refused_and_leaves_nothing(alice, asked, header):
    answer = tell(paid_event(asked), header=header)

    assert answer.status_code == 400
    assert moves(alice) == []
    assert not ProcessorEvent.objects.exists()


def test_a_signature_does_not_fit_another_body(alice, asked):
    real = paid_event(asked)
    stolen = tell(real).request["HTTP_" + SIGNATURE_HEADER.upper().replace("-", "_")]

    answer = tell({**real, "id": "another"}, header=stolen)

    assert answer.status_code == 400
    assert balance(alice) == 50


@pytest.mark.parametrize(
    ("seconds", "status"), [(-HOUR_SECONDS, 400), (HOUR_SECONDS, 400), (-200, 200), (200, 200)]
)
def test_a_clock_that_is_an_hour_off_is_refused_and_one_of_minutes_is_not(alice, asked, seconds, status):
    answer = tell(paid_event(asked), at_seconds=int(time.time()) + seconds)

    assert answer.status_code == status
    assert balance(alice) == (50 if status == 200 else 0)


def test_what_a_wrong_clock_refused_is_recorded_when_the_payer_comes_back(alice, asked):
    tell(paid_event(asked), at_seconds=int(time.time()) - HOUR_SECONDS)

    alice.browser.post(reverse("test_checkout", args=[asked.checkout_ref]), {"card": "good"})
    alice.browser.get(reverse("payment", args=[alice.organization.slug, asked.pk]))

    assert balance(alice) == 50


def test_an_unknown_type_is_taken_and_changes_nothing(alice, asked):
    event = {"id": "e1", "type": "customer.sang", "anything": 1}

    assert outcome_of(tell(event)) == "unknown_type"
    assert moves(alice) == []


def test_news_of_a_payment_that_is_not_ours_changes_nothing(alice, asked):
    assert outcome_of(tell(paid_event(asked, order=str(uuid.uuid4())))) == "unknown_payment"
    assert moves(alice) == []


@pytest.mark.parametrize("amount", [0, 4999, 5001, 5_000_000])
def test_another_amount_than_was_asked_adds_no_credit(alice, asked, amount):
    assert outcome_of(tell(paid_event(asked, state={"amount": amount}))) == "mismatch"
    assert moves(alice) == []


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"\xff", b'{"id": 1}'])
def test_a_signed_body_that_cannot_be_read_is_refused(alice, asked, body):
    headers = {SIGNATURE_HEADER: signature_of(body)}
    answer = Client().post(reverse("payment_webhook"), body, "application/json", headers=headers)

    assert answer.status_code == 400


def test_money_that_arrives_after_all_wins_over_what_was_heard_before(alice, asked):
    tell(paid_event(asked, type="payment.expired", state={"standing": "expired"}))
    assert latest(alice).status == "expired"

    tell(paid_event(asked))

    assert latest(alice).status == "succeeded"
    assert balance(alice) == 50


def test_a_payment_that_was_paid_does_not_become_unpaid(alice, asked):
    tell(paid_event(asked))

    tell(paid_event(asked, type="payment.declined", state={"standing": "declined"}))
    tell(paid_event(asked, type="payment.expired", state={"standing": "expired"}))

    assert latest(alice).status == "succeeded"
    assert balance(alice) == 50


def test_every_order_of_paid_and_refunds_gives_the_same_credit(alice):
    for order in itertools.permutations(("paid", "first", "second")):
        before = balance(alice)
        ask(alice, "50")
        payment = latest(alice)
        events = {
            "paid": paid_event(payment),
            "first": paid_event(payment, type="payment.refunded", state={"refunded": 1000}),
            "second": paid_event(payment, type="payment.refunded", state={"refunded": 1500}),
        }

        for name in order:
            tell(events[name])

        assert balance(alice) - before == 35, order
        payment.refresh_from_db()
        assert (payment.status, payment.refunded_usd) == ("succeeded", 15)


def test_a_dispute_takes_the_money_back_once_and_ends_automatic_refill(alice):
    payment = pay(alice, "50", is_card_to_save="on")
    profile = BillingProfile.objects.get(pk=alice.organization.pk)
    profile.is_refill_on, profile.refill_below_usd, profile.refill_amount_usd = True, 5, 10
    profile.refill_most_a_day_usd = profile.refill_most_a_month_usd = 10
    profile.save()

    for _ in range(2):
        tell(dispute_event(payment, "withdrawn", 5000))

    assert moves(alice) == [("top_up", Decimal(50)), ("refund", Decimal(-50))]
    assert BillingProfile.objects.get(pk=alice.organization.pk).is_refill_on is False


@pytest.mark.parametrize("turns", [("withdrawn", "reinstated"), ("reinstated", "withdrawn")])
def test_a_dispute_that_is_won_gives_it_again_in_whatever_order(alice, turns):
    payment = pay(alice, "50")

    for turn in turns:
        tell(dispute_event(payment, turn, 5000))

    assert balance(alice) == 50
    assert Payment.objects.get(pk=payment.pk).disputed_usd == 0


def test_a_dispute_that_overtakes_its_payment_finds_it_first(alice, asked):
    alice.browser.post(reverse("test_checkout", args=[asked.checkout_ref]), {"card": "good"})
    assert moves(alice) == []

    tell(dispute_event(asked, "withdrawn", 5000))

    assert moves(alice) == [("top_up", Decimal(50)), ("refund", Decimal(-50))]


def test_a_webhook_is_only_posted(alice):
    assert Client().get(reverse("payment_webhook")).status_code == 405
