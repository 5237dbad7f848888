"""G22: over 200 hostile requests: a clear 4xx, never a 500, nothing charged or held, process alive."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import orjson
import pytest
import redis
from django.conf import settings

from gateway.policy import shard_of, shard_prefix
from tests.flows.calls import MOUNTS, is_at_rest, soon
from tests.gateway.test_chat_hostile import REFUSED
from tests.guarantees.hostile_http import (
    END,
    FRAMING,
    KEY_HEAD,
    KEYS,
    PATHS,
    READABLE_SELECTORS,
    SELECTORS,
    UNREADABLE_SELECTORS,
)
from tests.house import House, Process, Team, apart, chat, new_team
from tests.stream_client import RawStream, raw_connection

pytestmark = pytest.mark.guarantee

AT_ONCE = 4
ANSWER_SECONDS = 60.0
BODY_LIMIT_BYTES = 10 * 1024 * 1024
CANARY = "canary-7f3a-in-a-prompt"
GOOD = chat("echo@fake", CANARY)
Answer = tuple[int, bytes]
Send = Callable[[], Awaitable[Answer]]


@pytest.fixture(scope="module")
def team(django_db_blocker: Any, house: House) -> Iterator[Team]:
    """One organization for all: what is charged in the end is what the good requests cost."""
    with django_db_blocker.unblock():
        yield new_team()


@pytest.fixture(scope="module")
def written(house: House, gateway: Process) -> Callable[[], str]:
    """All that gateways have written to their logs since this module began."""
    before = {path: path.stat().st_size for path in house.folder.glob("gateway-*.log")}

    def since() -> str:
        logs = house.folder.glob("gateway-*.log")
        return "".join(path.read_bytes()[before.get(path, 0) :].decode(errors="replace") for path in logs)

    return since


@pytest.fixture(scope="module")
def impatient(house: House) -> Process:
    return house.start_gateway(FAREBOX_BODY_TIMEOUT_SECONDS="0.5", FAREBOX_HEAD_TIMEOUT_SECONDS="0.5")


def test_there_are_over_two_hundred_cases() -> None:
    kinds = (REFUSED, FRAMING, KEYS, PATHS, SELECTORS, UNREADABLE_SELECTORS)

    assert sum(len(kind) for kind in kinds) > 400


async def test_bodies_that_are_wrong_are_refused_by_name(gateway: Process, team: Team) -> None:
    async with posting(gateway, team) as post:
        answers = await together({name: sending(post, body) for name, body, _, _ in REFUSED})

    expected = {
        name: (413, "request_too_large", None) if len(body) > BODY_LIMIT_BYTES else (400, code, param)
        for name, body, code, param in REFUSED
    }
    assert {name: verdict(answer) for name, answer in answers.items()} == expected
    assert_told_clearly(answers, team)


async def test_requests_that_are_no_http_are_refused(gateway: Process, team: Team) -> None:
    answers = await together(
        {name: raw(gateway, filled_in(text, team)) for name, (text, _) in FRAMING.items()}
    )

    statuses = {name: status for name, (status, _) in answers.items()}
    assert {name: it for name, it in statuses.items() if it not in FRAMING[name].statuses} == {}
    # A head that is asked for has no body, and what is no path of the API gets a page.
    pages = {"HEAD", "OPTIONS *", "CONNECT"}
    told = {name: answer for name, answer in answers.items() if name not in pages}
    assert_told_clearly(told, team)


async def test_keys_that_are_none_are_401(gateway: Process, team: Team) -> None:
    answers = await together(
        {
            name: raw(gateway, filled_in(KEY_HEAD + header + END + "{good}", team))
            for name, header in KEYS.items()
        }
    )

    assert {name: verdict(answer) for name, answer in answers.items()} == dict.fromkeys(
        KEYS, (401, "invalid_api_key", None)
    )
    assert_told_clearly(answers, team)


async def test_a_key_in_the_address_is_no_key(gateway: Process, team: Team) -> None:
    head = KEY_HEAD.replace("completions", "completions?api_key={key}&key={key}")

    answer = await raw(gateway, filled_in(head + END + "{good}", team))()

    assert verdict(answer) == (401, "invalid_api_key", None)
    assert team.key.encode() not in answer[1]


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_paths_that_are_none_are_refused(method: str, gateway: Process, team: Team) -> None:
    head = "{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {key}\r\n"
    answers = await together(
        {
            name: raw(gateway, (head + END).format(method=method, path=path, key=team.key).encode())
            for name, path in PATHS.items()
        }
    )

    strange = {name: answer for name, answer in answers.items() if answer[0] not in (400, 403, 404, 405)}
    assert strange == {}


@pytest.mark.parametrize("mount", MOUNTS)
async def test_the_longest_selectors_are_refused_by_name(mount: str, gateway: Process, team: Team) -> None:
    async with posting(gateway, team, mount) as post:
        answers = await together(
            {name: sending(post, orjson.dumps(chat(text))) for name, text in SELECTORS.items()}
        )
        unreadable = await together(
            {name: sending(post, orjson.dumps(chat(text))) for name, text in UNREADABLE_SELECTORS.items()}
        )

    allowed = {(400, "invalid_model"), (400, "composite_validation"), (404, "model_not_found")}
    verdicts = {name: verdict(answer) for name, answer in answers.items()}
    assert {name for name, it in verdicts.items() if it[0] == 200} == READABLE_SELECTORS
    refusals = {name: it for name, it in verdicts.items() if it[0] != 200}
    assert {name: it for name, it in refusals.items() if it[:2] not in allowed} == {}
    assert {param for _, _, param in refusals.values()} == {"model"}
    assert {verdict(answer) for answer in unreadable.values()} == {(400, "invalid_model", "model")}
    assert_told_clearly(answers | unreadable, team)


async def test_an_image_at_an_inner_address_is_never_fetched_by_us(gateway: Process, team: Team) -> None:
    visits: list[str] = []

    async def visited(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        visits.append("visited")
        writer.close()

    server = await asyncio.start_server(visited, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, posting(gateway, team) as post:
        answers = await together(
            {
                url: sending(post, orjson.dumps(chat("vision@fake") | {"messages": looking_at(url)}))
                for url in (
                    f"http://127.0.0.1:{port}/",
                    f"http://localhost:{port}/",
                    f"http://[::ffff:127.0.0.1]:{port}/",
                    f"http://2130706433:{port}/",
                    "http://169.254.169.254/latest/meta-data/",
                )
            }
        )

    assert {status for status, _ in answers.values()} <= {200, 400}
    assert visits == []


async def test_headers_for_the_provider_cannot_replace_ours(
    house: House, gateway: Process, team: Team
) -> None:
    smuggled = {
        f"x-bf-eh-{name}": "evil"
        for name in ("authorization", "host", "content-length", "transfer-encoding", "cookie", "x-bf-vk")
    }
    async with posting(gateway, team) as post:
        answer = await post(orjson.dumps(GOOD), smuggled)

    assert answer.status_code == 200
    event_id = answer.headers["x-farebox-event-id"]
    (line,) = await asyncio.to_thread(house.invoice, client_request_id=event_id)
    assert line["key"] == "simulator"


async def test_a_header_for_the_provider_without_a_name_is_left_out(gateway: Process, team: Team) -> None:
    async with posting(gateway, team) as post:
        answer = await post(orjson.dumps(GOOD), {"x-bf-eh-": "v"})

    assert answer.status_code == 200


@pytest.mark.parametrize(
    "beginning",
    [
        "P",
        "POST /v0/chat/completions HTTP/1.1\r\nhost: x\r\nx-slow: a",
        "POST /v0/chat/completions HTTP/1.1\r\n",
    ],
)
async def test_a_head_that_drips_in_is_given_up(beginning: str, impatient: Process) -> None:
    assert verdict(await raw(impatient, beginning.encode())()) == (408, "request_timeout", None)


async def test_a_connection_that_says_nothing_is_closed(impatient: Process) -> None:
    assert await raw(impatient, b"")() == (0, b"")


async def test_a_second_head_on_the_same_connection_may_not_drip_either(
    impatient: Process, team: Team
) -> None:
    first = filled_in(FRAMING["a good one"].text.replace("connection: close\r\n", ""), team)
    async with raw_connection(impatient.url) as stream:
        stream.writer.write(first)
        assert await stream.read_head() == 200
        await stream.read_until(b"extra_fields")
        stream.writer.write(b"POST /v0")
        rest = await stream.read_rest()

    assert b"HTTP/1.1 408 Request Timeout\r\n" in rest


async def test_a_chunked_body_that_is_too_large_is_refused(gateway: Process, team: Team) -> None:
    """11 MiB in pieces, without a word of how much will come."""
    async with raw_connection(gateway.url) as stream:
        stream.writer.write(filled_in(FRAMING["a good one"].text.split("content-length")[0], team))
        stream.writer.write(b"transfer-encoding: chunked\r\nconnection: close\r\n\r\n")
        for _ in range(11):
            stream.writer.write(b"100000\r\n" + b" " * 0x100000 + b"\r\n")
        stream.writer.write(b"0\r\n\r\n")

        assert await stream.read_head() == 413


async def test_afterwards_nothing_is_charged_or_held_and_the_process_serves(
    gateway: Process, worker: Process, team: Team, written: Callable[[], str]
) -> None:
    async with posting(gateway, team) as post:
        answer = await post(orjson.dumps(GOOD), {})
    await soon(lambda: is_at_rest(gateway), "the gateway to be at rest")

    assert answer.status_code == 200
    assert gateway.is_running
    assert await apart(held_nano, team) == 0
    await soon(lambda: apart(is_ingested, team, answer.headers["x-farebox-event-id"]), "the event")
    events = await apart(team.events)
    charged = [event for event in events if event.charge_usd]
    assert {event.ending for event in events} == {"refused", "completed"}
    assert {event.ending for event in charged} == {"completed"}
    assert await apart(team.charged_usd) == sum(event.charge_usd for event in charged)
    assert await apart(team.charged_usd) > 0
    log = written()
    assert "Traceback" not in log
    assert team.key not in log
    assert CANARY not in log


@asynccontextmanager
async def posting(gateway: Process, team: Team, mount: str = "/v0") -> AsyncIterator[Callable[..., Any]]:
    """A function that posts a body with these headers over connections that are kept."""
    kind = {**team.headers, "content-type": "application/json"}
    # Nothing is encrypted here, and loading certificates takes longer than the call.
    async with httpx.AsyncClient(timeout=ANSWER_SECONDS, verify=False) as client:

        async def post(body: bytes, headers: dict[str, str]) -> httpx.Response:
            url = f"{gateway.url}{mount}/chat/completions"
            return await client.post(url, content=body, headers=kind | headers)

        yield post


def sending(post: Callable[..., Any], body: bytes) -> Send:
    async def send() -> Answer:
        answer = await post(body, {})
        return answer.status_code, answer.content

    return send


def raw(gateway: Process, request: bytes) -> Send:
    """Sends these bytes; status 0 means that the connection was closed without an answer."""

    async def send() -> Answer:
        async with raw_connection(gateway.url) as stream:
            stream.writer.write(request)
            return await answer_of(stream)

    return send


async def answer_of(stream: RawStream) -> Answer:
    try:
        status = await stream.read_head()
        return status, await stream.read_rest()
    except asyncio.IncompleteReadError:
        return 0, b""


async def together(sends: dict[str, Send]) -> dict[str, Answer]:
    """All answers by name, some at a time."""
    places = asyncio.Semaphore(AT_ONCE)

    async def placed(send: Send) -> Answer:
        async with places:
            return await send()

    answers = await asyncio.gather(*(placed(send) for send in sends.values()))
    return dict(zip(sends, answers, strict=True))


def filled_in(text: str, team: Team) -> bytes:
    """The request with a good key and body where they belong, in UTF-8 where Latin-1 does not do."""
    good = orjson.dumps(GOOD).decode()
    text = text.replace("{{", "\ue000").replace("}}", "\ue001")
    text = text.replace("{key}", team.key).replace("{length}", str(len(good))).replace("{good}", good)
    text = text.replace("\ue000", "{").replace("\ue001", "}")
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode()


def verdict(answer: Answer) -> tuple[int, str, str | None]:
    if answer[0] == 200:
        return 200, "", None
    error = orjson.loads(answer[1])["error"]
    return answer[0], error["code"], error["param"]


def assert_told_clearly(answers: dict[str, Answer], team: Team) -> None:
    """Each refusal is one object of the contract's shape with a sentence in it, and no secret."""
    for name, (status, body) in answers.items():
        if status == 200:
            continue
        assert body.startswith(b'{"error":'), (name, body)
        error = orjson.loads(body)["error"]
        assert error.keys() >= {"message", "type", "param", "code"}, name
        assert re.search(r"[.)?]$", error["message"]), (name, error["message"])
        assert len(error["message"]) < 1_500, name
        assert team.key.encode() not in body, name
        assert CANARY.encode() not in body, name


def looking_at(url: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}]


def held_nano(team: Team) -> int:
    prefix = shard_prefix(shard_of(team.organization.pk, settings.FAREBOX_SHARDS))
    with redis.Redis.from_url(settings.FAREBOX_REDIS_URL) as client:
        return int(client.hget(f"{prefix}money:wallet:{team.organization.pk.hex}", "h") or 0)


def is_ingested(team: Team, event_id: str) -> bool:
    return event_id in {str(event.id) for event in team.events()}
