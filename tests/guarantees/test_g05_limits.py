"""G5: limits do not depend on how many processes share them, and Retry-After is true."""

import asyncio
import time

import httpx
import pytest

from tests.house import House, Process, Team, apart, chat

pytestmark = pytest.mark.guarantee

PER_MINUTE = 120
BURST_SECONDS = 15.0
BURST = PER_MINUTE * BURST_SECONDS / 60
RATE = PER_MINUTE / 60
RACE_SECONDS = 5.0
CALLERS = 12


@pytest.fixture(scope="module")
def gateways(house: House) -> list[Process]:
    return [house.start_gateway(FAREBOX_RATE_BURST_SECONDS=str(BURST_SECONDS)) for _ in range(4)]


@pytest.mark.parametrize("processes", [1, 4])
async def test_no_more_requests_are_admitted_than_burst_and_rate_allow(
    processes: int, gateways: list[Process], team: Team
) -> None:
    _, key = await apart(team.new_key, requests_per_minute=PER_MINUTE)
    admitted_at: list[float] = []
    ends_at = time.monotonic() + RACE_SECONDS

    async def caller(number: int) -> None:
        url = f"{gateways[number % processes].url}/v0/chat/completions"
        async with httpx.AsyncClient(headers={"authorization": f"Bearer {key}"}) as client:
            while time.monotonic() < ends_at:
                sent_at = time.monotonic()
                answer = await client.post(url, json=chat("echo@fake"))
                if answer.status_code == 200:
                    admitted_at.append(sent_at)
                else:
                    assert answer.status_code == 429
                    await asyncio.sleep(0.02)

    await asyncio.gather(*(caller(number) for number in range(CALLERS)))

    # Each admission happened after its request was sent and before the race had ended.
    longest = time.monotonic() - min(admitted_at)
    assert len(admitted_at) <= BURST + RATE * longest + 1
    assert len(admitted_at) >= BURST


async def test_a_lone_caller_who_waits_as_told_is_admitted(gateways: list[Process], team: Team) -> None:
    _, key = await apart(team.new_key, requests_per_minute=PER_MINUTE)
    url = f"{gateways[0].url}/v0/chat/completions"
    async with httpx.AsyncClient(headers={"authorization": f"Bearer {key}"}) as client:
        for round_number in range(3):
            while (answer := await client.post(url, json=chat("echo@fake"))).status_code == 200:
                pass
            refused = answer

            await asyncio.sleep(int(refused.headers["retry-after-ms"]) / 1000)
            answer = await client.post(url, json=chat("echo@fake"))

            assert (round_number, answer.status_code) == (round_number, 200)
            assert int(refused.headers["retry-after"]) >= 1
            assert refused.headers["x-should-retry"] == "true"


async def test_tokens_are_held_at_their_bound_and_given_back(gateways: list[Process], team: Team) -> None:
    _, key = await apart(team.new_key, tokens_per_minute=4_000)
    url = f"{gateways[0].url}/v0/chat/completions"
    body = chat("echo@fake", max_tokens=200)
    async with httpx.AsyncClient(headers={"authorization": f"Bearer {key}"}) as client:
        answers = [await client.post(url, json=body) for _ in range(4)]
        too_large = await client.post(url, json=chat("echo@fake", max_tokens=3_000))

    left = [int(answer.headers["x-ratelimit-remaining-tokens"]) for answer in answers]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 200]
    # 1,000 tokens of burst; each call holds its bound and uses 14.
    assert min(left) > 500
    assert too_large.status_code == 429
    assert too_large.headers["x-should-retry"] == "false"


async def test_concurrent_requests_are_counted_over_all_processes(
    gateways: list[Process], team: Team
) -> None:
    _, key = await apart(team.new_key, concurrent_requests=3)
    body = chat("echo@fake", "[[delay 1500]]")

    async def call(number: int) -> int:
        url = f"{gateways[number % 4].url}/v0/chat/completions"
        async with httpx.AsyncClient(headers={"authorization": f"Bearer {key}"}, timeout=30) as client:
            return (await client.post(url, json=body)).status_code

    statuses = await asyncio.gather(*(call(number) for number in range(12)))

    assert sorted(statuses) == [200] * 3 + [429] * 9
