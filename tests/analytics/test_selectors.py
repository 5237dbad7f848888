"""An overview: figures that agree with each other, with the events and with the ledger."""

from datetime import timedelta
from decimal import Decimal
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest

from accounts.models import ApiKey, Organization
from analytics.models import Dimension
from analytics.periods import Period
from analytics.request_filters import request_filters_of
from analytics.rollups import Sums, roll_up
from analytics.selectors import overview, total_of_filters, total_of_group
from tests.analytics.conftest import NOON, Record

DAY = timedelta(days=1)
PERIOD = Period(NOON - 3 * DAY, NOON + DAY, ZoneInfo("Europe/Berlin"))


def test_slots_and_groups_sum_to_the_total(organization: Organization, record: Record) -> None:
    for hours, model in ((0, "echo"), (5, "echo"), (9, "other"), (30, "")):
        record(at=NOON - timedelta(hours=hours), model=model, charge_usd=Decimal(hours + 1))
    roll_up()
    record(model="echo", charge_usd=Decimal("0.000000001"))

    found = overview(organization, period=PERIOD, group_by=Dimension.MODEL, now=NOON)

    assert found.total.charge_usd == Decimal("48.000000001")
    assert sum(slot.sums.charge_usd for slot in found.slots) == found.total.charge_usd
    assert {group.value: group.sums.charge_usd for group in found.groups} == {
        "": Decimal(31),
        "other": Decimal(10),
        "echo": Decimal("7.000000001"),
    }
    for group in found.groups:
        assert sum(sums.charge_usd for sums in group.by_slot) == group.sums.charge_usd


def test_the_period_before_is_compared_only_if_it_has_requests(
    organization: Organization, record: Record
) -> None:
    record()

    alone = overview(organization, period=PERIOD, group_by=Dimension.MODEL, now=NOON)
    record(at=PERIOD.start - DAY, charge_usd=Decimal(2))
    compared = overview(organization, period=PERIOD, group_by=Dimension.MODEL, now=NOON)

    assert alone.earlier is None
    assert compared.earlier is not None
    assert compared.earlier.charge_usd == Decimal(2)
    assert compared.total == alone.total


def test_an_event_on_a_border_belongs_to_the_later_side(organization: Organization, record: Record) -> None:
    record(at=PERIOD.start)
    record(at=PERIOD.end)

    found = overview(organization, period=PERIOD, group_by=Dimension.MODEL, now=NOON)

    assert found.total.requests == 1


def test_percentiles_are_of_completed_requests_alone(organization: Organization, record: Record) -> None:
    for _ in range(20):
        record(duration_ms=100.0, first_token_ms=None)
        record(duration_ms=0.5, first_token_ms=None, ending="refused", status=429)
    roll_up()

    found = overview(organization, period=PERIOD, group_by=Dimension.MODEL, now=NOON).percentiles

    assert found.duration_p95 == pytest.approx(100, rel=0.1)
    assert found.first_token_p95 is None


def test_causes_are_counted_apart(organization: Organization, record: Record) -> None:
    record(ending="refused", status=429, error_code="rate_limit_exceeded")
    record(ending="refused", status=429, error_code="rate_limit_exceeded")
    record(ending="upstream_error", status=502, error_code="provider_error")

    found = overview(organization, period=PERIOD, group_by=Dimension.MODEL, now=NOON)

    assert {cause.value: cause.sums.requests for cause in found.causes} == {
        "rate_limit_exceeded": 2,
        "provider_error": 1,
    }


def test_somebody_with_keys_of_their_own_sees_these_alone(
    organization: Organization, key: ApiKey, record: Record
) -> None:
    record(charge_usd=Decimal(1))
    record(at=PERIOD.start - DAY, key_id=uuid4())
    record(charge_usd=Decimal(5), key_id=uuid4())
    roll_up()

    found = overview(organization, period=PERIOD, group_by=Dimension.MODEL, now=NOON, key_ids=[key.pk])
    nothing = overview(organization, period=PERIOD, group_by=Dimension.MODEL, now=NOON, key_ids=[])

    assert found.total.charge_usd == Decimal(1)
    assert found.earlier is None
    assert [group.value for group in found.groups] == [str(key.pk)]
    assert nothing.total == Sums()


@pytest.mark.parametrize(
    ("parameters", "dimension", "value", "requests"),
    [
        ({}, Dimension.ORGANIZATION, "", 4),
        ({"model": "echo"}, Dimension.MODEL, "echo", 3),
        ({"missing": "model"}, Dimension.MODEL, "", 1),
        ({"tag": "blue"}, Dimension.TAG, "blue", 2),
        ({"missing": "tag"}, Dimension.TAG, "", 2),
        ({"provider": "fake"}, Dimension.PROVIDER, "fake", 4),
    ],
)
def test_the_sum_of_a_group_is_the_sum_of_its_filter(
    organization: Organization,
    record: Record,
    parameters: dict[str, str],
    dimension: Dimension,
    value: str,
    requests: int,
) -> None:
    record(tags=["blue"])
    record(tags=["blue", "red"], is_estimated=True)
    roll_up()
    record()
    record(model="", cached_input_tokens=5, reasoning_tokens=3)
    filters = request_filters_of(parameters, start=PERIOD.start, end=PERIOD.end)

    by_group = total_of_group(
        organization, dimension=dimension, value=value, start=PERIOD.start, end=PERIOD.end
    )

    assert by_group == total_of_filters(organization, filters=filters)
    assert by_group.requests == requests
