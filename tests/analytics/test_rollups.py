"""Sums through the rollups are the sums of the events, whatever the zone and wherever the watermark."""

import itertools
import random
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from accounts.models import ApiKey, Organization
from analytics.models import Dimension, LatencyHour, RollupWatermark, UsageHour
from analytics.periods import Period
from analytics.rollups import Span, Sums, one_snapshot, read_latency, read_usage, rebuild, roll_up
from billing.models import UsageEvent
from tests.analytics.conftest import NOON, Record

ZONES = (
    "UTC",
    "Europe/Berlin",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "Pacific/Kiritimati",
    "Pacific/Pago_Pago",
    "America/St_Johns",
)
# Clocks change in Berlin on 25 October and in St. John's on 1 November.
FIRST, LAST = datetime(2026, 10, 20, tzinfo=UTC), datetime(2026, 11, 10, tzinfo=UTC)


@pytest.fixture
def traffic(record: Record) -> list[UsageEvent]:
    """300 random requests over three weeks, several on the very border of an hour."""
    dice = random.Random(20261121)
    seconds = int((LAST - FIRST).total_seconds())
    return [
        record(
            at=FIRST + timedelta(seconds=dice.choice([1, 900, 3600]) * dice.randrange(seconds) % seconds),
            charge_usd=Decimal(dice.randrange(10**12)) / 10**9,
            cost_usd=Decimal(dice.randrange(10**12)) / 10**9,
            model=dice.choice(["echo", "ten-chunks", ""]),
            ending=dice.choice(UsageEvent.Ending.values),
            tags=dice.choice([[], ["a"], ["a", "b"]]),
            duration_ms=dice.uniform(0.2, 90_000),
        )
        for _ in range(300)
    ]


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("rolled_up", [0, 170, 300])
def test_each_slot_sums_to_its_events_in_every_zone(
    organization: Organization, traffic: list[UsageEvent], zone: str, rolled_up: int
) -> None:
    _roll_up_only(rolled_up, traffic)
    start, end = FIRST + timedelta(days=2, minutes=17), LAST - timedelta(hours=5, seconds=3)
    edges = Period(start, end, ZoneInfo(zone)).edges()

    with one_snapshot():
        cells = read_usage(
            Span(organization.pk, edges), [Dimension.ORGANIZATION, Dimension.MODEL, Dimension.TAG]
        )

    assert {(cell.dimension, cell.value, cell.slot): cell.sums.charge_usd for cell in cells} == _charges(
        traffic, edges
    )


def test_an_event_counts_from_the_moment_it_is_stored(organization: Organization, record: Record) -> None:
    span = Span(organization.pk, (NOON - timedelta(hours=3), NOON + timedelta(hours=3)))
    record()

    [before] = read_usage(span, [Dimension.ORGANIZATION])
    roll_up()
    record(at=NOON + timedelta(minutes=1))
    [after] = read_usage(span, [Dimension.ORGANIZATION])

    assert before.sums == Sums(1, 0, 0, 7, 0, 10, Decimal("0.000031"), Decimal("0.000031"))
    assert after.sums == Sums(2, 0, 0, 14, 0, 20, Decimal("0.000062"), Decimal("0.000062"))


def test_rolling_up_twice_adds_nothing(traffic: list[UsageEvent]) -> None:
    roll_up()
    rows = _rows()

    moved = roll_up()

    assert moved == 0
    assert _rows() == rows


def test_rolling_up_in_small_steps_gives_the_rows_of_one_step(traffic: list[UsageEvent]) -> None:
    first = traffic[0].sequence
    RollupWatermark.objects.create(sequence=first - 1)
    while roll_up(max_events=7):
        pass
    small_steps = _rows()

    _forget()
    roll_up()

    assert _rows() == small_steps


def test_rebuilding_gives_equal_rows(traffic: list[UsageEvent]) -> None:
    roll_up()
    rows = _rows()
    UsageHour.objects.update(requests=99)
    LatencyHour.objects.all().delete()

    rebuild(since=FIRST, until=LAST)

    assert _rows() == rows


def test_rebuilding_leaves_what_is_behind_the_watermark_alone(
    organization: Organization, record: Record
) -> None:
    record()
    roll_up()
    record()

    rebuild(since=NOON, until=NOON + timedelta(hours=1))

    assert UsageHour.objects.get(dimension=Dimension.ORGANIZATION).requests == 1


def test_a_border_inside_an_hour_cannot_be_rebuilt() -> None:
    with pytest.raises(ValueError, match="whole hours"):
        rebuild(since=NOON, until=NOON + timedelta(minutes=30))


def test_a_late_event_finds_its_hour(organization: Organization, record: Record) -> None:
    record()
    roll_up()
    record(at=NOON - timedelta(days=3))

    roll_up()

    hours = UsageHour.objects.filter(dimension=Dimension.ORGANIZATION).order_by("hour")
    assert [(row.hour, row.requests) for row in hours] == [(NOON - timedelta(days=3), 1), (NOON, 1)]


def test_a_request_with_two_tags_counts_once_under_each(organization: Organization, record: Record) -> None:
    record(tags=["blue", "red"])
    record(tags=[])
    roll_up()

    rows = UsageHour.objects.filter(dimension=Dimension.TAG)

    assert {row.value: row.requests for row in rows} == {"blue": 1, "red": 1, "": 1}


def test_errors_are_all_endings_but_completed_left_replayed_and_legs_of_races(
    organization: Organization, record: Record
) -> None:
    for ending in UsageEvent.Ending.values:
        record(ending=ending)

    [cell] = read_usage(Span(organization.pk, (NOON, NOON + timedelta(hours=1))), [Dimension.ORGANIZATION])

    assert (cell.sums.requests, cell.sums.errors) == (8, 4)


def test_a_failed_request_counts_under_its_cause(organization: Organization, record: Record) -> None:
    record(ending="refused", error_code="budget_exceeded")
    record(ending="cut")
    record(ending="completed")
    roll_up()

    rows = UsageHour.objects.filter(dimension=Dimension.CAUSE)

    assert {row.value: row.requests for row in rows} == {"budget_exceeded": 1, "cut": 1}


def test_a_span_of_some_keys_sees_no_other_key(
    organization: Organization, key: ApiKey, record: Record
) -> None:
    record()
    record(key_id=organization.pk)
    roll_up()
    record(key_id=organization.pk)
    span = Span(organization.pk, (NOON, NOON + timedelta(hours=1)), values=(str(key.pk),))

    [cell] = read_usage(span, [Dimension.KEY])

    assert (cell.value, cell.sums.requests) == (str(key.pk), 1)
    assert sum(cell.requests for cell in read_latency(span, Dimension.KEY) if cell.measure == "duration") == 1


def test_another_organization_is_never_in_the_sums(organization: Organization, record: Record) -> None:
    record(organization_id=organization.projects.get().pk)
    roll_up()
    record(organization_id=organization.projects.get().pk)

    cells = read_usage(Span(organization.pk, (NOON, NOON + timedelta(hours=1))), [Dimension.ORGANIZATION])

    assert cells == []


@pytest.mark.parametrize("rolled_up", [0, 150, 300])
def test_latency_buckets_hold_each_completed_request_once(
    organization: Organization, traffic: list[UsageEvent], rolled_up: int
) -> None:
    _roll_up_only(rolled_up, traffic)
    span = Span(organization.pk, (FIRST, FIRST + timedelta(days=5, minutes=30), LAST))

    cells = read_latency(span, Dimension.ORGANIZATION)

    completed = [event for event in traffic if event.ending == "completed"]
    counted: Counter[str] = Counter()
    for cell in cells:
        counted[cell.measure] += cell.requests
    assert counted == {"duration": len(completed), "first_token": len(completed)}


def _roll_up_only(count: int, traffic: list[UsageEvent]) -> None:
    first = traffic[0].sequence
    RollupWatermark.objects.create(sequence=first - 1)
    if count:
        roll_up(max_events=count)


def _forget() -> None:
    for model in (UsageHour, LatencyHour, RollupWatermark):
        model.objects.all().delete()


def _rows() -> list[tuple[object, ...]]:
    usage = UsageHour.objects.order_by("dimension", "value", "hour").values_list()
    latency = LatencyHour.objects.order_by("dimension", "value", "hour", "measure", "bucket").values_list()
    return [row[1:] for row in (*usage, *latency)]


def _charges(traffic: list[UsageEvent], edges: tuple[datetime, ...]) -> dict[tuple[str, str, int], Decimal]:
    return dict(_sum_by_place(traffic, edges))


def _sum_by_place(traffic: list[UsageEvent], edges: tuple[datetime, ...]) -> Counter[tuple[str, str, int]]:
    charges: Counter = Counter()
    for event in traffic:
        for slot in _slots(event.occurred_at, edges):
            for place in (
                ("organization", ""),
                ("model", event.model),
                *(("tag", tag) for tag in event.tags or [""]),
            ):
                charges[(*place, slot)] += event.charge_usd
    return charges


def _slots(moment: datetime, edges: tuple[datetime, ...]) -> Iterator[int]:
    for slot, (low, high) in enumerate(itertools.pairwise(edges)):
        if low <= moment < high:
            yield slot
