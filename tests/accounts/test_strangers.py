"""Every URL of the house, walked from the resolver: strangers find nothing, nobody enters unasked.

A URL that is below no organization is named here with the reason why it may be open to everybody
or to everybody who is signed in. A URL with an object's id needs a way to make such an object.
"""

import uuid

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

METHODS = ("get", "post", "put", "patch", "delete", "head", "options")
# Everybody may open these: they say nothing about any tenant.
OPEN = {"landing"}
# Whoever is signed in may open these: they are about that person alone.
OWN = {"welcome", "organization_new", "profile"}
# django-allauth's pages carry no tenant; Django's admin is for the operator and tested below.
FOREIGN_PREFIXES = ("accounts/", "admin/")
FOREIGN_ID = uuid.UUID(int=7)


def walk(resolver, prefix=""):
    for entry in resolver.url_patterns:
        route = prefix + str(entry.pattern)
        if isinstance(entry, URLResolver):
            yield from walk(entry, route)
        else:
            yield route, entry


def routes():
    return [(route, entry) for route, entry in walk(get_resolver()) if not route.startswith(FOREIGN_PREFIXES)]


def tenant_routes():
    return [route for route, entry in routes() if "slug" in entry.pattern.converters]


def address(route, *, slug, ids=None):
    """The route with the slug and each id in place."""
    entry = next(entry for other, entry in routes() if other == route)
    path = route
    for name, converter in entry.pattern.converters.items():
        value = slug if name == "slug" else (ids or {}).get(name, FOREIGN_ID)
        kind = type(converter).__name__.removesuffix("Converter").lower().replace("string", "str")
        path = path.replace(f"<{kind}:{name}>", str(value))
    assert "<" not in path, f"teach this test the converter of {route}"
    return f"/{path}"


def answers(browser, url):
    return {method: getattr(browser, method)(url).status_code for method in METHODS}


def test_every_url_is_below_an_organization_or_named_here():
    others = {entry.name for route, entry in routes() if route not in tenant_routes()}

    assert others - OPEN - OWN == set()


@pytest.mark.parametrize("route", tenant_routes())
def test_a_stranger_gets_404(alice, charlie, route):
    found = answers(charlie.browser, address(route, slug=alice.organization.slug))

    # 405 says which methods the URL knows, to everybody alike, and nothing about the organization.
    assert set(found.values()) <= {404, 405}
    assert 404 in found.values()


@pytest.mark.parametrize("route", tenant_routes())
def test_an_organization_that_does_not_exist_answers_alike(alice, charlie, route):
    existing = answers(charlie.browser, address(route, slug=alice.organization.slug))

    assert answers(charlie.browser, address(route, slug="no-such-organization")) == existing


@pytest.mark.parametrize("route", tenant_routes())
def test_who_is_not_signed_in_is_sent_to_sign_in(alice, route):
    found = answers(Client(), address(route, slug=alice.organization.slug))

    assert set(found.values()) <= {302, 401}


@pytest.mark.parametrize("route", [route for route in tenant_routes() if route.count("<") > 1])
def test_another_tenants_object_is_not_found_through_ones_own_organization(alice, charlie, ids_of, route):
    url = address(route, slug=charlie.organization.slug, ids=ids_of(alice))

    found = answers(charlie.browser, url)

    assert set(found.values()) <= {404, 405}
    assert 404 in found.values()


@pytest.fixture
def ids_of():
    """The ids of somebody's objects, by the name they have in URLs."""

    def ids(somebody):
        return {"person_id": somebody.person.pk, "key_id": somebody.key_row.pk}

    return ids


def admin_routes():
    return [route for route, entry in walk(get_resolver()) if route.startswith("admin/")]


def test_the_admin_lets_in_staff_alone(alice):
    for route in admin_routes():
        if "<" in route or "(" in route:
            continue
        assert alice.browser.get(f"/{route}").status_code in (302, 403, 404)


def test_patterns_are_all_understood():
    assert all(isinstance(entry, URLPattern) for _, entry in routes())
