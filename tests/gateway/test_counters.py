"""What pages read of Redis' counters, and what they show when Redis does not know."""

import uuid
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from pytest_django import Settings

from accounts.models import ApiKey
from billing.budget_services import set_budget
from billing.models import Budget
from gateway.budget_bars import Bar, bars_of_keys
from gateway.counters import MoneyCount, read_money, read_running
from tests.gateway.limits_bench import bench, budget, policy
from tests.gateway.spending import spend
from tests.people import Somebody

NOWHERE = "redis://127.0.0.1:1/0"
NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def limit(key: ApiKey, amount_usd: str, window: str = "month", time_zone: str = "UTC") -> Budget:
    return set_budget(
        organization=key.organization,
        scope="key",
        scope_id=key.pk,
        amount_usd=Decimal(amount_usd),
        window=window,
        time_zone=time_zone,
    )


def only_bar(key: ApiKey, now: datetime = NOW) -> Bar:
    [bar] = bars_of_keys(key.organization, [key.pk], now=now)[key.pk]
    return bar


async def test_money_that_is_spent_and_held_is_read_as_it_stands() -> None:
    async with bench() as limits:
        who = policy(key={"budgets": (budget(10**10),)})
        await limits.settle(await limits.admit(who, nano=1_250_000_000), nano=1_250_000_000)
        hold = await limits.admit(who, nano=400)

        counted = read_money(who.organization_id, hold.counters)

    expected = MoneyCount(spent_usd=Decimal("1.25"), held_usd=Decimal("0.0000004"))
    assert counted == dict.fromkeys(hold.counters, expected)
    assert len(counted) == 2


async def test_running_requests_are_counted_until_they_end() -> None:
    async with bench() as limits:
        who = policy(key={"concurrent_requests": 5})
        first = await limits.admit(who)
        await limits.admit(who)

        both = read_running(who.organization_id, who.key_id)
        await limits.settle(first)

        assert both == 2
        assert read_running(who.organization_id, who.key_id) == 1


def test_counters_that_redis_does_not_hold_are_left_out() -> None:
    assert read_money(uuid.uuid4(), ["wallet:nobody"]) == {}


def test_without_redis_nothing_is_known(settings: Settings) -> None:
    settings.FAREBOX_REDIS_URL = NOWHERE

    assert read_money(uuid.uuid4(), ["wallet:nobody"]) == {}
    assert read_running(uuid.uuid4(), uuid.uuid4()) is None


def test_a_lost_counter_is_read_from_the_ledger(alice: Somebody) -> None:
    limit(alice.key_row, "10")
    spend(alice.key_row, "1.5", at=datetime(2026, 11, 1, tzinfo=UTC))
    spend(alice.key_row, "0", cost_usd="0.75", at=NOW, is_own_credential=True)
    spend(alice.key_row, "4", at=datetime(2026, 10, 31, 23, 59, tzinfo=UTC))

    bar = only_bar(alice.key_row)

    assert bar.spent_usd == Decimal("2.25")
    assert bar.held_usd == 0
    assert bar.left_usd == Decimal("7.75")
    assert (bar.spent_percent, bar.taken_percent) == (Decimal("22.50"), Decimal("22.50"))


def test_a_bar_says_when_its_budget_renews(alice: Somebody) -> None:
    limit(alice.key_row, "10", time_zone="Europe/Berlin")

    bar = only_bar(alice.key_row)

    assert bar.window_text == "$10.00 a month"
    assert bar.renews_text == "renews 1 Dec, 00:00 Europe/Berlin"


def test_a_budget_in_total_never_renews_and_counts_all_time(alice: Somebody) -> None:
    limit(alice.key_row, "3", window="total")
    spend(alice.key_row, "2", at=datetime(2024, 2, 1, tzinfo=UTC))

    bar = only_bar(alice.key_row)

    assert (bar.spent_usd, bar.left_usd, bar.renews_text) == (Decimal(2), Decimal(1), "")


@pytest.mark.parametrize(
    ("amount_usd", "percent"), [("0.000000001", "100"), ("2", "100"), ("1.5", "100"), ("3", "66.67")]
)
def test_a_bar_is_full_at_its_limit_and_beyond(alice: Somebody, amount_usd: str, percent: str) -> None:
    limit(alice.key_row, amount_usd)
    spend(alice.key_row, "2", at=NOW)

    bar = only_bar(alice.key_row)

    assert bar.spent_percent == Decimal(percent)
    assert bar.left_usd == max(Decimal(amount_usd) - 2, Decimal(0))


def test_a_bar_counts_one_key_and_one_organization(alice: Somebody, bob: Somebody, charlie: Somebody) -> None:
    limit(alice.key_row, "10")
    limit(charlie.key_row, "10")
    spend(bob.key_row, "1", at=NOW)
    spend(charlie.key_row, "1", at=NOW)

    bars = bars_of_keys(alice.organization, [alice.key_row.pk, bob.key_row.pk, charlie.key_row.pk], now=NOW)

    assert [*bars] == [alice.key_row.pk]
    assert bars[alice.key_row.pk][0].spent_usd == 0
