"""Idempotency-Key at its edges: what counts as the same, what is kept, and what the header may be."""

import asyncio
import uuid
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import redis
from django.conf import settings
from django.test import Client

from billing.money import usd_to_nano
from gateway.policy import shard_of, shard_prefix
from tests.flows.calls import Reply, call, is_at_rest, soon
from tests.flows.own_redis import OwnRedis
from tests.house import House, Process, Team, apart, chat, new_team
from tests.people import browser_of
from tests.stream_client import raw_request

REPLAYED = "idempotent-replayed"
BODY = chat("echo@fake", temperature=0.5)


def new_key() -> str:
    return uuid.uuid4().hex


async def ask(gateway: Process, key: str, body: dict[str, Any], once: str, *, mount: str = "/v0") -> Reply:
    """The answer, asked for again as told while an earlier request is being settled."""
    while True:
        reply = await call(gateway, key, body, mount=mount, idempotency_key=once)
        if b"idempotency_in_progress" not in reply.body:
            return reply
        await asyncio.sleep(int(reply.headers["retry-after"]))


@pytest.mark.parametrize("mount", ["/v0", "/v1", "/api/v1", "/openai/v1"])
async def test_the_same_answer_comes_again_and_says_so(mount: str, gateway: Process, team: Team) -> None:
    once = new_key()

    first = await ask(gateway, team.key, BODY, once, mount=mount)
    second = await ask(gateway, team.key, BODY, once, mount=mount)

    assert (first.status, second.status) == (200, 200)
    assert first.body == second.body
    assert REPLAYED not in first.headers
    assert second.headers[REPLAYED] == "true"
    assert second.headers["x-farebox-original-event-id"] == first.headers["x-farebox-event-id"]
    assert second.headers["x-farebox-event-id"] != first.headers["x-farebox-event-id"]
    assert second.headers["content-type"] == first.headers["content-type"]


async def test_spaces_and_order_of_the_body_do_not_matter(gateway: Process, team: Team) -> None:
    once = new_key()
    first = await ask(gateway, team.key, BODY, once)
    turned = b'{ "temperature":0.5, "messages":[{"content":"hello","role":"user"}], "model":"echo@fake" }'

    async with raw_request(gateway.url, turned, key=team.key, idempotency_key=once) as second:
        assert await second.read_head() == 200
        await second.read_rest()

    assert second.headers[REPLAYED] == "true"
    assert second.body == first.body


@pytest.mark.parametrize(
    "other", [{**BODY, "temperature": 0.6}, {**BODY, "stream": True}, {"model": "echo@fake"}]
)
async def test_another_body_under_the_same_key_is_422(
    other: dict[str, Any], gateway: Process, team: Team
) -> None:
    once = new_key()
    first = await ask(gateway, team.key, BODY, once)

    refused = await ask(gateway, team.key, other, once)

    assert (refused.status, refused.error["code"]) == (422, "idempotency_key_reused")
    assert refused.error["param"] == "Idempotency-Key"
    assert refused.error["details"] == {"event_id": first.headers["x-farebox-event-id"]}
    assert refused.headers["x-should-retry"] == "false"
    assert (await ask(gateway, team.key, BODY, once)).headers[REPLAYED] == "true"


async def test_another_path_under_the_same_key_is_422(gateway: Process, team: Team) -> None:
    once = new_key()
    await ask(gateway, team.key, BODY, once, mount="/v0")

    refused = await ask(gateway, team.key, BODY, once, mount="/v1")

    assert (refused.status, refused.error["code"]) == (422, "idempotency_key_reused")


async def test_each_api_key_and_organization_has_its_own(gateway: Process, team: Team) -> None:
    once, (_, colleague) = new_key(), await apart(team.new_key)
    stranger = await apart(new_team)

    answers = [await ask(gateway, key, BODY, once) for key in (team.key, colleague, stranger.key)]

    assert [answer.status for answer in answers] == [200, 200, 200]
    assert [answer for answer in answers if REPLAYED in answer.headers] == []


@pytest.mark.parametrize("once", ["x", "k" * 255, "a-b_c:~!{}\"'"])
async def test_any_visible_ascii_up_to_255_characters_is_a_key(
    once: str, gateway: Process, team: Team
) -> None:
    answers = [await ask(gateway, team.key, BODY, once) for _ in range(2)]

    assert [answer.status for answer in answers] == [200, 200]
    assert answers[1].headers[REPLAYED] == "true"


@pytest.mark.parametrize(
    "lines", ["", "k" * 256, "two words", "t\tab", "é", "one\r\nidempotency-key: two"],
    ids=["empty", "long", "space", "tab", "non-ascii", "twice"],
)  # fmt: skip
async def test_other_keys_are_400_and_name_the_header(lines: str, gateway: Process, team: Team) -> None:
    async with raw_request(gateway.url, BODY, key=team.key, idempotency_key=lines) as answer:
        status = await answer.read_head()
        body = (await answer.read_rest()).decode()

    assert status == 400
    assert '"param":"Idempotency-Key"' in body
    assert "must be sent once, with 1 to 255 visible ASCII characters" in body


async def test_a_refusal_is_not_kept_so_that_the_retry_may_succeed(gateway: Process, team: Team) -> None:
    once, (row, key) = new_key(), await apart(team.new_key, budget_usd="0.000000001")
    broke = await ask(gateway, key, BODY, once)
    invalid = await ask(gateway, key, {**BODY, "temperature": 9}, once)

    await apart(team.budget, row, amount_nano=usd_to_nano(Decimal(1)), window="total")
    served: list[Reply] = []

    async def is_served() -> bool:
        served.append(await ask(gateway, key, BODY, once))
        return served[-1].status == 200

    await soon(is_served, "the higher budget")

    assert (broke.status, invalid.status) == (402, 400)
    assert REPLAYED not in served[-1].headers


async def test_a_failure_of_the_provider_is_not_kept(gateway: Process, team: Team) -> None:
    once, body = new_key(), chat("echo@fake", f"[[fail once {new_key()}]]")

    failed, served, again = [await ask(gateway, team.key, body, once) for _ in range(3)]

    assert (failed.status, served.status, again.status) == (502, 200, 200)
    assert REPLAYED not in served.headers
    assert again.headers[REPLAYED] == "true"


async def test_a_stream_that_broke_off_is_not_kept(gateway: Process, team: Team) -> None:
    once, body = new_key(), chat("ten-chunks@fake", "[[cut 3]]", stream=True)

    broken = [await ask(gateway, team.key, body, once) for _ in range(2)]

    assert [b"event: error" in answer.body for answer in broken] == [True, True]
    assert [REPLAYED in answer.headers for answer in broken] == [False, False]


async def test_an_answer_too_large_to_keep_is_given_once_and_then_named(house: House, team: Team) -> None:
    gateway = house.start_gateway(FAREBOX_IDEMPOTENCY_ANSWER_LIMIT_BYTES="200")
    once = new_key()

    first = await ask(gateway, team.key, BODY, once)
    second = await ask(gateway, team.key, BODY, once)

    assert (first.status, second.status) == (200, 409)
    assert second.error["code"] == "idempotent_answer_not_kept"
    assert second.error["details"] == {"event_id": first.headers["x-farebox-event-id"]}
    assert second.headers["x-should-retry"] == "false"
    assert "retry-after" not in second.headers
    gateway.stop()


async def test_what_is_kept_is_sealed_and_goes_after_a_day(gateway: Process, team: Team) -> None:
    once = new_key()
    answer = await ask(gateway, team.key, BODY, once)
    assert (await ask(gateway, team.key, BODY, once)).headers[REPLAYED] == "true"

    ((name, record, life_ms),) = await apart(kept_of, team)

    assert answer.json["choices"][0]["message"]["content"].startswith("w01")
    assert once not in name
    assert b"w01" not in record[b"a"]
    assert 0 < 24 * 3_600_000 - life_ms < 60_000


async def test_a_request_without_the_header_leaves_nothing_behind(gateway: Process, team: Team) -> None:
    await call(gateway, team.key, BODY)

    assert await apart(kept_of, team) == []


async def test_the_answer_of_a_request_that_redis_missed_is_kept_when_it_is_back(
    house: House, own_redis: OwnRedis, team: Team, tmp_path: Path
) -> None:
    gateway = house.start_gateway(
        REDIS_URL=own_redis.url,
        FAREBOX_SPOOL_DIR=str(tmp_path / "spool"),
        FAREBOX_REDIS_CALL_TIMEOUT_MS="1000",
    )
    once, body = new_key(), chat("ten-chunks@fake", "[[tokens 20]]", stream=True)
    async with raw_request(gateway.url, body, key=team.key, idempotency_key=once) as stream:
        assert await stream.read_head() == 200
        own_redis.pause()
        await stream.read_rest()
    refused = await ask(gateway, team.key, body, once)
    own_redis.resume()

    replies: list[Reply] = []

    async def is_served() -> bool:
        replies.append(await ask(gateway, team.key, body, once))
        return replies[-1].status == 200

    await soon(is_served, "Redis to be back")

    assert (refused.status, refused.error["details"]) == (503, {"reason": "limits_unavailable"})
    assert replies[-1].headers[REPLAYED] == "true"
    assert replies[-1].chunks == stream.events()


async def test_the_request_log_shows_the_replay_and_leads_to_the_original(
    gateway: Process, worker: Process, team: Team
) -> None:
    once = new_key()
    await call(gateway, team.key, BODY, idempotency_key=once)
    await soon(lambda: is_at_rest(gateway), "the first one to be settled")
    await call(gateway, team.key, BODY, idempotency_key=once)
    original, replay = await apart(team.wait_for_events, 2)

    page = await apart(page_of, team, f"/requests/{replay.id}/")

    assert (replay.ending, replay.status, replay.charge_usd) == ("replayed", 200, 0)
    assert (original.parameters["idempotency_key"], replay.parameters["idempotency_key"]) == (once, once)
    assert f'href="/o/{team.organization.slug}/requests/{original.id}/"' in page
    assert once in page
    assert "Replayed by its Idempotency-Key" in page


def kept_of(team: Team) -> list[tuple[str, dict[bytes, bytes], int]]:
    prefix = shard_prefix(shard_of(team.organization.pk, settings.FAREBOX_SHARDS))
    with redis.Redis.from_url(settings.FAREBOX_REDIS_URL) as client:
        names = client.keys(f"{prefix}once:{team.organization.pk.hex}:*")
        return [(name.decode(), client.hgetall(name), client.pttl(name)) for name in names]


def page_of(team: Team, path: str) -> str:
    browser: Client = browser_of(team.somebody.person)
    return browser.get(f"/o/{team.organization.slug}{path}").content.decode()
