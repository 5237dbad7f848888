"""Doubles and likeness of an organization, and a project's cache, as people set them."""

from decimal import Decimal

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection

from accounts.models import OrganizationEpoch, Project
from accounts.permissions import Role
from gateway.models import ProviderConnection, ReusePolicy
from gateway.reuse_services import NO_VECTORS, WrongReuse, set_deduplication, set_embedding_endpoint
from gateway.services import connect_provider, disconnect_provider
from tests.people import Somebody, teammate

SETTINGS, REUSE = "/o/acme/settings/", "/o/acme/settings/reuse/"


def epoch_of(somebody: Somebody) -> int:
    return OrganizationEpoch.objects.get(pk=somebody.organization.pk).epoch


def embedder_of(somebody: Somebody, provider: str = "own-embedder") -> ProviderConnection:
    return connect_provider(
        organization=somebody.organization,
        provider=provider,
        base_url="http://127.0.0.1:9/v1",
        api_key="sk-embed",
    )


def test_an_owner_sets_seconds_for_doubles_and_lifts_them(alice: Somebody) -> None:
    before = epoch_of(alice)

    response = alice.browser.post(REUSE, {"deduplication_seconds": "3"}, follow=True)

    assert ReusePolicy.objects.get().deduplication_seconds == 3
    assert "refused within 3 s" in response.content.decode()
    assert epoch_of(alice) > before
    alice.browser.post(REUSE, {"deduplication_seconds": ""})
    assert ReusePolicy.objects.get().deduplication_seconds == 0
    assert "not refused" in alice.browser.get(SETTINGS).content.decode()


@pytest.mark.parametrize("seconds", ["61", "-1", "soon"])
def test_other_seconds_are_refused(seconds: str, alice: Somebody) -> None:
    page = alice.browser.post(REUSE, {"deduplication_seconds": seconds})

    assert page.status_code == 200
    assert "deduplication_seconds" in page.context["form"].errors
    assert not ReusePolicy.objects.exists()


def test_the_service_refuses_what_the_form_does(alice: Somebody) -> None:
    with pytest.raises(WrongReuse, match="1 to 60 seconds"):
        set_deduplication(organization=alice.organization, seconds=61)


def test_an_owner_chooses_an_embedding_model_and_takes_it_back(alice: Somebody) -> None:
    endpoint = embedder_of(alice)
    wanted = {
        "embedding_connection": str(endpoint.pk),
        "embedding_model": " text-embedding-3-small ",
        "embedding_usd_per_million": "0.02",
    }

    page = alice.browser.post(REUSE, wanted, follow=True).content.decode()

    policy = ReusePolicy.objects.get()
    assert (policy.embedding_connection, policy.embedding_model) == (endpoint, "text-embedding-3-small")
    assert policy.embedding_usd_per_million == Decimal("0.02")
    assert "text-embedding-3-small" in page
    alice.browser.post(REUSE, {"embedding_connection": "", "embedding_model": "left over"})
    policy.refresh_from_db()
    assert (policy.embedding_connection, policy.embedding_model) == (None, "")


def test_an_endpoint_that_is_disconnected_is_asked_no_longer(alice: Somebody) -> None:
    endpoint = embedder_of(alice)
    set_embedding_endpoint(organization=alice.organization, connection=endpoint, model="m")

    disconnect_provider(connection=endpoint)

    assert ReusePolicy.objects.get().embedding_connection is None


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"embedding_model": ""}, "embedding_model"),
        ({"embedding_model": "two words"}, "embedding_model"),
        ({"embedding_usd_per_million": "-1"}, "embedding_usd_per_million"),
    ],
)
def test_an_endpoint_needs_a_model_and_a_price(wrong: dict[str, str], field: str, alice: Somebody) -> None:
    wanted = {"embedding_connection": str(embedder_of(alice).pk), "embedding_model": "m", **wrong}

    page = alice.browser.post(REUSE, wanted)

    assert field in page.context["form"].errors
    assert not ReusePolicy.objects.exists()


def test_a_connection_of_strangers_cannot_be_chosen(alice: Somebody, charlie: Somebody) -> None:
    foreign = embedder_of(charlie)

    page = alice.browser.post(REUSE, {"embedding_connection": str(foreign.pk), "embedding_model": "m"})

    assert "embedding_connection" in page.context["form"].errors
    with pytest.raises(WrongReuse, match="of this organization"):
        set_embedding_endpoint(organization=alice.organization, connection=foreign, model="m")


def test_where_pgvector_is_missing_page_and_answer_say_so(alice: Somebody) -> None:
    endpoint = embedder_of(alice)
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE gateway_cachedquestion")

    page = alice.browser.get(REUSE).content.decode()
    refused = alice.browser.post(REUSE, {"embedding_connection": str(endpoint.pk), "embedding_model": "m"})

    assert NO_VECTORS in page
    assert refused.context["form"].errors["embedding_connection"] == [NO_VECTORS]
    assert not ReusePolicy.objects.exists()


def test_makevectors_makes_the_table_again_and_may_run_twice(db: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE gateway_cachedquestion")

    for _ in range(2):
        call_command("makevectors")

    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM gateway_cachedquestion")
        assert cursor.fetchone() == (0,)


def test_makevectors_says_what_is_missing(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    migration = "gateway.migrations.0011_cached_questions"
    monkeypatch.setattr(f"{migration}.IS_AVAILABLE", "SELECT 1 FROM pg_class WHERE false")

    with pytest.raises(CommandError, match="pgvector"):
        call_command("makevectors")


def test_only_who_manages_the_organization_may_change_it(alice: Somebody) -> None:
    viewer = teammate("victor@example.com", of=alice, role=Role.VIEWER)

    assert viewer.browser.get(REUSE).status_code == 403
    assert viewer.browser.post(REUSE, {"deduplication_seconds": "3"}).status_code == 403
    assert REUSE not in viewer.browser.get(SETTINGS).content.decode()


def test_an_owner_has_a_projects_answers_cached(alice: Somebody) -> None:
    project = alice.project
    place = f"/o/acme/projects/{project.pk}/"
    basics = {"name": project.name, "mode": project.mode, "budget_window": "month"}

    alice.browser.post(place, {**basics, "is_caching_on": "on", "cache_ttl_seconds": "600"})
    on = Project.objects.get(pk=project.pk)
    refused = alice.browser.post(place, {**basics, "is_caching_on": "on", "cache_ttl_seconds": "9"})
    alice.browser.post(place, basics)
    off = Project.objects.get(pk=project.pk)

    assert (on.is_caching_on, on.cache_ttl_seconds) == (True, 600)
    assert "cache_ttl_seconds" in refused.context["form"].errors
    assert (off.is_caching_on, off.cache_ttl_seconds) == (False, 60)
