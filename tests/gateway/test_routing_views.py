"""Aliases and fallbacks of an organization: the page, what it refuses, and who may."""

import pytest

from accounts.models import OrganizationEpoch
from accounts.permissions import Role
from gateway.models import RoutingPolicy
from tests.people import Somebody, teammate

PAGE = "/o/acme/settings/routing/"
ALIASES = "fast = openai/gpt-4o-mini|fake/echo\n\n  cheap=gpt-4o@cost  \n"


def epoch_of(somebody: Somebody) -> int:
    return OrganizationEpoch.objects.get(pk=somebody.organization.pk).epoch


def test_an_owner_names_selectors_and_says_what_is_tried_last(alice: Somebody) -> None:
    before = epoch_of(alice)

    response = alice.browser.post(
        PAGE, {"model_aliases": ALIASES, "default_fallbacks": "fake/echo\nfast-not\n"}, follow=True
    )

    row = RoutingPolicy.objects.get(organization=alice.organization)
    page = response.content.decode()
    assert row.model_aliases == {"fast": "openai/gpt-4o-mini|fake/echo", "cheap": "gpt-4o@cost"}
    assert row.default_fallbacks == ["fake/echo", "fast-not"]
    assert "The routing is saved and holds within a second." in page
    assert "fast = openai/gpt-4o-mini|fake/echo\ncheap = gpt-4o@cost" in page
    assert epoch_of(alice) > before


def test_what_is_saved_replaces_what_was_there(alice: Somebody) -> None:
    alice.browser.post(PAGE, {"model_aliases": ALIASES, "default_fallbacks": "fake/echo"})

    alice.browser.post(PAGE, {"model_aliases": "", "default_fallbacks": ""})

    row = RoutingPolicy.objects.get(organization=alice.organization)
    assert (row.model_aliases, row.default_fallbacks) == ({}, [])


@pytest.mark.parametrize(
    ("aliases", "fallbacks", "words"),
    [
        ("fast", "", "as name = selector"),
        ("= a", "", "as name = selector"),
        ("fast = a\nfast = b", "", "stands twice"),
        ("f|t = a", "", "must be made of letters"),
        ("auto = a", "", "may not be &#x27;auto&#x27;"),
        ("a = b\nb = c", "", "leads to another alias"),
        ("fast = a||b", "", "A branch is empty. (at character 3)"),
        ("\n".join(f"a{n} = b" for n in range(51)), "", "at most 50 aliases"),
        ("", "a|b", "must name one model"),
        ("pair = a|b", "pair", "must name one model"),
        ("", "a\nb\nc\nd\ne\nf", "at most 5 fallbacks"),
    ],
)
def test_what_cannot_be_read_is_refused_beside_its_field(
    aliases: str, fallbacks: str, words: str, alice: Somebody
) -> None:
    response = alice.browser.post(PAGE, {"model_aliases": aliases, "default_fallbacks": fallbacks})

    assert response.status_code == 200
    assert words in response.content.decode()
    assert not RoutingPolicy.objects.exists()


def test_who_may_not_manage_providers_may_not_route(alice: Somebody) -> None:
    for role, status in {Role.ADMIN: 200, Role.DEVELOPER: 403, Role.BILLING: 403, Role.VIEWER: 403}.items():
        somebody = teammate(f"{role}@example.com", of=alice, role=role)
        assert somebody.browser.get(PAGE).status_code == status, role


def test_the_settings_and_the_providers_lead_there(alice: Somebody) -> None:
    for page in ("/o/acme/settings/", "/o/acme/providers/"):
        assert f'href="{PAGE}"' in alice.browser.get(page).content.decode()
