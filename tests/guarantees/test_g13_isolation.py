"""G13: secrets stay where they belong. Canaries are sent through every path, and looked for everywhere after.

Keys, provider credentials, prompts and answers, with the logging of bodies off: in no log line, no
Redis key, no row, no error, no page. With it on: sealed, and opened on the page for roles that may.
"""

import asyncio
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from django.conf import settings
from django.db import connection
from django.test import Client
from django.urls import reverse

from accounts.keys import new_secret
from accounts.permissions import Action, Role, may
from accounts.services import set_body_logging
from gateway.services import connect_provider
from tests.flows.calls import MOUNTS, Reply, call, get
from tests.house import House, Process, Team, apart, chat
from tests.people import Somebody, browser_of, founder, teammate

pytestmark = pytest.mark.guarantee

DEBUG = {"FAREBOX_LOG_LEVEL": "DEBUG"}
# Everything that can be said before, while and after a provider is asked.
FAULTS = [
    "",
    "[[status 400]]",
    "[[status 401]]",
    "[[status 500]]",
    "[[cut 3]]",
    "[[garbage]]",
    "[[bad trigger]]",
]


@pytest.fixture(scope="module")
def talkative(house: House) -> Process:
    """A gateway with pages that logs all it can, and a worker that does."""
    house.start_worker(**DEBUG)
    return house.start_gateway(application="config.asgi", **DEBUG)


class Canaries:
    """Secrets that occur nowhere else."""

    def __init__(self, team: Team) -> None:
        mark = uuid.uuid4().hex
        self.key = team.key
        self.mistyped_key = team.key[:-1] + ("a" if team.key[-1] != "a" else "b")
        self.unknown_key = new_secret()
        self.credential = f"sk-canary-credential-{mark}"
        self.prompt = f"canary-prompt-{mark}"
        self.completion = f"canary-completion-{mark}"

    @property
    def secrets(self) -> list[str]:
        return [self.key, self.mistyped_key, self.unknown_key, self.credential]

    @property
    def bodies(self) -> list[str]:
        return [self.prompt, self.completion]

    def asking(self, fault: str = "", **parameters: Any) -> dict[str, Any]:
        """A request with the prompt, to which the completion is the answer."""
        schema = {"type": "object", "properties": {"said": {"const": self.completion}}, "required": ["said"]}
        wanted = {"type": "json_schema", "json_schema": {"name": "canary", "schema": schema}}
        return chat("echo@fake", f"{self.prompt} {fault}", response_format=wanted, **parameters)


@pytest.fixture
def canaries(team: Team) -> Canaries:
    return Canaries(team)


async def test_with_logging_off_no_secret_and_no_word_stays_anywhere(
    house: House, talkative: Process, team: Team, canaries: Canaries
) -> None:
    await apart(bring_credential, house, team, canaries)

    answers = await ask_in_every_way(talkative, canaries)

    events = await apart(team.wait_for_events, len([it for it in answers if it.status != 401]))
    forbidden = [*canaries.secrets, *canaries.bodies]
    assert canaries.completion in answers[0].body.decode()
    assert {event.ending for event in events} == {"completed", "upstream_error", "refused"}
    assert await asyncio.to_thread(found_in, files_of(house), forbidden) == []
    assert await asyncio.to_thread(found_in, redis_content(), forbidden) == []
    assert await apart(found_in, rows_of_all_tables(), forbidden) == []
    assert found_in(headers_of(answers), forbidden) == []
    assert found_in(bodies_of(answers, errors_only=False), canaries.secrets) == []
    assert found_in(bodies_of(answers, errors_only=True), forbidden) == []
    assert await apart(found_in_pages, team, [str(event.id) for event in events], forbidden) == []


async def test_with_logging_on_bodies_are_sealed_and_opened_for_those_who_may(
    talkative: Process, team: Team, canaries: Canaries
) -> None:
    await apart(set_body_logging, organization=team.organization, is_on=True)

    whole = await call(talkative, team.key, canaries.asking())
    streamed = await call(talkative, team.key, canaries.asking(stream=True))

    events = await apart(team.wait_for_events, 2)
    assert (whole.status, streamed.status) == (200, 200)
    assert await asyncio.to_thread(found_in, redis_content(), canaries.bodies) == []
    assert await apart(found_in, rows_of_all_tables(), canaries.bodies) == []
    for event in events:
        readers = await apart(readers_of, team, str(event.id), canaries)
        assert readers == {role: may(role, Action.VIEW_BODIES) for role in Role if role != Role.DEVELOPER}
        assert await apart(status_for_a_stranger, team, str(event.id)) == 404


@pytest.mark.parametrize(
    ("flags", "has_prompt", "has_answer"),
    [
        ({"log_query_body": False}, False, False),
        ({"log_response_body": False}, True, False),
        ({}, True, True),
    ],
)
async def test_a_request_can_keep_its_bodies_out_of_the_log(
    flags: dict[str, bool],
    *,
    has_prompt: bool,
    has_answer: bool,
    talkative: Process,
    team: Team,
    canaries: Canaries,
) -> None:
    await apart(set_body_logging, organization=team.organization, is_on=True)

    await call(talkative, team.key, chat("echo@fake", canaries.prompt, **flags))

    event = await apart(team.only_event)
    page = await apart(page_of, team.somebody.browser, team, str(event.id))
    assert (canaries.prompt in page, "w01 w02 w03" in page) == (has_prompt, has_answer)


async def test_the_search_finds_what_is_there(talkative: Process, team: Team) -> None:
    await call(talkative, team.key, chat("echo@fake", user="canary-user"))

    await apart(team.only_event)
    assert await apart(found_in, rows_of_all_tables(), ["canary-user"]) != []
    assert await asyncio.to_thread(found_in, redis_content(), [team.organization.pk.hex]) != []


async def test_a_key_that_is_shown_in_the_url_is_not_logged(
    house: House, talkative: Process, team: Team, canaries: Canaries
) -> None:
    answer = await get(talkative, "", f"/v0/models?api_key={team.key}")

    assert answer.status == 401
    assert await asyncio.to_thread(found_in, files_of(house), [team.key]) == []


async def ask_in_every_way(gateway: Process, canaries: Canaries) -> list[Reply]:
    """A whole answer first, then streams, failures and refusals on every mount, and each wrong key."""
    key = canaries.key
    answers = [await call(gateway, key, canaries.asking())]
    for mount in MOUNTS:
        for fault in FAULTS:
            for is_stream in (False, True):
                body = canaries.asking(fault, stream=is_stream)
                answers.append(await call(gateway, key, body, mount=mount))
        answers.append(await call(gateway, key, canaries.asking(temperature=canaries.prompt), mount=mount))
        answers.append(
            await call(gateway, key, {**canaries.asking(), "messages": canaries.prompt}, mount=mount)
        )
        answers.append(await call(gateway, key, canaries.asking(stop=[canaries.prompt] * 5), mount=mount))
        answers.append(
            await call(gateway, key, canaries.asking(tools=[{"type": canaries.prompt}]), mount=mount)
        )
    for wrong in (canaries.mistyped_key, canaries.unknown_key):
        answers.append(await call(gateway, wrong, canaries.asking()))
        answers.append(await call(gateway, "", canaries.asking(), x_api_key=wrong))
    return answers


def bring_credential(house: House, team: Team, canaries: Canaries) -> None:
    connect_provider(
        organization=team.organization,
        provider="fake",
        base_url=f"{house.simulator_url}/v1",
        api_key=canaries.credential,
    )


def found_in(places: Iterator[tuple[str, bytes]], words: list[str]) -> list[str]:
    """Where any of the words stands."""
    return [f"{word} in {place}" for place, content in places for word in words if word.encode() in content]


def files_of(house: House) -> Iterator[tuple[str, bytes]]:
    """Logs of all processes and servers, the spool, what Redis and PostgreSQL wrote."""
    for folder in (house.folder, Path(os.environ["FAREBOX_VAR_DIR"])):
        for path in folder.rglob("*"):
            if path.is_file() and "base" not in path.parts and "pg_wal" not in path.parts:
                yield str(path), path.read_bytes()


def redis_content() -> Iterator[tuple[str, bytes]]:
    """Every key and what it holds."""
    with redis.Redis.from_url(settings.FAREBOX_REDIS_URL) as client:
        for name in client.scan_iter(count=1000):
            yield name.decode(errors="replace"), name + (client.dump(name) or b"")
            reader = READERS.get(client.type(name))
            if reader:
                yield name.decode(errors="replace"), repr(reader(client, name)).encode()


READERS = {
    b"string": lambda client, name: client.get(name),
    b"hash": lambda client, name: client.hgetall(name),
    b"list": lambda client, name: client.lrange(name, 0, -1),
    b"set": lambda client, name: client.smembers(name),
    b"zset": lambda client, name: client.zrange(name, 0, -1),
    b"stream": lambda client, name: client.xrange(name),
}


def rows_of_all_tables() -> Iterator[tuple[str, bytes]]:
    """Every row of every table as text, and the bytes of binary columns as they are."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        for (table,) in cursor.fetchall():
            cursor.execute(f'SELECT * FROM "{table}"')  # a name that PostgreSQL gave
            for row in cursor.fetchall():
                values = [bytes(v) if isinstance(v, memoryview) else str(v).encode() for v in row]
                yield table, b" ".join(values)


def headers_of(answers: list[Reply]) -> Iterator[tuple[str, bytes]]:
    for answer in answers:
        yield "a header", repr(answer.headers.raw).encode()


def bodies_of(answers: list[Reply], *, errors_only: bool) -> Iterator[tuple[str, bytes]]:
    for answer in answers:
        if answer.status != 200 or not errors_only:
            yield f"an answer with status {answer.status}", answer.body


def found_in_pages(team: Team, event_ids: list[str], words: list[str]) -> list[str]:
    slug, browser = team.organization.slug, team.somebody.browser
    urls = [reverse("request", args=[slug, event_id]) for event_id in event_ids]
    urls += [reverse(name, args=[slug]) for name in ("overview", "requests", "keys", "providers", "ledger")]
    pages = ((url, browser.get(url).content) for url in urls)
    return found_in(pages, words)


def page_of(browser: Client, team: Team, event_id: str) -> str:
    answer = browser.get(reverse("request", args=[team.organization.slug, event_id]))
    assert answer.status_code == 200
    return str(answer.content.decode())


def readers_of(team: Team, event_id: str, canaries: Canaries) -> dict[Role, bool]:
    """Whether each role that sees the request reads its messages as well."""
    browsers = {Role.OWNER: team.somebody.browser}
    for role in (Role.ADMIN, Role.BILLING, Role.VIEWER):
        browsers[role] = member(team.somebody, role).browser
    pages = {role: page_of(browser, team, event_id) for role, browser in browsers.items()}
    shown = {role: [word in page for word in canaries.bodies] for role, page in pages.items()}
    assert all(words in ([True, True], [False, False]) for words in shown.values())
    return {role: any(words) for role, words in shown.items()}


def member(somebody: Somebody, role: Role) -> Somebody:
    return teammate(f"{uuid.uuid4().hex}@example.com", of=somebody, role=role)


def status_for_a_stranger(team: Team, event_id: str) -> int:
    stranger = founder(f"{uuid.uuid4().hex}@example.com", organization_name="Strangers")
    url = reverse("request", args=[team.organization.slug, event_id])
    return int(browser_of(stranger.person).get(url).status_code)
