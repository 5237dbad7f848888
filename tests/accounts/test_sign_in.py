"""Signing up, in and out, confirming an address and resetting a password, as a browser does it."""

import re

import pytest
from django.core import mail
from django.core.cache import cache
from django.test import Client

from accounts.models import Membership, Organization, Person

PASSWORD = "quiet-harbour-71"
FORM = {"name": "Dora D.", "email": "dora@example.com", "password1": PASSWORD}


@pytest.fixture(autouse=True)
def _no_rate_limit_is_used_up():
    cache.clear()


@pytest.fixture
def browser(db):
    return Client()


@pytest.fixture
def dora(db):
    return Person.objects.create_user("dora@example.com", PASSWORD)


def link_in(message):
    return re.search(r"http://127\.0\.0\.1:8000(/\S+)", message.body).group(1)


def sign_in(browser, password=PASSWORD):
    return browser.post("/accounts/login/", {"login": "dora@example.com", "password": password})


def is_signed_in(browser):
    return "_auth_user_id" in browser.session


def test_signing_up_creates_a_person_and_nothing_else(browser):
    response = browser.post("/accounts/signup/", FORM)

    assert (response.status_code, response.url) == (302, "/welcome/")
    person = Person.objects.get()
    assert (person.email, person.name) == ("dora@example.com", "Dora D.")
    assert not Organization.objects.exists()
    assert not Membership.objects.exists()


def test_after_signing_up_the_organization_is_named_with_a_suggestion(browser):
    browser.post("/accounts/signup/", FORM)

    page = browser.get("/welcome/")

    assert page.status_code == 200
    assert b"Dora D.&#x27;s team" in page.content


@pytest.mark.parametrize(
    ("password", "complaint"),
    [
        ("elevenchars", "at least 12 characters"),
        ("password1234", "too common"),
        ("dora@example.com", "too similar"),
    ],
)
def test_a_weak_password_is_refused_beside_its_field(browser, password, complaint):
    page = browser.post("/accounts/signup/", FORM | {"password1": password})

    assert page.status_code == 200
    assert complaint in page.content.decode()
    assert not Person.objects.exists()


def test_an_address_is_one_login_in_any_case(browser, dora):
    page = browser.post("/accounts/signup/", FORM | {"email": "DORA@example.com"})

    assert "already registered" in page.content.decode()
    assert Person.objects.count() == 1


def test_signing_up_with_a_known_address_answers_like_a_new_one_when_it_must_be_confirmed(settings, dora):
    settings.ACCOUNT_EMAIL_VERIFICATION = "mandatory"

    known = Client().post("/accounts/signup/", FORM)
    fresh = Client().post("/accounts/signup/", FORM | {"email": "eve@example.com"})

    assert (known.status_code, known.url) == (fresh.status_code, fresh.url)


def test_the_mailed_link_confirms_the_address(browser):
    browser.post("/accounts/signup/", FORM)
    link = link_in(mail.outbox[0])

    browser.get(link)
    browser.post(link)

    assert Person.objects.get().emailaddress_set.get().verified


def test_an_unconfirmed_person_is_not_let_in_where_confirmation_is_mandatory(settings, browser, dora):
    settings.ACCOUNT_EMAIL_VERIFICATION = "mandatory"

    response = sign_in(browser)

    assert response.url == "/accounts/confirm-email/"
    assert not is_signed_in(browser)


def test_signing_in_and_out_says_nothing_that_is_plain_to_see(browser, dora):
    sign_in(browser)
    after_in = browser.get("/welcome/")
    after_out = browser.post("/accounts/logout/", follow=True)

    assert [str(message) for message in after_in.context["messages"]] == []
    assert [str(message) for message in after_out.context["messages"]] == []


def test_signing_in_and_out(browser, dora):
    assert sign_in(browser).url == "/welcome/"
    assert is_signed_in(browser)

    browser.post("/accounts/logout/")

    assert not is_signed_in(browser)


def test_a_wrong_password_and_an_unknown_address_get_the_same_answer(dora):
    def complaint(**form):
        page = Client().post("/accounts/login/", form).content.decode()
        return re.search(r"The email address and/or password[^<]*", page).group()

    wrong = complaint(login="dora@example.com", password="not her password")
    unknown = complaint(login="nobody@example.com", password="not her password")

    assert wrong == unknown


def test_the_eleventh_wrong_password_for_an_address_is_refused_unheard(browser, dora):
    for _ in range(10):
        sign_in(browser, password="not her password")

    page = sign_in(browser, password="not her password")

    assert "Too many failed login attempts" in page.content.decode()
    assert not is_signed_in(browser)


def test_a_password_is_reset_by_the_mailed_link(browser, dora):
    browser.post("/accounts/password/reset/", {"email": "dora@example.com"})
    form_url = browser.get(link_in(mail.outbox[0])).url

    browser.post(form_url, {"password1": "another-harbour-72", "password2": "another-harbour-72"})

    assert sign_in(Client()).status_code == 200
    assert sign_in(Client(), password="another-harbour-72").url == "/welcome/"


def test_a_reset_link_works_once(browser, dora):
    browser.post("/accounts/password/reset/", {"email": "dora@example.com"})
    link = link_in(mail.outbox[0])
    form_url = browser.get(link).url
    browser.post(form_url, {"password1": "another-harbour-72", "password2": "another-harbour-72"})

    second = Client().get(link)

    assert second.status_code == 200
    assert b'type="password"' not in second.content


def test_the_host_of_the_request_is_never_in_a_mailed_link(settings, browser, dora):
    settings.ALLOWED_HOSTS = ["*"]

    browser.post("/accounts/password/reset/", {"email": "dora@example.com"}, headers={"host": "evil.example"})

    assert "evil.example" not in mail.outbox[0].body
    assert link_in(mail.outbox[0]).startswith("/accounts/password/reset/key/")


def test_a_target_on_another_site_is_ignored_after_signing_in(browser, dora):
    response = browser.post(
        "/accounts/login/?next=https://evil.example/",
        {"login": "dora@example.com", "password": PASSWORD, "next": "https://evil.example/"},
    )

    assert response.url == "/welcome/"


def test_sign_up_can_be_closed(settings, browser):
    settings.FAREBOX_CONSOLE = type("Closed", (), {"signup_is_open": False})

    browser.post("/accounts/signup/", FORM)

    assert not Person.objects.exists()
