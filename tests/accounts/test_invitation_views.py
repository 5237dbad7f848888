"""Inviting and accepting, as a browser does it: the team page, the mail, the link."""

import re
from datetime import timedelta

import pytest
from django.core import mail
from django.core.cache import cache
from django.test import Client
from django.utils import timezone

from accounts.models import Invitation, Membership, Person
from accounts.permissions import Role
from tests.people import browser_of, teammate

PASSWORD = "quiet-harbour-71"
DORA = "dora@example.com"


@pytest.fixture(autouse=True)
def _no_rate_limit_is_used_up():
    cache.clear()


@pytest.fixture
def dora(db):
    return browser_of(Person.objects.create_user(DORA, name="Dora"))


def invite(somebody, **fields):
    form = {"email": DORA, "role": "developer", **fields}
    return somebody.browser.post("/o/acme/team/invite/", form)


def link_to(somebody, **fields):
    """The path of the link that the inviter sees."""
    return invite(somebody, **fields).context["sent"].link.removeprefix("http://127.0.0.1:8000")


def role_in_acme(email):
    return Membership.objects.get(person__email=email, organization__slug="acme").role


def notices(response):
    return [str(message) for message in response.context["messages"]]


def test_the_link_is_shown_once_and_mailed(alice):
    page = invite(alice)

    link = page.context["sent"].link
    assert re.fullmatch(r"http://127\.0\.0\.1:8000/invitations/[\w-]{43}/", link)
    assert link in page.content.decode()
    [letter] = mail.outbox
    assert letter.to == [DORA]
    assert letter.subject == "Join Acme on Farebox"
    assert link in letter.body
    assert "alice@example.com invites you to Acme on Farebox, as developer" in letter.body
    assert "for 7 days" in letter.body
    assert link not in alice.browser.get("/o/acme/team/").content.decode()


def test_the_link_never_follows_the_host_header(alice):
    page = alice.browser.post(
        "/o/acme/team/invite/", {"email": DORA, "role": "viewer"}, headers={"host": "localhost:6666"}
    )

    assert page.context["sent"].link.startswith("http://127.0.0.1:8000/invitations/")
    assert "6666" not in mail.outbox[0].body


def test_a_mail_server_that_is_away_leaves_the_link_to_copy(alice, settings):
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 9

    page = invite(alice)

    assert "could not be sent. Pass the link on yourself." in page.content.decode()
    assert page.context["sent"].link in page.content.decode()


def test_inviting_answers_alike_whether_or_not_the_address_has_an_account(alice, charlie):
    known = invite(alice, email="charlie@example.com")
    unknown = invite(alice, email="nobodys@example.com")

    def told(page):
        # The invitation before the last is listed; names and secrets differ.
        return re.sub(r"charlie@|nobodys@|[\w-]{43,}", "", page.content.decode().split("Open invitations")[0])

    assert (known.status_code, told(known)) == (unknown.status_code, told(unknown))


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"email": "not an address"}, "Enter a valid email address."),
        ({"email": ""}, "This field is required."),
        ({"role": "emperor"}, "Select a valid choice. emperor is not one of the available choices."),
        ({"email": "bob@example.com"}, "bob@example.com is in the team already."),
    ],
)
def test_what_cannot_be_sent_is_told_on_the_page(alice, bob, fields, complaint):
    page = invite(alice, **fields)

    assert page.status_code == 200
    assert complaint in page.content.decode()
    assert not Invitation.objects.exists()
    assert mail.outbox == []


def test_an_admin_is_offered_only_roles_within_their_own(alice):
    admin = teammate("adam@example.com", of=alice, role=Role.ADMIN)

    page = admin.browser.get("/o/acme/team/")
    refused = invite(admin, role="owner")

    assert [radio.data["value"] for radio, _ in page.context["form"].explained_roles()] == [
        "admin",
        "developer",
        "viewer",
    ]
    assert refused.context["form"].errors["role"]
    assert not Invitation.objects.exists()


@pytest.mark.parametrize("role", ["developer", "billing", "viewer"])
def test_who_may_not_manage_members_neither_invites_nor_sees_invitations(alice, role):
    invite(alice)
    mate = teammate("mate@example.com", of=alice, role=Role(role))
    invitation = Invitation.objects.get()

    page = mate.browser.get("/o/acme/team/")

    assert DORA not in page.content.decode()
    assert "Send invitation" not in page.content.decode()
    assert invite(mate).status_code == 403
    assert mate.browser.post(f"/o/acme/team/invitations/{invitation.pk}/revoke/").status_code == 403


def test_open_invitations_are_listed_and_can_be_revoked(alice):
    link = link_to(alice, role="viewer")
    invitation = Invitation.objects.get()
    [row] = alice.browser.get("/o/acme/team/").context["invitations"]
    assert (row.email, row.role_label, row.inviter) == (DORA, "Viewer", "alice@example.com")

    response = alice.browser.post(f"/o/acme/team/invitations/{invitation.pk}/revoke/", follow=True)

    assert notices(response) == [f"The invitation of {DORA} is revoked."]
    assert response.context["invitations"] == []
    assert Client().get(link).status_code == 404


def test_the_link_says_who_invites_and_into_which_role(alice):
    page = Client().get(link_to(alice)).content.decode()

    assert "Join Acme" in page
    assert "alice@example.com invites you as <strong>developer</strong>" in page
    assert "Creates keys, and sees and revokes the keys they created." in page
    assert 'href="/accounts/signup/?next=/invitations/"' in page


def test_the_link_is_not_told_to_other_sites(alice):
    page = Client().get(link_to(alice))

    assert page.headers["Referrer-Policy"] == "strict-origin"
    assert "no-store" in page.headers["Cache-Control"]


def test_a_developer_accepts_and_lands_on_the_keys(alice, dora):
    link = link_to(alice)

    response = dora.post(link)

    assert (response.status_code, response.url) == (302, "/o/acme/keys/")
    assert role_in_acme(DORA) == "developer"
    assert notices(dora.get(response.url)) == ["You are in Acme as developer."]


def test_a_viewer_accepts_and_lands_on_the_overview(alice, dora):
    response = dora.post(link_to(alice, role="viewer"))

    assert response.url == "/o/acme/"
    assert dora.get("/o/acme/").status_code == 200


def test_looking_at_the_link_changes_nothing(alice, dora):
    link = link_to(alice)

    page = dora.get(link)

    assert "Join Acme</button>" in page.content.decode()
    assert not Membership.objects.filter(person__email=DORA).exists()


def test_the_link_does_not_serve_another_person(alice, charlie):
    link = link_to(alice)

    page, answer = charlie.browser.get(link), charlie.browser.post(link)

    assert "was sent to another address" in page.content.decode()
    assert DORA not in page.content.decode()
    assert answer.status_code == 403
    assert not Membership.objects.filter(person=charlie.person, organization=alice.organization).exists()


def test_links_that_do_not_serve_are_the_same_404(alice, dora):
    used, expired, revoked = (link_to(alice, email=f"{each}@example.com") for each in "xyz")
    browser_of(Person.objects.create_user("x@example.com")).post(used)
    Invitation.objects.filter(email="y@example.com").update(expires_at=timezone.now() - timedelta(seconds=1))
    Invitation.objects.filter(email="z@example.com").update(revoked_at=timezone.now())

    for browser in (dora, Client()):
        for method in ("get", "post"):
            found = [
                getattr(browser, method)(link) for link in (used, expired, revoked, "/invitations/wrong/")
            ]

            assert {response.status_code for response in found} == {404}
            # The masked form token is the one thing that differs between two answers.
            assert len({len(response.content) for response in found}) == 1


def test_signing_in_leads_back_to_the_invitation(alice, db):
    Person.objects.create_user(DORA, PASSWORD)
    browser = Client()
    page = browser.get(link_to(alice)).content.decode()
    sign_in = re.search(r'href="(/accounts/login/\?next=[^"]+)"', page).group(1)

    form = {"login": DORA, "password": PASSWORD, "next": "/invitations/"}
    response = browser.post(sign_in, form)
    assert response.url == "/invitations/"
    assert "Join Acme</button>" in browser.get(response.url).content.decode()
    browser.post(response.url)

    assert role_in_acme(DORA) == "developer"
    assert browser.get("/invitations/").status_code == 404


def test_accepting_without_being_signed_in_asks_to_sign_in_first(alice):
    response = Client().post(link_to(alice))

    assert (response.status_code, response.url) == (302, "/accounts/login/?next=/invitations/")
    assert Membership.objects.filter(organization__slug="acme").count() == 1


def test_signing_up_and_confirming_the_address_leads_back_to_the_invitation(alice, settings):
    settings.ACCOUNT_EMAIL_VERIFICATION = "mandatory"
    browser = Client()
    browser.get(link_to(alice))
    mail.outbox.clear()

    browser.post("/accounts/signup/", {"email": DORA, "password1": PASSWORD, "next": "/invitations/"})
    confirm = re.search(r"http://127\.0\.0\.1:8000(/\S+)", mail.outbox[0].body).group(1)
    browser.post(confirm)
    landed = browser.post("/accounts/login/", {"login": DORA, "password": PASSWORD}, follow=True)

    assert landed.redirect_chain[-1] == ("/invitations/", 302)
    assert "Join Acme</button>" in landed.content.decode()


def close_sign_up(settings):
    settings.FAREBOX_CONSOLE = type(settings.FAREBOX_CONSOLE)(
        secret_key="s" * 50, mode="test", signup_is_open=False
    )


def test_where_strangers_may_not_sign_up_the_invited_may(alice, settings):
    close_sign_up(settings)
    browser = Client()
    link = link_to(alice)
    form = {"email": DORA, "password1": PASSWORD}
    browser.post("/accounts/signup/", form)
    assert not Person.objects.filter(email=DORA).exists()

    browser.get(link)
    refused = browser.post("/accounts/signup/", form | {"email": "eve@example.com"})
    browser.post("/accounts/signup/", form)

    assert "Use the address that your invitation was sent to." in refused.content.decode()
    assert [person.email for person in Person.objects.exclude(pk=alice.person.pk)] == [DORA]


def test_a_form_from_another_site_accepts_nothing(alice):
    link = link_to(alice)
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(Person.objects.create_user(DORA), backend="django.contrib.auth.backends.ModelBackend")

    assert browser.post(link).status_code == 403
    assert not Membership.objects.filter(person__email=DORA).exists()


def test_no_log_line_holds_the_token(alice, dora, caplog):
    caplog.set_level("DEBUG")

    link = link_to(alice)
    dora.post(link)

    assert link.split("/")[2] not in caplog.text
