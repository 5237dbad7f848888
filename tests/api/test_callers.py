"""Who may call the management API: tokens and their ends, scopes, the browser with CSRF, how often."""

from datetime import timedelta

import pytest
from django.core.cache import cache
from django.test import Client
from django.utils import timezone

from accounts.models import ManagementToken
from accounts.token_services import revoke_management_token
from tests.api.conftest import PREFIX, call, caller_of

KEYS = "/organizations/acme/keys"


def test_a_token_is_stored_as_an_hmac_and_remembers_its_use(owner):
    token = ManagementToken.objects.get()

    assert owner.get("/keys").status_code == 200
    token.refresh_from_db()
    assert token.last_used_at is not None
    assert owner.token.startswith("fbm_")
    assert owner.token.encode() not in bytes(token.secret_hmac)


@pytest.mark.parametrize(
    ("header", "word"),
    [
        ("", "credentials"),
        ("Bearer", "Bearer <token>"),
        ("Basic abc", "Bearer <token>"),
        ("Bearer fbm_" + "0" * 36, "no such token"),
        ("Bearer fbm_é", "Bearer <token>"),
        ("Bearer " + "x" * 300, "Bearer <token>"),
        ("Bearer fbx_" + "0" * 36, "API key for models"),
    ],
)
def test_without_a_valid_token_nothing_is_told(owner, header, word):
    headers = {"authorization": header} if header else {}

    cache.clear()
    for slug in ("acme", "no-such-organization"):
        answer = Client().get(f"{PREFIX}/organizations/{slug}/keys", headers=headers)

        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"] == "Bearer"
        assert word in answer.json()["error"]["message"]


def test_an_api_key_is_no_management_token(owner):
    assert call("GET", KEYS, owner.somebody.key).status_code == 401


def test_a_token_ends_by_revocation_expiry_and_with_its_person(owner):
    token = ManagementToken.objects.get()
    ManagementToken.objects.update(expires_at=timezone.now() + timedelta(hours=1))
    assert owner.get("/keys").status_code == 200

    ManagementToken.objects.update(expires_at=timezone.now())
    assert "expired" in owner.get("/keys").json()["detail"]
    revoke_management_token(token=token)
    assert "revoked" in owner.get("/keys").json()["detail"]
    ManagementToken.objects.update(expires_at=None, revoked_at=None)
    owner.somebody.person.is_active = False
    owner.somebody.person.save()
    assert owner.get("/keys").status_code == 401


def test_a_token_has_the_role_of_its_person_at_that_moment(owner, developer):
    assert developer.get("/budgets").status_code == 403

    owner.patch(f"/members/{developer.somebody.person.pk}", {"role": "viewer"})

    assert developer.get("/budgets").status_code == 200


def test_a_token_to_read_does_not_write(alice):
    reader = caller_of(alice, scope="read")

    assert reader.get("/keys").status_code == 200
    refused = reader.post("/keys", {"name": "K"})
    assert (refused.status_code, refused.json()["error"]["type"]) == (403, "permission_denied")
    assert "scope write" in refused.json()["detail"]


def test_a_signed_in_browser_reads_and_writes_with_its_csrf_token(alice, charlie):
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(alice.person, backend="django.contrib.auth.backends.ModelBackend")
    browser.get("/o/acme/settings/")
    secret = browser.cookies["csrftoken"].value

    def create(**headers):
        return browser.post(
            PREFIX + KEYS, {"name": "K"}, content_type="application/json", headers=headers
        ).status_code

    assert browser.get(PREFIX + KEYS).status_code == 200
    assert create() == 403
    assert create(**{"x-csrftoken": secret}) == 201
    assert charlie.browser.get(PREFIX + KEYS).status_code == 404


def test_calls_in_a_minute_are_bounded_for_each_token(owner, developer, settings):
    settings.FAREBOX_CONSOLE = type(settings.FAREBOX_CONSOLE)(
        secret_key="x" * 50, management_requests_per_minute=3
    )

    statuses = [owner.get("/keys").status_code for _ in range(8)]

    # A minute may end in between, and its three begin anew.
    assert statuses.count(429) >= 2
    refused = next(answer for answer in (owner.get("/keys") for _ in range(9)) if answer.status_code == 429)
    assert 1 <= int(refused.headers["Retry-After"]) <= 60
    assert refused.json()["error"]["type"] == "rate_limit_error"
    assert developer.get("/keys").status_code == 200
