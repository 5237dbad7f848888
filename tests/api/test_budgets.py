"""Budgets of every scope and window in the management API."""

import uuid

import pytest

from accounts.models import AuditEntry
from billing.models import Budget

MONTHLY = {"scope": "organization", "amount_usd": "50", "window": "month"}
NIGHTLY = {"scope": "tag", "subject": "night", "amount_usd": "1", "window": "day"}


@pytest.mark.parametrize("window", ["hour", "day", "week", "month", "quarter", "total"])
@pytest.mark.parametrize(
    "scope",
    [
        {"scope": "organization"},
        {"scope": "tag", "subject": "night"},
        {"scope": "end_user", "is_each": True},
        {"scope": "model", "subject": "openai/*"},
    ],
)
def test_each_scope_has_each_window(owner, scope, window):
    answer = owner.post("/budgets", {**scope, "amount_usd": "0.000000001", "window": window})

    assert answer.status_code == 201
    told = answer.json()
    assert (told["window"], told["amount_usd"]) == (window, "0.000000001")
    assert (told["spent_usd"], told["left_usd"]) == (
        (None, None) if scope.get("is_each") else ("0", "0.000000001")
    )


def test_projects_and_keys_are_bound_by_their_id(owner, charlie):
    somebody = owner.somebody
    for scope, scope_id in (("project", somebody.project.pk), ("key", somebody.key_row.pk)):
        body = {"scope": scope, "scope_id": str(scope_id), "amount_usd": "1", "window": "day"}
        assert owner.post("/budgets", body).json()["scope_id"] == str(scope_id)
        foreign = {**body, "scope_id": str(charlie.project.pk)}
        assert owner.post("/budgets", foreign).json()["error"]["param"] == "scope_id"


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"amount_usd": "0"}, "amount_usd"),
        ({"amount_usd": 50}, "amount_usd"),
        ({"window": "year"}, "window"),
        ({"window": "total", "is_rolling": True}, "window"),
        ({"scope": "team"}, "scope"),
        ({"scope": "tag"}, "subject"),
        ({"subject": "night"}, "subject"),
        ({"is_each": True}, "is_each"),
        ({"is_each": "yes"}, "is_each"),
        ({"time_zone": "Nowhere"}, "time_zone"),
        ({"alert_percents": [0]}, "alert_percents"),
        ({"alert_percents": [101]}, "alert_percents"),
        ({"alert_percents": list(range(1, 12))}, "alert_percents"),
        ({"name": "x" * 65}, "name"),
        ({"spent_usd": "0"}, "spent_usd"),
    ],
)
def test_what_cannot_be_is_refused_with_its_field(owner, change, param):
    answer = owner.post("/budgets", {**MONTHLY, **change})

    assert answer.status_code == 400
    assert answer.json()["error"]["param"].partition(".")[0] == param
    assert not Budget.objects.exists()


def test_the_amount_changes_under_a_budget_and_the_window_makes_another(owner):
    told = owner.post("/budgets", MONTHLY).json()

    raised = owner.patch(f"/budgets/{told['id']}", {"amount_usd": "60", "name": "All"}).json()
    weekly = owner.patch(f"/budgets/{told['id']}", {"window": "week"}).json()

    assert (raised["id"], raised["amount_usd"], raised["name"]) == (told["id"], "60", "All")
    assert weekly["id"] != told["id"]
    assert (weekly["window"], weekly["amount_usd"], weekly["name"]) == ("week", "60", "All")
    assert owner.get(f"/budgets/{told['id']}").status_code == 404
    assert [each["id"] for each in owner.get("/budgets").json()["data"]] == [weekly["id"]]


def test_lifting_twice_is_as_lifting_once(owner):
    told = owner.post("/budgets", MONTHLY).json()

    assert owner.delete(f"/budgets/{told['id']}").status_code == 204
    assert owner.delete(f"/budgets/{told['id']}").status_code == 204
    assert not Budget.objects.exists()
    assert AuditEntry.objects.filter(action="budget.remove").count() == 1
    assert owner.delete(f"/budgets/{uuid.uuid4()}").status_code == 404


def test_lists_are_filtered(owner):
    owner.post("/budgets", MONTHLY)
    owner.post("/budgets", NIGHTLY)

    def scopes(query):
        return [each["scope"] for each in owner.get(f"/budgets?{query}").json()["data"]]

    assert scopes("scope=tag") == ["tag"]
    assert scopes("window=month") == ["organization"]
    assert scopes("order=oldest") == ["organization", "tag"]
    assert owner.get("/budgets?scope=team").json()["error"]["param"] == "scope"
    assert owner.get("/budgets?colour=red").json()["error"]["param"] == "colour"


def test_who_sees_spend_reads_and_who_manages_budgets_writes(
    owner, admin, billing, viewer, developer, stranger
):
    told = owner.post("/budgets", MONTHLY).json()
    path = f"/budgets/{told['id']}"

    assert [caller.get(path).status_code for caller in (viewer, billing, admin)] == [200, 200, 200]
    assert developer.get(path).status_code == 403
    assert viewer.patch(path, {"amount_usd": "1"}).status_code == 403
    assert viewer.delete(path).status_code == 403
    assert developer.post("/budgets", MONTHLY).status_code == 403
    assert billing.patch(path, {"amount_usd": "1"}).status_code == 200
    assert admin.post("/budgets", NIGHTLY).status_code == 201
    for answer in (stranger.get(path), stranger.patch(path, {}), stranger.delete(path)):
        assert answer.status_code == 404
    assert stranger.post("/budgets", MONTHLY).status_code == 404
    assert Budget.objects.filter(pk=told["id"]).exists()


def test_the_organization_s_budget_is_billing_s(owner, admin, billing):
    whole = owner.post("/budgets", MONTHLY).json()["id"]
    nightly = admin.post("/budgets", NIGHTLY).json()["id"]

    widened = {"scope": "organization", "subject": ""}
    for answer in (
        admin.post("/budgets", MONTHLY),
        admin.patch(f"/budgets/{whole}", {"amount_usd": "1"}),
        admin.patch(f"/budgets/{whole}", {"scope": "tag", "subject": "night"}),
        admin.patch(f"/budgets/{nightly}", widened),
        admin.delete(f"/budgets/{whole}"),
    ):
        assert answer.status_code == 403
    assert set(Budget.objects.values_list("scope", "amount_usd")) == {("organization", 50), ("tag", 1)}
    assert admin.delete(f"/budgets/{nightly}").status_code == 204
    assert billing.delete(f"/budgets/{whole}").status_code == 204


@pytest.fixture(params=["keys", "projects"])
def holder(request, owner):
    """The path of something that can have a budget by the calendar."""
    somebody = owner.somebody
    return f"/keys/{somebody.key_row.pk}" if request.param == "keys" else f"/projects/{somebody.project.pk}"


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"budget_window": "day"}, "budget_window"),
        ({"time_zone": "Asia/Tokyo"}, "time_zone"),
        ({"budget_usd": None, "budget_window": "day"}, "budget_window"),
        ({"time_zone": "Asia/Tokyo", "requests_per_minute": 5}, "time_zone"),
    ],
)
def test_what_is_said_of_a_budget_that_is_not_there_is_refused(owner, holder, change, param):
    answers = [owner.patch(holder, change), owner.post(holder.rpartition("/")[0], {"name": "N", **change})]

    assert [(answer.status_code, answer.json()["error"]["param"]) for answer in answers] == [(400, param)] * 2
    assert owner.get(holder).json()["requests_per_minute"] is None


@pytest.mark.parametrize(
    ("change", "window", "time_zone"),
    [
        ({}, "day", "Europe/Berlin"),
        ({"budget_usd": "4"}, "day", "Europe/Berlin"),
        ({"time_zone": "Asia/Tokyo"}, "day", "Asia/Tokyo"),
        ({"time_zone": "Asia/Tokyo", "budget_usd": "4"}, "day", "Asia/Tokyo"),
        ({"budget_window": "week"}, "week", "Europe/Berlin"),
        ({"budget_window": "week", "time_zone": "Asia/Tokyo"}, "week", "Asia/Tokyo"),
    ],
)
def test_a_change_of_a_calendar_holds_whatever_else_changes(owner, holder, change, window, time_zone):
    owner.patch(holder, {"budget_usd": "3", "budget_window": "day", "time_zone": "Europe/Berlin"})

    answer = owner.patch(holder, change)

    budget = Budget.objects.get()
    assert answer.status_code == 200
    assert (budget.window, budget.time_zone) == (window, time_zone)
    assert str(budget.amount_usd.normalize()) == change.get("budget_usd", "3")


def test_a_calendar_that_is_none_is_refused_by_a_change_too(owner, holder):
    owner.patch(holder, {"budget_usd": "3"})

    answer = owner.patch(holder, {"time_zone": "Mars/Olympus"})

    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "time_zone")
