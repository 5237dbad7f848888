"""G1: no route reaches a provider without an admission. Every route is walked, also those that come later."""

from typing import Any

import httpx
import pytest
from django.conf import settings

from gateway.asgi import GatewayApplication
from tests.flows.calls import call, send
from tests.house import House, Process, Team, apart, chat, new_team

pytestmark = pytest.mark.guarantee

ROUTES = sorted(GatewayApplication(settings.FAREBOX_GATEWAY).routes)
EXPLANATION = "/v0/route/explain"
CHAT_ROUTES = [path for method, path in ROUTES if path.endswith("/chat/completions")]
# A model that no other test asks for, so that its lines on the invoice are ours.
MODEL = "vision@fake"
ASKING: dict[str, dict[str, Any]] = {
    "whole": chat(MODEL),
    "stream": chat(MODEL, stream=True),
    "with fallbacks": chat(MODEL, fallbacks=["fake/vision", "vision"]),
    "in the provider's name": chat("fake/vision"),
    "by a chain": chat("vision@fake->fake"),
    "by a draw": chat("fake/vision^vision@cost"),
    "by a race": chat("fake/vision!fake/vision?temperature=0", stream=True),
    "for the platform's credit": chat(MODEL, use_custom_keys=False),
}


@pytest.fixture
def poor(team: Team) -> Team:
    """An organization that has nothing to spend."""
    return new_team(credit_usd="0")


def test_the_chat_routes_are_the_only_ones_that_take_a_body_beside_their_explanation() -> None:
    posting = [path for method, path in ROUTES if method == "POST"]

    assert sorted(posting) == sorted([*CHAT_ROUTES, EXPLANATION])
    assert len(CHAT_ROUTES) == 4


async def test_without_credit_no_path_reaches_a_provider_by_any_method(
    house: House, gateway: Process, poor: Team
) -> None:
    before = await apart(calls_of_model, house)
    ways = [(method, path) for _, path in ROUTES for method in ("GET", "POST", "PUT", "PATCH", "DELETE")]

    statuses = {
        (method, path): (await send(gateway, poor.key, method, path, json=chat(MODEL))).status
        for method, path in ways
    }

    answered = {way: status for way, status in statuses.items() if way not in ROUTES}
    assert {statuses["POST", path] for path in CHAT_ROUTES} == {402}
    assert set(answered.values()) <= {404, 405}
    assert await apart(calls_of_model, house) == before


@pytest.mark.parametrize("asking", ASKING)
@pytest.mark.parametrize("path", [*CHAT_ROUTES, *(f"{path}/" for path in CHAT_ROUTES)])
async def test_no_way_of_asking_gets_around_it(
    path: str, asking: str, house: House, gateway: Process, poor: Team
) -> None:
    before = await apart(calls_of_model, house)

    answer = await call(gateway, poor.key, ASKING[asking], path=path)

    assert (answer.status, answer.error["code"]) == (402, "insufficient_credits")
    assert await apart(calls_of_model, house) == before


@pytest.mark.parametrize("path", CHAT_ROUTES)
async def test_the_same_call_is_admitted_with_credit(
    path: str, house: House, gateway: Process, team: Team
) -> None:
    before = await apart(calls_of_model, house)

    answer = await call(gateway, team.key, chat(MODEL), path=path)

    assert answer.status == 200
    assert await apart(calls_of_model, house) == before + 1


def calls_of_model(house: House) -> int:
    book = httpx.get(f"{house.simulator_url}/invoice", timeout=30).raise_for_status().json()
    return len([line for line in book["requests"] if line["model"] == "vision"])
