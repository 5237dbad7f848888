"""The live WebSocket: members hear of recorded requests, strangers are shown out."""

import json
from typing import Any
from uuid import uuid4

import pytest
from asgiref.testing import ApplicationCommunicator
from channels.layers import get_channel_layer
from channels.routing import URLRouter
from django.contrib.auth.models import AnonymousUser

from accounts.models import Membership
from accounts.permissions import Role
from analytics.consumers import LiveConsumer
from analytics.routing import websocket_urlpatterns
from billing.announcements import group_of
from tests.house import apart, new_team
from tests.people import Somebody, teammate

WAIT_SECONDS = 5
EVENT = {
    "id": "0b7e2f4c-0000-7000-8000-000000000000",
    "key_id": "6f0e5a2e-0000-4000-8000-000000000000",
    "prompt_tokens": 200,
    "completion_tokens": 14,
    "charge_usd": "0.000310000",
    "status": 200,
    "ending": "completed",
}


@pytest.fixture
def acme(committed: None, django_db_setup: None) -> Somebody:
    return new_team(credit_usd="0").somebody


@pytest.fixture
def bob(acme: Somebody) -> Somebody:
    """A developer of acme."""
    return teammate(f"{uuid4().hex}@example.com", of=acme, role=Role.DEVELOPER)


@pytest.fixture
def charlie(acme: Somebody) -> Somebody:
    """A stranger, with an organization elsewhere."""
    return new_team(credit_usd="0").somebody


async def test_a_member_hears_of_a_request_in_words(acme: Somebody) -> None:
    browser = await _connected(acme.person, acme)

    await _announce(acme, EVENT)
    events = await _heard(browser)

    assert events[0]["summary"] == "214 tokens, $0.00031"
    assert events[0]["id"] == EVENT["id"]
    await _leave(browser)


async def test_a_stranger_is_shown_out(acme: Somebody, charlie: Somebody) -> None:
    browser = await _connected(charlie.person, acme)

    closing = await browser.receive_output(timeout=WAIT_SECONDS)

    assert (closing["type"], closing["code"]) == ("websocket.close", 4404)


async def test_somebody_not_signed_in_is_shown_out(acme: Somebody) -> None:
    browser = await _connected(AnonymousUser(), acme)

    closing = await browser.receive_output(timeout=WAIT_SECONDS)

    assert closing["code"] == 4404


async def test_another_organization_is_not_heard(acme: Somebody, charlie: Somebody) -> None:
    browser = await _connected(charlie.person, charlie)

    await _announce(acme, EVENT)
    await _announce(charlie, EVENT | {"id": "of charlie"})
    events = await _heard(browser)

    assert [event["id"] for event in events] == ["of charlie"]
    await _leave(browser)


async def test_a_developer_hears_of_their_own_keys_alone(acme: Somebody, bob: Somebody) -> None:
    browser = await _connected(bob.person, acme)

    await _announce(acme, EVENT)
    await _announce(acme, EVENT, EVENT | {"id": "of bob", "key_id": str(bob.key_row.pk)})
    events = await _heard(browser)

    assert [event["id"] for event in events] == ["of bob"]
    await _leave(browser)


async def test_somebody_who_was_removed_is_shown_out(
    acme: Somebody, bob: Somebody, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LiveConsumer, "membership_holds_seconds", 0.0)
    browser = await _connected(bob.person, acme)

    await apart(Membership.objects.filter(person=bob.person).delete)
    await _announce(acme, EVENT | {"key_id": str(bob.key_row.pk)})

    assert (await browser.receive_output(timeout=WAIT_SECONDS))["code"] == 4404


async def test_what_a_browser_says_is_ignored(acme: Somebody) -> None:
    browser = await _connected(acme.person, acme)

    await browser.send_input({"type": "websocket.receive", "text": "not json"})
    await _announce(acme, EVENT)

    assert await _heard(browser)
    await _leave(browser)


async def _connected(person: Any, owner: Somebody) -> ApplicationCommunicator:
    scope = {
        "type": "websocket",
        "path": f"/ws/o/{owner.organization.slug}/live",
        "headers": [],
        "user": person,
    }
    browser = ApplicationCommunicator(URLRouter(websocket_urlpatterns), scope)
    await browser.send_input({"type": "websocket.connect"})
    assert (await browser.receive_output(timeout=WAIT_SECONDS))["type"] == "websocket.accept"
    return browser


async def _heard(browser: ApplicationCommunicator) -> list[dict[str, Any]]:
    sent = await browser.receive_output(timeout=WAIT_SECONDS)
    return json.loads(sent["text"])["events"]


async def _leave(browser: ApplicationCommunicator) -> None:
    await browser.send_input({"type": "websocket.disconnect", "code": 1000})
    await browser.wait(timeout=WAIT_SECONDS)


async def _announce(owner: Somebody, *events: dict[str, Any]) -> None:
    layer = get_channel_layer()
    assert layer is not None
    message = {"type": "usage.recorded", "count": len(events), "events": list(events)}
    await layer.group_send(group_of(owner.organization.pk), message)
