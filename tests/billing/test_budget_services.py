"""Budgets as people set them: what is refused names its field, and what counts never changes under a row."""

from dataclasses import replace
from decimal import Decimal

import pytest

from billing.budget_services import (
    MAX_BUDGETS_OF_ONE_SCOPE,
    BudgetTerms,
    create_budget,
    terms_of,
    update_budget,
)
from billing.errors import BillingError
from billing.models import Budget

TERMS = BudgetTerms(scope="organization", amount_usd=Decimal(5), window="month")


@pytest.mark.parametrize(
    "amount", ["-1", "0", "0.0000000001", "9000000.000000001", "1E+30", "NaN", "Infinity"]
)
def test_an_amount_that_is_none_is_refused_with_the_range(alice, amount):
    allowed = r"amount_usd must be between \$0.000000001 and \$9,000,000"
    with pytest.raises(BillingError, match=allowed) as refused:
        create_budget(organization=alice.organization, terms=replace(TERMS, amount_usd=Decimal(amount)))

    assert refused.value.field == "amount_usd"
    assert not Budget.objects.exists()


@pytest.mark.parametrize("amount", ["0.000000001", "9000000"])
def test_the_least_and_the_most_are_allowed(alice, amount):
    budget = create_budget(organization=alice.organization, terms=replace(TERMS, amount_usd=Decimal(amount)))

    assert budget.amount_usd == Decimal(amount)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"scope": "planet"}, "scope"),
        ({"window": "year"}, "window"),
        ({"window": "total", "is_rolling": True}, "window"),
        ({"time_zone": "Mars/Base"}, "time_zone"),
        ({"scope": "key"}, "scope_id"),
        ({"scope": "tag"}, "subject"),
        ({"scope": "tag", "subject": "x" * 65}, "subject"),
        ({"scope": "model", "subject": "a b"}, "subject"),
        ({"subject": "somebody"}, "subject"),
        ({"scope": "tag", "is_each": True, "subject": "one"}, "subject"),
        ({"scope": "model", "is_each": True}, "is_each"),
        ({"alert_percents": (0,)}, "alert_percents"),
        ({"alert_percents": (101,)}, "alert_percents"),
        ({"alert_percents": tuple(range(1, 12))}, "alert_percents"),
        ({"name": "x" * 65}, "name"),
    ],
)
def test_what_cannot_be_names_its_field(alice, changes, field):
    with pytest.raises(BillingError) as refused:
        create_budget(organization=alice.organization, terms=replace(TERMS, **changes))

    assert refused.value.field == field
    assert not Budget.objects.exists()


def test_a_scope_has_only_so_many_budgets(alice):
    for _ in range(MAX_BUDGETS_OF_ONE_SCOPE):
        create_budget(organization=alice.organization, terms=TERMS)

    with pytest.raises(BillingError, match="There are 20 budgets of one organization, which is the most"):
        create_budget(organization=alice.organization, terms=TERMS)
    create_budget(
        organization=alice.organization, terms=replace(TERMS, scope="project", scope_id=alice.project.pk)
    )


def test_what_is_said_changes_in_place_and_what_is_counted_makes_another_row(alice):
    budget = create_budget(organization=alice.organization, terms=TERMS)

    same = update_budget(budget=budget, terms=replace(terms_of(budget), amount_usd=Decimal(7), name="Launch"))
    other = update_budget(budget=same, terms=replace(terms_of(same), time_zone="Europe/Berlin"))

    assert (same.pk, same.amount_usd) == (budget.pk, Decimal(7))
    assert other.name == "Launch"
    assert list(Budget.objects.values_list("pk", flat=True)) == [other.pk]
    assert other.pk != same.pk
