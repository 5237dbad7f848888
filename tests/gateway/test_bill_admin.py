"""The operator's page of bill sources: a key goes in and is never shown again."""

import pytest
from django.urls import reverse

from accounts.vault import Vault
from gateway.models import BillSource
from tests.people import browser_of

KEY = "sk-admin-canary-of-the-operator-0123456789"
ADD = reverse("admin:gateway_billsource_add")


@pytest.fixture
def browser(alice):
    alice.person.is_staff = alice.person.is_superuser = True
    alice.person.save()
    return browser_of(alice.person)


def form(**changes):
    return {
        "provider": "openai",
        "dialect": "openai",
        "base_url": "",
        "admin_key": KEY,
        "is_active": "on",
    } | changes


def errors(response):
    return response.context["adminform"].form.errors


def test_a_source_is_stored_with_its_key_sealed(browser, settings):
    assert browser.post(ADD, form()).status_code == 302

    source = BillSource.objects.get()
    sealed = bytes(source.encrypted_admin_key)
    opened = (
        Vault(settings.FAREBOX_MASTER_KEY).operator_key().decrypt(sealed, context=f"bill-source:{source.pk}")
    )
    assert (source.base_url, source.admin_key_tail) == ("https://api.openai.com/v1", KEY[-4:])
    assert opened.decode() == KEY
    assert KEY.encode() not in sealed


def test_no_page_shows_the_key(browser):
    browser.post(ADD, form())
    source = BillSource.objects.get()

    pages = [
        reverse("admin:gateway_billsource_changelist"),
        reverse("admin:gateway_billsource_change", args=[source.pk]),
    ]

    texts = [browser.get(page).content.decode() for page in pages]
    assert all(f"…{KEY[-4:]}" in text for text in texts)
    assert all(KEY not in text for text in texts)


def test_another_address_needs_the_key_again(browser):
    browser.post(ADD, form())
    page = reverse("admin:gateway_billsource_change", args=[BillSource.objects.get().pk])

    refused = browser.post(page, form(base_url="https://other.example/v1", admin_key=""))

    assert "Enter the admin key" in str(errors(refused)["admin_key"])
    assert BillSource.objects.get().base_url == "https://api.openai.com/v1"


def test_switching_off_keeps_address_and_key(browser):
    browser.post(ADD, form())
    before = BillSource.objects.get()
    page = reverse("admin:gateway_billsource_change", args=[before.pk])
    unchanged = form(base_url=before.base_url, admin_key="")
    del unchanged["is_active"]

    assert browser.post(page, unchanged).status_code == 302

    after = BillSource.objects.get()
    assert (before.is_active, after.is_active) == (True, False)
    assert bytes(after.encrypted_admin_key) == bytes(before.encrypted_admin_key)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"admin_key": ""}, "admin_key"),
        ({"admin_key": "with space\n"}, "admin_key"),
        ({"base_url": "ftp://example.com"}, "base_url"),
        ({"base_url": "https://user:secret@example.com/v1"}, "base_url"),
        ({"base_url": "https://10.0.0.1/v1"}, "base_url"),
        ({"dialect": "other"}, "dialect"),
        ({"provider": ""}, "provider"),
    ],
)
def test_what_cannot_be_is_refused_beside_its_field(browser, changes, field):
    refused = browser.post(ADD, form(**changes))

    assert field in errors(refused)
    assert not BillSource.objects.exists()


def test_forgetting_a_source_deletes_its_key(browser):
    browser.post(ADD, form())
    page = reverse("admin:gateway_billsource_delete", args=[BillSource.objects.get().pk])

    browser.post(page, {"post": "yes"})

    assert not BillSource.objects.exists()
