"""G19: what happens while Redis is slow or away is what docs/runbook.md says, to the nano-dollar."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from billing.audit import audit_ledger
from billing.models import UsageEvent
from billing.money import nano_to_usd
from billing.price_book import load_price_book
from gateway.limit_services import set_redis_away_allowance
from tests.flows.calls import Reply, call, get, soon
from tests.flows.own_redis import OwnRedis
from tests.guarantees.books import books_of
from tests.house import House, Process, Team, apart, chat, new_team
from tests.stream_client import raw_request

pytestmark = pytest.mark.guarantee

# Long enough that a busy machine is not taken for an absent Redis.
TIMEOUT = {"FAREBOX_REDIS_CALL_TIMEOUT_MS": "1000"}
QUICK = {"FAREBOX_HOLD_LEASE_SECONDS": "2", "FAREBOX_HOLD_RENEW_SECONDS": "0.2"}
SMALL = chat("echo@fake", max_tokens=8)
ALLOWANCE_USD = Decimal("0.0004")


@pytest.fixture
def start(house: House, own_redis: OwnRedis, tmp_path: Path) -> Iterator[Any]:
    started: list[Process] = []

    def start(**environment: str) -> Process:
        own = {"REDIS_URL": own_redis.url, "FAREBOX_SPOOL_DIR": str(tmp_path / "spool")}
        started.append(house.start_gateway(**{**own, **TIMEOUT, **QUICK, **environment}))
        return started[-1]

    yield start
    for process in started:
        process.stop()


async def test_while_redis_is_slow_calls_wait_for_it_and_are_served(
    start: Any, own_redis: OwnRedis, team: Team
) -> None:
    gateway = start(FAREBOX_REDIS_CALL_TIMEOUT_MS="20000")
    assert (await call(gateway, team.key, SMALL)).status == 200

    own_redis.pause()
    waiting = [asyncio.create_task(call(gateway, team.key, SMALL)) for _ in range(5)]
    await asyncio.sleep(0.2)
    are_waiting = not any(each.done() for each in waiting)
    own_redis.resume()
    statuses = [(await each).status for each in waiting]

    assert are_waiting
    assert statuses == [200] * 5
    assert len(await apart(own_redis.wait_for_events, team, 6)) == 6


@pytest.mark.parametrize("fault", ["pause", "kill"])
async def test_by_default_every_call_is_refused_and_nothing_is_overspent(
    fault: str, house: House, start: Any, own_redis: OwnRedis, team: Team
) -> None:
    gateway = start()
    assert (await call(gateway, team.key, SMALL)).status == 200

    getattr(own_redis, fault)()
    refused = [await call(gateway, team.key, SMALL) for _ in range(3)]
    back(own_redis, fault)

    assert [reply.status for reply in refused] == [503] * 3
    assert {reply.error["details"]["reason"] for reply in refused} == {"limits_unavailable"}
    assert {reply.headers["retry-after"] for reply in refused} == {"1"}
    await soon(lambda: is_served(gateway, team), "Redis to be back")
    refused_ids = {reply.headers["x-farebox-event-id"] for reply in refused}
    asked = {line["client_request_id"] for line in await apart(house.invoice)}
    assert refused_ids & asked == set()


@pytest.mark.parametrize("fault", ["pause", "kill"])
async def test_what_is_let_through_never_costs_more_than_the_allowance(
    fault: str, house: House, start: Any, own_redis: OwnRedis, team: Team
) -> None:
    _, key = await apart(team.new_key, budget_usd="0.00005")
    await apart(set_redis_away_allowance, organization=team.organization, amount_usd=ALLOWANCE_USD)
    gateways = [start(FAREBOX_REDIS_AWAY_PROCESSES="2") for _ in range(3)]
    before = [await call(gateway, team.key, SMALL) for gateway in gateways]
    await soon(lambda: have_places(gateways, 2), "two processes to have their places")

    getattr(own_redis, fault)()
    racing = [call(gateway, key, SMALL) for gateway in gateways for _ in range(20)]
    replies = list(await asyncio.gather(*racing))
    replies += [await call(gateway, key, SMALL) for gateway in gateways]
    back(own_redis, fault)

    assert [reply.status for reply in before] == [200] * 3
    served = [reply for reply in replies if reply.status == 200]
    assert {reply.status for reply in replies} == {200, 503}
    events = await apart(own_redis.wait_for_events, team, len(before) + len(replies))
    through = [event for event in events if event.parameters.get("let_through") == "redis_away"]
    assert {str(event.id) for event in through} == {reply.headers["x-farebox-event-id"] for reply in served}
    overspent_usd = sum(event.charge_usd for event in through)
    assert 0 < overspent_usd <= ALLOWANCE_USD
    await soon(lambda: is_settled(own_redis, team, events), "the counter to agree with the events")
    books = await apart(books_of, house, team)
    assert books.invoiced_usd == books.events_usd == books.ledger_usd
    assert await apart(differences, team) == []
    assert (await call(gateways[0], key, SMALL)).status == 402


async def test_one_process_lets_through_what_fits_and_refuses_the_next(
    start: Any, own_redis: OwnRedis, team: Team
) -> None:
    await apart(set_redis_away_allowance, organization=team.organization, amount_usd=Decimal("0.0001"))
    gateway = start()
    assert (await call(gateway, team.key, SMALL)).status == 200
    await soon(lambda: have_places([gateway], 1), "the process to have its place")

    own_redis.pause()
    replies = [await call(gateway, team.key, SMALL) for _ in range(5)]
    with_key = await call(gateway, team.key, SMALL, idempotency_key="once")
    own_redis.resume()

    served = [reply for reply in replies if reply.status == 200]
    assert 1 <= len(served) < 5
    assert [reply.status for reply in replies] == [200] * len(served) + [503] * (5 - len(served))
    assert sum(cost_nano(reply) for reply in served) <= 100_000
    assert (with_key.status, with_key.error["details"]) == (503, {"reason": "limits_unavailable"})


async def test_who_has_no_credit_left_is_let_through_nothing(
    house: House, start: Any, own_redis: OwnRedis, committed: None
) -> None:
    poor = await apart(new_team, credit_usd="0.00005")
    await apart(set_redis_away_allowance, organization=poor.organization, amount_usd=Decimal(1))
    gateway = start()
    assert (await call(gateway, poor.key, SMALL)).status == 200
    await soon(lambda: have_places([gateway], 1), "the process to have its place")

    own_redis.pause()
    refused = await call(gateway, poor.key, SMALL)
    own_redis.resume()

    assert refused.status == 503


async def test_a_stream_let_through_is_settled_once_although_redis_returns_midway(
    house: House, start: Any, own_redis: OwnRedis, team: Team
) -> None:
    await apart(set_redis_away_allowance, organization=team.organization, amount_usd=Decimal(1))
    gateway = start()
    assert (await call(gateway, team.key, SMALL)).status == 200
    await soon(lambda: have_places([gateway], 1), "the process to have its place")
    body = chat("ten-chunks@fake", "[[tokens 60]] [[pace 20]]", stream=True, max_tokens=100)

    own_redis.pause()
    async with raw_request(gateway.url, body, key=team.key) as stream:
        assert await stream.read_head() == 200
        await stream.read_events(10)
        own_redis.resume()
        await stream.read_rest()

    events = await apart(own_redis.wait_for_events, team, 2)
    assert [(event.ending, event.output_tokens) for event in events] == [("completed", 8), ("completed", 60)]
    await soon(lambda: is_settled(own_redis, team, events), "the counter to agree with the events")
    books = await apart(books_of, house, team)
    assert books.invoiced_usd == books.ledger_usd


def back(own_redis: OwnRedis, fault: str) -> None:
    if fault == "kill":
        own_redis.start_again()
    else:
        own_redis.resume()


async def is_served(gateway: Process, team: Team) -> bool:
    return (await call(gateway, team.key, SMALL)).status == 200


async def have_places(gateways: list[Process], count: int) -> bool:
    pages = [(await get(gateway, "", "/metrics")).body for gateway in gateways]
    return sum(b"farebox_away_place 1.0" in page for page in pages) == count


async def is_settled(own_redis: OwnRedis, team: Team, events: list[UsageEvent]) -> bool:
    wallet = await apart(own_redis.wallet, team)
    charged_usd = sum((event.charge_usd for event in events), Decimal(0))
    return wallet["held"] == 0 and nano_to_usd(wallet["spent"]) == charged_usd


def differences(team: Team) -> list[str]:
    """The rules that this organization's books break."""
    audit = audit_ledger(load_price_book(), events_kept_since=timezone.now() - timedelta(days=1))
    return [rule.title for rule in audit.findings if team.organization.pk in rule.by_organization]


def cost_nano(reply: Reply) -> int:
    return round(reply.json["usage"]["cost_usd_total"] * 10**9)
