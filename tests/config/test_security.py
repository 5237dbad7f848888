"""What browsers are told with every page, whoever asks and whatever the answer."""

import pytest
from django.test import Client

PAGES = ["/accounts/login/", "/accounts/signup/", "/no-such-page/", "/o/acme/team/", "/admin/login/"]


@pytest.fixture
def page(db):
    return lambda path: Client().get(path)


@pytest.mark.parametrize("path", PAGES)
def test_every_page_carries_the_policies(page, path):
    headers = page(path).headers

    policy = headers["Content-Security-Policy"]
    for directive in (
        "default-src 'self'",
        "object-src 'none'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
        "form-action 'self'",
    ):
        assert directive in policy.split("; ")
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert "camera=()" in headers["Permissions-Policy"]
    assert "no-store" in headers["Cache-Control"]


def test_our_own_pages_allow_nothing_inline(page):
    policy = page("/accounts/login/").headers["Content-Security-Policy"]

    assert "unsafe" not in policy


def test_no_page_of_ours_holds_an_inline_script_or_style(page, alice):
    for path in ("/o/acme/team/", "/o/acme/settings/", "/profile/", "/organizations/new/"):
        text = alice.browser.get(path).content.decode()

        assert "<style" not in text
        assert " style=" not in text
        assert " onclick=" not in text
        assert "<script>" not in text


def test_a_page_names_no_host_but_its_own(page, alice):
    text = alice.browser.get("/o/acme/team/").content.decode()

    assert "https://" not in text
    assert "http://" not in text
