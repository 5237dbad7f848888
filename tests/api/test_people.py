"""Organizations, members, invitations and the audit log in the management API."""

import uuid

import pytest
from django.core import mail

from accounts.models import ApiKey, AuditEntry, Invitation, Membership
from tests.api.conftest import call


def test_a_token_reaches_the_one_organization_it_was_made_in(owner, charlie):
    charlie.organization.memberships.create(person=owner.somebody.person, role="viewer")

    listed = call("GET", "/organizations", owner.token).json()["data"]

    assert [(each["slug"], each["role"]) for each in listed] == [("acme", "owner")]
    assert call("GET", f"/organizations/{charlie.organization.slug}", owner.token).status_code == 404


def test_an_owner_renames_and_switches_and_an_admin_does_not(owner, admin, stranger):
    changed = owner.patch("", {"name": "Acme Ltd", "is_body_logging_on": True}).json()

    assert (changed["name"], changed["slug"], changed["is_body_logging_on"]) == ("Acme Ltd", "acme", True)
    assert changed["is_stream_cut_on_revocation"] is False
    assert owner.patch("", {"is_stream_cut_on_revocation": True}).json()["is_stream_cut_on_revocation"]
    assert admin.get("").json()["name"] == "Acme Ltd"
    assert admin.patch("", {"name": "Mine"}).status_code == 403
    assert stranger.get("").status_code == 404
    assert stranger.patch("", {"name": "Mine"}).status_code == 404


def test_roles_change_up_to_one_s_own_and_an_owner_remains(owner, admin, developer, stranger):
    path = f"/members/{developer.somebody.person.pk}"

    assert admin.patch(path, {"role": "admin"}).json()["role"] == "admin"
    beyond = admin.patch(path, {"role": "owner"})
    last = owner.patch(f"/members/{owner.somebody.person.pk}", {"role": "viewer"})
    unknown = owner.patch(path, {"role": "king"}).json()["error"]

    assert (beyond.status_code, last.status_code) == (403, 409)
    assert "owner, admin, developer, billing, viewer" in unknown["message"]
    assert stranger.patch(path, {"role": "viewer"}).status_code == 404
    assert developer.get("/members").json()["data"][0].keys() == {
        "id",
        "email",
        "name",
        "role",
        "created_at",
    }


def test_a_removed_member_is_gone_with_their_token_and_if_asked_their_keys(owner, developer):
    path = f"/members/{developer.somebody.person.pk}"

    first, second = owner.delete(f"{path}?revoke_keys=true"), owner.delete(path)

    assert (first.status_code, second.status_code) == (204, 204)
    assert not Membership.objects.filter(person=developer.somebody.person).exists()
    assert ApiKey.objects.get(pk=developer.somebody.key_row.pk).revoked_at is not None
    assert developer.get("/keys").status_code == 401
    assert AuditEntry.objects.get(action="member.remove").changed == ["revoke_keys"]
    assert owner.delete(f"/members/{uuid.uuid4()}").status_code == 404


def test_only_who_manages_members_removes_them(owner, viewer, stranger, developer):
    path = f"/members/{owner.somebody.person.pk}"

    for caller, status in ((viewer, 403), (developer, 403), (stranger, 404)):
        assert caller.delete(path).status_code == status
    assert viewer.delete(f"{path}?revoke_keys=maybe").status_code == 403
    assert owner.delete(f"{path}?revoke_keys=maybe").json()["error"]["param"] == "revoke_keys"


def test_an_invitation_is_mailed_listed_and_revoked_and_its_link_shows_once(owner, viewer, stranger):
    made = owner.post("/invitations", {"email": "new@example.com", "role": "viewer"})

    assert made.status_code == 201
    told = made.json()
    assert (told["email"], told["is_mailed"]) == ("new@example.com", True)
    assert told["link"] in mail.outbox[0].body
    assert "link" not in owner.get(f"/invitations/{told['id']}").json()
    assert [each["id"] for each in owner.get("/invitations").json()["data"]] == [told["id"]]
    assert viewer.get("/invitations").status_code == 403
    assert stranger.get(f"/invitations/{told['id']}").status_code == 404
    assert stranger.delete(f"/invitations/{told['id']}").status_code == 404
    path = f"/invitations/{told['id']}"
    assert (owner.delete(path).status_code, owner.delete(path).status_code) == (204, 204)
    assert owner.get(path).status_code == 404
    assert Invitation.objects.get(pk=told["id"]).revoked_at is not None


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        ({"email": "nobody", "role": "viewer"}, 400, "email"),
        ({"email": "a@example.com"}, 400, "role"),
        ({"email": "a@example.com", "role": "king"}, 400, "role"),
        ({"email": "a@example.com", "role": "owner"}, 403, None),
        ({"email": "alice@example.com", "role": "viewer"}, 409, "email"),
    ],
)
def test_an_invitation_that_cannot_be_is_refused(admin, body, status, param):
    answer = admin.post("/invitations", body)

    assert (answer.status_code, answer.json()["error"]["param"]) == (status, param)
    assert not Invitation.objects.exists()


def test_the_audit_log_is_for_who_manages_members(owner, admin, developer, viewer, stranger):
    owner.patch("", {"name": "Acme 2"})

    entries = admin.get("/audit?action=organization.update").json()["data"]

    assert [(each["actor"], each["target"], each["changed"]) for each in entries] == [
        ("alice@example.com", "Acme 2", ["name"])
    ]
    assert [caller.get("/audit").status_code for caller in (developer, viewer, stranger)] == [403, 403, 404]
