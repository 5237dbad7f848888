"""Whose credential pays: the operator's or the organization's own, and how its endpoints are guarded."""

from decimal import Decimal
from typing import Any

import pytest

from accounts.models import Project
from accounts.services import create_project, issue_key
from gateway.services import connect_provider, declare_model, disconnect_provider, switch_connection
from tests.flows.calls import Reply, call, soon
from tests.house import House, Process, Team, apart, chat, new_team

ENDPOINT = "house-llm"
OWN_KEY = "sk-own-0123456789-of-this-team"
OPERATORS_KEY = "simulator"
PLATFORM, OWN = "platform", "own"
NOT_FOUND, NO_OWN_KEY = "model_not_found", "custom_key_not_found"
UNASKED = None

# Who pays for `fake`, by the project's mode and the request's use_custom_keys.
WITH_OWN_KEY = {
    ("hybrid", UNASKED): OWN,
    ("hybrid", True): OWN,
    ("hybrid", False): PLATFORM,
    ("credits", UNASKED): PLATFORM,
    ("credits", True): OWN,
    ("credits", False): PLATFORM,
    ("api-keys", UNASKED): OWN,
    ("api-keys", True): OWN,
    ("api-keys", False): PLATFORM,
}
WITHOUT_OWN_KEY = {
    ("hybrid", UNASKED): PLATFORM,
    ("hybrid", True): NO_OWN_KEY,
    ("hybrid", False): PLATFORM,
    ("credits", UNASKED): PLATFORM,
    ("credits", True): NO_OWN_KEY,
    ("credits", False): PLATFORM,
    ("api-keys", UNASKED): NO_OWN_KEY,
    ("api-keys", True): NO_OWN_KEY,
    ("api-keys", False): PLATFORM,
}
COST_USD = Decimal("0.000021")


@pytest.mark.contract("3.2 use_custom_keys")
@pytest.mark.parametrize("has_own_key", [True, False])
async def test_the_request_decides_who_pays_and_else_the_projects_mode(
    *, has_own_key: bool, house: House, gateway: Process, team: Team
) -> None:
    if has_own_key:
        await apart(bring_own_key, house, team)
    keys = {mode: await apart(key_of_mode, team, mode) for mode in ("hybrid", "credits", "api-keys")}

    payers = {}
    for mode, asked in WITH_OWN_KEY:
        flag = {} if asked is None else {"use_custom_keys": asked}
        answer = await call(gateway, keys[mode], chat("echo@fake", **flag))
        payers[mode, asked] = await apart(payer_of, house, answer)

    assert payers == (WITH_OWN_KEY if has_own_key else WITHOUT_OWN_KEY)


@pytest.mark.parametrize("is_stream", [False, True])
async def test_an_own_key_is_charged_nothing_and_its_cost_is_known(
    *, is_stream: bool, house: House, gateway: Process, worker: Process, team: Team
) -> None:
    await apart(bring_own_key, house, team)

    answer = await call(gateway, team.key, chat("echo@fake", stream=is_stream))

    usage = answer.chunks[-1]["usage"] if is_stream else answer.json["usage"]
    assert (usage["cost"], usage["cost_usd_total"], usage["completion_tokens"]) == (0, 0, 8)
    event = await apart(team.only_event)
    assert (event.charge_usd, event.cost_usd, event.is_own_credential) == (0, COST_USD, True)
    assert await apart(team.charged_usd) == 0


async def test_a_budget_counts_the_cost_although_nothing_is_charged(
    house: House, gateway: Process, worker: Process, team: Team
) -> None:
    await apart(bring_own_key, house, team)
    # One call at its bound, $0.000293 at an address of no known family, and two at their cost.
    _, key = await apart(team.new_key, budget_usd="0.00035")

    statuses = [(await call(gateway, key, chat("echo@fake", max_tokens=8))).status for _ in range(6)]

    events = await apart(team.wait_for_events, 6)
    admitted = statuses.count(200)
    assert statuses == [200] * admitted + [402] * (6 - admitted)
    assert 0 < admitted < 6
    assert sum(event.cost_usd for event in events) == admitted * COST_USD <= Decimal("0.00035")
    assert sum(event.charge_usd for event in events) == 0


async def test_an_own_key_needs_no_credit(house: House, gateway: Process, team: Team) -> None:
    poor = await apart(new_team, credit_usd="0")
    await apart(bring_own_key, house, poor)

    own = await call(gateway, poor.key, chat("echo@fake"))
    platform = await call(gateway, poor.key, chat("echo@fake", use_custom_keys=False))

    assert (own.status, platform.status) == (200, 402)


async def test_no_own_key_is_404_and_says_so(gateway: Process, team: Team) -> None:
    answer = await call(gateway, team.key, chat("echo@fake", use_custom_keys=True))

    assert (answer.status, answer.error["code"]) == (404, "custom_key_not_found")
    assert answer.error["message"] == "Custom API Key not found."


@pytest.mark.parametrize("name", [f"big@{ENDPOINT}", f"{ENDPOINT}/big", f"{ENDPOINT}:big", "big"])
async def test_an_own_endpoint_answers_by_each_of_its_names(
    name: str, house: House, gateway: Process, team: Team
) -> None:
    await apart(bring_own_endpoint, house, team)

    answer = await call(gateway, team.key, chat(name))

    assert (answer.status, answer.json["model"]) == (200, f"big@{ENDPOINT}")
    assert answer.json["metadata"]["underlying_used_model"] == "echo"
    assert await apart(payer_of, house, answer) == OWN


async def test_an_own_endpoint_is_charged_nothing_and_costs_what_its_owner_declared(
    house: House, gateway: Process, worker: Process, team: Team
) -> None:
    await apart(bring_own_endpoint, house, team)

    await call(gateway, team.key, chat(f"big@{ENDPOINT}"))

    event = await apart(team.only_event)
    assert (event.provider, event.model) == (ENDPOINT, "big")
    # 5 tokens of prompt at $10 and 8 of output at $30 per million.
    assert (event.charge_usd, event.cost_usd) == (0, Decimal("0.00029"))


async def test_another_organization_cannot_use_it(house: House, gateway: Process, team: Team) -> None:
    await apart(bring_own_endpoint, house, team)
    stranger = await apart(new_team)

    answers = [await call(gateway, stranger.key, chat(name)) for name in (f"big@{ENDPOINT}", "big")]

    assert [(answer.status, answer.error["code"]) for answer in answers] == [(404, "model_not_found")] * 2


async def test_platform_credit_does_not_reach_an_own_endpoint(
    house: House, gateway: Process, team: Team
) -> None:
    await apart(bring_own_endpoint, house, team)

    answer = await call(gateway, team.key, chat(f"big@{ENDPOINT}", use_custom_keys=False))

    assert (answer.status, answer.error["code"]) == (404, "model_not_found")


async def test_a_credential_that_is_taken_away_is_not_used_any_more(
    house: House, gateway: Process, team: Team
) -> None:
    connection = await apart(bring_own_key, house, team)
    payers = [await payer(house, gateway, team)]

    await apart(switch_connection, connection=connection, is_active=False)
    await soon(lambda: has_payer(house, gateway, team, PLATFORM), "the switched connection to be left aside")
    await apart(switch_connection, connection=connection, is_active=True)
    await soon(lambda: has_payer(house, gateway, team, OWN), "the connection to be used again")
    await apart(disconnect_provider, connection=connection)
    await soon(lambda: has_payer(house, gateway, team, PLATFORM), "the connection to be forgotten")

    assert payers == [OWN]


@pytest.mark.parametrize("is_stream", [False, True])
async def test_private_addresses_are_refused_unless_the_operator_opened_them(
    *, is_stream: bool, house: House, guarded: Process, worker: Process, team: Team
) -> None:
    await apart(bring_own_endpoint, house, team)

    answer = await call(guarded, team.key, chat(f"big@{ENDPOINT}", stream=is_stream))

    assert (answer.status, answer.error["code"]) == (502, "provider_error")
    assert "may not be" in answer.error["message"] or "https" in answer.error["message"]
    event = await apart(team.only_event)
    assert (event.charge_usd, event.cost_usd) == (0, 0)
    assert await apart(house.invoice, client_request_id=str(event.id)) == []


async def test_the_operators_own_providers_are_not_guarded(guarded: Process, team: Team) -> None:
    answer = await call(guarded, team.key, chat("echo@fake"))

    assert answer.status == 200


async def test_a_redirect_to_somewhere_else_is_not_followed(
    house: House, gateway: Process, team: Team
) -> None:
    await apart(bring_own_endpoint, house, team)
    elsewhere = f"[[status 307 location {house.simulator_url}/v1/chat/completions]]"

    answer = await call(gateway, team.key, chat(f"big@{ENDPOINT}", elsewhere))

    assert (answer.status, answer.error["code"]) == (502, "provider_error")


@pytest.fixture(scope="module")
def guarded(house: House) -> Process:
    """A gateway whose operator has opened no private network."""
    return house.start_gateway(FAREBOX_ALLOWED_UPSTREAM_NETWORKS="")


def bring_own_key(house: House, team: Team) -> Any:
    return connect_provider(
        organization=team.organization,
        provider="fake",
        base_url=f"{house.simulator_url}/own/v1",
        api_key=OWN_KEY,
    )


def bring_own_endpoint(house: House, team: Team) -> None:
    connection = connect_provider(
        organization=team.organization,
        provider=ENDPOINT,
        base_url=f"{house.simulator_url}/own/v1",
        api_key=OWN_KEY,
    )
    declare_model(
        connection=connection,
        model="big",
        upstream_name="echo",
        context_window_tokens=8_192,
        max_output_tokens=1_024,
        input_usd_per_million=Decimal(10),
        output_usd_per_million=Decimal(30),
    )


def key_of_mode(team: Team, mode: str) -> str:
    project = create_project(organization=team.organization, name=f"Project {mode}", mode=Project.Mode(mode))
    _, key = issue_key(
        organization=team.organization, project=project, created_by=team.somebody.person, name=mode
    )
    return key


def payer_of(house: House, answer: Reply) -> str:
    """Whose key the provider saw, or why it saw none."""
    if answer.status != 200:
        return str(answer.error["code"])
    (line,) = house.invoice(client_request_id=answer.headers["x-farebox-event-id"])
    return {OWN_KEY: OWN, OPERATORS_KEY: PLATFORM}[line["key"]]


async def payer(house: House, gateway: Process, team: Team) -> str:
    return await apart(payer_of, house, await call(gateway, team.key, chat("echo@fake")))


async def has_payer(house: House, gateway: Process, team: Team, expected: str) -> bool:
    return await payer(house, gateway, team) == expected
