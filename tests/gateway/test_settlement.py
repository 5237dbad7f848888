"""Settlements reach Redis exactly once, however often they must be sent."""

import asyncio
import uuid
from pathlib import Path

import orjson
import pytest

from gateway.redis_pipeline import RedisPipeline
from gateway.settlement import Settlement, Settler, refusal_settlement, settlement_of, void
from gateway.spool import Spool
from tests.gateway.limits_bench import Bench, bench, budget, event, policy, settings


async def test_a_settlement_is_delivered_without_being_awaited(tmp_path: Path) -> None:
    async with bench() as limits:
        hold = await limits.admit(policy(key={"budgets": (budget(1_000),)}), nano=400)
        settler = settler_of(limits, tmp_path)

        settler.hand_over(settlement_of(hold, event(hold.request_id, tokens=3, nano=150)))
        await settler.drain(timeout_seconds=5)

        assert await limits.money(hold) == [(150, 0), (150, 0)]
        assert settler.waiting == 0


async def test_what_redis_did_not_take_is_delivered_from_disk_by_the_next_process(tmp_path: Path) -> None:
    async with bench() as limits:
        hold = await limits.admit(policy(), nano=400)
        nowhere = RedisPipeline("redis://127.0.0.1:1/0", call_timeout_seconds=0.05, queue_limit=10)
        dying = Settler(nowhere, settings=settings(), spool=Spool(tmp_path))
        dying.hand_over(settlement_of(hold, event(hold.request_id, tokens=3, nano=150)))
        await dying.drain(timeout_seconds=0.2)
        await nowhere.close()
        del dying

        settler = settler_of(limits, tmp_path)
        running = asyncio.create_task(settler.run())
        for _ in range(500):
            if (counted := await limits.money(hold)) == [(150, 0)]:
                break
            await asyncio.sleep(0.01)
        running.cancel()

        assert counted == [(150, 0)]
        assert await limits.settle(hold, nano=150) == 0


@pytest.mark.parametrize("unread", [b"{}", b"{", b"[1]", b"no shard"])
async def test_a_line_that_cannot_be_read_is_set_aside_and_the_others_are_delivered(
    tmp_path: Path, unread: bytes
) -> None:
    async with bench() as limits:
        hold = await limits.admit(policy(), nano=400)
        good = settlement_of(hold, event(hold.request_id, tokens=3, nano=150)).to_line()
        bad = unread if unread != b"no shard" else orjson.dumps({**orjson.loads(good), "shard": None})
        (tmp_path / "1-dead.jsonl").write_bytes(bad + b"\n" + good + b"\n")

        settler = settler_of(limits, tmp_path)
        running = asyncio.create_task(settler.run())
        for _ in range(500):
            if await limits.money(hold) == [(150, 0)] and not settler.waiting:
                break
            await asyncio.sleep(0.01)
        running.cancel()

        assert contents(tmp_path, "*.jsonl") == [b""]
        assert contents(tmp_path, "*.unread") == [bad + b"\n"]


async def test_a_refusal_is_recorded_beside_the_hold_and_returns_nothing_of_it(tmp_path: Path) -> None:
    async with bench() as limits:
        who = policy()
        hold = await limits.admit(who, nano=400)
        settler = settler_of(limits, tmp_path)

        settler.hand_over(
            refusal_settlement(who.shard, hold.request_id, event(hold.request_id, tokens=0, nano=0))
        )
        await settler.drain(timeout_seconds=5)
        held = await limits.money(hold)
        settler.hand_over(void(hold))
        await settler.drain(timeout_seconds=5)

        assert held == [(0, 400)]
        assert await limits.money(hold) == [(0, 0)]


async def test_voiding_a_hold_that_redis_never_had_changes_nothing(tmp_path: Path) -> None:
    async with bench() as limits:
        who = policy()
        hold = await limits.admit(who, nano=400)
        await limits.settle(hold, nano=100)
        settler = settler_of(limits, tmp_path)

        settler.hand_over(void(hold))
        await settler.drain(timeout_seconds=5)

        assert await limits.money(hold) == [(100, 0)]


def test_a_settlement_survives_the_disk() -> None:
    settlement = Settlement(uuid.uuid4(), 3, None, b'{"id":"x"}', 7, 7, 2)

    assert Settlement.from_line(settlement.to_line()) == settlement


def contents(folder: Path, pattern: str) -> list[bytes]:
    return [path.read_bytes() for path in folder.glob(pattern)]


def settler_of(limits: Bench, folder: Path) -> Settler:
    return Settler(limits.redis, settings=settings(settle_retry_seconds=0.01), spool=Spool(folder))
