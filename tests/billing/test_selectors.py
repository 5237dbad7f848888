"""Reading events: filters, keyset pages, look-ups by id, and never a row of another organization."""

import threading
import uuid
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import connection, transaction
from django.utils import timezone

from billing.event_filters import EventFilters, filters_of
from billing.ingest import ingest_shard
from billing.selectors import (
    bodies_of,
    event,
    events,
    events_total,
    highest_ingested_sequence,
    spend_by_key,
)
from tests.billing.usage_events import append, event_of
from tests.people import founder

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.fixture
def log(alice, charlie, redis_client, shard):
    """Five requests of alice, a minute apart, the last one failed; one of charlie."""
    made = [
        event_of(alice, at=(NOON + timedelta(minutes=minute)).isoformat(), request_id=f"req-{minute}")
        for minute in range(4)
    ]
    failed = event_of(
        alice,
        at=(NOON + timedelta(minutes=4)).isoformat(),
        status=502,
        ending="upstream_error",
        error_code="provider_error",
        model="slow",
        usage={},
        cost_nano=0,
        charge_nano=0,
        tags=["urgent"],
        duration_ms=9_000.0,
    )
    append(redis_client, shard, *made, failed, event_of(charlie))
    ingest_shard(redis_client, shard)
    return [*made, failed]


def ids(page):
    return [found.id.hex for found in page.events]


def test_the_newest_request_comes_first(alice, log):
    assert ids(events(alice.organization, filters=EventFilters())) == [made["id"] for made in reversed(log)]


def test_pages_follow_each_other_without_gap_or_overlap(alice, log):
    first = events(alice.organization, filters=EventFilters(), limit=2)
    second = events(alice.organization, filters=EventFilters(), limit=2, older=first.older)
    third = events(alice.organization, filters=EventFilters(), limit=2, older=second.older)

    assert ids(first) + ids(second) + ids(third) == [made["id"] for made in reversed(log)]
    assert third.older == ""


def test_requests_of_one_moment_are_paged_too(alice, redis_client, shard):
    append(redis_client, shard, *(event_of(alice, at=NOON.isoformat()) for _ in range(5)))
    ingest_shard(redis_client, shard)

    first = events(alice.organization, filters=EventFilters(), limit=3)
    second = events(alice.organization, filters=EventFilters(), limit=3, older=first.older)

    assert len(set(ids(first) + ids(second))) == 5


@pytest.mark.parametrize("mark", ["nonsense", "~", "2026-11-21T00:00:00~" + "0" * 32, "9999-99-99~x"])
def test_an_unreadable_mark_starts_anew(alice, log, mark):
    assert len(events(alice.organization, filters=EventFilters(), older=mark).events) == 5


@pytest.mark.parametrize(
    ("filters", "count"),
    [
        (EventFilters(), 5),
        (EventFilters(start=NOON + timedelta(minutes=1), end=NOON + timedelta(minutes=3)), 2),
        (EventFilters(status="ok"), 4),
        (EventFilters(status="error"), 1),
        (EventFilters(status="502"), 1),
        (EventFilters(status="429"), 0),
        (EventFilters(ending="upstream_error"), 1),
        (EventFilters(error_code="provider_error"), 1),
        (EventFilters(model="slow"), 1),
        (EventFilters(provider="fake"), 5),
        (EventFilters(tag="urgent"), 1),
        (EventFilters(end_user="user-1", session_id="session-1", finish_reason="stop"), 5),
        (EventFilters(least_cost_usd=Decimal("0.000027")), 4),
        (EventFilters(least_cost_usd=Decimal("0.000027001")), 0),
        (EventFilters(least_duration_ms=9_000), 1),
        (EventFilters(search="req-2"), 1),
        (EventFilters(search="no such id"), 0),
        (EventFilters(key_id=uuid.UUID(int=0)), 0),
    ],
)
def test_each_filter_keeps_what_it_says(alice, log, filters, count):
    assert len(events(alice.organization, filters=filters).events) == count


def test_a_request_is_found_by_our_id_with_or_without_dashes(alice, log):
    for written in (log[0]["id"], str(uuid.UUID(log[0]["id"]))):
        assert ids(events(alice.organization, filters=EventFilters(search=written))) == [log[0]["id"]]


def test_the_total_is_the_sum_over_all_pages(alice, log):
    totals = events_total(alice.organization, filters=EventFilters())

    assert totals == {"charge_usd": Decimal("0.000108"), "cost_usd": Decimal("0.000108")}
    assert events_total(alice.organization, filters=EventFilters(model="none")) == {
        "charge_usd": 0,
        "cost_usd": 0,
    }


def test_an_address_is_read_leniently():
    filters = filters_of(
        {
            "status": "5xx",
            "key": "not-a-uuid",
            "least_cost_usd": "NaN",
            "least_duration_ms": "-1",
            "model": " slow\x00 ",
            "unknown": "x",
        }
    )

    assert filters == EventFilters(model="slow")
    assert filters_of({}).is_open


def test_an_event_is_found_in_its_organization_only(alice, charlie, log):
    event_id = uuid.UUID(log[0]["id"])

    assert event(alice.organization, event_id).request_id == "req-0"
    assert event(charlie.organization, event_id) is None
    assert event(alice.organization, uuid.UUID(int=0)) is None


def test_an_event_with_a_time_ordered_id_is_found_near_and_far_from_its_time(alice, redis_client, shard):
    id_of_2023 = "018bcfe5-6800-7000-8000-000000000001"
    append(redis_client, shard, event_of(alice, id=uuid.UUID(id_of_2023).hex, at=NOON.isoformat()))
    ingest_shard(redis_client, shard)

    assert event(alice.organization, uuid.UUID(id_of_2023)) is not None


def test_bodies_are_found_with_their_event(alice, redis_client, shard):
    append(redis_client, shard, event_of(alice, response_body="c2VhbGVk"), event_of(alice))
    ingest_shard(redis_client, shard)

    bodies = [bodies_of(found) for found in events(alice.organization, filters=EventFilters()).events]

    assert [bytes(body.encrypted_response) for body in bodies if body] == [b"sealed"]


def test_spend_by_key_counts_from_its_moment_on(alice, log):
    spend = spend_by_key(alice.organization, since=NOON + timedelta(minutes=2))

    assert spend == {alice.key_row.pk: Decimal("0.000054")}


def test_the_watermark_waits_for_running_ingestion(committed, redis_client, shard):
    somebody = founder(f"{uuid.uuid4().hex}@example.com", organization_name="Watermark")
    append(redis_client, shard, event_of(somebody))
    found = []

    def read_watermark():
        with transaction.atomic():
            found.append(highest_ingested_sequence())
        connection.close()

    reader = threading.Thread(target=read_watermark)
    with transaction.atomic():
        ingest_shard(redis_client, shard)
        reader.start()
        reader.join(0.3)
        assert reader.is_alive()
    reader.join(10)

    stored = events(somebody.organization, filters=EventFilters()).events
    assert found[0] >= stored[0].sequence


def test_all_of_it_is_scoped_to_the_organization(alice, charlie, log):
    assert len(events(charlie.organization, filters=EventFilters()).events) == 1
    assert spend_by_key(charlie.organization, since=timezone.now() - timedelta(days=365)).keys() == {
        charlie.key_row.pk
    }
