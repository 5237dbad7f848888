"""A rolled key on the data plane: both secrets serve within the overlap, and the former one ends then."""

import httpx

from accounts.models import ApiKey
from accounts.services import roll_key
from tests.house import chat, eventually


def status_with(gateway, secret):
    headers = {"authorization": f"Bearer {secret}"}
    answer = httpx.post(
        f"{gateway.url}/v1/chat/completions", json=chat("fake/echo"), headers=headers, timeout=60
    )
    return answer.status_code


def test_both_secrets_serve_within_the_overlap_and_are_one_key(gateway, worker, team):
    row = team.somebody.key_row
    assert status_with(gateway, team.key) == 200

    secret = roll_key(key=row, overlap_seconds=3600, issuer_role="owner")

    assert status_with(gateway, secret) == 200
    assert status_with(gateway, team.key) == 200
    events = team.wait_for_events(3)
    assert {event.key_id for event in events} == {row.pk}


def test_without_an_overlap_the_former_secret_is_dead_and_the_new_one_lives(gateway, team):
    assert status_with(gateway, team.key) == 200

    secret = roll_key(key=team.somebody.key_row, overlap_seconds=0, issuer_role="owner")

    eventually(lambda: status_with(gateway, team.key) == 401, "the former secret is refused")
    assert status_with(gateway, secret) == 200


def test_a_second_roll_ends_the_first_secret_at_once(gateway, team):
    row = team.somebody.key_row
    second = roll_key(key=row, overlap_seconds=3600, issuer_role="owner")
    third = roll_key(key=ApiKey.objects.get(pk=row.pk), overlap_seconds=3600, issuer_role="owner")

    eventually(lambda: status_with(gateway, team.key) == 401, "the first secret is refused")
    assert (status_with(gateway, second), status_with(gateway, third)) == (200, 200)
