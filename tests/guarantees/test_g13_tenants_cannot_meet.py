"""G13: tenants cannot meet. Every URL, every role, two organizations: the stranger gets 404.

The URLs are walked from the resolver, so that a new one is tested as soon as it exists: one outside
of an organization must be named here, one with an object's id must have a way to make such an object.
"""

import logging
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID, uuid4

import pytest
from django.test import Client
from django.urls import URLResolver, get_resolver, reverse
from django.utils import timezone

from accounts.invitations import invite_member
from accounts.management import ManagementView
from accounts.models import Invitation, Membership
from accounts.permissions import Role
from accounts.token_services import issue_management_token
from billing.budget_services import set_budget
from billing.invoices import issue_documents
from billing.models import Invoice, UsageEvent
from billing.services import top_up
from gateway.endpoint_services import set_endpoint
from gateway.provider_key_services import store_key
from gateway.services import connect_provider, declare_model
from tests.billing.payment_cases import pay
from tests.billing.test_invoices import charge
from tests.people import browser_of, teammate

pytestmark = [pytest.mark.guarantee]

METHODS = ("get", "post", "put", "patch", "delete", "head", "options")
# Everybody may open these: they say nothing about any tenant.
OPEN = {"landing", "api_schema", "api_schema_json", "api_reference", "api_elsewhere"}
# Whoever is signed in may open these: they are about that person alone.
OWN = {"welcome", "organization_new", "profile", "api_organizations"}
# Programs call these: who shows no credential gets 401 instead of the way to sign in.
API_PREFIX = "api/"
# Whoever holds the secret of a link, or has opened it in this browser, may open these: tested below.
BY_SECRET = {
    "invitation": {"token": "a-token-that-nobody-has"},
    "invitation_kept": {},
    "test_checkout": {"ref": "test_pi_that-nobody-has"},
}
# Their senders sign what they send: tested in tests/billing/test_webhooks.py.
SIGNED = {"payment_webhook"}
# django-allauth's pages know people and no tenants; the admin is the operator's and tested below.
FOREIGN_PREFIXES = ("accounts/", "admin/")
INVITED = "canary-of-the-invited@example.com"
PROVIDER_KEY = "sk-canary-of-the-provider-0123456789"


def walk(resolver, prefix=""):
    for entry in resolver.url_patterns:
        route = prefix + str(entry.pattern)
        if isinstance(entry, URLResolver):
            yield from walk(entry, route)
        else:
            yield route, entry


def routes():
    return {route: entry for route, entry in walk(get_resolver()) if not route.startswith(FOREIGN_PREFIXES)}


def tenant_routes():
    return sorted(route for route, entry in routes().items() if "slug" in entry.pattern.converters)


def object_routes():
    return [route for route in tenant_routes() if len(routes()[route].pattern.converters) > 1]


def bearer_routes():
    """Calls of programs, which show a key and have no session: tested in test_g13_bearers.py."""
    views = {route: getattr(entry.callback, "cls", None) for route, entry in routes().items()}
    return sorted(route for route, view in views.items() if view and issubclass(view, ManagementView))


def address(route, somebody, **ids):
    """The route below somebody's organization, with each id in place."""
    entry = routes()[route]
    ids = {name: ids[name] for name in entry.pattern.converters if name != "slug"}
    return reverse(entry.name, kwargs={"slug": somebody.organization.slug, **ids})


def answers(browser, url):
    return {method: getattr(browser, method)(url).status_code for method in METHODS}


def some_ids():
    names = {name for route in object_routes() for name in routes()[route].pattern.converters}
    return {name: uuid4() for name in names}


@pytest.fixture
def ids(alice):
    """One of each of alice's objects, by the name that its id has in URLs."""
    connection = connect_provider(
        organization=alice.organization,
        provider="acme-llm",
        base_url="http://127.0.0.1:9/v1",
        api_key=PROVIDER_KEY,
    )
    model = declare_model(
        connection=connection,
        model="large",
        upstream_name="",
        context_window_tokens=8192,
        max_output_tokens=1024,
        input_usd_per_million=Decimal(1),
        output_usd_per_million=Decimal(2),
    )
    invitation, _ = invite_member(
        organization=alice.organization, invited_by=alice.person, email=INVITED, role=Role.VIEWER
    )
    store_key(organization=alice.organization, name="canary", value=PROVIDER_KEY)
    endpoint = set_endpoint(
        organization=alice.organization,
        name="mine@custom",
        url="http://127.0.0.1:9/v1",
        key_name="canary",
    )
    event = UsageEvent.objects.create(
        organization_id=alice.organization.pk,
        project_id=alice.project.pk,
        key_id=alice.key_row.pk,
        occurred_at=timezone.now(),
        status=200,
        ending=UsageEvent.Ending.COMPLETED,
    )
    return {
        "person_id": alice.person.pk,
        "invitation_id": invitation.pk,
        "key_id": alice.key_row.pk,
        "project_id": alice.project.pk,
        "connection_id": connection.pk,
        "endpoint_id": endpoint.pk,
        "budget_id": set_budget(
            organization=alice.organization,
            scope="project",
            scope_id=alice.project.pk,
            amount_usd=Decimal(5),
            window="day",
        ).pk,
        "model_id": model.pk,
        "token_id": _token(alice).pk,
        "event_id": event.id,
        "transfer_id": top_up(organization=alice.organization, amount_usd=Decimal(5)),
        "payment_id": pay(alice, "5").pk,
        "invoice_id": _invoice(alice).pk,
    }


def _token(somebody):
    membership = Membership.objects.get(person=somebody.person)
    return issue_management_token(membership=membership, name="T", scope="write", expires_at=None)[0]


def _invoice(somebody):
    charge(somebody, "1", "2026-10-03T10:00:00")
    issue_documents(somebody.organization, datetime(2026, 11, 2, tzinfo=UTC))
    return Invoice.objects.get(organization=somebody.organization)


def test_every_url_is_below_an_organization_or_named_here():
    apart = {*tenant_routes(), *bearer_routes()}
    others = {entry.name for route, entry in routes().items() if route not in apart}

    assert others - OPEN - OWN - SIGNED == set(BY_SECRET)


@pytest.mark.parametrize("name", SIGNED)
def test_an_unsigned_message_is_refused_whoever_brings_it(alice, name):
    found = answers(alice.browser, reverse(name))

    assert set(found.values()) == {400, 405}


@pytest.mark.parametrize("name", BY_SECRET)
def test_without_the_secret_there_is_no_such_page(alice, charlie, ids, name):
    found = answers(charlie.browser, reverse(name, kwargs=BY_SECRET[name]))

    assert set(found.values()) == {404, 405}


def test_the_id_of_an_invitation_is_not_its_secret(alice, charlie, ids):
    found = answers(charlie.browser, reverse("invitation", args=[ids["invitation_id"]]))

    assert set(found.values()) == {404, 405}


@pytest.mark.parametrize("route", tenant_routes())
def test_a_stranger_gets_404(alice, charlie, ids, route):
    found = answers(charlie.browser, address(route, alice, **ids))

    # 405 tells everybody alike which methods a URL knows, and nothing about the organization.
    assert set(found.values()) <= {404, 405}
    assert 404 in found.values()


@pytest.mark.parametrize("route", object_routes())
def test_a_strangers_404_does_not_tell_whether_the_object_exists(alice, charlie, ids, route):
    existing = charlie.browser.get(address(route, alice, **ids))
    made_up = charlie.browser.get(address(route, alice, **some_ids()))

    assert existing.status_code == made_up.status_code
    assert len(existing.content) == len(made_up.content)


@pytest.mark.parametrize("route", object_routes())
def test_anothers_object_is_not_found_through_ones_own_organization(charlie, ids, route):
    found = answers(charlie.browser, address(route, charlie, **ids))

    assert set(found.values()) <= {404, 405}
    assert 404 in found.values()


@pytest.mark.parametrize("route", tenant_routes())
def test_who_is_not_signed_in_is_sent_to_sign_in(alice, ids, route):
    found = answers(Client(), address(route, alice, **ids))

    assert set(found.values()) == ({401} if route.startswith(API_PREFIX) else {302})


@pytest.mark.parametrize("role", Role)
def test_each_role_opens_each_page_or_is_told_that_it_may_not(alice, ids, role):
    browser = teammate("mate@example.com", of=alice, role=role).browser

    found = {route: browser.get(address(route, alice, **ids)).status_code for route in tenant_routes()}

    # A developer does not see the keys and requests of others: theirs alone are 404 to an insider.
    hidden = {404} if role == Role.DEVELOPER else set()
    assert set(found.values()) <= {200, 403, 405} | hidden
    assert 200 in found.values()


def test_an_owner_finds_what_the_strangers_did_not(alice, ids):
    found = {route: alice.browser.get(address(route, alice, **ids)).status_code for route in tenant_routes()}

    assert set(found.values()) <= {200, 405}


def test_a_removed_member_is_a_stranger_at_once(alice, bob, ids):
    alice.browser.post(reverse("member_remove", args=[alice.organization.slug, bob.person.pk]))

    found = {route: bob.browser.get(address(route, alice, **ids)).status_code for route in tenant_routes()}

    assert set(found.values()) <= {404, 405}


def test_the_admin_lets_in_staff_alone(alice):
    routes_of_admin = [route for route, _ in walk(get_resolver()) if route.startswith("admin/")]
    pages = [f"/{route}" for route in routes_of_admin if "<" not in route and "(" not in route]

    found = {page: alice.browser.get(page).status_code for page in pages}

    assert found["/admin/accounts/apikey/"] == 302
    assert {page for page, status in found.items() if status == 200} == set()


def test_no_page_and_no_log_line_shows_a_secret(alice, bob, ids, caplog):
    caplog.set_level(logging.DEBUG)
    secrets = [
        alice.key,
        bob.key,
        PROVIDER_KEY,
        bytes(alice.key_row.secret_hmac).hex(),
        bytes(alice.organization.encrypted_data_key).hex(),
        bytes(Invitation.objects.get().token_hash).hex(),
        browser_of(alice.person).session.session_key,
    ]

    contents = [alice.browser.get(address(route, alice, **ids)).content for route in tenant_routes()]
    pages = [content.decode(errors="replace") for content in contents]

    shown = [secret for secret in secrets for text in [*pages, caplog.text] if secret in text]
    assert shown == []


def test_one_tenants_pages_do_not_change_when_another_tenant_gains_rows(alice, charlie):
    url = reverse("ledger", args=[charlie.organization.slug])
    before = charlie.browser.get(url).content

    top_up(organization=alice.organization, amount_usd=Decimal(99))

    assert amounts_in(charlie.browser.get(url).content) == amounts_in(before)
    assert b"99.00" not in charlie.browser.get(url).content


def amounts_in(page):
    return page.count(b"$"), page.count(b"<tr")


def test_every_id_in_a_url_is_a_uuid():
    kinds = {
        type(converter).__name__
        for route in object_routes()
        for name, converter in routes()[route].pattern.converters.items()
        if name != "slug"
    }

    assert kinds == {"UUIDConverter"}
    assert all(isinstance(value, UUID) for value in some_ids().values())
