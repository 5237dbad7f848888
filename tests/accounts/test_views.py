"""The pages of accounts, as alice (owner), bob (developer) and charlie (stranger) meet them."""

import pytest
from django.test import Client

from accounts.models import ApiKey, Membership, Organization, Person
from accounts.permissions import Role
from tests.people import browser_of, teammate


@pytest.fixture
def newcomer(db):
    return browser_of(Person.objects.create_user("dora@example.com", name="Dora"))


def role_of(somebody):
    return Membership.objects.get(person=somebody.person, organization=somebody.organization).role


def notices(response):
    return [str(message) for message in response.context["messages"]]


def test_a_newcomer_names_their_organization_and_goes_on_to_the_first_key(newcomer):
    page = newcomer.get("/welcome/")
    assert "Dora&#x27;s team" in page.content.decode()

    response = newcomer.post("/welcome/", {"name": "Dora's Lab"})

    assert (response.status_code, response.url) == (302, "/o/doras-lab/welcome/")
    assert Organization.objects.get().members.get().email == "dora@example.com"


def test_an_empty_name_is_told_beside_its_field(newcomer):
    page = newcomer.post("/welcome/", {"name": " "})

    assert page.status_code == 200
    assert page.context["form"].errors == {"name": ["This field is required."]}
    assert not Organization.objects.exists()


def test_whoever_has_an_organization_is_led_to_it(alice):
    response = alice.browser.get("/welcome/")

    assert (response.status_code, response.url) == (302, "/o/acme/")


def test_a_second_organization_can_be_made(alice):
    response = alice.browser.post("/organizations/new/", {"name": "Second"})

    assert response.url == "/o/second/welcome/"
    assert Organization.objects.filter(members=alice.person).count() == 2


def test_who_is_not_signed_in_is_asked_to_sign_in_and_learns_nothing(alice):
    for slug in ("acme", "no-such-organization"):
        response = Client().get(f"/o/{slug}/team/")

        assert (response.status_code, response.url) == (302, f"/accounts/login/?next=/o/{slug}/team/")


def test_a_profile_is_changed_by_its_person(alice):
    response = alice.browser.post("/profile/", {"name": "Alice", "time_zone": "Europe/Berlin"}, follow=True)

    assert notices(response) == ["Your profile is saved."]
    person = Person.objects.get(pk=alice.person.pk)
    assert (person.name, person.time_zone) == ("Alice", "Europe/Berlin")


def test_a_time_zone_outside_the_list_is_refused(alice):
    page = alice.browser.post("/profile/", {"name": "Alice", "time_zone": "Mars/Olympus"})

    assert "time_zone" in page.context["form"].errors
    assert Person.objects.get(pk=alice.person.pk).name == ""


def test_a_profile_form_cannot_make_anybody_staff(alice):
    alice.browser.post("/profile/", {"name": "A", "time_zone": "", "is_staff": "on", "is_superuser": "on"})

    person = Person.objects.get(pk=alice.person.pk)
    assert (person.name, person.is_staff, person.is_superuser) == ("A", False, False)


def test_the_team_page_lists_members_with_what_they_can_do(alice, bob, charlie):
    page = alice.browser.get("/o/acme/team/").content.decode()

    assert "alice@example.com" in page
    assert "bob@example.com" in page
    assert "Creates keys, and sees and revokes the keys they created." in page
    assert "charlie" not in page.lower()


def test_an_owner_changes_a_role(alice, bob):
    response = alice.browser.post(f"/o/acme/team/{bob.person.pk}/role/", {"role": "admin"}, follow=True)

    assert notices(response) == ["bob@example.com is now admin."]
    assert role_of(bob) == "admin"


def test_a_role_that_does_not_exist_changes_nothing(alice, bob):
    alice.browser.post(f"/o/acme/team/{bob.person.pk}/role/", {"role": "emperor"})

    assert role_of(bob) == "developer"


def test_the_last_owner_stays_and_is_told_why(alice, bob):
    response = alice.browser.post(f"/o/acme/team/{alice.person.pk}/role/", {"role": "viewer"}, follow=True)

    assert notices(response) == ["An organization needs an owner: make somebody else owner first."]
    assert role_of(alice) == "owner"


def test_an_admin_is_not_offered_what_they_cannot_hand_out(alice, bob):
    admin = teammate("adam@example.com", of=alice, role=Role.ADMIN)

    rows = {row.email: row for row in admin.browser.get("/o/acme/team/").context["members"]}

    assert rows["alice@example.com"].role_choices == ()
    assert rows["bob@example.com"].role_choices == (Role.ADMIN, Role.DEVELOPER, Role.VIEWER)
    assert not rows["alice@example.com"].may_be_removed


def test_an_admin_who_posts_it_anyway_is_refused(alice, bob):
    admin = teammate("adam@example.com", of=alice, role=Role.ADMIN)

    response = admin.browser.post(f"/o/acme/team/{bob.person.pk}/role/", {"role": "owner"}, follow=True)

    assert notices(response) == ["You can only give and take roles whose rights you hold yourself."]
    assert role_of(bob) == "developer"


def test_removing_a_member_revokes_their_keys_if_ticked(alice, bob):
    alice.browser.post(f"/o/acme/team/{bob.person.pk}/remove/", {"are_keys_revoked": "on"})

    assert not Membership.objects.filter(person=bob.person).exists()
    assert ApiKey.objects.get(pk=bob.key_row.pk).revoked_at is not None
    assert bob.browser.get("/o/acme/team/").status_code == 404


def test_a_member_may_leave_and_keeps_nothing_open(alice, bob):
    response = bob.browser.post("/o/acme/team/leave/")

    assert response.url == "/welcome/"
    assert bob.browser.get("/o/acme/team/").status_code == 404


@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("team/{alice}/role/", {"role": "viewer"}),
        ("team/{alice}/remove/", {}),
        ("settings/name/", {"name": "Bob's"}),
        ("settings/body-logging/", {"is_on": "on"}),
        ("settings/stream-cut/", {"is_on": "on"}),
    ],
)
def test_an_insider_without_the_right_gets_the_403_page(alice, bob, path, form):
    url = f"/o/acme/{path.format(alice=alice.person.pk)}"

    response = bob.browser.post(url, form)

    assert response.status_code == 403
    assert "Your role does not allow this" in response.content.decode()
    organization = Organization.objects.get(pk=alice.organization.pk)
    assert (organization.name, organization.is_body_logging_on, role_of(alice)) == ("Acme", False, "owner")


def test_a_member_of_another_organization_cannot_be_reached_through_ones_own(alice, charlie):
    response = charlie.browser.post(
        f"/o/{charlie.organization.slug}/team/{alice.person.pk}/role/", {"role": "viewer"}
    )

    assert response.status_code == 404
    assert role_of(alice) == "owner"


def test_an_owner_renames_and_switches(alice):
    alice.browser.post("/o/acme/settings/name/", {"name": "Acme & Co"})
    alice.browser.post("/o/acme/settings/body-logging/", {"is_on": "on"})
    alice.browser.post("/o/acme/settings/stream-cut/", {"is_on": "on"})

    organization = Organization.objects.get(pk=alice.organization.pk)
    assert organization.name == "Acme & Co"
    assert organization.is_body_logging_on
    assert organization.is_stream_cut_on_revocation

    alice.browser.post("/o/acme/settings/body-logging/", {})

    assert not Organization.objects.get(pk=alice.organization.pk).is_body_logging_on


def test_who_may_not_change_settings_reads_them_and_whom_to_ask(alice, bob):
    page = bob.browser.get("/o/acme/settings/").content.decode()

    assert "Only an owner can change these settings. Ask alice@example.com." in page
    assert "Turn on" not in page


def test_names_are_text_and_never_markup(alice):
    alice.browser.post("/o/acme/settings/name/", {"name": "<script>alert(1)</script>"})

    page = alice.browser.get("/o/acme/team/").content.decode()

    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


def test_a_form_from_another_site_is_refused(alice, bob):
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(alice.person, backend="django.contrib.auth.backends.ModelBackend")

    response = browser.post(f"/o/acme/team/{bob.person.pk}/role/", {"role": "admin"})

    assert response.status_code == 403
    assert role_of(bob) == "developer"
