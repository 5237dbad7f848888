"""G19: while PostgreSQL is slow or away, keys that are known go on, and every event arrives afterwards."""

import asyncio
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from tests.flows.calls import Reply, call, soon
from tests.guarantees.books import priced
from tests.guarantees.own_postgres import OwnHouse
from tests.house import House, Process, chat

pytestmark = pytest.mark.guarantee

QUICK = {"FAREBOX_POLICY_LOAD_TIMEOUT_SECONDS": "0.5"}
SMALL = chat("echo@fake", max_tokens=8)
SUMS = """
SELECT (SELECT count(*) FROM billing_usageevent), (SELECT sum(charge_usd) FROM billing_usageevent),
       (SELECT sum(charged_usd) FROM billing_ledgeraccount WHERE kind = 'prepaid_credit')
"""
IDS = "SELECT id::text, status, charge_usd FROM billing_usageevent"


@pytest.fixture(scope="module")
def own(house: House, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnHouse]:
    own = OwnHouse.set_up(house, tmp_path_factory.mktemp("own"))
    yield own
    own.postgres.resume()
    own.tear_down()


@pytest.fixture
def processes(own: OwnHouse) -> Iterator[list[Process]]:
    """A gateway that will know the key, one that will not, and a worker."""
    made = [own.start_gateway(**QUICK), own.start_gateway(**QUICK), own.start_worker()]
    yield made
    for process in made:
        process.stop()


@pytest.mark.parametrize("fault", ["pause", "kill"])
async def test_known_keys_go_on_unknown_ones_are_told_to_come_back_and_nothing_is_lost(
    fault: str, house: House, own: OwnHouse, processes: list[Process]
) -> None:
    knowing, unknowing, _ = processes
    replies = [await ask(knowing, own) for _ in range(3)]

    getattr(own.postgres, fault)()
    replies += [await ask(knowing, own) for _ in range(20)]
    unseen = [await ask(unknowing, own) for _ in range(3)]
    if fault == "kill":
        await asyncio.to_thread(own.postgres.start_again)
    else:
        own.postgres.resume()

    assert [reply.status for reply in replies] == [200] * 23
    assert [reply.status for reply in unseen] == [503] * 3
    assert {reply.error["details"]["reason"] for reply in unseen} == {"policies_unavailable"}
    assert {reply.headers["retry-after"] for reply in unseen} == {"1"}
    await soon(lambda: is_served(unknowing, own, replies), "the unseen key to be found")
    ids = {reply.headers["x-farebox-event-id"] for reply in replies if reply.status == 200}
    await soon(lambda: have_arrived(own, ids), "every event to be ingested")
    rows = {number: charge for number, status, charge in await fetch(own, IDS) if status == 200}
    invoice = await asyncio.to_thread(invoiced, house, set(rows))
    assert ids <= set(rows)
    assert invoice == rows
    ((_, events_usd, ledger_usd),) = await fetch(own, SUMS)
    assert events_usd == ledger_usd == sum(invoice.values())
    await asyncio.to_thread(own.manage, "auditledger")


async def ask(gateway: Process, own: OwnHouse) -> Reply:
    return await call(gateway, own.key, SMALL)


async def is_served(gateway: Process, own: OwnHouse, replies: list[Reply]) -> bool:
    replies.append(await ask(gateway, own))
    return replies[-1].status == 200


async def fetch(own: OwnHouse, query: str) -> list[tuple[Any, ...]]:
    return await asyncio.to_thread(own.postgres.rows, query)


async def have_arrived(own: OwnHouse, ids: set[str]) -> bool:
    return ids <= {row[0] for row in await fetch(own, IDS)}


def invoiced(house: House, ids: set[str]) -> dict[str, Decimal]:
    """What the provider bills for each of these requests; each is on its invoice once."""
    lines = [line for line in house.invoice() if line["client_request_id"] in ids]
    assert len({line["client_request_id"] for line in lines}) == len(lines)
    return {line["client_request_id"]: priced(line) for line in lines}
