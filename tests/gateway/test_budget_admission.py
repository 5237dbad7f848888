"""Budgets of every scope and window, decided by a real Redis in one call."""

import uuid
from dataclasses import replace

import pytest

from billing.budgets import bucket_seconds
from gateway.admission import Admission
from gateway.errors import InvalidValue, TemporarilyUnavailable
from gateway.limits import Hold, MoneyCounter, Need
from gateway.money_errors import BudgetExceeded, InsufficientCredits, KeyLimitExceeded
from gateway.policy import BudgetRule, Policy
from gateway.routing.target import Target
from tests.gateway.limits_bench import Bench, bench, budget, event, policy, settings
from tests.gateway.shelf import connection, offer, price
from tests.redis_calls import watched_redis

HOUR = 3_600


def target(provider: str, model: str) -> Target:
    shelf_offer, way = offer(provider, model), connection(provider)
    return Target(
        provider=provider,
        kind=way.kind,
        model=model,
        upstream_name=shelf_offer.upstream_name,
        base_url=way.base_url,
        credential=way.credential,
        is_own_credential=False,
        is_guarded=False,
        price=price(1_000),
    )


async def test_several_budgets_of_one_scope_and_window_must_all_have_room() -> None:
    async with bench() as limits:
        wide, narrow = budget(1_000, "month", name="Wide"), budget(300, "month", name="Narrow")
        who = policy(key={"budgets": (wide, narrow)})
        await limits.admit(who, nano=200)

        with pytest.raises(KeyLimitExceeded) as refused:
            await limits.admit(who, nano=101)

        assert refused.value.details is not None
        assert refused.value.details["budget_name"] == "Narrow"
        assert refused.value.details["budget_id"] == str(narrow.id)
        hold = await limits.admit(who, nano=100)
        assert hold.standing["key:budget:month"]["left"] == 700
        assert hold.standing[f"key:budget:month:{hold.counters[1]}"]["left"] == 0


async def test_a_tags_budget_binds_the_requests_that_carry_the_tag() -> None:
    async with bench() as limits:
        who = policy(labels=[("tag", budget(100, "day", subject="nightly"))])
        await limits.admit(who, nano=100, tags=["other", "nightly"])

        with pytest.raises(BudgetExceeded) as refused:
            await limits.admit(who, nano=1, tags=["nightly"])
        await limits.admit(who, nano=500, tags=["other"])
        await limits.admit(who, nano=500)

        named = "The budget of the tag 'nightly' ($0.0000001 a day) has $0.00 left"
        assert refused.value.message.startswith(named)


async def test_each_end_user_has_the_amount_for_themselves() -> None:
    async with bench() as limits:
        who = policy(labels=[("end_user", budget(100, "day", is_each=True))])
        await limits.admit(who, nano=100, end_user="ann")

        with pytest.raises(BudgetExceeded) as refused:
            await limits.admit(who, nano=1, end_user="ann")
        await limits.admit(who, nano=100, end_user="ben")
        await limits.admit(who, nano=100)

        assert refused.value.details is not None
        assert (refused.value.details["scope"], refused.value.details["subject"]) == ("end_user", "ann")


async def test_each_tag_of_a_request_must_have_room() -> None:
    async with bench() as limits:
        who = policy(labels=[("tag", budget(100, "day", is_each=True))])
        await limits.admit(who, nano=60, tags=["a"])

        with pytest.raises(BudgetExceeded):
            await limits.admit(who, nano=41, tags=["b", "a"])

        await limits.admit(who, nano=100, tags=["b"])


async def test_a_family_is_held_for_every_target_and_charged_for_the_one_that_answered() -> None:
    async with bench() as limits:
        who = policy(labels=[("model", budget(100, "day", subject="gpt-5*"))])
        targets = [target("openai", "gpt-5-mini"), target("anthropic", "claude-opus-5")]

        first = await limits.admit(who, nano=100, targets=targets)
        with pytest.raises(BudgetExceeded):
            await limits.admit(who, nano=1, targets=targets)
        await limits.settle(first, nano=70, provider="anthropic", model="claude-opus-5")
        second = await limits.admit(who, nano=100, targets=targets)
        await limits.settle(second, nano=70, provider="openai", model="gpt-5-mini")

        with pytest.raises(BudgetExceeded):
            await limits.admit(who, nano=31, targets=targets)
        await limits.admit(who, nano=30, targets=targets)
        await limits.admit(who, nano=1_000, targets=targets[1:])


@pytest.mark.parametrize("window", ["hour", "day", "week", "month", "quarter"])
async def test_a_rolling_window_gives_back_what_has_left_it_and_nothing_sooner(window: str) -> None:
    bucket = bucket_seconds(window)
    async with bench() as limits:
        rule = budget(100, window, is_rolling=True)
        who = policy(key={"budgets": (rule,)})
        await limits.settle(await limits.admit(who, nano=60), nano=60)
        limits.travel(30 * bucket)
        await limits.settle(await limits.admit(who, nano=40), nano=40)

        # The last moment at which any of the first bucket can lie within the window.
        limits.travel(30 * bucket)
        with pytest.raises(KeyLimitExceeded):
            await limits.admit(who, nano=1)
        limits.travel(bucket)
        await limits.admit(who, nano=60)
        with pytest.raises(KeyLimitExceeded):
            await limits.admit(who, nano=1)


async def test_a_rolling_refusal_says_when_enough_is_free_again() -> None:
    async with bench() as limits:
        who = policy(key={"budgets": (budget(100, "hour", is_rolling=True),)})
        await limits.settle(await limits.admit(who, nano=50), nano=50)
        limits.travel(600)
        await limits.settle(await limits.admit(who, nano=50), nano=50)

        with pytest.raises(KeyLimitExceeded) as refused:
            await limits.admit(who, nano=50)
        with pytest.raises(KeyLimitExceeded) as never:
            await limits.admit(who, nano=101)

        assert "Enough of it is free again at" in refused.value.message
        assert never.value.details is not None
        assert never.value.details["renews_at"] is None
        limits.travel(3_660 - 600)
        await limits.admit(who, nano=50)


async def test_a_rolling_window_knows_what_a_long_request_spent_for_as_long_as_it_counts() -> None:
    async with bench() as limits:
        who = policy(key={"budgets": (budget(100, "hour", is_rolling=True),)})
        hold = await limits.admit(who, nano=100)
        [key] = [check.key for check in hold.checks if check.kind == "w"]

        await pass_by(limits, key, minutes=20)
        await limits.settle(hold, nano=100)
        await pass_by(limits, key, minutes=50)
        with pytest.raises(KeyLimitExceeded):
            await limits.admit(who, nano=1)

        await pass_by(limits, key, minutes=12)
        await limits.admit(who, nano=100)


async def pass_by(limits: Bench, key: str, *, minutes: int) -> None:
    """Let time pass, also for the life of a counter, which Redis measures by its own clock."""
    limits.travel(minutes * 60)
    life_ms = await limits.redis.call("PTTL", key)
    await limits.redis.call("PEXPIRE", key, life_ms - minutes * 60_000)


async def test_what_a_rolling_window_holds_stays_held_until_it_is_settled() -> None:
    async with bench() as limits:
        who = policy(key={"budgets": (budget(100, "hour", is_rolling=True),)})
        hold = await limits.admit(who, nano=100)
        limits.travel(2 * HOUR)

        with pytest.raises(KeyLimitExceeded) as refused:
            await limits.admit(who, nano=1)
        await limits.settle(hold, nano=30)

        assert refused.value.details is not None
        assert refused.value.details["renews_at"] is None
        await limits.admit(who, nano=70)


async def test_an_observed_budget_refuses_nothing_and_says_what_it_would_have_refused() -> None:
    async with bench() as limits:
        watched = budget(100, "day", is_observed=True)
        rolling = budget(100, "day", is_observed=True, is_rolling=True)
        who = policy(key={"budgets": (watched, rolling)})

        within = await limits.admit(who, nano=100)
        beyond = await limits.admit(who, nano=50)

        assert within.would_refuse == ()
        assert beyond.would_refuse == (watched.id.hex, rolling.id.hex)
        assert beyond.standing["key:budget:day"]["left"] == -50
        await limits.settle(within, nano=100)
        await limits.settle(beyond, nano=20)
        assert await limits.money(beyond) == [(120, 0), (120, 0), (120, 0)]


async def test_an_observed_budget_that_cannot_be_counted_refuses_nothing() -> None:
    async with bench() as limits:
        who = policy()
        before = await limits.admit(who, nano=1)
        watched = [budget(100, is_observed=True), budget(100, "day", is_observed=True, is_rolling=True)]
        admission = Admission(limits.redis, settings=settings(), rebuild=cannot_be_counted, release=forget)

        hold = await admit(admission, policy_with(who, *watched))
        with pytest.raises(TemporarilyUnavailable):
            await admit(admission, policy_with(who, watched[0], budget(100)))

        assert hold.counters == before.counters
        assert await limits.money(hold) == [(0, 2)]


async def cannot_be_counted(counter: MoneyCounter) -> None:
    raise TemporarilyUnavailable(reason="counters_rebuilding")


def forget(hold: Hold) -> None: ...


async def admit(admission: Admission, who: Policy) -> Hold:
    request_id = uuid.uuid4()
    need = Need(budget_nano=1, wallet_nano=1, tokens=0)
    happened = event(request_id, tokens=0, nano=0)
    return await admission.admit(who, request_id=request_id, need=need, event=happened)


async def test_a_budget_lowered_below_what_is_spent_and_held_refuses_and_is_never_negative() -> None:
    async with bench() as limits:
        rule = budget(1_000, "day")
        who = policy(key={"budgets": (rule,)})
        await limits.settle(await limits.admit(who, nano=300), nano=300)
        running = await limits.admit(who, nano=400)
        lowered = policy_with(who, replace(rule, amount_nano=500))

        with pytest.raises(KeyLimitExceeded) as refused:
            await limits.admit(lowered, nano=1)

        assert refused.value.details is not None
        assert refused.value.details["left_usd"] == "0.000000000"
        await limits.settle(running, nano=100)
        await limits.admit(lowered, nano=100)


async def test_money_in_flight_settles_although_its_budget_is_gone() -> None:
    async with bench() as limits:
        who = policy(key={"budgets": (budget(1_000, "day"),)})
        hold = await limits.admit(who, nano=400)
        freed = policy_with(who)

        await limits.admit(freed, nano=5_000)
        await limits.settle(hold, nano=150)

        assert await limits.money(hold) == [(150, 0), (150, 5_000)]


async def test_the_refusal_knows_the_least_that_any_money_has_left() -> None:
    async with bench() as limits:
        who = policy(key={"budgets": (budget(900, "day"),)}, wallet_nano=700)

        with pytest.raises(KeyLimitExceeded) as refused:
            await limits.admit(who, nano=1_000)

        assert refused.value.shortage.left_nano == 900
        assert refused.value.shortage.least_left_nano == 700


async def test_for_who_is_refused_anyhow_no_lost_counter_is_counted() -> None:
    async with bench() as limits:
        who = policy(wallet_nano=100, labels=[("end_user", budget(10**9, is_each=True))])
        first = await limits.admit(who, nano=100)
        counted = list(limits.rebuilt)

        with pytest.raises(InsufficientCredits):
            await limits.admit(who, nano=1, end_user="ann")
        counted_for_the_refused = limits.rebuilt[len(counted) :]
        await limits.settle(first, nano=0)
        await limits.admit(who, nano=1, end_user="ann")

        assert counted_for_the_refused == []
        assert len(limits.rebuilt) == len(counted) + 1


async def test_tags_that_are_counted_in_more_than_64_budgets_are_refused_by_name() -> None:
    async with bench() as limits:
        who = policy(labels=[("tag", budget(10**9, "day", is_each=True)) for _ in range(4)])
        tags = [f"t{number}" for number in range(17)]

        hold = await limits.admit(who, nano=1, tags=tags[:16])
        with pytest.raises(InvalidValue, match="counted in more than 64 budgets") as refused:
            await limits.admit(who, nano=1, tags=tags)

        assert len(hold.counters) == 64 + 1
        assert refused.value.param == "tags"


async def test_however_many_budgets_bind_a_request_it_is_one_call() -> None:
    async with bench() as limits:
        labels = [
            ("tag", budget(10**9, "hour", is_each=True)),
            ("end_user", budget(10**9, "week", is_each=True, is_rolling=True)),
            ("model", budget(10**9, "quarter", subject="openai/*")),
        ]
        who = policy(key={"budgets": (budget(10**9, "month"),)}, labels=labels)
        asked = {"tags": ["a", "b"], "end_user": "ann", "targets": [target("openai", "gpt-5")]}
        await limits.admit(who, nano=1, **asked)
        about = (await limits.redis.call("CLIENT", "INFO")).decode()

        with watched_redis() as watch:
            hold = await limits.admit(who, nano=1, **asked)
            calls = [call.command for call in watch.read() if f" addr={call.address} " in about]

        assert [call.split()[0] for call in calls] == ["EVALSHA"]
        assert len(hold.counters) == 6


async def test_credit_still_comes_last_and_by_its_own_name() -> None:
    async with bench() as limits:
        who = policy(wallet_nano=100, labels=[("tag", budget(10**9, "hour", is_each=True))])

        with pytest.raises(InsufficientCredits, match=r"Insufficient credits: there is \$0.0000001 left"):
            await limits.admit(who, nano=101, tags=["a"])


def policy_with(who: Policy, *rules: BudgetRule) -> Policy:
    key, *wider = who.scopes
    return replace(who, scopes=(replace(key, budgets=tuple(rules)), *wider))
