"""The low-balance mail: once for each fall below the threshold."""

from decimal import Decimal

import pytest
from django.core import mail

from accounts.permissions import Role
from billing.errors import InvalidAmount
from billing.low_balance import watch_balances
from billing.profiles import set_low_balance
from billing.services import adjust_credit, top_up
from tests.people import teammate


@pytest.fixture
def watched(alice):
    """Alice with $10 of credit, who wants to know below $10."""
    top_up(organization=alice.organization, amount_usd=Decimal(10))
    set_low_balance(organization=alice.organization, below_usd=Decimal(10))
    return alice


def change(somebody, amount):
    adjust_credit(organization=somebody.organization, amount_usd=Decimal(amount), description="Changed")


def test_it_comes_once_when_the_credit_falls_below_and_not_at_the_threshold(watched):
    assert watch_balances() == 0

    change(watched, "-0.000000001")

    assert [watch_balances(), watch_balances(), watch_balances()] == [1, 0, 0]
    (letter,) = mail.outbox
    assert letter.subject == "Acme: credit is below $10.00"
    assert "/o/acme/billing/" in letter.body


def test_it_comes_again_only_after_the_credit_was_above(watched):
    change(watched, "-5")
    watch_balances()
    change(watched, "4")
    watch_balances()
    assert len(mail.outbox) == 1

    change(watched, "1")
    watch_balances()
    change(watched, "-1")
    watch_balances()

    assert len(mail.outbox) == 2


def test_it_goes_to_those_who_may_pay(watched):
    for role in Role:
        teammate(f"{role}@example.com", of=watched, role=role)
    change(watched, "-5")

    watch_balances()

    addresses = [letter.to[0] for letter in mail.outbox]
    assert addresses == ["alice@example.com", "owner@example.com", "billing@example.com"]


def test_without_a_threshold_nobody_is_told(watched):
    set_low_balance(organization=watched.organization, below_usd=None)
    change(watched, "-9")

    assert watch_balances() == 0
    assert mail.outbox == []


@pytest.mark.parametrize("amount", ["0", "-1", "0.0000000001", "9000000.01"])
def test_a_threshold_that_is_no_amount_is_refused(alice, amount):
    with pytest.raises(InvalidAmount):
        set_low_balance(organization=alice.organization, below_usd=Decimal(amount))


def test_an_organization_without_any_credit_is_told_once(alice):
    set_low_balance(organization=alice.organization, below_usd=Decimal(1))

    assert [watch_balances(), watch_balances()] == [1, 0]


def test_a_mail_that_cannot_be_made_does_not_keep_the_others_from_theirs(watched, charlie):
    watched.person.email = "alice@example.com\nBcc: all@example.com"
    watched.person.save(update_fields=["email"])
    change(watched, "-5")
    top_up(organization=charlie.organization, amount_usd=Decimal(5))
    set_low_balance(organization=charlie.organization, below_usd=Decimal(10))

    assert watch_balances() == 1

    assert [letter.to for letter in mail.outbox] == [[charlie.person.email]]
