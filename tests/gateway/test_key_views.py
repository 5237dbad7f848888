"""The pages of keys, as alice (owner), bob (developer) and charlie (stranger) meet them."""

import json
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from urllib.parse import parse_qs, urlsplit

import pytest
import redis
from django.conf import settings
from django.test import Client
from django.utils import timezone

from accounts.keys import hmac_of
from accounts.models import ApiKey
from accounts.permissions import Role
from accounts.services import create_project, revoke_key
from billing.models import Budget, UsageEvent
from gateway.services import connect_provider, update_key
from tests.gateway.spending import spend
from tests.people import Somebody, teammate

LIST, NEW, WELCOME = "/o/acme/keys/", "/o/acme/keys/new/", "/o/acme/welcome/"
NO_LIMITS = {"requests_per_minute": "", "budget_usd": "", "allowed_models": ""}


def page_of(key: ApiKey, action: str = "") -> str:
    return f"/o/acme/keys/{key.pk}/{action}"


def notices(response) -> list[str]:
    return [str(message) for message in response.context["messages"]]


def new_key(somebody: Somebody, **fields: object):
    form = {"name": "Crawler", "project": somebody.project.pk, **fields}
    return somebody.browser.post(NEW, form)


def names_listed(somebody: Somebody) -> list[str]:
    return [row.name for row in somebody.browser.get(LIST).context["keys"]]


@pytest.fixture
def paid(alice: Somebody) -> ApiKey:
    """A key of alice with a budget and three requests of this month."""
    update_key(
        key=alice.key_row,
        requests_per_minute=60,
        tokens_per_minute=None,
        concurrent_requests=5,
        allowed_models=["fake/*"],
        budget_usd=Decimal(10),
        budget_window="total",
        time_zone="UTC",
    )
    spend(alice.key_row, "1.25")
    spend(alice.key_row, "0.75", status=502, ending=UsageEvent.Ending.UPSTREAM_ERROR)
    spend(alice.key_row, "4", at=timezone.now() - timedelta(days=45))
    return alice.key_row


def test_the_list_shows_what_each_key_may_do_and_has_spent(alice: Somebody, paid: ApiKey) -> None:
    [row] = alice.browser.get(LIST).context["keys"]

    assert (row.name, row.status) == ("Key of alice@example.com", "active")
    assert row.limits_text == "60 requests/min · 5 at once"
    assert row.spend_usd == Decimal("2.00")
    assert row.budget.left_usd == Decimal(4)
    assert row.href == page_of(paid)


def test_the_list_begins_with_the_keys_that_live(alice: Somebody, bob: Somebody) -> None:
    revoke_key(key=bob.key_row)
    new_key(alice, name="Youngest")

    assert names_listed(alice) == ["Youngest", "Key of alice@example.com", "Key of bob@example.com"]


def test_a_developer_sees_their_own_keys_only(alice: Somebody, bob: Somebody) -> None:
    assert names_listed(bob) == ["Key of bob@example.com"]
    assert bob.browser.get(page_of(bob.key_row)).status_code == 200
    assert bob.browser.get(page_of(alice.key_row)).status_code == 404


def test_a_viewer_sees_all_keys_and_changes_none(alice: Somebody) -> None:
    viewer = teammate("vera@example.com", of=alice, role=Role.VIEWER)

    page = viewer.browser.get(page_of(alice.key_row))

    assert (page.context["limits_form"], page.context["may_manage"]) == (None, False)
    assert not viewer.browser.get(LIST).context["may_create"]
    for path, method in ((NEW, "get"), (NEW, "post"), (WELCOME, "get"), (WELCOME, "post")):
        assert getattr(viewer.browser, method)(path).status_code == 403
    for action in ("revoke/", "limits/"):
        assert viewer.browser.post(page_of(alice.key_row, action)).status_code == 403
    assert ApiKey.objects.get(pk=alice.key_row.pk).revoked_at is None


def test_a_new_key_is_shown_once_in_the_answer_and_never_again(alice: Somebody) -> None:
    created = new_key(
        alice,
        requests_per_minute="60",
        budget_usd="12.5",
        budget_window="week",
        allowed_models="fake/*, openai/gpt-5\nfake/*",
        allowed_networks="203.0.113.9/24, 2001:db8::/32",
        default_tags="nightly, reports",
    )

    secret = created.context["secret"]
    key = ApiKey.objects.get(secret_hmac=hmac_of(secret, settings.FAREBOX_KEY_PEPPER))
    assert created.status_code == 200
    assert secret in created.content.decode()
    assert (key.name, key.created_by, key.requests_per_minute) == ("Crawler", alice.person, 60)
    assert key.allowed_models == ["fake/*", "openai/gpt-5"]
    assert key.allowed_networks == ["203.0.113.0/24", "2001:db8::/32"]
    assert "203.0.113.0/24" in alice.browser.get(page_of(key)).content.decode()
    assert key.default_tags == ["nightly", "reports"]
    budget = Budget.objects.get(scope_id=key.pk)
    assert (budget.amount_usd, budget.window) == (Decimal("12.5"), "week")
    for later in (LIST, page_of(key), NEW):
        assert secret not in alice.browser.get(later).content.decode()
    assert secret not in json.dumps(dict(alice.browser.session))


def test_a_budgets_days_are_those_of_whoever_sets_it(alice: Somebody) -> None:
    alice.person.time_zone = "Europe/Berlin"
    alice.person.save()

    new_key(alice, budget_usd="1", budget_window="day")

    assert Budget.objects.get().time_zone == "Europe/Berlin"


def test_an_expiry_is_read_on_the_viewers_clock(alice: Somebody) -> None:
    alice.person.time_zone = "Europe/Berlin"
    alice.person.save()

    new_key(alice, expires_at="2099-07-01T12:00")

    assert ApiKey.objects.get(name="Crawler").expires_at == datetime(2099, 7, 1, 10, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""),
        ("name", "n" * 121),
        ("project", "0b6e3f5e-6f0a-4a3c-9d84-111111111111"),
        ("expires_at", "2001-01-01T00:00"),
        ("expires_at", "tomorrow"),
        ("requests_per_minute", "0"),
        ("requests_per_minute", "1.5"),
        ("tokens_per_minute", "-1"),
        ("concurrent_requests", "99999999999"),
        ("budget_usd", "-0.01"),
        ("budget_usd", "NaN"),
        ("budget_usd", "0.0000000001"),
        ("budget_usd", "1000000001"),
        ("budget_window", "fortnight"),
        ("allowed_models", "two words"),
        ("allowed_networks", "somewhere"),
        ("default_tags", "t" * 65),
    ],
)
def test_what_cannot_be_is_told_beside_its_field(alice: Somebody, field: str, value: str) -> None:
    page = new_key(alice, **{field: value})

    assert page.status_code == 200
    assert [*page.context["form"].errors] == [field]
    assert ApiKey.objects.count() == 1


def test_another_organizations_project_cannot_be_chosen(alice: Somebody, charlie: Somebody) -> None:
    page = new_key(alice, project=charlie.project.pk)

    assert [*page.context["form"].errors] == ["project"]


def test_the_project_is_asked_for_only_where_there_are_several(alice: Somebody) -> None:
    alone = alice.browser.get(NEW).context["form"]["project"]
    create_project(organization=alice.organization, name="Second")

    assert alone.is_hidden
    assert not alice.browser.get(NEW).context["form"]["project"].is_hidden


def test_the_detail_says_what_the_key_did_and_leads_to_just_that(alice: Somebody, paid: ApiKey) -> None:
    shown = alice.browser.get(page_of(paid)).context

    assert (shown["spend_usd"], shown["requests"], shown["errors"]) == (Decimal("2.00"), 2, 1)
    assert [bar.window_text for bar in shown["budgets"]] == ["$10.00 in total"]
    address = urlsplit(shown["requests_href"])
    query = parse_qs(address.query)
    assert address.path == "/o/acme/requests/"
    assert query["key"] == [str(paid.pk)]
    assert datetime.fromisoformat(query["to"][0]) == shown["as_of"]
    assert datetime.fromisoformat(query["from"][0]).time() == datetime.min.time()


def test_the_detail_counts_what_is_running(alice: Somebody, paid: ApiKey) -> None:
    shard = alice.organization.pk.int % 16
    leases = f"fb:{{s{shard:02d}}}:key:{paid.pk.hex}:running"
    now_ms = int(timezone.now().timestamp() * 1000)
    with redis.Redis.from_url(settings.FAREBOX_REDIS_URL) as client:
        client.zadd(leases, {"one": now_ms + 30_000, "two": now_ms + 30_000, "expired": now_ms - 1})

    shown = alice.browser.get(page_of(paid))

    assert shown.context["running_requests"] == 2
    assert "2 requests running with it now" in shown.content.decode()


def test_a_key_without_a_concurrency_limit_does_not_count(alice: Somebody) -> None:
    assert alice.browser.get(page_of(alice.key_row)).context["running_requests"] is None


def test_limits_are_changed_by_who_may(alice: Somebody, paid: ApiKey) -> None:
    form = alice.browser.get(page_of(paid)).context["limits_form"]
    assert (form["budget_usd"].value(), form["budget_window"].value()) == ("10", "total")

    response = alice.browser.post(
        page_of(paid, "limits/"),
        {
            "tokens_per_minute": "1000",
            "budget_usd": "20",
            "budget_window": "total",
            "allowed_networks": "::1",
        },
        follow=True,
    )

    assert notices(response) == ["The limits of Key of alice@example.com are saved and hold within a second."]
    changed = ApiKey.objects.get(pk=paid.pk)
    assert (changed.requests_per_minute, changed.tokens_per_minute) == (None, 1000)
    assert changed.allowed_models is None
    assert changed.allowed_networks == ["::1/128"]
    assert Budget.objects.get(scope_id=paid.pk).amount_usd == Decimal(20)


def test_a_refused_limit_keeps_the_others_and_what_was_typed(alice: Somebody, paid: ApiKey) -> None:
    page = alice.browser.post(page_of(paid, "limits/"), {"requests_per_minute": "0", "budget_usd": "5"})

    form = page.context["limits_form"]
    assert [*form.errors] == ["requests_per_minute"]
    assert form["budget_usd"].value() == "5"
    assert ApiKey.objects.get(pk=paid.pk).requests_per_minute == 60
    assert Budget.objects.get(scope_id=paid.pk).amount_usd == Decimal(10)


def test_a_developer_revokes_their_key_but_does_not_change_its_limits(alice: Somebody, bob: Somebody) -> None:
    assert bob.browser.post(page_of(bob.key_row, "limits/"), NO_LIMITS).status_code == 403

    response = bob.browser.post(page_of(bob.key_row, "revoke/"), follow=True)

    assert notices(response)[0].startswith("Key of bob@example.com is revoked")
    assert response.context["key"].status == "revoked"
    assert ApiKey.objects.get(pk=bob.key_row.pk).revoked_at is not None
    assert ApiKey.objects.get(pk=alice.key_row.pk).revoked_at is None


def test_a_new_key_has_no_role_in_management_calls_unless_it_is_given_one(alice: Somebody) -> None:
    new_key(alice, name="Plain")
    new_key(alice, name="Boss", role="owner")

    roles = dict(ApiKey.objects.filter(name__in=["Plain", "Boss"]).values_list("name", "role"))
    assert roles == {"Plain": "", "Boss": "owner"}


def test_nobody_can_choose_a_role_beyond_their_own(alice: Somebody, bob: Somebody) -> None:
    offered = bob.browser.get(NEW).context["form"].fields["role"].choices

    refused = new_key(bob, name="Boss", role="admin")

    assert [value for value, _ in offered] == ["", "developer"]
    assert "role" in refused.context["form"].errors
    assert not ApiKey.objects.filter(name="Boss").exists()


def test_a_role_is_changed_by_who_manages_keys_and_holds_it(alice: Somebody, bob: Somebody) -> None:
    admin = teammate("ada@example.com", of=alice, role=Role.ADMIN)
    address = page_of(alice.key_row, "role/")

    beyond = admin.browser.post(address, {"role": "owner"}, follow=True)
    by_developer = bob.browser.post(page_of(bob.key_row, "role/"), {"role": "developer"})
    by_owner = alice.browser.post(address, {"role": "owner"}, follow=True)
    from_below = admin.browser.post(address, {"role": ""}, follow=True)

    assert notices(beyond) == ["Choose one of the roles."]
    assert by_developer.status_code == 403
    assert notices(by_owner) == [f"{alice.key_row.name} has Owner in management calls."]
    assert notices(from_below) == ["You can only take roles from keys whose rights you hold yourself."]
    assert from_below.context["role_form"] is None
    alice.key_row.refresh_from_db()
    assert alice.key_row.role == "owner"


def test_a_revoked_key_offers_nothing_to_change(alice: Somebody) -> None:
    revoke_key(key=alice.key_row)

    shown = alice.browser.get(page_of(alice.key_row)).context

    assert (shown["limits_form"], shown["may_manage"]) == (None, False)


def test_an_expired_key_says_so(alice: Somebody) -> None:
    ApiKey.objects.filter(pk=alice.key_row.pk).update(expires_at=timezone.now() - timedelta(seconds=1))

    assert alice.browser.get(page_of(alice.key_row)).context["key"].status == "expired"


def test_the_first_key_takes_one_click(alice: Somebody) -> None:
    connect_provider(
        organization=None, provider="fake", base_url="http://127.0.0.1:8001/v1", api_key="simulator"
    )
    suggested = alice.browser.get(WELCOME).context["key_form"]["name"].value()

    shown = alice.browser.post(WELCOME, {"name": suggested})

    secret = shown.context["secret"]
    key = ApiKey.objects.get(secret_hmac=hmac_of(secret, settings.FAREBOX_KEY_PEPPER))
    assert shown.context["key_id"] == key.pk.hex
    assert shown.context["live_url"] == "/ws/o/acme/live"
    codes = {snippet.id: snippet.code for snippet in shown.context["snippets"]}
    assert [*codes] == ["curl", "python", "node"]
    for code in codes.values():
        assert secret in code
        assert "ten-chunks@fake" in code
        assert "http://127.0.0.1:8000/v0" in code
    compile(codes["python"], "snippet", "exec")


def test_the_first_key_needs_a_name(alice: Somebody) -> None:
    page = alice.browser.post(WELCOME, {"name": " "})

    assert [*page.context["key_form"].errors] == ["name"]
    assert ApiKey.objects.count() == 1


def test_without_the_simulator_the_snippet_names_a_priced_model(alice: Somebody) -> None:
    connect_provider(
        organization=alice.organization, provider="mistral", base_url="", api_key="sk-0123456789abc"
    )

    shown = alice.browser.post(WELCOME, {"name": "First key"})

    assert re.search(r'model="[^"@]+@mistral"', shown.context["snippets"][1].code)


def test_a_snippet_names_a_model_that_the_key_may_use(alice: Somebody) -> None:
    created = new_key(alice, allowed_models="openai/*, it's@custom")

    curl, python, node = (snippet.code for snippet in created.context["snippets"])

    assert """it'"'"'s@custom""" in curl
    assert '''model="it's@custom"''' in python
    assert '''model: "it's@custom"''' in node


def test_pages_of_keys_are_never_cached(alice: Somebody) -> None:
    pages = [
        alice.browser.get(LIST),
        alice.browser.get(NEW),
        new_key(alice),
        alice.browser.get(page_of(alice.key_row)),
        alice.browser.get(WELCOME),
        alice.browser.post(WELCOME, {"name": "First key"}),
    ]

    assert all("no-store" in page.headers["Cache-Control"] for page in pages)


def test_a_stranger_meets_404_at_every_address(alice: Somebody, charlie: Somebody) -> None:
    for path in (LIST, NEW, WELCOME, page_of(alice.key_row)):
        assert charlie.browser.get(path).status_code == 404
    for path in (NEW, WELCOME, page_of(alice.key_row, "limits/"), page_of(alice.key_row, "revoke/")):
        assert charlie.browser.post(path, {"name": "Mine"}).status_code == 404
    assert ApiKey.objects.filter(organization=alice.organization, revoked_at=None).count() == 1


def test_a_key_is_found_under_its_own_organization_only(alice: Somebody, charlie: Somebody) -> None:
    for action in ("", "limits/", "revoke/"):
        path = f"/o/{charlie.organization.slug}/keys/{alice.key_row.pk}/{action}"
        assert charlie.browser.post(path).status_code == (404 if action else 405)
        assert charlie.browser.get(path).status_code == (405 if action else 404)


def test_who_is_not_signed_in_is_asked_to_sign_in(alice: Somebody) -> None:
    for path in (LIST, NEW, WELCOME, page_of(alice.key_row)):
        assert Client().get(path).url == f"/accounts/login/?next={path}"
