"""What people do on the pages stands in the audit log, once, and what is refused does not."""

import pytest
from django.urls import reverse

from accounts.invitations import invite_member
from accounts.models import AuditEntry, Invitation, Person, Project
from accounts.permissions import Role
from billing.models import Budget
from gateway.models import CustomEndpoint, ProviderConnection
from gateway.provider_key_services import store_key
from tests.people import browser_of, teammate


@pytest.fixture
def do(alice):
    """Post a form as alice, and tell which entries it left."""

    def post(name, /, *ids, **form):
        before = set(AuditEntry.objects.values_list("pk", flat=True))
        alice.browser.post(reverse(name, args=["acme", *ids]), form)
        new = AuditEntry.objects.exclude(pk__in=before)
        assert all((entry.actor, entry.via) == ("alice@example.com", "pages") for entry in new)
        return [entry.action for entry in new]

    return post


def test_keys_projects_and_budgets(do, alice):
    assert do("first_key", name="First") == ["key.create"]
    assert do("key_new", name="K", project=alice.project.pk) == ["key.create"]
    assert do("key_limits", alice.key_row.pk, requests_per_minute=5, budget_window="month") == ["key.update"]
    assert AuditEntry.objects.get(action="key.update").changed == ["requests_per_minute"]
    assert do("key_revoke", alice.key_row.pk) == ["key.revoke"]
    assert do("project_new", name="P", mode="hybrid") == ["project.create"]
    project = Project.objects.get(name="P")
    assert do("project_detail", project.pk, name="Q", mode="hybrid", budget_usd=3) == ["project.update"]
    budget = Budget.objects.get()
    assert do("budget_delete", budget.pk) == ["budget.remove"]
    assert do("alert_webhook", url="") == ["webhook.remove"]


def test_people_and_settings(do, alice):
    mate = teammate("mate@example.com", of=alice, role=Role.VIEWER)

    assert do("member_invite", email="new@example.com", role="viewer") == ["invitation.create"]
    assert do("invitation_revoke", Invitation.objects.get().pk) == ["invitation.revoke"]
    assert do("member_role", mate.person.pk, role="admin") == ["member.update"]
    assert do("member_remove", mate.person.pk) == ["member.remove"]
    assert AuditEntry.objects.get(action="member.remove").changed == []
    assert do("settings_name", name="Acme 2") == ["organization.update"]
    assert do("settings_body_logging", is_on="on") == ["organization.update"]
    assert do("settings_stream_cut", is_on="on") == ["organization.update"]
    assert do("organization_rates", requests_per_minute=9) == ["limits.update"]
    assert do("organization_budget", budget_usd=9) == ["limits.update"]
    assert do("organization_outage", redis_away_usd=0) == ["limits.update"]
    assert do("organization_reuse", deduplication_seconds=3) == ["reuse.update"]
    assert do("organization_reuse", deduplication_seconds=61) == []


def test_providers_and_no_secret_of_theirs(do):
    address = {"name": "in-house", "base_url": "http://127.0.0.1:9/v1", "api_key": "canary-secret"}
    prices = {"input_usd_per_million": 1, "output_usd_per_million": 2}
    model = {"model": "large", "context_window_tokens": 8192, "max_output_tokens": 512, **prices}

    assert do("providers", provider="custom", **address) == ["provider.connect"]
    connection = ProviderConnection.objects.get(provider="in-house")
    assert do("model_declare", connection.pk, **model) == ["model.declare"]
    assert do("model_remove", connection.pk, connection.custom_models.get().pk) == ["model.remove"]
    assert do("provider_disconnect", connection.pk) == ["provider.disconnect"]
    assert "canary-secret" not in str(list(AuditEntry.objects.values()))


def test_endpoints(do, alice):
    store_key(organization=alice.organization, name="mine", value="canary-secret")
    endpoint = CustomEndpoint.objects.create(
        organization=alice.organization, model="m", provider="custom", base_url="http://x", key_name="mine"
    )

    assert do("endpoint_remove", endpoint.pk) == ["endpoint.remove"]
    entry = AuditEntry.objects.get()
    assert (entry.target, entry.target_id) == ("m@custom", endpoint.pk)


def test_routing_and_the_price_ceiling_with_what_changed(do):
    def changed(name, **form):
        (action,) = do(name, **form)
        assert action == ("price_ceiling.update" if name == "price_ceiling" else "routing.update")
        return AuditEntry.objects.latest("created_at").changed

    first = {"input_usd_per_million": "1.5", "output_usd_per_million": "2"}
    assert changed("price_ceiling", **first) == ["input_usd_per_million", "output_usd_per_million"]
    assert changed("price_ceiling", **first | {"output_usd_per_million": "3"}) == ["output_usd_per_million"]
    assert changed("price_ceiling") == ["input_usd_per_million", "output_usd_per_million"]
    assert do("price_ceiling", input_usd_per_million="1") == []
    aliases = {"model_aliases": "a = fake/echo\r\nb = fake/slow"}
    assert changed("organization_routing", **aliases) == ["model_aliases"]
    assert changed("organization_routing", **aliases, default_fallbacks="fake/echo") == ["default_fallbacks"]
    assert do("organization_routing", model_aliases="a = b = c\nb") == []


def test_an_invitation_that_is_accepted(alice):
    _, token = invite_member(
        organization=alice.organization, invited_by=alice.person, email="dora@example.com", role=Role.VIEWER
    )
    browser = browser_of(Person.objects.create_user("dora@example.com"))

    for _ in range(2):
        browser.post(reverse("invitation", args=[token]))

    entry = AuditEntry.objects.get()
    assert (entry.action, entry.actor, entry.via) == ("invitation.accept", "dora@example.com", "pages")
    assert (entry.organization, entry.target_id) == (alice.organization, Invitation.objects.get().pk)


def test_a_member_removed_with_their_keys(do, alice):
    mate = teammate("mate@example.com", of=alice, role=Role.VIEWER)

    assert do("member_remove", mate.person.pk, are_keys_revoked="on") == ["member.remove"]
    assert AuditEntry.objects.get().changed == ["revoke_keys"]


def test_what_is_refused_leaves_no_entry(do, alice):
    assert do("key_new", name="", project=alice.project.pk) == []
    assert do("key_limits", alice.key_row.pk, requests_per_minute=0) == []
    assert do("project_new", name="Default", mode="hybrid") == []
    assert do("member_invite", email="alice@example.com", role="viewer") == []
    assert do("leave") == []
    assert do("organization_outage", redis_away_usd=10**6) == []
