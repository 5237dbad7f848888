"""Keys in the management API: who sees, makes, changes, rolls and revokes which; the secret shows once."""

import uuid
from datetime import timedelta

import pytest
from django.conf import settings
from django.utils import timezone

from accounts.keys import hmac_of
from accounts.models import ApiKey, AuditEntry
from billing.models import Budget


def stored(secret):
    return ApiKey.objects.get(secret_hmac=hmac_of(secret, settings.FAREBOX_KEY_PEPPER))


def test_a_new_key_has_what_was_asked_for_and_its_secret_is_shown_once(owner):
    answer = owner.post(
        "/keys",
        {
            "name": "Nightly",
            "requests_per_minute": 60,
            "allowed_models": ["openai/*"],
            "allowed_networks": ["203.0.113.9/24"],
            "default_tags": ["night"],
            "is_budget_clamped": True,
            "budget_usd": "12.50",
            "budget_window": "day",
            "time_zone": "Europe/Berlin",
        },
    )

    assert answer.status_code == 201
    told = answer.json()
    key = stored(told["secret"])
    assert (key.name, key.requests_per_minute, key.tokens_per_minute) == ("Nightly", 60, None)
    assert (key.allowed_models, key.default_tags, key.is_budget_clamped) == (["openai/*"], ["night"], True)
    assert key.allowed_networks == told["allowed_networks"] == ["203.0.113.0/24"]
    budget = Budget.objects.get(scope="key", scope_id=key.pk)
    assert (str(budget.amount_usd), budget.window, budget.time_zone) == (
        "12.500000000",
        "day",
        "Europe/Berlin",
    )
    read = owner.get(f"/keys/{told['id']}").json()
    assert read == {name: value for name, value in told.items() if name != "secret"}
    assert (read["budget_usd"], read["status"], read["last_four"]) == ("12.5", "active", told["secret"][-4:])


def test_a_key_without_a_project_goes_into_the_first_one(owner):
    told = owner.post("/keys", {"name": "Plain"}).json()

    assert told["project_id"] == str(owner.somebody.project.pk)
    assert (told["expires_at"], told["budget_usd"], told["allowed_models"]) == (None, None, None)


@pytest.mark.parametrize(
    ("body", "param", "word"),
    [
        ({}, "name", "required"),
        ({"name": ""}, "name", "blank"),
        ({"name": 5}, "name", "string"),
        ({"name": "n", "requests_per_minute": 0}, "requests_per_minute", "1"),
        ({"name": "n", "requests_per_minute": "60"}, "requests_per_minute", "whole number"),
        ({"name": "n", "requests_per_minute": True}, "requests_per_minute", "whole number"),
        ({"name": "n", "budget_usd": 1.5}, "budget_usd", "decimal string"),
        ({"name": "n", "budget_usd": "1e3"}, "budget_usd", "decimal string"),
        ({"name": "n", "budget_usd": "0.0000000001"}, "budget_usd", "9"),
        ({"name": "n", "budget_usd": "-1"}, "budget_usd", "0.000000001"),
        ({"name": "n", "budget_usd": "0"}, "budget_usd", "0.000000001"),
        ({"name": "n", "budget_usd": "1", "budget_window": "year"}, "budget_window", "hour, day, week"),
        ({"name": "n", "budget_usd": "1", "time_zone": "Mars/Olympus"}, "time_zone", "Europe/Berlin"),
        ({"name": "n", "expires_at": "2027-01-01T00:00:00"}, "expires_at", "offset"),
        ({"name": "n", "expires_at": "tomorrow"}, "expires_at", "offset"),
        ({"name": "n", "expires_at": "2020-01-01T00:00:00Z"}, "expires_at", "expired"),
        ({"name": "n", "allowed_models": []}, "allowed_models", "1"),
        ({"name": "n", "allowed_models": ["a", 1]}, "allowed_models.1", "string"),
        ({"name": "n", "default_tags": ["a,b"]}, "default_tags", "comma"),
        ({"name": "n", "allowed_models": ["a b"]}, "allowed_models", "provider/model"),
        ({"name": "n", "allowed_networks": ["nowhere"]}, "allowed_networks", "203.0.113.0/24"),
        ({"name": "a\tb\u200b"}, "name", "printable"),
        ({"name": "n", "project_id": str(uuid.UUID(int=1))}, "project_id", "project of the organization"),
        ({"name": "n", "color": "red"}, "color", "allowed: "),
        ({"name": "n\x00"}, "name", "Null"),
        ({"name": "\ud800"}, "name", "Surrogate"),
        ([], None, "object"),
    ],
)
def test_what_cannot_be_is_refused_with_the_field_and_what_is_allowed(owner, body, param, word):
    before = ApiKey.objects.count()

    answer = owner.post("/keys", body)

    assert answer.status_code == 400
    error = answer.json()["error"]
    assert (error["type"], error["param"]) == ("invalid_request_error", param)
    assert word in error["message"]
    assert answer.json()["detail"] == error["message"]
    assert ApiKey.objects.count() == before
    assert not AuditEntry.objects.filter(action="key.create").exists()


def test_a_key_changes_what_is_sent_and_keeps_the_rest(owner):
    told = owner.post("/keys", {"name": "K", "requests_per_minute": 5, "budget_usd": "3"}).json()

    changed = owner.patch(f"/keys/{told['id']}", {"tokens_per_minute": 100, "budget_usd": "4.25"}).json()

    assert (changed["requests_per_minute"], changed["tokens_per_minute"]) == (5, 100)
    assert (changed["budget_usd"], changed["budget_window"]) == ("4.25", "month")
    lifted = owner.patch(f"/keys/{told['id']}", {"requests_per_minute": None, "budget_usd": None}).json()
    assert (lifted["requests_per_minute"], lifted["tokens_per_minute"]) == (None, 100)
    assert (lifted["budget_usd"], lifted["budget_window"]) == (None, None)


def test_a_rolled_key_keeps_its_id_and_has_another_secret(owner):
    told = owner.post("/keys", {"name": "K", "budget_usd": "3"}).json()

    rolled = owner.post(f"/keys/{told['id']}/roll", {"overlap_seconds": 3600}).json()

    key = stored(rolled["secret"])
    assert (rolled["id"], rolled["budget_usd"]) == (told["id"], "3")
    assert rolled["secret"] != told["secret"]
    assert bytes(key.previous_secret_hmac) == hmac_of(told["secret"], settings.FAREBOX_KEY_PEPPER)
    assert timedelta(minutes=59) < key.previous_secret_ends_at - timezone.now() <= timedelta(hours=1)


def test_nobody_gets_the_secret_of_a_key_with_more_rights_than_theirs(owner, admin):
    told = owner.post("/keys", {"name": "K", "role": "owner"}).json()
    path = f"/keys/{told['id']}"

    assert (told["role"], admin.post(f"{path}/roll").status_code) == ("owner", 403)
    assert admin.post("/keys", {"name": "K", "role": "owner"}).status_code == 403
    assert admin.patch(path, {"role": "viewer"}).status_code == 403
    assert owner.patch(path, {"role": "viewer"}).json()["role"] == "viewer"
    assert admin.post(f"{path}/roll").status_code == 200


@pytest.mark.parametrize("overlap_seconds", [-1, 30 * 86_400 + 1, "60"])
def test_an_overlap_out_of_range_is_refused(owner, overlap_seconds):
    answer = owner.post(f"/keys/{owner.somebody.key_row.pk}/roll", {"overlap_seconds": overlap_seconds})

    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "overlap_seconds")
    assert stored(owner.somebody.key) == owner.somebody.key_row


def test_revoking_twice_is_as_revoking_once(owner):
    key = owner.somebody.key_row

    first, second = owner.delete(f"/keys/{key.pk}"), owner.delete(f"/keys/{key.pk}")

    assert (first.status_code, second.status_code) == (204, 204)
    key.refresh_from_db()
    assert key.revoked_at is not None
    assert AuditEntry.objects.filter(action="key.revoke", target_id=key.pk).count() == 1
    assert owner.get(f"/keys/{key.pk}").json()["status"] == "revoked"


def test_a_revoked_key_neither_changes_nor_rolls(owner):
    key = owner.somebody.key_row
    owner.delete(f"/keys/{key.pk}")

    assert owner.patch(f"/keys/{key.pk}", {"requests_per_minute": 1}).status_code == 409
    assert owner.post(f"/keys/{key.pk}/roll").status_code == 409


def test_a_developer_makes_keys_and_reaches_their_own_alone(owner, developer):
    assert developer.post("/keys", {"name": "Mine"}).status_code == 201
    shown = {key["name"] for key in developer.get("/keys").json()["data"]}

    assert shown == {"Mine", "Key of bob@example.com"}
    others = f"/keys/{owner.somebody.key_row.pk}"
    assert developer.get(others).status_code == 404
    assert developer.delete(others).status_code == 404
    assert developer.post(f"{others}/roll").status_code == 404
    own = f"/keys/{developer.somebody.key_row.pk}"
    assert developer.patch(own, {"requests_per_minute": 1}).status_code == 403
    assert developer.post(f"{own}/roll").status_code == 200
    assert developer.delete(own).status_code == 204


def test_an_admin_changes_any_key_a_viewer_and_billing_only_look(owner, admin, viewer, billing):
    path = f"/keys/{owner.somebody.key_row.pk}"

    for caller in (viewer, billing):
        assert caller.get(path).status_code == 200
        assert caller.post("/keys", {"name": "K"}).status_code == 403
        assert caller.patch(path, {"requests_per_minute": 1}).status_code == 403
        assert caller.post(f"{path}/roll").status_code == 403
        assert caller.delete(path).status_code == 403
    assert admin.patch(path, {"requests_per_minute": 1}).json()["requests_per_minute"] == 1
    assert admin.delete(path).status_code == 204


def test_a_stranger_finds_no_keys_and_not_even_the_organization(owner, stranger):
    for key_id in (owner.somebody.key_row.pk, uuid.uuid4()):
        for answer in (
            stranger.get(f"/keys/{key_id}"),
            stranger.patch(f"/keys/{key_id}", {}),
            stranger.delete(f"/keys/{key_id}"),
            stranger.post(f"/keys/{key_id}/roll"),
        ):
            assert answer.status_code == 404
            assert answer.json()["error"]["type"] == "not_found"
    assert stranger.get("/keys").status_code == 404
    assert stranger.post("/keys", {"name": "K"}).status_code == 404


def test_lists_are_filtered_by_status_and_project(owner):
    told = owner.post("/keys", {"name": "Ended"}).json()
    owner.delete(f"/keys/{told['id']}")
    expired = owner.post("/keys", {"name": "Expired"}).json()
    ApiKey.objects.filter(pk=expired["id"]).update(expires_at=timezone.now())

    def names(query):
        return {key["name"] for key in owner.get(f"/keys?{query}").json()["data"]}

    assert names("status=revoked") == {"Ended"}
    assert names("status=expired") == {"Expired"}
    assert names("status=active") == {"Key of alice@example.com"}
    assert names(f"project_id={uuid.uuid4()}") == set()
    assert len(names(f"project_id={owner.somebody.project.pk}")) == 3
    wrong = owner.get("/keys?status=lost").json()["error"]
    assert (wrong["param"], wrong["message"]) == (
        "status",
        "status: must be one of active, expired, revoked.",
    )


def test_each_write_leaves_its_entry_and_no_secret(owner):
    told = owner.post("/keys", {"name": "K"}).json()
    owner.patch(f"/keys/{told['id']}", {"requests_per_minute": 1})
    rolled = owner.post(f"/keys/{told['id']}/roll").json()
    owner.delete(f"/keys/{told['id']}")

    entries = owner.get(f"/audit?target_id={told['id']}&order=oldest").json()["data"]

    assert [entry["action"] for entry in entries] == ["key.create", "key.update", "key.roll", "key.revoke"]
    assert {(entry["actor"], entry["via"]) for entry in entries} == {("alice@example.com", "api")}
    assert all(entry["credential"].startswith("Scripts …") for entry in entries)
    assert entries[1]["changed"] == ["requests_per_minute"]
    assert told["secret"] not in str(entries)
    assert rolled["secret"] not in str(entries)


def test_the_networks_of_a_key_change_only_when_they_are_named(owner):
    told = owner.post("/keys", {"name": "Office", "allowed_networks": ["203.0.113.0/24"]}).json()

    kept = owner.patch(f"/keys/{told['id']}", {"requests_per_minute": 5}).json()
    moved = owner.patch(f"/keys/{told['id']}", {"allowed_networks": ["198.51.100.7"]}).json()
    refused = owner.patch(f"/keys/{told['id']}", {"allowed_networks": ["somewhere"]})
    opened = owner.patch(f"/keys/{told['id']}", {"allowed_networks": None}).json()

    assert kept["allowed_networks"] == ["203.0.113.0/24"]
    assert moved["allowed_networks"] == ["198.51.100.7/32"]
    assert refused.status_code == 400
    assert opened["allowed_networks"] is None
