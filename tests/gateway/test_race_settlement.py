"""A race's money: one hold for all legs, ended in one step that records each leg as an event."""

import asyncio
import uuid
from typing import Any

import orjson

from gateway.admission import hold_key, hold_record
from gateway.limits import Hold
from gateway.policy import Policy
from gateway.settlement import Settlement, settlement_of, usage_stream
from tests.gateway.limits_bench import Bench, bench, budget, event, policy
from tests.gateway.test_budget_admission import target

LEGS = [("openai", "gpt-5-mini", 70), ("anthropic", "claude-opus-5", 30), ("openai", "gpt-5", 5)]


def race_event(hold: Hold, *, winner: tuple[str, str, int] = LEGS[0]) -> dict[str, Any]:
    """The winner's event, and those of the other legs in it."""

    def one(request_id: uuid.UUID, provider: str, model: str, nano: int) -> dict[str, Any]:
        return {**event(request_id, tokens=nano, nano=nano), "provider": provider, "model": model}

    others = [leg for leg in LEGS if leg != winner]
    legs = [one(uuid.UUID(int=hold.request_id.int ^ n), *leg) for n, leg in enumerate(others, start=1)]
    return {**one(hold.request_id, *winner), "legs": legs}


async def recorded(limits: Bench, who: Policy, hold: Hold) -> list[dict[str, Any]]:
    """The events of this hold's race that the stream has."""
    entries = await limits.redis.call("XRANGE", usage_stream(who.shard), "-", "+")
    events = [orjson.loads(fields[1]) for _, fields in entries]
    return [each for each in events if uuid.UUID(each["id"]).int ^ hold.request_id.int < 8]


async def test_all_legs_are_spent_and_each_is_recorded_in_one_step() -> None:
    async with bench() as limits:
        who = policy(key={"budgets": (budget(1_000),)})
        hold = await limits.admit(who, nano=300)
        settlement = settlement_of(hold, race_event(hold))

        answers = [await limits.redis.submit(settlement.call(is_whole=True)) for _ in range(2)]

        assert answers == [1, 0]
        assert await limits.money(hold) == [(105, 0), (105, 0)]
        events = await recorded(limits, who, hold)
        assert sorted((each["model"], each["charge_nano"]) for each in events) == [
            ("claude-opus-5", 30),
            ("gpt-5", 5),
            ("gpt-5-mini", 70),
        ]
        assert [each for each in events if "legs" in each] == []
        assert settlement.tokens == 105


async def test_a_model_familys_budget_counts_the_legs_of_the_family_alone() -> None:
    async with bench() as limits:
        who = policy(labels=[("model", budget(1_000, "day", subject="gpt-5*"))])
        targets = [target(provider, model) for provider, model, _ in LEGS]
        hold = await limits.admit(who, nano=300, targets=targets)

        await limits.redis.submit(settlement_of(hold, race_event(hold)).call(is_whole=True))

        assert sorted(await limits.money(hold)) == [(75, 0), (105, 0)]


async def test_the_reaper_settles_every_leg_that_a_dead_process_left_in_its_record() -> None:
    async with bench(hold_lease_seconds=0.05) as limits:
        who = policy()
        hold = await limits.admit(who, nano=300)
        record = hold_record(hold, race_event(hold))
        await limits.redis.call("SET", hold_key(hold.shard, hold.request_id), record)

        for _ in range(500):
            await limits.leases.reap()
            if await limits.money(hold) == [(105, 0)]:
                break
            await asyncio.sleep(0.01)

        assert await limits.money(hold) == [(105, 0)]
        assert len(await recorded(limits, who, hold)) == 3


async def test_a_race_survives_the_disk() -> None:
    async with bench() as limits:
        hold = await limits.admit(policy(), nano=300)

        settlement = settlement_of(hold, race_event(hold))

        assert Settlement.from_line(settlement.to_line()) == settlement
        assert len(settlement.legs) == 2


async def test_legs_that_cost_more_than_is_held_do_not_pass_the_limit() -> None:
    async with bench() as limits:
        hold = await limits.admit(policy(wallet_nano=100), nano=100)

        await limits.redis.submit(settlement_of(hold, race_event(hold)).call(is_whole=True))

        assert await limits.money(hold) == [(100, 0)]
