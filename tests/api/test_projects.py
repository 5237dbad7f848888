"""Projects and the organization's limits in the management API."""

import uuid

import pytest

from accounts.models import AuditEntry, Project
from gateway.models import OutagePolicy


def test_a_project_is_made_read_and_changed(owner):
    made = owner.post("/projects", {"name": "Production", "mode": "credits", "budget_usd": "100"})

    assert made.status_code == 201
    told = made.json()
    assert (told["name"], told["mode"], told["budget_usd"], told["budget_window"]) == (
        "Production",
        "credits",
        "100",
        "month",
    )
    changed = owner.patch(f"/projects/{told['id']}", {"name": "Prod", "concurrent_requests": 3}).json()
    assert (changed["name"], changed["mode"], changed["concurrent_requests"]) == ("Prod", "credits", 3)
    assert owner.get(f"/projects/{told['id']}").json() == changed
    actions = AuditEntry.objects.filter(target_id=told["id"]).values_list("action", flat=True)
    assert set(actions) == {"project.create", "project.update"}


def test_a_change_leaves_what_it_does_not_name(owner):
    project = owner.somebody.project
    kept = {"is_body_logging_on": False, "is_caching_on": True, "cache_ttl_seconds": 600}
    Project.objects.filter(pk=project.pk).update(**kept)

    assert owner.patch(f"/projects/{project.pk}", {"concurrent_requests": 3}).status_code == 200

    changed = Project.objects.filter(pk=project.pk).values("concurrent_requests", *kept).get()
    assert changed == {"concurrent_requests": 3, **kept}


def test_a_name_that_is_taken_is_a_conflict_and_changes_nothing(owner):
    answer = owner.post("/projects", {"name": "default"})

    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "conflict")
    assert Project.objects.filter(organization=owner.somebody.organization).count() == 1


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"name": "x", "mode": "free"}, "mode"),
        ({"mode": "credits"}, "name"),
        ({"name": "x", "tokens_per_minute": 10**12 + 1}, "tokens_per_minute"),
        ({"name": "x", "id": str(uuid.uuid4())}, "id"),
    ],
)
def test_what_cannot_be_is_refused(owner, body, param):
    answer = owner.post("/projects", body)

    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


def test_members_read_projects_and_admins_change_them(owner, admin, developer, viewer, stranger):
    path = f"/projects/{owner.somebody.project.pk}"

    for caller in (developer, viewer):
        assert caller.get(path).status_code == 200
        assert caller.patch(path, {"name": "Mine"}).status_code == 403
        assert caller.post("/projects", {"name": "Mine"}).status_code == 403
    assert admin.patch(path, {"name": "Ours"}).json()["name"] == "Ours"
    assert stranger.get(path).status_code == 404
    assert stranger.patch(path, {"name": "Theirs"}).status_code == 404


def test_a_project_s_budget_is_for_those_who_see_spend(owner, developer):
    path = f"/projects/{owner.somebody.project.pk}"
    owner.patch(path, {"budget_usd": "7"})

    assert owner.get(path).json()["budget_usd"] == "7"
    assert developer.get(path).json()["budget_usd"] is None


def test_the_organization_s_limits_are_the_owner_s(owner, admin, billing, developer, stranger):
    changed = owner.patch("/limits", {"requests_per_minute": 600})

    assert changed.status_code == 200
    assert admin.get("/limits").json() == {
        "requests_per_minute": 600,
        "tokens_per_minute": None,
        "concurrent_requests": None,
        "redis_away_usd": "0",
    }
    assert developer.get("/limits").status_code == 403
    assert admin.patch("/limits", {"requests_per_minute": 1}).status_code == 403
    assert billing.patch("/limits", {"requests_per_minute": 1}).status_code == 403
    assert stranger.get("/limits").status_code == 404
    assert stranger.patch("/limits", {}).status_code == 404


def test_the_outage_allowance_is_billing_s_within_the_operator_s_limit(owner, billing, admin):
    assert billing.patch("/limits", {"redis_away_usd": "0"}).status_code == 200
    assert admin.patch("/limits", {"redis_away_usd": "0"}).status_code == 403
    refused = owner.patch("/limits", {"redis_away_usd": "1000000"}).json()["error"]

    assert "operator's limit" in refused["message"]
    assert OutagePolicy.objects.get(organization=owner.somebody.organization).redis_away_usd == 0


@pytest.mark.parametrize(
    ("path", "body", "status", "param"),
    [
        ("/limits", {"redis_away_usd": "9000000"}, 400, "redis_away_usd"),
        ("/limits", {"requests_per_minute": 0}, 400, "requests_per_minute"),
        ("/projects/{project}", {"name": "Taken"}, 409, "name"),
        ("/projects/{project}", {"name": "a\u200bb"}, 400, "name"),
        ("/keys/{key}", {"allowed_networks": ["nowhere"]}, 400, "allowed_networks"),
        ("/keys/{key}", {"allowed_models": ["a b"]}, 400, "allowed_models"),
    ],
)
def test_a_change_that_breaks_a_rule_names_its_field(owner, path, body, status, param):
    somebody = owner.somebody
    owner.post("/projects", {"name": "Taken"})

    answer = owner.patch(path.format(project=somebody.project.pk, key=somebody.key_row.pk), body)

    assert (answer.status_code, answer.json()["error"]["param"]) == (status, param)
