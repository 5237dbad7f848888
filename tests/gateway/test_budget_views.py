"""The budgets page: bars, the form that speaks, and who may change what."""

from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from accounts.permissions import Role
from billing.budget_services import BudgetTerms, create_budget
from billing.models import Budget
from tests.gateway.spending import spend
from tests.people import Somebody, teammate

LIST, NEW = "/o/acme/budgets/", "/o/acme/budgets/new/"


def form(**changes: str) -> dict[str, str]:
    return {
        "amount_usd": "50",
        "renewal": "month",
        "time_zone": "Europe/Berlin",
        "whom": "organization",
        "subject": "",
        "mode": "refuse",
        "alert_percents": "50, 80, 100",
        "name": "",
        **changes,
    }


def make(somebody: Somebody, **terms: Any) -> Budget:
    said = {"scope": "organization", "amount_usd": Decimal(10), "window": "month", **terms}
    return create_budget(organization=somebody.organization, terms=BudgetTerms(**said))


def page_of(somebody: Somebody, url: str = LIST) -> str:
    return str(somebody.browser.get(url).content.decode())


def test_without_budgets_the_page_says_what_they_are_for(alice: Somebody) -> None:
    assert "No budgets yet" in page_of(alice)
    assert "Create budget" in page_of(alice)


def test_a_budget_is_made_and_said_as_a_sentence(alice: Somebody) -> None:
    response = alice.browser.post(NEW, form(name="Launch"), follow=True)

    page = response.content.decode()
    assert "$50.00 every month, from the 1st, Europe/Berlin" in page
    assert "Launch" in page
    assert "at 50, 80 and 100 %" in page
    budget = Budget.objects.get()
    assert (budget.scope, budget.scope_id) == ("organization", alice.organization.pk)
    assert (budget.amount_usd, budget.window, budget.time_zone) == (Decimal(50), "month", "Europe/Berlin")


@pytest.mark.parametrize(
    ("whom", "subject", "expected"),
    [
        ("tag", "nightly", ("tag", "nightly", False, "Tag nightly")),
        ("each-tag", "", ("tag", "", True, "Each tag for itself")),
        ("end_user", "ann@example.com", ("end_user", "ann@example.com", False, "End user ann@example.com")),
        ("each-end_user", "", ("end_user", "", True, "Each end user for itself")),
        ("model", "gpt-5*", ("model", "gpt-5*", False, "Model family gpt-5*")),
        ("project", "", ("project", "", False, "Project Default")),
        ("key", "", ("key", "", False, "Key Key of alice@example.com")),
    ],
)
def test_every_scope_can_have_a_budget(
    alice: Somebody, whom: str, subject: str, expected: tuple[str, str, bool, str]
) -> None:
    ids = {"project": alice.project.pk, "key": alice.key_row.pk}
    chosen = f"{whom}:{ids[whom]}" if whom in ids else whom

    response = alice.browser.post(NEW, form(whom=chosen, subject=subject), follow=True)

    budget = Budget.objects.get()
    assert (budget.scope, budget.subject, budget.is_each) == expected[:3]
    assert expected[3] in response.content.decode()


@pytest.mark.parametrize(
    ("renewal", "sentence"),
    [
        ("hour", "$50.00 every hour, on the hour, Europe/Berlin"),
        ("quarter", "$50.00 every quarter, from the 1st of January, April, July and October, Europe/Berlin"),
        ("total", "$50.00 in total, never renewed"),
        ("rolling-day", "$50.00 in any 24 hours"),
        ("rolling-quarter", "$50.00 in any 90 days"),
    ],
)
def test_every_window_can_be_chosen(alice: Somebody, renewal: str, sentence: str) -> None:
    response = alice.browser.post(NEW, form(renewal=renewal), follow=True)

    assert sentence in response.content.decode()


@pytest.mark.parametrize(
    ("field", "value", "complaint"),
    [
        ("amount_usd", "", "This field is required."),
        ("amount_usd", "-1", "Enter an amount between 0.000000001 and 9,000,000."),
        ("amount_usd", "0", "Enter an amount between 0.000000001 and 9,000,000."),
        ("amount_usd", "9000001", "Enter an amount between 0.000000001 and 9,000,000."),
        ("amount_usd", "0.0000000001", "no more than 9 decimal places"),
        ("amount_usd", "NaN", "Enter a number."),
        ("renewal", "fortnight", "Select a valid choice."),
        ("renewal", "rolling-total", "Select a valid choice."),
        ("time_zone", "Europe/Atlantis", "is not a time zone"),
        ("whom", "planet", "Select a valid choice."),
        ("whom", "tag", "Name the tag that it binds"),
        ("subject", "someone", "This budget names nobody"),
        ("alert_percents", "0", "numbers from 1 to 100"),
        ("alert_percents", "101", "numbers from 1 to 100"),
        ("alert_percents", "half", "Write whole numbers"),
    ],
)
def test_what_cannot_be_is_told_beside_its_field(
    alice: Somebody, field: str, value: str, complaint: str
) -> None:
    response = alice.browser.post(NEW, form(**{field: value}))

    assert response.status_code == 200
    assert complaint in response.content.decode()
    assert not Budget.objects.exists()


def test_a_key_of_another_organization_cannot_be_chosen(alice: Somebody, charlie: Somebody) -> None:
    response = alice.browser.post(NEW, form(whom=f"key:{charlie.key_row.pk}"))

    assert "Select a valid choice." in response.content.decode()
    assert not Budget.objects.exists()


def test_overlapping_budgets_stand_beside_each_other(alice: Somebody) -> None:
    for amount in ("50", "20"):
        alice.browser.post(NEW, form(amount_usd=amount))

    page = page_of(alice)
    assert "$50.00 every month" in page
    assert "$20.00 every month" in page


def test_a_bar_says_what_is_spent_and_left(alice: Somebody) -> None:
    make(alice, scope="model", subject="fake/*")
    spend(alice.key_row, "2.50", provider="fake", model="echo")
    spend(alice.key_row, "4", provider="other", model="echo")

    assert "$2.50 spent, $0.00 held, $7.50 left of $10.00" in page_of(alice)


def test_a_budget_for_each_shows_who_spent_the_most(alice: Somebody) -> None:
    make(alice, scope="end_user", is_each=True)
    spend(alice.key_row, "1", end_user="ann")
    spend(alice.key_row, "3", end_user="ben")
    spend(alice.key_row, "5")

    page = page_of(alice)
    assert page.index(">ben<") < page.index(">ann<")
    assert "$3.00 spent, $0.00 held, $7.00 left of $10.00" in page


def test_an_observed_budget_says_how_many_it_would_have_refused_and_which(alice: Somebody) -> None:
    budget = make(alice, is_observed=True)
    for _ in range(2):
        spend(alice.key_row, "1", would_refuse=[budget.pk], request_id="beyond")
    spend(alice.key_row, "1", request_id="within")

    response = alice.browser.get(LIST)
    [row] = response.context["budgets"]
    listed = alice.browser.get(row.would_refuse_href).content.decode()

    assert "Observes only" in response.content.decode()
    assert "2 requests" in response.content.decode()
    assert "2 requests" in listed


def test_another_amount_changes_the_budget_and_another_window_makes_another(alice: Somebody) -> None:
    budget = make(alice)
    url = f"{LIST}{budget.pk}/"
    assert 'value="10"' in page_of(alice, url)

    alice.browser.post(url, form(amount_usd="20", time_zone="UTC", mode="observe"))
    same = Budget.objects.get()
    alice.browser.post(url, form(amount_usd="20", renewal="week"))
    other = Budget.objects.get()

    assert (same.pk, same.amount_usd, same.is_observed) == (budget.pk, Decimal(20), True)
    assert other.pk != budget.pk
    assert other.window == "week"


def test_a_refused_change_leaves_the_budget_as_it_was(alice: Somebody) -> None:
    budget = make(alice)

    response = alice.browser.post(f"{LIST}{budget.pk}/", form(renewal="week", time_zone="Mars/Base"))

    assert "is not a time zone" in response.content.decode()
    assert Budget.objects.get().window == "month"


def test_a_deleted_budget_is_gone(alice: Somebody) -> None:
    budget = make(alice)

    response = alice.browser.post(f"{LIST}{budget.pk}/delete/", follow=True)

    assert "is lifted within a second" in response.content.decode()
    assert not Budget.objects.exists()


@pytest.mark.parametrize(
    ("role", "sees", "changes"),
    [
        (Role.ADMIN, 200, 200),
        (Role.BILLING, 200, 200),
        (Role.VIEWER, 200, 403),
        (Role.DEVELOPER, 403, 403),
    ],
)
def test_roles_see_and_change_what_they_may(alice: Somebody, role: Role, sees: int, changes: int) -> None:
    budget = make(alice, scope="tag", subject="nightly")
    browser = teammate("mate@example.com", of=alice, role=role).browser

    assert browser.get(LIST).status_code == sees
    assert browser.get(NEW).status_code == changes
    assert browser.get(f"{LIST}{budget.pk}/").status_code == changes


@pytest.mark.parametrize(("role", "amounts"), [(Role.ADMIN, [10]), (Role.BILLING, [20, 50])])
def test_the_organization_s_budget_is_billing_s(alice: Somebody, role: Role, amounts: list[int]) -> None:
    url = f"{LIST}{make(alice).pk}/"
    mate = teammate("mate@example.com", of=alice, role=role)

    mate.browser.post(NEW, form())
    mate.browser.post(url, form(amount_usd="20", time_zone="UTC"))

    assert sorted(Budget.objects.values_list("amount_usd", flat=True)) == amounts
    assert (url in page_of(mate)) == (role == Role.BILLING)
    assert ("The whole organization" in page_of(mate, NEW)) == (role == Role.BILLING)
    assert mate.browser.post(f"{url}delete/").status_code == (302 if role == Role.BILLING else 403)


def test_an_admin_cannot_widen_a_budget_to_the_organization(alice: Somebody) -> None:
    budget = make(alice, scope="tag", subject="nightly")
    admin = teammate("mate@example.com", of=alice, role=Role.ADMIN)

    response = admin.browser.post(f"{LIST}{budget.pk}/", form(whom="organization"))

    assert "Select a valid choice." in response.content.decode()
    assert Budget.objects.get().scope == "tag"


def test_a_stranger_finds_nothing(alice: Somebody, charlie: Somebody) -> None:
    budget = make(alice)

    for url in (LIST, NEW, f"{LIST}{budget.pk}/"):
        assert charlie.browser.get(url).status_code == 404
    assert charlie.browser.post(f"{LIST}{budget.pk}/delete/").status_code == 404
    assert Budget.objects.exists()


def test_the_budget_of_a_revoked_key_can_still_be_changed(alice: Somebody) -> None:
    budget = make(alice, scope="key", scope_id=alice.key_row.pk)
    alice.key_row.revoked_at = timezone.now()
    alice.key_row.save()

    changed = form(whom=f"key:{alice.key_row.pk}", amount_usd="3", time_zone="UTC")
    alice.browser.post(f"{LIST}{budget.pk}/", changed)

    assert Budget.objects.get().amount_usd == Decimal(3)
