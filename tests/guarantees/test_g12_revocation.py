"""G12: a revoked key is dead on every process within a second, and its streams within two if asked for."""

import asyncio
import time

import httpx
import pytest

from accounts.services import revoke_key, set_stream_cut
from tests.house import House, Process, Team, apart, chat
from tests.stream_client import raw_request

pytestmark = pytest.mark.guarantee

DEAD_WITHIN_SECONDS = 1.0
CUT_WITHIN_SECONDS = 2.0


@pytest.fixture
def gateways(house: House) -> list[Process]:
    return [house.start_gateway() for _ in range(3)]


async def test_a_revoked_key_is_refused_by_every_process_within_a_second(
    gateways: list[Process], team: Team
) -> None:
    async with httpx.AsyncClient(headers=team.headers) as client:
        before = [await status_of(client, process) for process in gateways]

        await apart(revoke_key, key=team.somebody.key_row)
        await asyncio.sleep(DEAD_WITHIN_SECONDS)
        after = [await status_of(client, process) for process in gateways]

    assert before == [200, 200, 200]
    assert after == [401, 401, 401]


async def test_it_is_dead_within_a_second_although_the_message_was_lost(
    house: House, gateways: list[Process], team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with httpx.AsyncClient(headers=team.headers) as client:
        await status_of(client, gateways[0])
        monkeypatch.setattr("django.conf.settings.FAREBOX_REDIS_URL", "redis://127.0.0.1:1/0")

        await apart(revoke_key, key=team.somebody.key_row)
        await asyncio.sleep(DEAD_WITHIN_SECONDS)

        assert await status_of(client, gateways[0]) == 401


@pytest.mark.parametrize(("is_cut", "is_whole"), [(True, False), (False, True)])
async def test_running_streams_are_cut_only_if_the_owner_asked_for_it(
    *, is_cut: bool, is_whole: bool, gateway: Process, team: Team
) -> None:
    await apart(set_stream_cut, organization=team.organization, is_on=is_cut)
    body = chat("slow@fake", stream=True)

    async with raw_request(gateway.url, body, key=team.key) as stream:
        await stream.read_head()
        await stream.read_events(2)
        await apart(revoke_key, key=team.somebody.key_row)
        revoked_at = time.monotonic()
        await stream.read_rest()

    assert (b"w30 " in stream.body) is is_whole
    assert (b"event: error" in stream.body) is not is_whole
    assert stream.body.count(b"data: [DONE]\n\n") == 1
    if is_cut:
        assert time.monotonic() - revoked_at < CUT_WITHIN_SECONDS


async def status_of(client: httpx.AsyncClient, process: Process) -> int:
    answer = await client.post(f"{process.url}/v0/chat/completions", json=chat("echo@fake"))
    return answer.status_code
