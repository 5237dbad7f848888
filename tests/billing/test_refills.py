"""Automatic refill: below its threshold, one at a time, within its caps, and over after three declines."""

import dataclasses
import threading
from datetime import timedelta
from decimal import Decimal

import pytest
from django.core import mail
from django.db import IntegrityError, connections, transaction
from django.utils import timezone

from accounts.models import Organization
from billing.errors import InvalidAmount, RefillRefused
from billing.models import BillingProfile, Payment
from billing.profiles import RefillRule, forget_card, switch_refill_off, switch_refill_on
from billing.refills import MAX_REFILLS_PER_SWEEP, begin_refill, refill_credit
from billing.services import adjust_credit
from tests.billing.payment_cases import balance, latest, pay
from tests.people import founder

RULE = {"below_usd": "20", "amount_usd": "30", "most_a_day_usd": "60", "most_a_month_usd": "90"}


def rule(**changes):
    return RefillRule(**{name: Decimal(text) for name, text in {**RULE, **changes}.items()})


def profile_row(somebody):
    return BillingProfile.objects.get(pk=somebody.organization.pk)


def spend(somebody, amount):
    if Decimal(amount):
        adjust_credit(organization=somebody.organization, amount_usd=-Decimal(amount), description="Spent")


@pytest.fixture
def refilled(alice):
    """Alice with $20 of credit, a card that works, and a refill that is on."""
    pay(alice, "20", is_card_to_save="on")
    switch_refill_on(organization=alice.organization, rule=rule())
    return alice


@pytest.fixture
def declining(alice):
    """The same, but the card is declined from its second charge on."""
    pay(alice, "10", card="good_once", is_card_to_save="on")
    switch_refill_on(organization=alice.organization, rule=rule())
    return alice


def test_the_card_is_charged_below_the_threshold_and_not_at_it(refilled):
    assert refill_credit() == 0

    spend(refilled, "0.000000001")

    assert refill_credit() == 1
    assert balance(refilled) == Decimal("49.999999999")
    assert latest(refilled).kind == "refill"


def test_a_refill_that_was_enough_is_not_repeated(refilled):
    spend(refilled, "15")

    assert [refill_credit(), refill_credit()] == [1, 0]


def test_the_caps_of_day_and_month_hold(refilled):
    charged = 0
    for _ in range(4):
        spend(refilled, balance(refilled))
        charged += refill_credit()
    assert charged == 2

    Payment.objects.filter(kind="refill").update(created_at=timezone.now() - timedelta(days=40))
    spend(refilled, balance(refilled))
    assert refill_credit() == 1


def test_the_month_counts_what_the_days_added(refilled):
    switch_refill_on(organization=refilled.organization, rule=rule(most_a_day_usd="90"))

    for _ in range(4):
        spend(refilled, balance(refilled))
        refill_credit()

    assert Payment.objects.filter(kind="refill", status="succeeded").count() == 3


def test_one_refill_at_a_time_is_held_by_the_database(refilled):
    spend(refilled, "15")
    first = begin_refill(refilled.organization.pk)

    assert begin_refill(refilled.organization.pk) is None
    with pytest.raises(IntegrityError, match="refill_one_at_a_time"), transaction.atomic():
        Payment.objects.create(
            organization=refilled.organization, kind="refill", processor="test", credit_usd=5, amount_usd=5
        )
    assert Payment.objects.get(status="pending").pk == first


def test_a_refill_that_a_crash_left_is_gone_on_with_and_charged_once(refilled):
    spend(refilled, "15")
    begin_refill(refilled.organization.pk)

    assert [refill_credit(), refill_credit()] == [1, 0]

    assert balance(refilled) == 35


def test_a_decline_pauses_the_refill_and_tells_who_may_pay(declining, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        assert refill_credit() == 0
    assert refill_credit() == 0

    profile = profile_row(declining)
    assert profile.is_refill_on
    assert profile.refill_declines == 1
    assert profile.refill_paused_until > timezone.now()
    (letter,) = mail.outbox
    assert letter.to == ["alice@example.com"]
    assert letter.subject == "Acme: automatic refill of $30.00 was declined"
    assert "The test card was declined." in letter.body
    assert "It is tried again after" in letter.body
    assert balance(declining) == 10


def test_the_third_decline_in_a_row_switches_it_off(declining, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        for _ in range(4):
            BillingProfile.objects.update(refill_paused_until=None)
            refill_credit()

    assert profile_row(declining).is_refill_on is False
    assert Payment.objects.filter(kind="refill", status="failed").count() == 3
    assert "switched off" in mail.outbox[-1].body
    assert len(mail.outbox) == 3


def test_a_card_whose_bank_wants_its_owner_says_what_to_do(alice):
    checkout = alice.browser.post("/o/acme/billing/top-up/", {"credit_usd": "10", "is_card_to_save": "on"})
    answer = alice.browser.post(checkout.url, {"card": "confirm", "answer": "yes"})
    alice.browser.get(answer.url)
    switch_refill_on(organization=alice.organization, rule=rule())

    refill_credit()

    assert "pay once on the billing page" in latest(alice).failure


def test_a_new_card_ends_the_pause(declining):
    refill_credit()
    assert profile_row(declining).refill_declines == 1

    pay(declining, "5", card="good", is_card_to_save="on")

    assert profile_row(declining).refill_declines == 0
    assert refill_credit() == 1


def test_a_refill_that_may_not_be_bought_any_more_holds_up_nobody_else(refilled, charlie, settings):
    pay(charlie, "10", is_card_to_save="on")
    switch_refill_on(organization=charlie.organization, rule=rule(amount_usd="60"))
    spend(refilled, "15")
    settings.FAREBOX_CONSOLE = dataclasses.replace(settings.FAREBOX_CONSOLE, top_up_minimum_usd=50)

    assert refill_credit() == 1

    assert (balance(refilled), balance(charlie)) == (5, 70)


def test_refills_that_are_never_possible_do_not_keep_the_sweep_from_others(refilled):
    spend(refilled, "15")
    BillingProfile.objects.filter(pk=refilled.organization.pk).update(
        refill_looked_at=timezone.now() - timedelta(minutes=1)
    )
    stuck = Organization.objects.bulk_create(
        Organization(name=f"Stuck {number}", slug=f"stuck-{number}")
        for number in range(MAX_REFILLS_PER_SWEEP)
    )
    # Less than what may be bought at once.
    BillingProfile.objects.bulk_create(
        BillingProfile(
            organization=organization,
            processor="test",
            card_ref="test_card_is_good",
            is_refill_on=True,
            refill_below_usd=20,
            refill_amount_usd=1,
            refill_most_a_day_usd=60,
            refill_most_a_month_usd=90,
        )
        for organization in stuck
    )

    assert [refill_credit(), refill_credit()] == [0, 1]

    assert balance(refilled) == 35


def test_without_a_card_there_is_no_refill(alice):
    with pytest.raises(RefillRefused, match="Save a card first"):
        switch_refill_on(organization=alice.organization, rule=rule())


def test_forgetting_the_card_ends_the_refill(refilled):
    forget_card(organization=refilled.organization)
    spend(refilled, "15")

    assert refill_credit() == 0
    assert profile_row(refilled).is_refill_on is False


def test_switched_off_it_charges_nothing(refilled):
    assert switch_refill_off(organization=refilled.organization) is True
    spend(refilled, "15")

    assert refill_credit() == 0
    assert switch_refill_off(organization=refilled.organization) is False


@pytest.mark.parametrize(
    "changes",
    [
        {"amount_usd": "0"},
        {"amount_usd": "-1"},
        {"amount_usd": "4.99"},
        {"amount_usd": "10000.01"},
        {"amount_usd": "10.001"},
        {"below_usd": "0"},
        {"below_usd": "9000000.01"},
        {"most_a_day_usd": "29.99"},
        {"most_a_month_usd": "59.99"},
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(refilled, changes):
    with pytest.raises(InvalidAmount):
        switch_refill_on(organization=refilled.organization, rule=rule(**changes))


def test_racing_workers_charge_once(committed, house):
    somebody = founder("refill-race@example.com", organization_name="Refill race")
    pay(somebody, "10", is_card_to_save="on")
    switch_refill_on(organization=somebody.organization, rule=rule())

    def race():
        try:
            refill_credit()
        finally:
            connections.close_all()

    racers = [threading.Thread(target=race) for _ in range(6)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()

    assert balance(somebody) == 40
    assert Payment.objects.filter(organization=somebody.organization, kind="refill").count() == 1


def test_a_refill_that_cannot_be_charged_does_not_keep_the_others_from_theirs(refilled, charlie):
    spend(refilled, "15")
    payment_id = begin_refill(refilled.organization.pk)
    Payment.objects.filter(pk=payment_id).update(card_ref="test_card_is_none")
    BillingProfile.objects.filter(pk=refilled.organization.pk).update(card_ref="test_card_is_none")
    pay(charlie, "10", is_card_to_save="on")
    switch_refill_on(organization=charlie.organization, rule=rule())

    assert refill_credit() == 1

    assert balance(charlie) == 40
