"""Endpoints of one's own, from Unify's call that makes them to the completion that they answer."""

import uuid
from decimal import Decimal
from typing import Any

import pytest

from accounts.permissions import Role
from accounts.services import issue_key
from billing.models import UsageEvent
from billing.price_services import set_ceiling
from gateway.services import connect_provider
from tests.flows.calls import Reply, call, get, send, soon
from tests.house import House, Process, Team, apart, chat, eventually, new_team

FIRST, SECOND = "sk-first-0123456789", "sk-second-0123456789"


def boss_of(team: Team) -> str:
    """A key that may do whatever the owner may."""
    _, secret = issue_key(
        organization=team.organization,
        project=team.somebody.project,
        created_by=team.somebody.person,
        name=f"Boss {uuid.uuid4().hex[:8]}",
        role=Role.OWNER,
        issuer_role=Role.OWNER,
    )
    return secret


async def make(gateway: Process, key: str, house: House, name: str, **changes: Any) -> Reply:
    """An endpoint at the simulator, that calls the model `echo` there."""
    given = {"name": name, "url": f"{house.simulator_url}/v1", "key_name": "first", "model_arg": "echo"}
    return await send(gateway, key, "POST", "/v0/custom_endpoint", json={**given, **changes})


async def store(gateway: Process, key: str, name: str, value: str) -> Reply:
    return await send(gateway, key, "POST", "/v0/custom_api_key", json={"name": name, "value": value})


async def becomes(gateway: Process, key: str, model: str, status: int, **fields: Any) -> Reply:
    """The answer of a completion once it has this status."""
    answers: list[Reply] = []

    async def has_status() -> bool:
        answers.append(await call(gateway, key, chat(model, **fields)))
        return answers[-1].status == status

    await soon(has_status, f"{model} to be answered with {status}")
    return answers[-1]


def answered_events(team: Team, count: int) -> list[UsageEvent]:
    """The events of requests that were answered, once there are this many of them."""

    def found() -> list[UsageEvent]:
        return [event for event in team.events() if event.status == 200]

    eventually(lambda: len(found()) == count, f"{count} answered requests")
    return found()


def seen_key(house: House, answer: Reply) -> str:
    (line,) = house.invoice(client_request_id=answer.headers["x-farebox-event-id"])
    return str(line["key"])


@pytest.mark.contract("3.2 use_custom_keys")
async def test_an_endpoint_that_unifys_call_made_answers_and_costs_no_credit(
    house: House, gateway: Process, worker: Process, team: Team
) -> None:
    boss = await apart(boss_of, team)
    await store(gateway, boss, "first", FIRST)
    made = await make(gateway, boss, house, "mine@custom", input_cost="3", output_cost="5")
    asked = await becomes(gateway, team.key, "mine@custom", 200, use_custom_keys=True)
    unasked = await call(gateway, team.key, chat("mine@custom"))
    streamed = await call(gateway, team.key, chat("mine@custom", stream=True))
    bare = await call(gateway, team.key, chat("mine"))

    assert made.json == {"info": "Custom endpoint created successfully!"}
    assert (asked.json["model"], asked.json["usage"]["cost"]) == ("mine@custom", 0)
    assert [answer.status for answer in (unasked, streamed, bare)] == [200, 200, 200]
    assert await apart(seen_key, house, asked) == FIRST
    events = await apart(answered_events, team, 4)
    assert {event.charge_usd for event in events} == {Decimal(0)}
    assert {event.cost_usd for event in events} == {Decimal("0.000055")}
    assert {event.price_version for event in events} == {"declared:custom/mine@3000000/5000000"}
    assert await apart(team.charged_usd) == 0


async def test_an_endpoint_is_listed_for_its_organization_alone(
    house: House, gateway: Process, team: Team
) -> None:
    boss, stranger = await apart(boss_of, team), await apart(new_team)
    await store(gateway, boss, "first", FIRST)
    await make(gateway, boss, house, "mine@custom")

    async def is_listed() -> bool:
        return bool((await get(gateway, team.key, "/v0/endpoints?provider=custom")).json == ["mine@custom"])

    await soon(is_listed, "the endpoint to be listed")
    providers = (await get(gateway, team.key, "/v0/providers")).json
    assert providers[-1] == "custom"
    assert providers.count("custom") == 1
    assert (await get(gateway, team.key, "/v0/providers?model=mine")).json == ["custom"]
    assert (await get(gateway, stranger.key, "/v0/endpoints?provider=custom")).json == []
    refused = await call(gateway, stranger.key, chat("mine@custom", use_custom_keys=True))
    assert (refused.status, refused.json["detail"]) == (404, "Custom endpoint not found.")


async def test_an_endpoint_is_used_once_its_owner_has_said_what_it_costs(
    house: House, gateway: Process, team: Team
) -> None:
    boss = await apart(boss_of, team)
    await store(gateway, boss, "first", FIRST)
    await make(gateway, boss, house, "mine@custom")
    unpriced = await becomes(gateway, team.key, "mine@custom", 400)

    for name in ("input_cost", "output_cost"):
        metric = {"endpoint_name": "mine@custom", "metric_name": name, "value": "0"}
        await send(gateway, boss, "POST", "/v0/endpoint-metrics", json=metric)
    answered = await becomes(gateway, team.key, "mine@custom", 200)
    details = await get(gateway, team.key, "/v0/endpoint-details?endpoint=mine@custom")

    assert unpriced.error["code"] == "model_price_unavailable"
    assert answered.json["model"] == "mine@custom"
    assert (details.json["input_cost"], details.json["output_cost"]) == (0.0, 0.0)


async def test_without_a_price_an_endpoint_costs_its_owners_ceiling(
    house: House, gateway: Process, worker: Process, team: Team
) -> None:
    boss = await apart(boss_of, team)
    await store(gateway, boss, "first", FIRST)
    await make(gateway, boss, house, "mine@custom")
    await apart(
        set_ceiling,
        organization=team.organization,
        input_usd_per_million=Decimal(10),
        output_usd_per_million=Decimal(20),
    )

    await becomes(gateway, team.key, "mine@custom", 200)
    mistyped = await call(gateway, team.key, chat("mime@custom"))

    assert (mistyped.status, mistyped.error["code"]) == (404, "custom_endpoint_not_found")
    (event,) = await apart(answered_events, team, 1)
    assert (event.price_version, event.charge_usd) == ("ceiling:custom/mine@10000000/20000000", 0)


async def test_each_endpoint_is_called_with_its_own_key_at_its_own_address(
    house: House, gateway: Process, team: Team
) -> None:
    boss = await apart(boss_of, team)
    free = {"input_cost": "0", "output_cost": "0"}
    await store(gateway, boss, "first", FIRST)
    await store(gateway, boss, "second", SECOND)
    await make(gateway, boss, house, "one@custom", **free)
    await make(gateway, boss, house, "two@custom", key_name="second", **free)
    await make(gateway, boss, house, "nowhere@custom", url="http://127.0.0.1:9/v1", **free)

    one = await becomes(gateway, team.key, "one@custom", 200)
    two = await becomes(gateway, team.key, "two@custom", 200)
    nowhere = await becomes(gateway, team.key, "nowhere@custom", 502)
    chained = await call(gateway, team.key, chat("nowhere@custom->two@custom"))

    assert (await apart(seen_key, house, one), await apart(seen_key, house, two)) == (FIRST, SECOND)
    assert nowhere.error["type"] == "upstream_error"
    assert (chained.status, chained.json["model"]) == (200, "two@custom")


async def test_a_replaced_key_is_sent_and_a_deleted_endpoint_is_gone(
    house: House, gateway: Process, team: Team
) -> None:
    boss = await apart(boss_of, team)
    await store(gateway, boss, "first", FIRST)
    await make(gateway, boss, house, "mine@custom", input_cost="0", output_cost="0")
    await becomes(gateway, team.key, "mine@custom", 200)
    await store(gateway, boss, "first", SECOND)

    async def sees_the_second() -> bool:
        answer = await call(gateway, team.key, chat("mine@custom"))
        return await apart(seen_key, house, answer) == SECOND

    await soon(sees_the_second, "the replaced key")
    await send(gateway, boss, "DELETE", "/v0/custom_endpoint?name=mine@custom")
    gone = await becomes(gateway, team.key, "mine@custom", 404)

    assert gone.json["detail"] == "Custom endpoint not found."


async def test_use_custom_keys_takes_the_key_that_bears_the_providers_name(
    house: House, gateway: Process, team: Team
) -> None:
    boss, address = await apart(boss_of, team), f"{house.simulator_url}/v1"
    absent = await call(gateway, team.key, chat("echo@fake", use_custom_keys=True))
    await apart(
        connect_provider, organization=team.organization, provider="fake", base_url=address, api_key="sk-old"
    )

    await store(gateway, boss, "fake", FIRST)

    async def sees_the_first() -> bool:
        answer = await call(gateway, team.key, chat("echo@fake", use_custom_keys=True))
        return answer.status == 200 and await apart(seen_key, house, answer) == FIRST

    assert (absent.status, absent.json["detail"]) == (404, "Custom API Key not found.")
    await soon(sees_the_first, "the key that bears the provider's name")


async def test_a_key_without_a_role_completes_and_manages_nothing(gateway: Process, team: Team) -> None:
    refused = await store(gateway, team.key, "first", FIRST)

    assert (refused.status, refused.error["details"]) == (403, {"right": "manage_providers"})
    assert refused.headers["x-request-id"]


@pytest.mark.parametrize("path", ["/v0/custom_api_key/list", "/v0/promo", "/v1/key", "/v1/generation"])
async def test_a_gateway_alone_says_where_management_calls_belong(
    path: str, lone_gateway: Process, team: Team
) -> None:
    answer = await get(lone_gateway, team.key, path)

    assert (answer.status, answer.error["code"]) == (404, "not_found")
    assert "Send it to the web process (config.asgi)" in answer.error["message"]


@pytest.fixture(scope="module")
def lone_gateway(house: House) -> Process:
    """A process that serves the data plane alone."""
    return house.start_gateway()


async def test_a_request_is_found_by_each_of_its_ids_and_by_no_stranger(
    gateway: Process, worker: Process, team: Team
) -> None:
    stranger, other_key = await apart(new_team), (await apart(team.new_key))[1]
    boss = await apart(boss_of, team)
    answer = await call(gateway, team.key, chat("echo@fake"), x_request_id=f"mine-{team.organization.pk}")
    (event,) = await apart(team.wait_for_events, 1)
    ids = [str(event.id), event.id.hex, answer.json["id"], event.request_id]
    paths = [f"/v1/generation?id={each}" for each in ids]

    found = [await get(gateway, team.key, path) for path in paths]
    for_boss = await get(gateway, boss, f"/v1/generation?id={event.id}")
    hidden = [await get(gateway, key, path) for key in (stranger.key, other_key) for path in paths]

    assert {reply.status for reply in found} == {200}
    assert {reply.json["data"]["id"] for reply in [*found, for_boss]} == {str(event.id)}
    assert {reply.status for reply in hidden} == {404}
    assert (await get(gateway, team.key, "/v1/generation")).error["param"] == "id"
    data = found[0].json["data"]
    assert (data["model"], data["provider"], data["requested_model"]) == ("echo", "fake", "echo@fake")
    assert (data["status"], data["ending"], data["finish_reason"]) == (200, "completed", "stop")
    assert (data["total_cost"], data["cost"]["charge_usd"]) == (0.000021, "0.000021000")
    assert data["tokens_prompt"] + data["tokens_completion"] == data["usage"]["total_tokens"]
    assert (data["is_byok"], data["streamed"], data["cancelled"], data["cached"]) == (False,) * 4
    assert [attempt["succeeded"] for attempt in data["routing"]] == [True]
    assert "messages" not in found[0].body.decode()


async def test_streams_are_measured_where_they_went(gateway: Process, worker: Process, team: Team) -> None:
    for _ in range(2):
        await call(gateway, team.key, chat("ten-chunks@fake", stream=True))
    await apart(team.wait_for_events, 2)
    path = "/v0/endpoint-metrics?model=ten-chunks&provider=fake&region=Belgium&seq_len=short"

    (latest,) = (await get(gateway, team.key, path)).json
    (hour, *_) = (await get(gateway, team.key, f"{path}&start_time={latest['measured_at'][:10]}")).json
    stranger = await apart(new_team)

    assert latest["endpoint"] == "ten-chunks@fake"
    assert (latest["input_cost"], latest["output_cost"]) == (1.0, 2.0)
    assert latest["ttft"] >= 0
    assert latest["itl"] >= 0
    assert hour["endpoint"] == "ten-chunks@fake"
    assert (await get(gateway, stranger.key, path)).status == 404


@pytest.mark.contract("3.1 Key info, credits")
async def test_a_key_reads_what_it_may_and_what_it_has_spent(
    gateway: Process, worker: Process, team: Team
) -> None:
    row, key = await apart(
        team.new_key, budget_usd="0.01", window="month", requests_per_minute=60, allowed_models=["echo"]
    )
    await call(gateway, key, chat("echo@fake"))
    await apart(team.wait_for_events, 1)

    async def has_counted() -> bool:
        return bool((await get(gateway, key, "/v1/key")).json["data"]["limit_remaining"] == 0.009979)

    await soon(has_counted, "the budget to count the call")
    answer = await get(gateway, key, "/v1/key/")
    data = answer.json["data"]
    assert (data["id"], data["name"], data["label"]) == (str(row.pk), row.name, f"fbx_…{row.last_four}")
    assert key not in answer.body.decode()
    assert (data["limit"], data["limit_remaining"], data["limit_reset"]) == (0.01, 0.009979, "month")
    assert {name: data[name] for name in ("usage", "usage_daily", "usage_weekly", "usage_monthly")} == {
        "usage": 0.000021,
        "usage_daily": 0.000021,
        "usage_weekly": 0.000021,
        "usage_monthly": 0.000021,
    }
    assert (data["requests"], data["byok_usage"], data["role"], data["rights"]) == (1, 0.0, None, [])
    assert data["rate_limit"] == {"requests": 60, "interval": "60s"}
    assert data["rate_limits"]["key"]["requests_per_minute"] == 60
    assert data["rate_limits"]["organization"]["tokens_per_minute"] is None
    assert data["allowed_models"] == ["echo"]
    assert [(each["scope"], each["window"]) for each in data["budgets"]] == [("key", "month")]
    assert data["organization"]["id"] == str(team.organization.pk)
