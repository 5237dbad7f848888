"""Promotion codes: so many uses, once to an organization and to a person, until they expire."""

import threading
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connections
from django.utils import timezone

from accounts.services import sign_up_organization
from billing.errors import InvalidAmount, PromotionRefused
from billing.models import PromotionCode
from billing.promotions import UNKNOWN, create_promotion_code, redeem_promotion_code, withdraw_promotion_code
from billing.selectors import balance_usd
from tests.billing.payment_cases import balance, moves
from tests.people import founder


@pytest.fixture
def code(db):
    return create_promotion_code(code="welcome-10", amount_usd=Decimal(10), most_uses=2)


def redeem(somebody, text="WELCOME-10"):
    return redeem_promotion_code(organization=somebody.organization, person=somebody.person, code=text)


def test_a_code_adds_its_credit_however_it_is_written(alice, code):
    redeem(alice, "  Welcome-10 ")

    assert moves(alice) == [("promotion", Decimal(10))]
    code.refresh_from_db()
    assert code.uses == 1


def test_an_organization_uses_a_code_once(alice, code):
    redeem(alice)

    with pytest.raises(PromotionRefused, match="has used this code already"):
        redeem(alice)

    assert balance(alice) == 10
    code.refresh_from_db()
    assert code.uses == 1


def test_a_person_uses_a_code_once_whatever_the_organization(alice, charlie, code):
    second = sign_up_organization(person=alice.person, name="Acme again")
    redeem(alice)

    with pytest.raises(PromotionRefused, match="You have used this code already, for another organization"):
        redeem_promotion_code(organization=second, person=alice.person, code="WELCOME-10")

    redeem(charlie)
    assert [balance_usd(second), balance(charlie)] == [0, 10]


def test_the_last_use_is_the_last(alice, charlie, code):
    redeem(alice)
    redeem(charlie)
    third = founder("third@example.com", organization_name="Third")

    with pytest.raises(PromotionRefused) as refusal:
        redeem(third)

    assert str(refusal.value) == UNKNOWN
    assert balance(third) == 0


def test_unknown_expired_withdrawn_and_used_up_codes_read_alike(alice, charlie, code):
    expired = create_promotion_code(code="OLD", amount_usd=Decimal(1), most_uses=1)
    PromotionCode.objects.filter(pk=expired.pk).update(expires_at=timezone.now() - timedelta(seconds=1))
    withdrawn = create_promotion_code(code="GONE", amount_usd=Decimal(1), most_uses=1)
    withdraw_promotion_code(code=withdrawn)
    create_promotion_code(code="ONCE", amount_usd=Decimal(1), most_uses=1)
    redeem(charlie, "ONCE")

    words = set()
    for text in ("NEVER", "OLD", "GONE", "ONCE", "", "x" * 300, "'; DROP TABLE"):
        with pytest.raises(PromotionRefused) as refusal:
            redeem(alice, text)
        words.add(str(refusal.value))

    assert words == {UNKNOWN}
    assert balance(alice) == 0


def test_a_code_is_valid_until_its_last_moment(alice, code):
    PromotionCode.objects.filter(pk=code.pk).update(expires_at=timezone.now() + timedelta(minutes=1))

    redeem(alice)

    assert balance(alice) == 10


@pytest.mark.parametrize("amount", ["0", "-1", "0.0000000001", "9000000.01", "NaN"])
def test_a_code_of_no_amount_is_refused(db, amount):
    with pytest.raises(InvalidAmount):
        create_promotion_code(code="CODE", amount_usd=Decimal(amount), most_uses=1)


@pytest.mark.parametrize("text", ["", "AB", "WITH SPACE", "ÜMLAUT", "-DASH", "X" * 41])
def test_a_code_that_nobody_could_type_is_refused(db, text):
    with pytest.raises(PromotionRefused, match="3 to 40"):
        create_promotion_code(code=text, amount_usd=Decimal(1), most_uses=1)


@pytest.mark.parametrize("most_uses", [0, -1, 1_000_001])
def test_a_number_of_uses_is_at_least_one(db, most_uses):
    with pytest.raises(PromotionRefused, match="1 to 1,000,000 times"):
        create_promotion_code(code="CODE", amount_usd=Decimal(1), most_uses=most_uses)


def test_a_code_is_made_once_and_not_for_the_past(db, code):
    with pytest.raises(PromotionRefused, match="There is a code WELCOME-10 already"):
        create_promotion_code(code="welcome-10", amount_usd=Decimal(1), most_uses=1)
    with pytest.raises(PromotionRefused, match="expired already"):
        create_promotion_code(code="PAST", amount_usd=Decimal(1), most_uses=1, expires_at=timezone.now())


def test_one_person_racing_for_several_organizations_redeems_once(committed, django_db_setup):
    name = f"ONE-{timezone.now():%H%M%S%f}"
    create_promotion_code(code=name, amount_usd=Decimal(10), most_uses=9)
    somebody = founder(f"{name}@example.com", organization_name=name)
    others = [sign_up_organization(person=somebody.person, name=f"{name} {n}") for n in range(2)]
    organizations = [somebody.organization, *others]

    race(*(replace(somebody, organization=each) for each in organizations), name=name)

    assert sorted(balance_usd(each) for each in organizations) == [0, 0, 10]
    assert PromotionCode.objects.get(code=name).uses == 1


def test_racing_redemptions_give_each_organization_once_and_no_use_too_many(committed, django_db_setup):
    name = f"RACE-{timezone.now():%H%M%S%f}"
    create_promotion_code(code=name, amount_usd=Decimal(10), most_uses=2)
    people = [founder(f"{name}-{n}@example.com", organization_name=f"{name} {n}") for n in range(3)]

    race(*people * 3, name=name)

    assert sorted(balance(somebody) for somebody in people) == [0, 10, 10]
    assert PromotionCode.objects.get(code=name).uses == 2


def race(*somebodies, name):
    """All of them redeem the code at once."""

    def take(somebody):
        try:
            redeem(somebody, name)
        except PromotionRefused:
            pass
        finally:
            connections.close_all()

    racers = [threading.Thread(target=take, args=[somebody]) for somebody in somebodies]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
