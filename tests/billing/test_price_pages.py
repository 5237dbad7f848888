"""The pages of prices: the operator states prices and markups, and an owner sets a ceiling."""

from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import Person
from accounts.permissions import Role
from billing.models import Markup, PriceCeiling, PriceFact
from tests.people import browser_of, teammate

pytestmark = pytest.mark.django_db


@pytest.fixture
def operator() -> Client:
    return browser_of(Person.objects.create_superuser("operator@example.com"))


def price_form(**changes: str) -> dict[str, str]:
    place = {"provider": "acme", "model": "small", "tier": "default", "valid_from": "2026-11-01"}
    return place | {"input": "3", "output": "4.5", "note": "negotiated"} | changes


def add(operator: Client, model: str, data: dict[str, str]) -> Any:
    return operator.post(reverse(f"admin:billing_{model}_add"), data)


def test_the_operator_states_a_price_and_reads_its_history(operator: Client) -> None:
    first = add(operator, "pricefact", price_form())
    above = {"above": "200000 input=4 output=9", "last_day": "2026-12-31"}
    tiered = add(operator, "pricefact", price_form(input="2", **above))

    facts = list(PriceFact.objects.order_by("id"))
    assert (first.status_code, tiered.status_code) == (302, 302)
    assert [fact.facts["rates"]["input"] for fact in facts] == [3_000_000, 2_000_000]
    assert [fact.entered_by for fact in facts] == ["operator@example.com"] * 2
    assert facts[1].facts["above"][0]["prompt_tokens"] == 200_000
    listed = operator.get(reverse("admin:billing_pricefact_changelist"), {"q": "small"}).content.decode()
    assert "input 3, output 4.5" in listed
    assert "input 2, output 4.5, above 200,000 tokens dearer" in listed
    shown = operator.get(reverse("admin:billing_pricefact_change", args=[facts[0].pk])).content.decode()
    assert facts[0].version in shown


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"input": "-3"}, "input must not be negative nor above 100,000 US dollars"),
        ({"input": "0"}, "cost nothing: declare the price"),
        ({"input": "0.0000001"}, "nor finer than a pico-dollar"),
        ({"output": ""}, "output is missing"),
        ({"provider": "Acme!"}, "provider must be lower-case letters"),
        ({"above": "many input=4"}, "a line is prompt tokens and rates"),
        ({"last_day": "2026-10-01"}, "must not be before valid_from"),
    ],
)
def test_what_cannot_be_right_is_refused_beside_its_field(
    operator: Client, changes: dict[str, str], message: str
) -> None:
    answer = add(operator, "pricefact", price_form(**changes))

    assert answer.status_code == 200
    assert message in answer.content.decode()
    assert not PriceFact.objects.filter(provider="acme").exists()


def test_a_price_is_taken_back_and_never_edited_or_deleted(operator: Client) -> None:
    add(operator, "pricefact", price_form())
    fact = PriceFact.objects.get()
    operator.post(
        reverse("admin:billing_pricefact_changelist"), {"action": "take_back", "_selected_action": [fact.pk]}
    )

    assert [row.facts is None for row in PriceFact.objects.order_by("id")] == [False, True]
    assert operator.post(reverse("admin:billing_pricefact_delete", args=[fact.pk])).status_code == 403
    changed = operator.post(reverse("admin:billing_pricefact_change", args=[fact.pk]), price_form(input="9"))
    assert changed.status_code == 403


def test_the_operator_states_a_markup(operator: Client) -> None:
    form = {"provider": "acme", "multiplier": "1.05", "fee_usd": "0.002", "valid_from": "2026-11-01"}
    refused = add(operator, "markup", form | {"multiplier": "0"})
    stated = add(operator, "markup", form)

    assert "multiplier must be between 0.01 and 100" in refused.content.decode()
    assert stated.status_code == 302
    markup = Markup.objects.get()
    assert (markup.multiplier_ppm, markup.fee_pico) == (1_050_000, 2_000_000_000)
    listed = operator.get(reverse("admin:billing_markup_changelist")).content.decode()
    assert "1.05" in listed
    assert "0.002" in listed


def test_an_owner_sets_a_ceiling_and_lifts_it(alice: Any) -> None:
    url = reverse("price_ceiling", args=[alice.organization.slug])
    saved = alice.browser.post(url, {"input_usd_per_million": "10", "output_usd_per_million": "20.5"})

    assert (saved.status_code, saved["Location"]) == (302, url)
    ceiling = PriceCeiling.objects.get(organization=alice.organization)
    assert (ceiling.input_usd_per_million, ceiling.output_usd_per_million) == (10, Decimal("20.5"))
    assert 'value="20.5"' in alice.browser.get(url).content.decode()
    alice.browser.post(url, {})
    assert not PriceCeiling.objects.exists()


@pytest.mark.parametrize(("usd", "message"), [("0", "between"), ("-1", "between"), ("", "missing")])
def test_a_wrong_ceiling_is_refused_beside_its_field(alice: Any, usd: str, message: str) -> None:
    url = reverse("price_ceiling", args=[alice.organization.slug])
    refused = alice.browser.post(url, {"input_usd_per_million": "10", "output_usd_per_million": usd})

    assert refused.status_code == 200
    assert message in str(refused.context["form"].errors["output_usd_per_million"])
    assert not PriceCeiling.objects.exists()


def test_a_developer_sets_no_ceiling(alice: Any) -> None:
    bob = teammate("bob@example.com", of=alice, role=Role.DEVELOPER)

    assert bob.browser.get(reverse("price_ceiling", args=[alice.organization.slug])).status_code == 403
