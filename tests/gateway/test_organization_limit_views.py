"""Limits and budget of a whole organization, as its roles meet them on the settings pages."""

from decimal import Decimal

import pytest

from accounts.models import Organization, OrganizationEpoch
from accounts.permissions import Role
from billing.models import Budget
from gateway.limit_services import set_organization_budget
from gateway.models import OutagePolicy
from tests.gateway.spending import spend
from tests.people import Somebody, teammate

SETTINGS, LIMITS = "/o/acme/settings/", "/o/acme/settings/limits/"
RATES, BUDGET, OUTAGE = f"{LIMITS}rates/", f"{LIMITS}budget/", f"{LIMITS}outage/"


def notices(response) -> list[str]:
    return [str(message) for message in response.context["messages"]]


def rates_of(somebody: Somebody) -> tuple[int | None, int | None, int | None]:
    row = Organization.objects.get(pk=somebody.organization.pk)
    return row.requests_per_minute, row.tokens_per_minute, row.concurrent_requests


def epoch_of(somebody: Somebody) -> int:
    return OrganizationEpoch.objects.get(pk=somebody.organization.pk).epoch


def test_an_owner_sets_rates_for_all_keys_together(alice: Somebody) -> None:
    before = epoch_of(alice)

    response = alice.browser.post(RATES, {"requests_per_minute": "600", "tokens_per_minute": ""}, follow=True)

    assert notices(response) == ["The limits are saved and hold within a second."]
    assert rates_of(alice) == (600, None, None)
    assert "600 requests/min" in response.content.decode()
    assert epoch_of(alice) > before


def test_an_owner_sets_and_lifts_the_budget(alice: Somebody) -> None:
    response = alice.browser.post(BUDGET, {"budget_usd": "100", "budget_window": "month"}, follow=True)
    assert notices(response) == ["The budget is saved and holds within a second."]
    budget = Budget.objects.get()
    assert (budget.scope, budget.scope_id) == ("organization", alice.organization.pk)
    assert (budget.amount_usd, budget.window) == (Decimal(100), "month")

    alice.browser.post(BUDGET, {"budget_usd": "", "budget_window": "month"})

    assert not Budget.objects.exists()


def test_an_owner_says_what_is_let_through_while_redis_is_away(alice: Somebody) -> None:
    before = epoch_of(alice)

    page = alice.browser.get(LIMITS).content.decode()
    response = alice.browser.post(OUTAGE, {"redis_away_usd": "10"}, follow=True)

    assert "The operator allows $10 at most." in page
    assert notices(response) == ["The allowance is saved and holds within a second."]
    assert OutagePolicy.objects.get().redis_away_usd == Decimal(10)
    assert epoch_of(alice) > before
    shown = alice.browser.get(LIMITS).context["outage_form"].initial
    assert shown == {"redis_away_usd": "10"}

    alice.browser.post(OUTAGE, {"redis_away_usd": "0"})

    assert OutagePolicy.objects.get().redis_away_usd == 0


def test_more_than_the_operator_allows_is_refused_by_name(alice: Somebody) -> None:
    page = alice.browser.post(OUTAGE, {"redis_away_usd": "11"})

    assert "The amount must be between $0 and $10, the operator&#x27;s limit." in page.content.decode()


def test_the_settings_page_shows_what_is_left(alice: Somebody) -> None:
    set_organization_budget(
        organization=alice.organization, budget_usd=Decimal(10), budget_window="total", time_zone="UTC"
    )
    spend(alice.key_row, "2.50")

    page = alice.browser.get(SETTINGS).content.decode()

    assert "$10.00 in total" in page
    assert "$2.50 spent, $0.00 held, $7.50 left of $10.00" in page
    assert f'href="{LIMITS}"' in page


def test_the_form_shows_what_binds(alice: Somebody) -> None:
    alice.browser.post(RATES, {"concurrent_requests": "8"})
    alice.browser.post(BUDGET, {"budget_usd": "0.50", "budget_window": "day"})

    page = alice.browser.get(LIMITS)

    assert page.context["rates_form"].initial["concurrent_requests"] == 8
    assert page.context["budget_form"].initial == {"budget_usd": "0.5", "budget_window": "day"}


@pytest.mark.parametrize(
    ("place", "fields"),
    [
        (RATES, {"requests_per_minute": "0"}),
        (RATES, {"tokens_per_minute": "many"}),
        (BUDGET, {"budget_usd": "-1", "budget_window": "month"}),
        (BUDGET, {"budget_usd": "1", "budget_window": "fortnight"}),
        (OUTAGE, {"redis_away_usd": "-0.01"}),
        (OUTAGE, {"redis_away_usd": "0.0000000001"}),
        (OUTAGE, {"redis_away_usd": "10.000000001"}),
        (OUTAGE, {"redis_away_usd": ""}),
        (OUTAGE, {"redis_away_usd": "NaN"}),
    ],
)
def test_what_cannot_be_is_told_beside_its_field(alice: Somebody, place: str, fields: dict[str, str]) -> None:
    page = alice.browser.post(place, fields)

    assert page.status_code == 200
    assert "field-errors" in page.content.decode()
    assert rates_of(alice) == (None, None, None)
    assert not Budget.objects.exists()
    assert not OutagePolicy.objects.exists()


def test_billing_sets_the_budget_and_not_the_rates(alice: Somebody) -> None:
    payer = teammate("paul@example.com", of=alice, role=Role.BILLING)

    page = payer.browser.get(LIMITS)

    assert page.context["rates_form"] is None
    assert payer.browser.post(RATES, {"requests_per_minute": "1"}).status_code == 403
    payer.browser.post(BUDGET, {"budget_usd": "5", "budget_window": "day"})
    assert Budget.objects.get().amount_usd == Decimal(5)
    assert rates_of(alice) == (None, None, None)


@pytest.mark.parametrize("role", ["admin", "developer", "viewer"])
def test_other_roles_change_nothing(alice: Somebody, role: str) -> None:
    mate = teammate("mate@example.com", of=alice, role=Role(role))

    assert mate.browser.get(LIMITS).status_code == 403
    assert mate.browser.post(RATES, {"requests_per_minute": "1"}).status_code == 403
    assert mate.browser.post(BUDGET, {"budget_usd": "1", "budget_window": "day"}).status_code == 403
    assert mate.browser.post(OUTAGE, {"redis_away_usd": "1"}).status_code == 403
    assert f'href="{LIMITS}"' not in mate.browser.get(SETTINGS).content.decode()
    assert rates_of(alice) == (None, None, None)
    assert not Budget.objects.exists()


def test_a_developer_does_not_see_the_organizations_money(alice: Somebody, bob: Somebody) -> None:
    set_organization_budget(
        organization=alice.organization, budget_usd=Decimal(77), budget_window="total", time_zone="UTC"
    )

    assert "$77" not in bob.browser.get(SETTINGS).content.decode()
