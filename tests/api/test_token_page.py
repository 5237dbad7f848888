"""The page of management tokens: a secret once, one's own alone, revoked at once, each in the audit log."""

import re

from accounts.models import AuditEntry, ManagementToken
from tests.api.conftest import call, caller_of

PAGE = "/o/acme/settings/tokens/"


def test_a_token_made_on_the_page_works_and_its_secret_shows_once(alice):
    made = alice.browser.post(PAGE, {"name": "Terraform", "scope": "write", "days": "30"})

    secret = re.search(r"fbm_\w{36}", made.content.decode())[0]
    assert call("GET", "/organizations/acme/keys", secret).status_code == 200
    token = ManagementToken.objects.get()
    assert (token.scope, (token.expires_at - token.created_at).days) == ("write", 29)
    assert secret not in alice.browser.get(PAGE).content.decode()
    assert [(entry.action, entry.via) for entry in AuditEntry.objects.all()] == [("token.create", "pages")]


def test_a_name_is_needed_and_an_unknown_scope_refused(alice):
    for body in (
        {"name": "", "scope": "read"},
        {"name": "T", "scope": "all"},
        {"name": "T", "scope": "read", "days": "9"},
    ):
        assert alice.browser.post(PAGE, body).status_code == 200

    assert not ManagementToken.objects.exists()


def test_everybody_sees_and_revokes_their_own_tokens_alone(alice, bob, charlie):
    caller = caller_of(alice)
    token = ManagementToken.objects.get()

    assert "Scripts" in alice.browser.get(PAGE).content.decode()
    assert "Scripts" not in bob.browser.get(PAGE).content.decode()
    for browser in (bob.browser, charlie.browser):
        assert browser.post(f"{PAGE}{token.pk}/revoke/").status_code == 404
    assert caller.get("/keys").status_code == 200
    for _ in range(2):
        assert alice.browser.post(f"{PAGE}{token.pk}/revoke/").status_code == 302
    assert caller.get("/keys").status_code == 401
    assert AuditEntry.objects.filter(action="token.revoke").count() == 1
