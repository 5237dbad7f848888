"""Top-ups, promotions and budgets: what people do with money, and what they may not."""

import uuid
from decimal import Decimal

import pytest

from accounts.models import OrganizationEpoch
from billing.budget_services import remove_budget, set_budget
from billing.errors import InvalidAmount, InvalidBudget
from billing.models import Budget
from billing.selectors import balance_usd, budgets_of, charged_usd, credit_granted_usd
from billing.services import grant_promotion, top_up


def epoch_of(somebody):
    return OrganizationEpoch.objects.get(organization=somebody.organization).epoch


def test_credit_is_what_was_paid_and_what_was_given(alice):
    top_up(organization=alice.organization, amount_usd=Decimal(10))
    grant_promotion(organization=alice.organization, amount_usd=Decimal("2.5"), description="Welcome")

    assert credit_granted_usd(alice.organization) == Decimal("12.5")
    assert balance_usd(alice.organization) == Decimal("12.5")
    assert charged_usd(alice.organization) == 0


def test_an_organization_without_any_credit_has_none(alice):
    assert (balance_usd(alice.organization), credit_granted_usd(alice.organization)) == (0, 0)


def test_a_repeated_top_up_adds_nothing(alice):
    payment = uuid.uuid4()

    for _ in range(2):
        assert top_up(organization=alice.organization, amount_usd=Decimal(10), id=payment) == payment

    assert balance_usd(alice.organization) == Decimal(10)


def test_the_data_plane_hears_of_credit_and_budgets(alice):
    epochs = [epoch_of(alice)]
    top_up(organization=alice.organization, amount_usd=Decimal(1))
    epochs.append(epoch_of(alice))
    budget = set_budget(
        organization=alice.organization,
        scope="key",
        scope_id=alice.key_row.pk,
        amount_usd=Decimal(1),
        window="day",
    )
    epochs.append(epoch_of(alice))
    remove_budget(organization=alice.organization, budget_id=budget.pk)
    epochs.append(epoch_of(alice))

    assert epochs == sorted(set(epochs))


@pytest.mark.parametrize("amount", ["0", "-1", "0.0000000001", "NaN", "Infinity", "1000000000.000000001"])
def test_an_amount_that_is_none_is_refused(alice, amount):
    with pytest.raises(InvalidAmount):
        top_up(organization=alice.organization, amount_usd=Decimal(amount))


def test_setting_a_budget_again_replaces_its_amount(alice):
    arguments = {
        "organization": alice.organization,
        "scope": "project",
        "scope_id": alice.project.pk,
        "window": "month",
    }

    first = set_budget(**arguments, amount_usd=Decimal(5))
    second = set_budget(**arguments, amount_usd=Decimal(7))

    assert first.pk == second.pk
    assert list(budgets_of(alice.organization).values_list("amount_usd", flat=True)) == [Decimal(7)]


@pytest.mark.parametrize(
    "changes",
    [
        {"window": "year"},
        {"time_zone": "Europe/Atlantis"},
        {"scope": "planet"},
        {"scope_id": uuid.UUID(int=0)},
        {"scope": "project"},
    ],
)
def test_a_budget_that_cannot_be_is_refused(alice, changes):
    arguments = {
        "organization": alice.organization,
        "scope": "key",
        "scope_id": alice.key_row.pk,
        "amount_usd": Decimal(1),
        "window": "day",
    }

    with pytest.raises(InvalidBudget):
        set_budget(**(arguments | changes))

    assert not budgets_of(alice.organization).exists()


def test_a_budget_for_a_key_of_another_organization_is_refused(alice, charlie):
    with pytest.raises(InvalidBudget, match="has no key"):
        set_budget(
            organization=charlie.organization,
            scope="key",
            scope_id=alice.key_row.pk,
            amount_usd=Decimal(1),
            window="day",
        )


def test_a_stranger_cannot_remove_a_budget(alice, charlie):
    budget = set_budget(
        organization=alice.organization,
        scope="organization",
        scope_id=alice.organization.pk,
        amount_usd=Decimal(1),
        window="total",
    )

    assert remove_budget(organization=charlie.organization, budget_id=budget.pk) is False
    assert Budget.objects.filter(pk=budget.pk).exists()
