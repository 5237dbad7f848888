"""The billing page and its forms, as alice (owner), colleagues and charlie (stranger) meet them."""

import csv
import io
from decimal import Decimal

import pytest
from django.urls import reverse

from accounts.models import Person
from accounts.permissions import Role
from billing.models import PromotionCode
from billing.profiles import profile_of
from billing.promotions import create_promotion_code
from billing.services import adjust_credit
from tests.billing.payment_cases import balance, pay
from tests.people import browser_of, teammate

REFILL = {"below_usd": "20", "amount_usd": "30", "most_a_day_usd": "60", "most_a_month_usd": "90"}
ZONE = {"time_zone": "UTC"}
FORMS = {
    "top_up": {"credit_usd": "50"},
    "card_forget": {},
    "refill": REFILL,
    "refill_off": {},
    "promotion": {"code": "NONE"},
    "low_balance": {"below_usd": "5"},
    "invoice_head": ZONE,
}


def post(somebody, name, fields, **options):
    url = reverse(name, args=["acme"])
    return somebody.browser.post(url, fields, **options)


def page_of(somebody):
    return somebody.browser.get(reverse("billing", args=["acme"])).content.decode()


@pytest.mark.parametrize("name", FORMS)
def test_a_stranger_gets_404_at_every_form(alice, charlie, name):
    assert post(charlie, name, FORMS[name]).status_code == 404


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize(
    ("role", "is_allowed"),
    [
        (Role.OWNER, True),
        (Role.BILLING, True),
        (Role.ADMIN, False),
        (Role.DEVELOPER, False),
        (Role.VIEWER, False),
    ],
)
def test_only_those_who_may_pay_may_change_it(alice, name, role, is_allowed):
    colleague = teammate("colleague@example.com", of=alice, role=role)

    status = post(colleague, name, FORMS[name]).status_code

    assert status in ((200, 302) if is_allowed else (403,))


def test_whoever_sees_spend_reads_the_page_without_its_forms(alice):
    pay(alice, "50")
    viewer = teammate("viewer@example.com", of=alice, role=Role.VIEWER)

    page = page_of(viewer)

    assert "Only owners and billing members can pay" in page
    assert "Add credit</button>" not in page
    assert "$50.00" in page


def test_a_code_is_redeemed_on_the_page(alice):
    create_promotion_code(code="SPRING", amount_usd=Decimal(7), most_uses=1)

    page = post(alice, "promotion", {"code": "spring"}, follow=True)

    assert "$7.00 of credit was added." in page.content.decode()
    assert balance(alice) == 7


@pytest.mark.parametrize("code", ["NEVER", "expired"])
def test_a_code_that_gives_nothing_says_so_beside_its_field(alice, code):
    create_promotion_code(code="EXPIRED", amount_usd=Decimal(7), most_uses=1)
    PromotionCode.objects.update(is_active=False)

    page = post(alice, "promotion", {"code": code})

    assert page.context["promotion_form"].errors["code"] == [
        "This code is not known, or no longer valid. Check its spelling."
    ]


def test_refill_is_switched_on_changed_and_off(alice):
    assert "Needs a saved card" in page_of(alice)
    pay(alice, "10", is_card_to_save="on")

    assert "Automatic refill is on." in post(alice, "refill", REFILL, follow=True).content.decode()
    assert profile_of(alice.organization).refill_amount_usd == 30
    post(alice, "refill", {**REFILL, "amount_usd": "40"})
    assert profile_of(alice.organization).refill_amount_usd == 40
    post(alice, "refill_off", {})

    assert profile_of(alice.organization).is_refill_on is False


def test_a_refill_that_makes_no_sense_says_why(alice):
    pay(alice, "10", is_card_to_save="on")

    page = post(alice, "refill", {**REFILL, "most_a_day_usd": "10"})

    assert "One refill must fit into the most a day" in page.content.decode()
    assert profile_of(alice.organization).is_refill_on is False


def test_the_card_is_forgotten_by_one_click(alice):
    pay(alice, "10", is_card_to_save="on")
    post(alice, "refill", REFILL)

    page = post(alice, "card_forget", {}, follow=True)

    assert "The card is forgotten" in page.content.decode()
    profile = profile_of(alice.organization)
    assert (profile.card_ref, profile.is_refill_on) == ("", False)


def test_the_threshold_of_the_mail_is_set_and_lifted(alice):
    post(alice, "low_balance", {"below_usd": "12.5"})
    assert profile_of(alice.organization).low_balance_usd == Decimal("12.5")
    assert 'value="12.5"' in page_of(alice)

    post(alice, "low_balance", {"below_usd": ""})
    assert profile_of(alice.organization).low_balance_usd is None


def test_invoice_details_are_kept_line_by_line(alice):
    fields = {"legal_name": " Acme  GmbH ", "address": "Street 1\n\n  City ", "tax_id": "DE1", **ZONE}

    post(alice, "invoice_head", fields)

    profile = profile_of(alice.organization)
    assert (profile.legal_name, profile.address) == ("Acme GmbH", "Street 1\nCity")


def test_a_payment_of_another_organization_is_not_found(alice, charlie):
    payment = pay(alice, "10")

    for slug in ("acme", charlie.organization.slug):
        url = reverse("payment", args=[slug, payment.pk])
        assert charlie.browser.get(url).status_code == 404


def test_a_payment_shows_what_it_moved(alice):
    payment = pay(alice, "10")

    page = alice.browser.get(reverse("payment", args=["acme", payment.pk])).content.decode()

    assert reverse("ledger_transfer", args=["acme", payment.pk]) in page


def test_the_ledger_names_every_kind(alice):
    pay(alice, "10")
    adjust_credit(organization=alice.organization, amount_usd=Decimal("-1"), description="A correction")

    page = alice.browser.get(reverse("ledger", args=["acme"])).content.decode()

    for words in ("Top-up", "Adjustment", "A correction", "Fee</option>", "Refund</option>"):
        assert words in page


def test_the_statement_of_each_month_adds_up_and_is_downloaded(alice):
    pay(alice, "10")
    adjust_credit(organization=alice.organization, amount_usd=Decimal("-1.5"), description="A correction")

    answer = alice.browser.get(reverse("ledger_months", args=["acme"]) + "?format=csv")

    (row,) = csv.DictReader(io.StringIO(answer.content.decode(), newline=""))
    assert row["top_up_usd"] == "10.000000000"
    assert row["adjustment_usd"] == "-1.500000000"
    assert Decimal(row["closing_usd"]) == Decimal("8.5")
    figures = [Decimal(row[f"{kind}_usd"]) for kind in ("top_up", "promotion", "charge", "fee", "refund")]
    assert sum(figures) + Decimal(row["adjustment_usd"]) == Decimal(row["closing_usd"])


def test_the_operator_makes_and_withdraws_codes_in_the_admin(db):
    operator = browser_of(Person.objects.create_superuser("operator@example.com"))
    fields = {"code": "summer", "amount_usd": "5", "most_uses": "3", "expires_at_0": "", "expires_at_1": ""}

    made = operator.post(reverse("admin:billing_promotioncode_add"), fields)
    refused = operator.post(reverse("admin:billing_promotioncode_add"), {**fields, "amount_usd": "-5"})

    assert made.status_code == 302
    assert "must be more than $0" in refused.content.decode()
    code = PromotionCode.objects.get()
    assert (code.code, code.amount_usd, code.most_uses) == ("SUMMER", 5, 3)
    operator.post(
        reverse("admin:billing_promotioncode_changelist"),
        {"action": "withdraw", "_selected_action": [str(code.pk)]},
    )
    code.refresh_from_db()
    assert code.is_active is False


@pytest.mark.parametrize("model", ["payment", "processorevent", "invoice", "promotioncode"])
def test_the_operators_lists_open(alice, model):
    pay(alice, "10")
    operator = browser_of(Person.objects.create_superuser("operator@example.com"))

    assert operator.get(reverse(f"admin:billing_{model}_changelist")).status_code == 200
