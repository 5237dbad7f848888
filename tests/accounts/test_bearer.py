"""Bearer keys on management calls, by way of one of them: who is let in, and what a refusal says."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from django.core.cache import cache
from django.test import Client
from django.utils import timezone

from accounts import keys
from accounts.errors import RoleOutOfReach
from accounts.models import ApiKey, Membership
from accounts.permissions import Role
from accounts.services import (
    change_role,
    issue_key,
    remove_member,
    revoke_key,
    set_active,
    set_key_networks,
    set_key_role,
)
from billing.promotions import create_promotion_code

pytestmark = pytest.mark.django_db


def redeem(key="", code="WELCOME-10", **headers):
    if key:
        headers["authorization"] = f"Bearer {key}"
    return Client().post("/v0/promo", {"code": code}, content_type="application/json", headers=headers)


def key_with_role(somebody, role, **options):
    row, secret = issue_key(
        organization=somebody.organization,
        project=somebody.project,
        created_by=somebody.person,
        name="Managing",
        role=role,
        issuer_role=Role.OWNER,
        **options,
    )
    return row, secret


@pytest.fixture(autouse=True)
def code(db):
    return create_promotion_code(code="welcome-10", amount_usd=Decimal(10), most_uses=5)


@pytest.fixture
def boss(alice):
    """A key that may do whatever alice may."""
    return key_with_role(alice, Role.OWNER)[1]


@pytest.mark.parametrize("header", ["authorization", "x-api-key", "x-bf-vk", "api-key", "x-goog-api-key"])
def test_a_key_is_read_from_each_header_that_completions_read(alice, boss, header):
    value = f"Bearer {boss}" if header == "authorization" else boss

    answer = redeem(**{header: value})

    assert (answer.status_code, answer.json()["info"]) == (200, "Code redeemed: $10.00 of credit added.")


def test_no_key_is_401_and_says_how_to_send_one(alice):
    answer = redeem()

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json()["error"]["code"] == "invalid_api_key"
    assert "Authorization: Bearer fbx_" in answer.json()["detail"]


def test_a_session_is_no_key(alice):
    assert alice.browser.post("/v0/promo", {"code": "WELCOME-10"}).status_code == 401


def test_each_key_that_cannot_be_used_says_why(alice, boss):
    revoked, revoked_secret = key_with_role(alice, Role.OWNER)
    revoke_key(key=revoked)
    expired, expired_secret = key_with_role(alice, Role.OWNER)
    ApiKey.objects.filter(pk=expired.pk).update(expires_at=timezone.now() - timedelta(seconds=1))
    texts = {
        "mistyped": redeem(boss[:-1] + ("a" if boss[-1] != "a" else "b")).json()["detail"],
        "unknown": redeem(keys.new_secret()).json()["detail"],
        "revoked": redeem(revoked_secret).json()["detail"],
        "expired": redeem(expired_secret).json()["detail"],
    }

    assert texts == {
        "mistyped": "Invalid API key. The key's checksum does not match; was it copied whole?",
        "unknown": "Invalid API key. There is no such key here.",
        "revoked": "Invalid API key. This key has been revoked; create another one.",
        "expired": "Invalid API key. This key has expired; create another one.",
    }


def test_the_keys_of_a_switched_off_organization_are_unknown(alice, boss):
    set_active(organization=alice.organization, is_active=False)

    answer = redeem(boss)

    assert answer.status_code == 401
    assert answer.json()["detail"] == "Invalid API key. There is no such key here."


@pytest.mark.parametrize("role", ["", Role.DEVELOPER, Role.VIEWER, Role.ADMIN])
def test_a_key_whose_role_does_not_allow_it_is_403_and_names_the_right(alice, role):
    _, secret = key_with_role(alice, role)

    answer = redeem(secret)

    assert answer.status_code == 403
    assert answer.json()["error"]["details"] == {"right": "manage_billing"}
    assert "Top up credit" in answer.json()["detail"]


@pytest.mark.parametrize("role", [Role.OWNER, Role.BILLING])
def test_a_key_whose_role_allows_it_is_served(alice, role):
    _, secret = key_with_role(alice, role)

    assert redeem(secret).status_code == 200


def test_each_answer_has_a_request_id_the_clients_own_if_it_sent_one(alice, boss):
    assert redeem(boss, **{"x-request-id": "my-own-42"}).headers["x-request-id"] == "my-own-42"
    assert len(redeem().headers["x-request-id"]) == 36
    assert len(redeem(**{"x-request-id": "x" * 129}).headers["x-request-id"]) == 36


def test_a_body_that_is_no_json_object_is_400(alice, boss):
    broken = Client().post(
        "/v0/promo", "{", content_type="application/json", headers={"authorization": f"Bearer {boss}"}
    )
    listed = Client().post(
        "/v0/promo", "[1]", content_type="application/json", headers={"authorization": f"Bearer {boss}"}
    )
    form = Client().post("/v0/promo", {"code": "x"}, headers={"authorization": f"Bearer {boss}"})

    assert (broken.status_code, broken.json()["error"]["code"]) == (400, "invalid_json")
    assert (listed.status_code, listed.json()["error"]["code"]) == (400, "invalid_json")
    assert (form.status_code, form.json()["error"]["code"]) == (415, "unsupported_media_type")


def test_a_missing_parameter_is_named_as_unify_names_it(alice, boss):
    headers = {"authorization": f"Bearer {boss}"}
    answer = Client().post("/v0/promo", content_type="application/json", headers=headers)

    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "code"
    assert answer.json()["detail"][0]["loc"] == ["body", "code"]


def test_nobody_gives_a_key_more_than_they_may_themselves(alice, bob):
    with pytest.raises(RoleOutOfReach):
        issue_key(
            organization=alice.organization,
            project=alice.project,
            created_by=bob.person,
            name="Too much",
            role=Role.ADMIN,
            issuer_role=Role.OWNER,
        )
    with pytest.raises(RoleOutOfReach):
        set_key_role(key=alice.key_row, role=Role.OWNER, issuer_role=Role.ADMIN)
    set_key_role(key=bob.key_row, role=Role.DEVELOPER, issuer_role=Role.DEVELOPER)

    assert ApiKey.objects.get(pk=bob.key_row.pk).role == Role.DEVELOPER


def test_who_loses_a_right_has_no_key_left_that_has_it(alice, bob):
    membership = Membership.objects.get(person=bob.person)
    change_role(actor_role=Role.OWNER, membership=membership, role=Role.ADMIN)
    admin, _ = key_with_role(bob, Role.ADMIN)
    developer, _ = key_with_role(bob, Role.DEVELOPER)

    change_role(actor_role=Role.OWNER, membership=membership, role=Role.DEVELOPER)
    after_demotion = {row.pk: row.role for row in ApiKey.objects.filter(created_by=bob.person)}
    remove_member(actor_role=Role.OWNER, membership=membership, are_keys_revoked=False)
    after_removal = set(ApiKey.objects.filter(created_by=bob.person).values_list("role", flat=True))

    assert after_demotion == {bob.key_row.pk: "", admin.pk: "", developer.pk: "developer"}
    assert after_removal == {""}


@pytest.fixture
def guard(settings):
    """The guard as it is delivered, with nobody counted yet."""
    cache.clear()
    settings.FAREBOX_CONSOLE = replace(settings.FAREBOX_CONSOLE, unknown_keys_per_address=5)
    yield
    cache.clear()


def test_an_address_that_guesses_keys_is_refused_but_not_its_neighbours_known_key(alice, boss, guard):
    assert redeem(boss, code="NOBODY").status_code == 404
    guesses = [redeem(keys.new_secret()).status_code for _ in range(6)]
    fresh = key_with_role(alice, Role.OWNER)[1]
    refused = redeem(fresh)

    assert guesses == [401, 401, 401, 401, 401, 429]
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "rate_limit_exceeded")
    assert 1 <= int(refused.headers["retry-after"]) <= 31
    assert redeem(boss).status_code == 200


def test_a_second_block_is_twice_as_long(alice, guard):
    for _ in range(5):
        redeem(keys.new_secret())
    first = int(redeem(keys.new_secret()).headers["retry-after"])
    cache.delete("address-block:127.0.0.1")
    for _ in range(5):
        redeem(keys.new_secret())

    assert first <= 31 < int(redeem(keys.new_secret()).headers["retry-after"]) <= 61


def test_keys_that_were_mistyped_or_revoked_are_no_guesses(alice, guard):
    row, secret = key_with_role(alice, Role.OWNER)
    revoke_key(key=row)

    statuses = {redeem(each).status_code for each in ("fbx_short", secret) for _ in range(6)}

    assert statuses == {401}


def test_a_key_is_refused_outside_of_its_networks(alice):
    row, secret = key_with_role(alice, Role.OWNER, allowed_networks=["203.0.113.0/24"])

    refused = redeem(secret)
    set_key_networks(key=row, allowed_networks=["127.0.0.1"])
    let_in = redeem(secret)

    assert refused.status_code == 403
    assert refused.json()["error"]["code"] == "ip_blocked"
    assert let_in.status_code == 200
