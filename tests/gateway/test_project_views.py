"""The pages of projects, as alice (owner), bob (developer) and charlie (stranger) meet them."""

from decimal import Decimal

import pytest

from accounts.models import OrganizationEpoch, Project
from accounts.permissions import Role
from billing.models import Budget
from gateway.limit_services import create_project
from tests.gateway.spending import spend
from tests.people import Somebody, teammate

LIST, NEW = "/o/acme/projects/", "/o/acme/projects/new/"


def page_of(project: Project) -> str:
    return f"/o/acme/projects/{project.pk}/"


def notices(response) -> list[str]:
    return [str(message) for message in response.context["messages"]]


def epoch_of(somebody: Somebody) -> int:
    return OrganizationEpoch.objects.get(pk=somebody.organization.pk).epoch


def form(**fields: object) -> dict[str, object]:
    return {"name": "Production", "mode": "hybrid", **fields}


def row_named(response, name: str):
    return next(row for row in response.context["projects"] if row.name == name)


def test_the_list_shows_what_each_project_may_do_and_has_spent(alice: Somebody) -> None:
    create_project(
        organization=alice.organization,
        name="Quiet",
        mode="api-keys",
        requests_per_minute=60,
        budget_usd=None,
    )
    Budget.objects.create(
        organization=alice.organization,
        scope="project",
        scope_id=alice.project.pk,
        amount_usd=Decimal(10),
        window="month",
    )
    spend(alice.key_row, "1.25")
    spend(alice.key_row, "0.50", cost_usd="0.75")

    page = alice.browser.get(LIST)

    busy, quiet = row_named(page, "Default"), row_named(page, "Quiet")
    assert (busy.keys, busy.spend_usd, busy.budget.left_usd) == (1, Decimal("1.75"), Decimal("8.25"))
    assert (quiet.keys, quiet.spend_usd, quiet.budget) == (0, Decimal(0), None)
    assert (quiet.mode_text, quiet.limits_text) == ("Own provider keys", "60 requests/min")
    assert f"project={alice.project.pk}" in busy.requests_href
    assert len(alice.browser.get(busy.requests_href).context["rows"]) == 2


def test_a_project_is_created_with_mode_limits_and_budget(alice: Somebody) -> None:
    before = epoch_of(alice)

    response = alice.browser.post(
        NEW,
        form(
            mode="credits",
            requests_per_minute="100",
            concurrent_requests="4",
            budget_usd="12.5",
            budget_window="week",
        ),
        follow=True,
    )

    assert notices(response) == ["Production is ready for keys."]
    project = Project.objects.get(name="Production")
    assert (project.organization, project.mode) == (alice.organization, "credits")
    assert (project.requests_per_minute, project.tokens_per_minute, project.concurrent_requests) == (
        100,
        None,
        4,
    )
    budget = Budget.objects.get(scope="project", scope_id=project.pk)
    assert (budget.amount_usd, budget.window) == (Decimal("12.5"), "week")
    assert epoch_of(alice) > before


def test_a_new_project_can_be_chosen_for_a_key(alice: Somebody) -> None:
    project = create_project(organization=alice.organization, name="Production")

    alice.browser.post("/o/acme/keys/new/", {"name": "Crawler", "project": project.pk})

    assert project.api_keys.get().name == "Crawler"


def test_a_project_is_changed_and_limits_are_lifted(alice: Somebody) -> None:
    project = create_project(
        organization=alice.organization, name="Old", tokens_per_minute=5, budget_usd=Decimal(3)
    )
    shown = alice.browser.get(page_of(project)).context["form"].initial
    before = epoch_of(alice)

    response = alice.browser.post(page_of(project), form(mode="api-keys"), follow=True)

    assert (shown["name"], shown["tokens_per_minute"], shown["budget_usd"]) == ("Old", 5, "3")
    assert notices(response) == ["Production is saved; its limits hold within a second."]
    project.refresh_from_db()
    assert (project.name, project.mode, project.tokens_per_minute) == ("Production", "api-keys", None)
    assert not Budget.objects.exists()
    assert epoch_of(alice) > before


def test_changing_the_amount_keeps_the_calendar_of_the_budget(alice: Somebody) -> None:
    project = create_project(
        organization=alice.organization, name="P", budget_usd=Decimal(3), time_zone="Asia/Tokyo"
    )

    alice.browser.post(page_of(project), form(budget_usd="4", budget_window="month"))

    budget = Budget.objects.get()
    assert (budget.amount_usd, budget.time_zone) == (Decimal(4), "Asia/Tokyo")


@pytest.mark.parametrize(
    ("field", "value", "complaint"),
    [
        ("name", "", "This field is required."),
        ("name", "default", "There is already a project called"),
        ("mode", "barter", "Select a valid choice."),
        ("requests_per_minute", "0", "greater than or equal to 1"),
        ("tokens_per_minute", "1.5", "Enter a whole number."),
        ("budget_usd", "-1", "Enter at least 0.000000001"),
        ("budget_usd", "NaN", "Enter a number."),
        ("budget_usd", "0.0000000001", "no more than 9 decimal places"),
        ("budget_usd", "9000001", "less than or equal to 9000000"),
        ("budget_window", "fortnight", "Select a valid choice."),
    ],
)
def test_what_cannot_be_is_told_and_nothing_is_created(
    alice: Somebody, field: str, value: str, complaint: str
) -> None:
    page = alice.browser.post(NEW, form(**{field: value}))

    assert page.status_code == 200
    assert complaint in page.content.decode()
    assert Project.objects.count() == 1
    assert not Budget.objects.exists()


def test_a_taken_name_leaves_the_project_as_it_was(alice: Somebody) -> None:
    project = create_project(organization=alice.organization, name="Production", requests_per_minute=7)

    page = alice.browser.post(page_of(project), form(name="DEFAULT"))

    assert "There is already a project called" in page.content.decode()
    assert "<h1>Production</h1>" in page.content.decode()
    project.refresh_from_db()
    assert (project.name, project.requests_per_minute) == ("Production", 7)


@pytest.mark.parametrize("role", ["developer", "billing", "viewer"])
def test_who_may_not_manage_projects_reads_the_list_alone(alice: Somebody, role: str) -> None:
    mate = teammate("mate@example.com", of=alice, role=Role(role))

    page = mate.browser.get(LIST)

    assert row_named(page, "Default").href == ""
    assert NEW not in page.content.decode()
    assert mate.browser.get(NEW).status_code == 403
    assert mate.browser.post(NEW, form()).status_code == 403
    assert mate.browser.post(page_of(alice.project), form()).status_code == 403
    assert [project.name for project in Project.objects.all()] == ["Default"]


def test_a_developer_sees_neither_spend_nor_the_keys_of_others(alice: Somebody, bob: Somebody) -> None:
    spend(alice.key_row, "1234.56")

    page = bob.browser.get(LIST)

    row = row_named(page, "Default")
    assert (row.spend_usd, row.budget, row.keys) == (None, None, 1)
    assert "$" not in page.content.decode().split("<main", 1)[1]


def test_a_project_of_another_organization_is_not_found(alice: Somebody, charlie: Somebody) -> None:
    place = f"/o/{charlie.organization.slug}/projects/{alice.project.pk}/"

    assert charlie.browser.get(place).status_code == 404
    assert charlie.browser.post(place, form()).status_code == 404
    assert Project.objects.get(pk=alice.project.pk).name == "Default"
