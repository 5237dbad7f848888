"""The services of accounts: organizations, projects, keys, members and people."""

from datetime import UTC, datetime, timedelta

import pytest

from accounts import services
from accounts.errors import ForeignRow, LastOwner, NameMissing, NameTaken, RoleOutOfReach, WrongLimit
from accounts.keys import check_format, hmac_of
from accounts.models import ApiKey, Membership, Organization, OrganizationEpoch, Person
from accounts.permissions import Role
from accounts.vault import Vault
from tests.people import teammate

LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
LATER = datetime(2026, 1, 2, tzinfo=UTC)


def epoch_of(organization):
    return OrganizationEpoch.objects.get(organization=organization).epoch


def membership_of(somebody):
    return Membership.objects.get(person=somebody.person, organization=somebody.organization)


def test_a_new_organization_has_an_owner_a_project_and_a_data_key(settings, db):
    person = Person.objects.create_user("dora@example.com")

    organization = services.sign_up_organization(person=person, name="  Dora's   Lab ")

    assert (organization.name, organization.slug) == ("Dora's Lab", "doras-lab")
    assert [(m.person, m.role) for m in organization.memberships.all()] == [(person, "owner")]
    assert [project.name for project in organization.projects.all()] == ["Default"]
    key = Vault(settings.FAREBOX_MASTER_KEY).unwrap(bytes(organization.encrypted_data_key), organization.pk)
    assert key.decrypt(key.encrypt(b"x", context="c"), context="c") == b"x"


def test_two_organizations_may_have_one_name_but_never_one_address(alice):
    person = Person.objects.create_user("dora@example.com")

    organization = services.sign_up_organization(person=person, name="Acme")

    assert organization.name == "Acme"
    assert organization.slug.startswith("acme-")


def test_a_name_without_latin_letters_still_has_an_address(db):
    person = Person.objects.create_user("dora@example.com")

    organization = services.sign_up_organization(person=person, name="東京")

    assert (organization.name, organization.slug) == ("東京", "team")


@pytest.mark.parametrize("name", ["", "   ", "x" * 121, "a\x00b"])
def test_a_name_must_be_readable(alice, name):
    with pytest.raises(NameMissing):
        services.rename_organization(organization=alice.organization, name=name)


def test_a_renamed_organization_keeps_its_address(alice):
    services.rename_organization(organization=alice.organization, name="Acme & Co")

    organization = Organization.objects.get(pk=alice.organization.pk)
    assert (organization.name, organization.slug) == ("Acme & Co", "acme")


def test_a_project_name_is_taken_once_per_organization_in_any_case(alice, charlie):
    services.create_project(organization=alice.organization, name="Search")

    services.create_project(organization=charlie.organization, name="Search")
    with pytest.raises(NameTaken, match="already a project called 'SEARCH'"):
        services.create_project(organization=alice.organization, name="SEARCH")


def test_a_key_is_stored_as_its_hash_and_last_four(settings, alice):
    row, secret = services.issue_key(
        organization=alice.organization, project=alice.project, created_by=alice.person, name="CI"
    )

    check_format(secret)
    stored = ApiKey.objects.get(pk=row.pk)
    assert bytes(stored.secret_hmac) == hmac_of(secret, settings.FAREBOX_KEY_PEPPER)
    assert (stored.last_four, stored.pepper_id) == (secret[-4:], "1")
    assert secret[4:-6] not in str(ApiKey.objects.filter(pk=row.pk).values().get())


def test_a_key_keeps_what_it_was_given(alice):
    expires_at = datetime.now(UTC) + timedelta(days=1)

    row, _ = services.issue_key(
        organization=alice.organization,
        project=alice.project,
        created_by=alice.person,
        name="CI",
        expires_at=expires_at,
        requests_per_minute=60,
        tokens_per_minute=100_000,
        concurrent_requests=5,
        allowed_models=["fake/echo", "fake/*", "fake/echo"],
        default_tags=[" ci ", "ci", "nightly"],
    )

    row.refresh_from_db()
    assert row.expires_at == expires_at
    assert (row.requests_per_minute, row.tokens_per_minute, row.concurrent_requests) == (60, 100_000, 5)
    assert row.allowed_models == ["fake/echo", "fake/*"]
    assert row.default_tags == ["ci", "nightly"]


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ({"requests_per_minute": 0}, "Requests per minute must be between 1 and 2147483647, got 0"),
        ({"tokens_per_minute": -5}, "Tokens per minute must be between 1"),
        ({"concurrent_requests": 2**31}, "Concurrent requests must be between 1"),
        ({"expires_at": LONG_AGO}, "expired already"),
        ({"allowed_models": []}, "between 1 and 100 models"),
        ({"allowed_models": ["two words"]}, "not a model name"),
        ({"default_tags": ["x"] * 1 + [str(n) for n in range(20)]}, "at most 20 tags, got 21"),
        ({"default_tags": ["x" * 65]}, "at most 64 printable characters"),
        ({"default_tags": ["a,b"]}, "no comma"),
    ],
)
def test_a_limit_that_makes_no_sense_is_refused(alice, wrong, complaint):
    with pytest.raises(WrongLimit, match=complaint) as refused:
        services.issue_key(
            organization=alice.organization,
            project=alice.project,
            created_by=alice.person,
            name="CI",
            **wrong,
        )

    assert [refused.value.field] == list(wrong)
    assert ApiKey.objects.filter(name="CI").count() == 0


def test_a_project_is_renamed_unless_another_has_the_name(alice):
    services.create_project(organization=alice.organization, name="Search")

    services.update_project(project=alice.project, name=" Main  line ", mode="api-keys")
    with pytest.raises(NameTaken):
        services.update_project(project=alice.project, name="search", mode="credits")

    row = type(alice.project).objects.get(pk=alice.project.pk)
    assert (row.name, row.mode) == ("Main line", "api-keys")


def test_a_key_cannot_be_put_into_another_tenants_project(alice, charlie):
    with pytest.raises(ForeignRow):
        services.issue_key(
            organization=alice.organization, project=charlie.project, created_by=alice.person, name="CI"
        )


def test_a_revoked_key_stays_revoked_as_of_the_first_time(alice):
    services.revoke_key(key=alice.key_row)
    first = ApiKey.objects.get(pk=alice.key_row.pk).revoked_at
    epoch = epoch_of(alice.organization)

    services.revoke_key(key=alice.key_row)

    assert first is not None
    assert ApiKey.objects.get(pk=alice.key_row.pk).revoked_at == first
    assert epoch_of(alice.organization) == epoch


def test_limits_are_replaced_and_lifted(alice):
    services.update_key_limits(
        key=alice.key_row,
        requests_per_minute=10,
        tokens_per_minute=None,
        concurrent_requests=2,
        allowed_models=["fake/echo"],
    )
    services.update_key_limits(
        key=alice.key_row,
        requests_per_minute=None,
        tokens_per_minute=500,
        concurrent_requests=None,
        allowed_models=None,
    )

    row = ApiKey.objects.get(pk=alice.key_row.pk)
    assert (row.requests_per_minute, row.tokens_per_minute, row.concurrent_requests) == (None, 500, None)
    assert row.allowed_models is None


@pytest.mark.parametrize(
    "change",
    [
        lambda a: services.revoke_key(key=a.key_row),
        lambda a: services.issue_key(
            organization=a.organization, project=a.project, created_by=None, name="CI"
        ),
        lambda a: services.update_key_limits(
            key=a.key_row,
            requests_per_minute=1,
            tokens_per_minute=None,
            concurrent_requests=None,
            allowed_models=None,
        ),
        lambda a: services.create_project(organization=a.organization, name="Search"),
        lambda a: services.update_project(project=a.project, name="Found", mode="credits"),
        lambda a: services.set_body_logging(organization=a.organization, is_on=True),
        lambda a: services.set_stream_cut(organization=a.organization, is_on=True),
        lambda a: services.set_active(organization=a.organization, is_active=False),
        lambda a: services.set_rates(
            holder=a.project, requests_per_minute=9, tokens_per_minute=None, concurrent_requests=None
        ),
        lambda a: services.set_rates(
            holder=a.organization, requests_per_minute=9, tokens_per_minute=None, concurrent_requests=None
        ),
    ],
)
def test_each_change_that_the_data_plane_must_see_bumps_the_epoch_of_its_tenant_alone(alice, charlie, change):
    before, of_charlie = epoch_of(alice.organization), epoch_of(charlie.organization)

    change(alice)

    assert epoch_of(alice.organization) == before + 1
    assert epoch_of(charlie.organization) == of_charlie


def test_last_use_moves_forward_and_never_back(alice, charlie):
    services.record_key_uses(last_used_at={alice.key_row.pk: LATER, charlie.key_row.pk: LONG_AGO})
    services.record_key_uses(last_used_at={alice.key_row.pk: LONG_AGO, charlie.key_row.pk: LATER})
    services.record_key_uses(last_used_at={})

    used = dict(ApiKey.objects.values_list("pk", "last_used_at"))
    assert used == {alice.key_row.pk: LATER, charlie.key_row.pk: LATER}


def test_an_owner_makes_a_teammate_owner_and_steps_down(alice, bob):
    services.change_role(actor_role="owner", membership=membership_of(bob), role="owner")
    services.change_role(actor_role="owner", membership=membership_of(alice), role="viewer")

    assert membership_of(bob).role == "owner"
    assert membership_of(alice).role == "viewer"


def test_the_last_owner_can_neither_step_down_nor_leave_nor_be_removed(alice, bob):
    with pytest.raises(LastOwner):
        services.change_role(actor_role="owner", membership=membership_of(alice), role="admin")
    with pytest.raises(LastOwner):
        services.leave_organization(membership=membership_of(alice))
    with pytest.raises(LastOwner):
        services.remove_member(actor_role="owner", membership=membership_of(alice), are_keys_revoked=False)

    assert membership_of(alice).role == "owner"


def test_an_admin_can_neither_make_an_owner_nor_touch_one(alice, bob):
    with pytest.raises(RoleOutOfReach):
        services.change_role(actor_role="admin", membership=membership_of(bob), role="owner")
    with pytest.raises(RoleOutOfReach):
        services.change_role(actor_role="admin", membership=membership_of(alice), role="viewer")
    with pytest.raises(RoleOutOfReach):
        services.remove_member(actor_role="admin", membership=membership_of(alice), are_keys_revoked=True)

    assert (membership_of(alice).role, membership_of(bob).role) == ("owner", "developer")


def test_an_admin_cannot_hand_out_billing_which_they_do_not_hold(alice, bob):
    with pytest.raises(RoleOutOfReach):
        services.change_role(actor_role="admin", membership=membership_of(bob), role="billing")


def test_a_removed_members_keys_end_with_them_if_asked(alice, bob):
    services.remove_member(actor_role="owner", membership=membership_of(bob), are_keys_revoked=True)

    assert not Membership.objects.filter(person=bob.person).exists()
    assert ApiKey.objects.get(pk=bob.key_row.pk).revoked_at is not None
    assert ApiKey.objects.get(pk=alice.key_row.pk).revoked_at is None


def test_the_keys_of_who_leaves_go_on_working(alice, bob):
    services.leave_organization(membership=membership_of(bob))

    assert not Membership.objects.filter(person=bob.person).exists()
    assert ApiKey.objects.get(pk=bob.key_row.pk).revoked_at is None


def test_a_second_owner_may_leave(alice):
    second = teammate("dora@example.com", of=alice, role=Role.OWNER)

    services.leave_organization(membership=membership_of(second))

    assert alice.organization.memberships.count() == 1


def test_a_profile_keeps_name_and_time_zone(alice):
    services.update_profile(person=alice.person, name=" Alice  A. ", time_zone="Europe/Berlin")

    person = Person.objects.get(pk=alice.person.pk)
    assert (person.name, person.time_zone) == ("Alice A.", "Europe/Berlin")


def test_a_time_zone_that_nobody_knows_is_refused(alice):
    with pytest.raises(WrongLimit, match="'Mars/Olympus' is not a time zone"):
        services.update_profile(person=alice.person, name="", time_zone="Mars/Olympus")
