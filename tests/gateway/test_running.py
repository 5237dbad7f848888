"""Running requests: one that cannot be written down harms neither its own money nor anyone else's."""

from pathlib import Path
from typing import Any

import pytest

from gateway.admission import hold_key
from gateway.limits import Hold
from gateway.meter import Meter
from gateway.running import RunningRequests
from gateway.settlement import Settler
from gateway.spool import Spool
from gateway.trace import Trace
from tests.gateway.limits_bench import bench, event, policy, settings

# No integer of JSON: whatever writes the event fails.
UNWRITABLE = 2**64


async def test_a_hold_whose_record_cannot_be_written_keeps_no_other_from_renewal() -> None:
    async with bench() as limits:
        who = policy()
        told: list[str] = []
        bad, gone, good = [await limits.admit(who, nano=100) for _ in range(3)]
        await limits.settle(gone, nano=0)
        limits.leases.watch(bad, lambda: unwritable(bad), on_reaped=lambda: told.append("bad"))
        limits.leases.watch(gone, lambda: reading(gone), on_reaped=lambda: told.append("gone"))
        limits.leases.watch(good, lambda: reading(good), on_reaped=lambda: told.append("good"))

        await limits.leases.renew()

        record = await limits.redis.call("GET", hold_key(good.shard, good.request_id))
        assert b'"output":7' in record
        assert told == ["gone"]


async def test_a_hold_that_redis_lost_and_that_cannot_be_written_keeps_no_other_from_coming_back() -> None:
    async with bench() as limits:
        who = policy()
        bad, good = [await limits.admit(who, nano=100) for _ in range(2)]
        sizes = iter([7, UNWRITABLE])
        limits.leases.watch(bad, lambda: event(bad.request_id, tokens=next(sizes), nano=0))
        limits.leases.watch(good, lambda: reading(good))
        for hold in (bad, good):
            await limits.redis.call("DEL", hold_key(hold.shard, hold.request_id))

        await limits.leases.renew()

        assert await limits.redis.call("EXISTS", hold_key(good.shard, good.request_id)) == 1


@pytest.mark.parametrize("counted", [True, False], ids=["it cannot be written", "it cannot be told"])
async def test_a_request_that_cannot_be_recorded_gives_its_hold_back(
    tmp_path: Path, *, counted: bool
) -> None:
    async with bench() as limits:
        hold = await limits.admit(policy(), nano=400)
        settler = Settler(limits.redis, settings=settings(), spool=Spool(tmp_path))
        ended: list[dict[str, Any]] = []
        requests = RunningRequests(settler, limits.leases, on_end=ended.append)
        trace = Trace(route="/v1", client_request_id="", user_agent="", source="")
        running = requests.start(trace, hold, Meter(prompt_tokens_estimate=1))

        requests.settle(running, lambda: unwritable(hold) if counted else untold())
        requests.settle(running, lambda: unwritable(hold))
        await settler.drain(timeout_seconds=5)

        assert await limits.money(hold) == [(0, 0)]
        assert (len(requests), running.is_settled, len(ended)) == (0, True, int(counted))


def unwritable(hold: Hold) -> dict[str, Any]:
    return event(hold.request_id, tokens=UNWRITABLE, nano=0)


def untold() -> dict[str, Any]:
    raise KeyError("a fault of ours")


def reading(hold: Hold) -> dict[str, Any]:
    return event(hold.request_id, tokens=7, nano=0)
