"""The exact cache: who gets an answer again, in which form, for how long, and at what price."""

import asyncio
import base64
import uuid
from decimal import Decimal
from typing import Any

import pytest
import redis
from django.conf import settings

from accounts.services import set_project_caching
from gateway.policy import shard_of, shard_prefix
from tests.flows.calls import MOUNTS, Reply, call, is_at_rest, send, soon
from tests.house import House, Process, Team, apart, chat, new_team
from tests.stream_client import raw_request

JSON_MODE = {"type": "json_object"}
STREAMS = (False, True)


def question(text: str = "", **parameters: Any) -> dict[str, Any]:
    """One that nobody has asked before."""
    return chat("echo@fake", f"{uuid.uuid4().hex} {text}", **parameters)


async def ask(gateway: Process, key: str, body: dict[str, Any], scope: str = "a", **headers: str) -> Reply:
    reply = await call(gateway, key, body, x_bf_cache_key=scope, **headers)
    await soon(lambda: is_at_rest(gateway), "the answer to be settled and kept")
    return reply


def debug(reply: Reply) -> dict[str, Any]:
    """`cache_debug`, which a stream tells in its last chunk alone."""
    if reply.headers["content-type"] == "application/json":
        return dict(reply.json["extra_fields"]["cache_debug"])
    told = [chunk for chunk in reply.chunks if "cache_debug" in chunk["extra_fields"]]
    assert told == reply.chunks[-1:]
    return dict(told[0]["extra_fields"]["cache_debug"])


def text(reply: Reply) -> str:
    if reply.headers["content-type"] == "application/json":
        return str(reply.json["choices"][0]["message"]["content"])
    return reply.text


@pytest.mark.contract("3.3 Exact cache")
@pytest.mark.parametrize("first", STREAMS, ids=["whole", "streamed"])
@pytest.mark.parametrize("second", STREAMS, ids=["whole again", "as a stream"])
async def test_the_same_request_gets_its_answer_again_in_the_form_it_asks_for(
    first: bool, second: bool, gateway: Process, team: Team
) -> None:
    body = question()

    asked = await ask(gateway, team.key, {**body, "stream": first})
    again = await ask(gateway, team.key, {**body, "stream": second})

    assert debug(asked)["cache_hit"] is False
    assert debug(again) == {"cache_hit": True, "cache_id": debug(asked)["cache_id"], "hit_type": "direct"}
    assert text(again) == text(asked) == "w01 w02 w03 w04 w05 w06 w07 w08 "
    assert (again.headers["x-cache"], again.headers["x-llmgateway-cache"]) == ("HIT", "HIT")
    assert "x-cache" not in asked.headers
    last = again.chunks[-1] if second else again.json
    assert last["metadata"]["cached"] is True
    assert last["usage"]["cost_usd_total"] == 0
    assert (last["usage"]["completion_tokens"], last["choices"][0]["finish_reason"]) == (8, "stop")
    assert again.is_done is second


@pytest.mark.parametrize("mount", MOUNTS)
async def test_a_hit_speaks_the_dialect_of_its_own_path(mount: str, gateway: Process, team: Team) -> None:
    body = question()
    asked = await ask(gateway, team.key, body)

    again = await ask(gateway, team.key, body, mount=mount)

    names = {"/v0": "echo@fake", "/openai/v1": "echo"}
    assert debug(again)["cache_hit"] is True
    assert again.json["model"] == names.get(mount, "fake/echo")
    assert again.json["choices"][0]["message"] == asked.json["choices"][0]["message"]
    cost = again.json["usage"]["cost"]
    assert (cost["total_cost"] if mount == "/openai/v1" else cost) == 0
    assert again.headers["x-farebox-event-id"] != asked.headers["x-farebox-event-id"]


async def test_a_hit_costs_nothing_reaches_nobody_and_is_logged_as_one(
    gateway: Process, team: Team, worker: Process, house: House
) -> None:
    body = question()
    asked = await ask(gateway, team.key, body)
    again = await ask(gateway, team.key, body)

    paid, hit = await apart(team.wait_for_events, 2)

    assert (paid.cache_hit, hit.cache_hit) == ("", "direct")
    assert (hit.charge_usd, hit.cost_usd, hit.output_tokens, hit.input_tokens) == (0, 0, 0, 0)
    assert (hit.ending, hit.status, hit.provider, hit.model) == ("completed", 200, "fake", "echo")
    assert paid.charge_usd > Decimal(0)
    assert await apart(team.charged_usd) == paid.charge_usd
    assert hit.parameters["cache_id"] == paid.parameters["cache_id"] == debug(again)["cache_id"]
    assert len(await apart(house.invoice, client_request_id=asked.headers["x-request-id"])) == 1
    assert await apart(house.invoice, client_request_id=again.headers["x-request-id"]) == []


async def test_two_organizations_with_the_same_request_never_share_an_answer(
    gateway: Process, team: Team, house: House
) -> None:
    body, stranger = question(), await apart(new_team)
    mine = await ask(gateway, team.key, body)

    theirs = await ask(gateway, stranger.key, body)

    assert debug(theirs)["cache_hit"] is False
    assert debug(theirs)["cache_id"] == debug(mine)["cache_id"]
    assert len(await apart(house.invoice, client_request_id=theirs.headers["x-request-id"])) == 1
    names = [name for each in (team, stranger) for name, _, _ in await apart(kept_of, each)]
    assert len(set(names)) == 2


async def test_what_one_organization_kept_cannot_be_read_in_the_place_of_another(
    gateway: Process, team: Team
) -> None:
    body, stranger = question(), await apart(new_team)
    await ask(gateway, team.key, body)
    await ask(gateway, stranger.key, body)
    [(_, sealed, _)], [(place, _, _)] = await apart(kept_of, team), await apart(kept_of, stranger)
    await apart(put, place, sealed)

    again = await ask(gateway, stranger.key, body)

    assert (again.status, debug(again)["cache_hit"]) == (200, False)


async def test_scopes_of_one_organization_are_apart_and_its_keys_share_them(
    gateway: Process, team: Team
) -> None:
    body, (_, colleague) = question(), await apart(team.new_key)
    await ask(gateway, team.key, body, "a")

    other_scope = await ask(gateway, team.key, body, "b")
    colleagues = await ask(gateway, colleague, body, "a")

    assert (debug(other_scope)["cache_hit"], debug(colleagues)["cache_hit"]) == (False, True)


@pytest.mark.parametrize("name", ["x_bf_eh_x_user", "anthropic_beta", "openai_beta"])
async def test_a_header_that_reaches_the_provider_makes_another_request(
    name: str, gateway: Process, team: Team
) -> None:
    body = question()
    first = await ask(gateway, team.key, body, **{name: "a"})

    others = await ask(gateway, team.key, body, **{name: "b"})
    again = await ask(gateway, team.key, body, **{name: "a"})
    without = await ask(gateway, team.key, body)
    withheld = await ask(gateway, team.key, body, x_bf_eh_cookie="a")

    hits = [debug(reply)["cache_hit"] for reply in (first, others, again, without, withheld)]
    assert hits == [False, False, True, False, True]
    assert debug(again)["cache_id"] == debug(first)["cache_id"] != debug(others)["cache_id"]


async def test_a_hit_must_be_allowed_to_its_key_and_goes_by_its_rates(gateway: Process, team: Team) -> None:
    body = question()
    _, elsewhere = await apart(team.new_key, allowed_models=["fake/slow"])
    _, slow = await apart(team.new_key, requests_per_minute=1)
    _, broke = await apart(team.new_key, budget_usd="0.000000001")
    await ask(gateway, team.key, body)

    blocked = await ask(gateway, elsewhere, body)
    within, beyond = await ask(gateway, slow, body), await ask(gateway, slow, body)
    without_money = await ask(gateway, broke, body)
    unaffordable = await ask(gateway, broke, question())

    assert (blocked.status, blocked.error["code"]) == (403, "model_blocked")
    assert (within.status, beyond.status, beyond.error["code"]) == (200, 429, "rate_limit_exceeded")
    assert within.headers["x-ratelimit-remaining-requests"] == "0"
    assert (without_money.status, debug(without_money)["cache_hit"]) == (200, True)
    assert unaffordable.status == 402


async def test_no_cache_bypasses_and_no_store_reads_without_writing(gateway: Process, team: Team) -> None:
    body = question()

    unkept = await ask(gateway, team.key, body, x_bf_cache_no_store="true")
    missed = await ask(gateway, team.key, body)
    bypassed = await ask(gateway, team.key, body, x_no_cache="true")
    read = await ask(gateway, team.key, body, x_bf_cache_no_store="true")

    assert (debug(unkept)["cache_hit"], debug(missed)["cache_hit"], debug(read)["cache_hit"]) == (
        False,
        False,
        True,
    )
    assert "cache_debug" not in bypassed.json["extra_fields"]
    assert "x-cache" not in bypassed.headers


async def test_a_bypassed_answer_is_not_kept_either(gateway: Process, team: Team) -> None:
    body = question()
    await ask(gateway, team.key, body, x_no_cache="1")

    assert debug(await ask(gateway, team.key, body))["cache_hit"] is False


async def test_an_answer_lives_as_long_as_the_header_says(gateway: Process, team: Team) -> None:
    await ask(gateway, team.key, question(), x_bf_cache_ttl="2h")

    [(name, _, life_ms)] = await apart(kept_of, team)
    await ask(gateway, team.key, question(), "b")

    assert 0 <= 7_200_000 - life_ms < 60_000
    lives = {each: life for each, _, life in await apart(kept_of, team) if each != name}
    assert all(0 <= 300_000 - life < 60_000 for life in lives.values())
    assert len(lives) == 1


async def test_an_answer_whose_time_is_over_is_not_given(gateway: Process, team: Team) -> None:
    body = question()
    await ask(gateway, team.key, body)
    [(name, _, _)] = await apart(kept_of, team)
    await apart(expire, name)

    assert debug(await ask(gateway, team.key, body))["cache_hit"] is False


async def test_a_project_has_its_requests_cached_without_a_header(gateway: Process, team: Team) -> None:
    body = question()
    await apart(set_project_caching, project=team.somebody.project, is_on=True, ttl_seconds=600)

    async def is_cached() -> bool:
        reply = await call(gateway, team.key, body)
        return "cache_debug" in reply.json["extra_fields"]

    await soon(is_cached, "the setting to reach the gateway")
    await soon(lambda: is_at_rest(gateway), "the answer to be kept")
    again = await call(gateway, team.key, body)
    named = await call(gateway, team.key, body, x_bf_cache_key="a")
    plain = await call(gateway, team.key, body, x_no_cache="true")

    assert debug(again)["cache_hit"] is True
    assert debug(named)["cache_hit"] is False
    assert "cache_debug" not in plain.json["extra_fields"]
    lives = [life for _, _, life in await apart(kept_of, team)]
    assert any(300_000 < life <= 600_000 for life in lives)


async def test_a_request_that_asks_for_no_cache_leaves_nothing_behind(gateway: Process, team: Team) -> None:
    reply = await call(gateway, team.key, question(), x_bf_cache_ttl="60")
    await soon(lambda: is_at_rest(gateway), "the request to be settled")

    assert "cache_debug" not in reply.json["extra_fields"]
    assert await apart(kept_of, team) == []


async def test_concurrent_misses_each_pay(gateway: Process, team: Team, worker: Process) -> None:
    body = question("[[delay 300]]")

    replies = await asyncio.gather(*(call(gateway, team.key, body, x_bf_cache_key="a") for _ in range(3)))
    events = await apart(team.wait_for_events, 3)

    assert [debug(reply)["cache_hit"] for reply in replies] == [False] * 3
    assert [event.cache_hit for event in events] == [""] * 3
    assert await apart(team.charged_usd) == sum(event.charge_usd for event in events) > Decimal(0)


@pytest.mark.parametrize(
    "text",
    ["[[status 500]]", "[[cut 3]]", "[[error 3]]", "[[content filter]]", "[[no finish]] [[no done]]"],
)
async def test_failures_and_half_answers_are_never_kept(text: str, gateway: Process, team: Team) -> None:
    body = question(text, stream=True)

    await ask(gateway, team.key, body)

    assert await apart(kept_of, team) == []


async def test_a_stream_whose_client_left_is_not_kept(gateway: Process, team: Team) -> None:
    body = {**question(), "model": "slow@fake", "stream": True}
    async with raw_request(gateway.url, body, key=team.key, x_bf_cache_key="a") as stream:
        await stream.read_head()
        await stream.read_events(3)

    await soon(lambda: is_at_rest(gateway), "the abandoned request to be settled")

    assert await apart(kept_of, team) == []


async def test_healed_answers_are_kept_as_they_were_healed(gateway: Process, team: Team) -> None:
    written = base64.urlsafe_b64encode(b'```json\n{"a": 1}\n```').decode()
    body = question(f"[[say {written}]]", response_format=JSON_MODE)
    healed = {**body, "plugins": [{"id": "response-healing"}]}

    raw, mended = await ask(gateway, team.key, body), await ask(gateway, team.key, healed)
    again = await ask(gateway, team.key, {**healed, "stream": True})
    raw_again = await ask(gateway, team.key, body)

    assert (debug(mended)["cache_hit"], debug(again)["cache_hit"]) == (False, True)
    assert text(again) == text(mended) == '{"a": 1}'
    assert again.chunks[-1]["metadata"]["healing"] == {"applied": True, "method": "markdown_extraction"}
    assert (debug(raw_again)["cache_hit"], text(raw_again)) == (True, text(raw))
    assert "healing" not in raw_again.json["metadata"]


async def test_calls_of_tools_and_several_choices_come_again_whole(gateway: Process, team: Team) -> None:
    tools = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]
    body = question("[[calls 2]]", tools=tools, n=2)
    asked = await ask(gateway, team.key, {**body, "stream": True})

    again = await ask(gateway, team.key, body)

    assert (debug(asked)["cache_hit"], debug(again)["cache_hit"]) == (False, True)
    calls = [choice["message"]["tool_calls"] for choice in again.json["choices"]]
    assert [len(each) for each in calls] == [2, 2]
    assert {call["function"]["name"] for each in calls for call in each} == {"look"}
    assert [choice["finish_reason"] for choice in again.json["choices"]] == ["tool_calls", "tool_calls"]


async def test_an_organization_clears_one_answer_or_a_scope_of_its_own_alone(
    gateway: Process, team: Team
) -> None:
    stranger, bodies = await apart(new_team), [question() for _ in range(3)]
    ids = [debug(await ask(gateway, team.key, body, "my/scope"))["cache_id"] for body in bodies]
    kept_elsewhere = await ask(gateway, team.key, bodies[0], "other")

    foreign = await send(gateway, stranger.key, "DELETE", f"/api/cache/clear/{ids[0]}")
    foreign_scope = await send(gateway, stranger.key, "DELETE", "/api/cache/clear-by-key/my%2Fscope")
    one = await send(gateway, team.key, "DELETE", f"/api/cache/clear/{ids[0]}")
    gone = await send(gateway, team.key, "DELETE", f"/api/cache/clear/{ids[0]}")
    scope = await send(gateway, team.key, "DELETE", "/api/cache/clear-by-key/my%2Fscope")

    assert (foreign.status, foreign.error["code"]) == (404, "not_found")
    assert (foreign_scope.status, foreign_scope.json["cleared"]) == (200, 0)
    assert (one.status, one.json["cleared"]) == (200, 1)
    assert (gone.status, scope.json["cleared"]) == (404, 2)
    again = await ask(gateway, team.key, bodies[0], "other")
    assert (debug(again)["cache_hit"], debug(again)["cache_id"]) == (True, debug(kept_elsewhere)["cache_id"])


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("DELETE", "/api/cache/clear/short", 400),
        ("DELETE", "/api/cache/clear-by-key/two%20words", 400),
        ("DELETE", f"/api/cache/clear-by-key/{'k' * 256}", 400),
        ("GET", "/api/cache/clear/" + "0" * 64, 405),
    ],
)
async def test_other_cache_calls_are_refused(
    method: str, path: str, status: int, gateway: Process, team: Team
) -> None:
    assert (await send(gateway, team.key, method, path)).status == status
    assert (await send(gateway, "", "DELETE", "/api/cache/clear/" + "0" * 64)).status == 401


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("x_bf_cache_ttl", "soon"),
        ("x_bf_cache_type", "fuzzy"),
        ("x_bf_cache_threshold", "high"),
        ("x_no_cache", "maybe"),
        ("x_bf_cache_no_store", "perhaps"),
    ],
)
async def test_a_header_that_cannot_be_read_is_400_and_costs_nothing(
    header: str, value: str, gateway: Process, team: Team
) -> None:
    refused = await ask(gateway, team.key, question(), **{header: value})

    assert (refused.status, refused.error["param"]) == (400, header.replace("_", "-"))


async def test_room_is_made_by_what_expires_first_and_larger_answers_are_not_kept(
    house: House, team: Team
) -> None:
    gateway = house.start_gateway(
        FAREBOX_CACHE_ORGANIZATION_LIMIT_BYTES="1000", FAREBOX_CACHE_ANSWER_LIMIT_BYTES="2000"
    )
    first, second, third = (question() for _ in range(3))
    await ask(gateway, team.key, first, x_bf_cache_ttl="60")
    await ask(gateway, team.key, second, x_bf_cache_ttl="90")
    await ask(gateway, team.key, third, x_bf_cache_ttl="120")
    kept = len(await apart(kept_of, team))
    large = await ask(gateway, team.key, question("[[tokens 900]]"), "large")

    assert kept == 2
    hits = [debug(await ask(gateway, team.key, body))["cache_hit"] for body in (third, second, first)]
    assert hits == [True, True, False]
    assert (large.status, len(await apart(kept_of, team))) == (200, 2)
    gateway.stop()


async def test_a_clamped_answer_is_not_given_to_who_asks_for_the_whole(gateway: Process, team: Team) -> None:
    body = {**question("[[tokens 900]]"), "model": "dear@fake", "budget_clamp": True}
    _, short = await apart(team.new_key, budget_usd="0.05")

    clamped = await ask(gateway, short, body)

    assert clamped.headers["x-farebox-budget-clamped"].isdigit()
    assert await apart(kept_of, team) == []


def kept_of(team: Team) -> list[tuple[str, bytes, int]]:
    prefix = shard_prefix(shard_of(team.organization.pk, settings.FAREBOX_SHARDS))
    with redis.Redis.from_url(settings.FAREBOX_REDIS_URL) as client:
        names = client.keys(f"{prefix}cache:{team.organization.pk.hex}:answer:*")
        return [(name.decode(), client.get(name) or b"", client.pttl(name)) for name in names]


def put(name: str, value: bytes) -> None:
    with redis.Redis.from_url(settings.FAREBOX_REDIS_URL) as client:
        client.set(name, value, keepttl=True)


def expire(name: str) -> None:
    with redis.Redis.from_url(settings.FAREBOX_REDIS_URL) as client:
        client.pexpire(name, 1)
        while client.exists(name):
            pass
