"""G8: renewals are arithmetic. Nothing but requests runs, and each new period sees the whole budget."""

from datetime import UTC, datetime

from gateway.money_errors import KeyLimitExceeded
from gateway.policy import Policy
from tests.gateway.limits_bench import Bench, bench, budget, policy

LIMIT_NANO = 1_000
HOUR_SECONDS, HOURS_OF_A_WEEK = 3_600, 168
# Sunday noon; the week after it holds the first of a week, a month, a quarter and a year.
BEGIN = datetime(2026, 12, 27, 12, 0, tzinfo=UTC)


async def is_admitted(limits: Bench, who: Policy) -> bool:
    """Whether the whole budget can be spent at this moment; if so, it is."""
    try:
        hold = await limits.admit(who, nano=LIMIT_NANO)
    except KeyLimitExceeded:
        return False
    await limits.settle(hold, nano=LIMIT_NANO)
    return True


async def admitted_in_a_week(limits: Bench, who: Policy) -> int:
    """How often the whole budget was spent, by one call at the beginning of each hour."""
    found = 0
    for _ in range(HOURS_OF_A_WEEK):
        found += await is_admitted(limits, who)
        limits.travel(HOUR_SECONDS)
    return found


async def a_week(window: str, **terms: object) -> int:
    async with bench() as limits:
        limits.travel((BEGIN - datetime.now(UTC)).total_seconds())
        rule = budget(LIMIT_NANO, window, **{"time_zone": "Europe/Berlin", **terms})
        return await admitted_in_a_week(limits, policy(key={"budgets": (rule,)}))


async def test_every_hour_of_a_week_sees_the_whole_budget() -> None:
    assert await a_week("hour") == 168


async def test_every_day_of_a_week_sees_the_whole_budget() -> None:
    # Noon to noon touches eight days.
    assert await a_week("day") == 8


async def test_the_week_the_month_and_the_quarter_after_see_the_whole_budget() -> None:
    assert [await a_week(window) for window in ("week", "month", "quarter")] == [2, 2, 2]


async def test_what_never_renews_is_spent_once() -> None:
    assert await a_week("total") == 1


async def test_a_rolling_hour_is_free_again_after_it_and_the_bucket_it_began_in() -> None:
    # Spent at 0:00, the hour is free at 1:01; of calls on the hour every second one finds it so.
    assert await a_week("hour", is_rolling=True) == 84


async def test_a_rolling_day_is_free_again_after_it_and_the_bucket_it_began_in() -> None:
    assert await a_week("day", is_rolling=True) == 7


async def test_no_rolling_window_ever_holds_more_than_its_limit() -> None:
    async with bench() as limits:
        who = policy(key={"budgets": (budget(LIMIT_NANO, "day", is_rolling=True),)})
        spent: list[tuple[float, int]] = []
        passed_seconds = 0.0
        for step in range(300):
            amount = 100 + 37 * step % 400
            try:
                hold = await limits.admit(who, nano=amount)
            except KeyLimitExceeded:
                pass
            else:
                await limits.settle(hold, nano=amount)
                spent.append((passed_seconds, amount))
            last_day = [nano for moment, nano in spent if moment > passed_seconds - 86_400]
            assert sum(last_day) <= LIMIT_NANO
            seconds = 60 + 613 * step % 5_000
            limits.travel(seconds)
            passed_seconds += seconds
        assert len(spent) > 10
