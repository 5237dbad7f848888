"""The operator's admin: looks at every tenant, shows no secret, changes through the services."""

import pytest
from django.urls import reverse

from accounts.models import ApiKey, Organization, OrganizationEpoch, Person
from tests.people import browser_of

# The form of an organization with `is_active` left unticked.
SWITCHED_OFF = {
    f"{rows}-{name}": "0" for rows in ("memberships", "projects") for name in ("TOTAL_FORMS", "INITIAL_FORMS")
}


@pytest.fixture
def operator(db):
    return browser_of(Person.objects.create_superuser("operator@example.com"))


@pytest.fixture
def onlooker(db):
    return browser_of(Person.objects.create_user("onlooker@example.com", is_staff=True))


def test_all_lists_and_pages_open_for_the_operator(operator, alice):
    pages = [
        reverse("admin:index"),
        reverse("admin:accounts_organization_changelist"),
        reverse("admin:accounts_organization_change", args=[alice.organization.pk]),
        reverse("admin:accounts_person_changelist"),
        reverse("admin:accounts_person_change", args=[alice.person.pk]),
        reverse("admin:accounts_apikey_changelist"),
        reverse("admin:accounts_apikey_change", args=[alice.key_row.pk]),
    ]

    assert [operator.get(page).status_code for page in pages] == [200] * 7


def test_no_page_shows_a_hash_or_a_wrapped_key(operator, alice):
    secrets = [bytes(alice.key_row.secret_hmac), bytes(alice.organization.encrypted_data_key)]
    pages = [
        reverse("admin:accounts_organization_change", args=[alice.organization.pk]),
        reverse("admin:accounts_apikey_change", args=[alice.key_row.pk]),
        reverse("admin:accounts_person_change", args=[alice.person.pk]),
    ]

    for page in pages:
        text = operator.get(page).content.decode()
        assert alice.key not in text
        assert "password" not in text.lower().replace("change password", "").replace("password_change", "")
        for secret in secrets:
            assert secret.hex() not in text
            assert str(secret)[2:-1] not in text


def test_switching_an_organization_off_reaches_the_data_plane(operator, alice):
    before = OrganizationEpoch.objects.get(organization=alice.organization).epoch

    operator.post(reverse("admin:accounts_organization_change", args=[alice.organization.pk]), SWITCHED_OFF)

    assert not Organization.objects.get(pk=alice.organization.pk).is_active
    assert OrganizationEpoch.objects.get(organization=alice.organization).epoch > before


def test_the_operator_revokes_a_leaked_key(operator, alice):
    form = {"action": "revoke", "_selected_action": [str(alice.key_row.pk)]}

    operator.post(reverse("admin:accounts_apikey_changelist"), form)

    assert ApiKey.objects.get(pk=alice.key_row.pk).revoked_at is not None


def test_nothing_is_made_or_deleted_there(operator, alice):
    for url in (
        reverse("admin:accounts_organization_add"),
        reverse("admin:accounts_apikey_add"),
        reverse("admin:accounts_person_add"),
        reverse("admin:accounts_organization_delete", args=[alice.organization.pk]),
        reverse("admin:accounts_apikey_delete", args=[alice.key_row.pk]),
        reverse("admin:accounts_person_delete", args=[alice.person.pk]),
    ):
        assert operator.get(url).status_code == 403


def test_staff_without_a_permission_sees_no_tenant(onlooker, alice):
    assert onlooker.get(reverse("admin:accounts_organization_changelist")).status_code == 403
    assert onlooker.get(reverse("admin:accounts_apikey_changelist")).status_code == 403


def test_an_owner_is_no_operator(alice):
    assert alice.browser.get(reverse("admin:index")).status_code == 302
