"""Doubles: the same again within an organization's seconds is refused, unless the first one failed."""

import uuid
from typing import Any

import pytest
import redis
from django.conf import settings

from gateway.policy import shard_of, shard_prefix
from gateway.reuse_services import set_deduplication
from tests.flows.calls import Reply, call, is_at_rest, soon
from tests.house import Process, Team, apart, chat, new_team

LONG_SECONDS = 60


def question(text: str = "", **parameters: Any) -> dict[str, Any]:
    return chat("echo@fake", f"{uuid.uuid4().hex} {text}", **parameters)


async def refuse_doubles(gateway: Process, team: Team) -> None:
    """Switch it on, and wait until the gateway knows."""
    await apart(set_deduplication, organization=team.organization, seconds=LONG_SECONDS)

    async def is_on() -> bool:
        body = question()
        return [(await call(gateway, team.key, body)).status for _ in range(2)] == [200, 429]

    await soon(is_on, "the setting to reach the gateway")


async def ask(gateway: Process, key: str, body: dict[str, Any], **headers: str) -> Reply:
    reply = await call(gateway, key, body, **headers)
    await soon(lambda: is_at_rest(gateway), "the request to be settled")
    return reply


@pytest.mark.contract("3.3 Request de-duplication")
async def test_nothing_is_refused_unless_the_organization_wants_it(gateway: Process, team: Team) -> None:
    body = question()

    assert [(await ask(gateway, team.key, body)).status for _ in range(2)] == [200, 200]
    assert await apart(marks_of, team) == []


@pytest.mark.contract("3.3 Request de-duplication")
async def test_a_double_is_refused_and_told_when_to_come_back(
    gateway: Process, team: Team, worker: Process
) -> None:
    await refuse_doubles(gateway, team)
    body = question()

    first = await ask(gateway, team.key, body)
    second = await ask(gateway, team.key, {**body, "temperature": 0.5, "stream": True})

    assert (first.status, second.status) == (200, 429)
    assert (second.error["code"], second.error["type"]) == ("duplicate_request", "rate_limit_error")
    assert 1 <= int(second.headers["retry-after"]) <= LONG_SECONDS
    refusals = [event for event in await apart(team.events) if event.error_code == "duplicate_request"]
    assert all((event.ending, event.charge_usd) == ("refused", 0) for event in refusals)


async def test_another_session_key_model_message_or_header_is_no_double(gateway: Process, team: Team) -> None:
    await refuse_doubles(gateway, team)
    body, (_, colleague) = question(), await apart(team.new_key)
    await ask(gateway, team.key, body)

    others = [
        await ask(gateway, team.key, {**body, "session_id": "other"}),
        await ask(gateway, team.key, body, x_session_id="by-header"),
        await ask(gateway, team.key, body, x_bf_eh_x_user="a"),
        await ask(gateway, colleague, body),
        await ask(gateway, team.key, {**body, "model": "fifty-two@fake"}),
        await ask(gateway, team.key, question()),
    ]

    assert [reply.status for reply in others] == [200] * 6


async def test_another_organization_is_not_refused(gateway: Process, team: Team) -> None:
    stranger = await apart(new_team)
    for each in (team, stranger):
        await refuse_doubles(gateway, each)
    body = question()

    assert [(await ask(gateway, each.key, body)).status for each in (team, stranger)] == [200, 200]


@pytest.mark.parametrize("text", ["[[status 500]]", "[[cut 2]]"])
async def test_what_failed_may_be_sent_again_at_once(text: str, gateway: Process, team: Team) -> None:
    await refuse_doubles(gateway, team)
    body = question(text, stream=True)

    codes = [b"duplicate_request" in (await ask(gateway, team.key, body)).body for _ in range(2)]

    assert codes == [False, False]


async def test_what_was_refused_for_money_may_be_sent_again_at_once(gateway: Process, team: Team) -> None:
    await refuse_doubles(gateway, team)
    _, broke = await apart(team.new_key, budget_usd="0.000000001")
    body = question()

    assert [(await ask(gateway, broke, body)).status for _ in range(2)] == [402, 402]


async def test_a_double_whose_answer_is_known_gets_it(gateway: Process, team: Team) -> None:
    await refuse_doubles(gateway, team)
    body = question()
    await ask(gateway, team.key, body, x_bf_cache_key="a")

    again = await ask(gateway, team.key, body, x_bf_cache_key="a")

    assert (again.status, again.headers["x-cache"]) == (200, "HIT")


async def test_the_mark_lives_for_the_organizations_seconds(gateway: Process, team: Team) -> None:
    await refuse_doubles(gateway, team)
    await ask(gateway, team.key, question())

    lives = await apart(marks_of, team)

    assert lives != []
    assert all(0 < life_ms <= LONG_SECONDS * 1000 for life_ms in lives)


def marks_of(team: Team) -> list[int]:
    prefix = shard_prefix(shard_of(team.organization.pk, settings.FAREBOX_SHARDS))
    with redis.Redis.from_url(settings.FAREBOX_REDIS_URL) as client:
        names = client.keys(f"{prefix}asked:{team.organization.pk.hex}:*")
        return [client.pttl(name) for name in names]
