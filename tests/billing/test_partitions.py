"""Partitions: made ahead, emptied from the default one, dropped after retention."""

import threading
import uuid
from datetime import UTC, date, datetime, timedelta

import pytest
from django.db import connection, connections, transaction

from billing.models import UsageBody
from billing.partitions import BODIES, EVENTS, ensure_days, existing_days, keep_days, stray_days
from tests.house import eventually
from tests.waiting import is_somebody_waiting

FAR = date(2040, 6, 15)


def store_body(day):
    return UsageBody.objects.create(
        event_id=uuid.uuid4(),
        occurred_at=datetime(day.year, day.month, day.day, 12, tzinfo=UTC),
        organization_id=uuid.uuid4(),
        encrypted_request=b"x",
    )


def table_of(body):
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT tableoid::regclass::text FROM billing_usagebody WHERE event_id = %s", [body.event_id]
        )
        return cursor.fetchone()[0]


@pytest.mark.django_db
def test_the_migrations_leave_today_and_the_next_days_ready():
    today = datetime.now(UTC).date()

    for table in (EVENTS, BODIES):
        assert {today, today + timedelta(days=1)} <= existing_days(table)


@pytest.mark.django_db
def test_the_days_ahead_are_created_once():
    first = keep_days(BODIES, today=FAR, days_ahead=3, retention_days=100_000)
    second = keep_days(BODIES, today=FAR, days_ahead=3, retention_days=100_000)

    assert first.created == tuple(FAR + timedelta(days=offset) for offset in range(-1, 4))
    assert second.created == ()


@pytest.mark.django_db
def test_an_event_without_a_day_is_kept_and_moved_once_its_day_exists():
    body = store_body(FAR - timedelta(days=30))
    assert table_of(body) == "billing_usagebody_default"

    keep_days(BODIES, today=FAR, days_ahead=1, retention_days=100_000)

    assert table_of(body) == "billing_usagebody_p20400516"
    assert stray_days(BODIES) == set()


@pytest.fixture
def committed_days(committed):
    """Three days that a test makes for all to see, and that are gone after it."""
    days = [FAR + timedelta(days=1000 + offset) for offset in range(3)]
    yield days
    with connection.cursor() as cursor:
        for day in days:
            cursor.execute(f"DROP TABLE IF EXISTS {BODIES}_p{day:%Y%m%d}")
        cursor.execute(f"DELETE FROM {BODIES}_default WHERE occurred_at >= %s", [days[0]])


def test_an_event_that_is_being_written_without_a_day_keeps_no_day_from_being_made(committed_days):
    outcomes = []

    def keep():
        try:
            kept = keep_days(BODIES, today=committed_days[1], days_ahead=1, retention_days=100_000)
            outcomes.append(kept)
        finally:
            connections.close_all()

    keeping = threading.Thread(target=keep)
    with transaction.atomic():
        body = store_body(committed_days[0])
        keeping.start()
        eventually(is_somebody_waiting, "the new day to wait for the writer")
    keeping.join()

    (kept,) = outcomes
    assert set(committed_days[1:]) <= set(kept.created)
    keep_days(BODIES, today=committed_days[1], days_ahead=1, retention_days=100_000)
    assert table_of(body) == f"billing_usagebody_p{committed_days[0]:%Y%m%d}"


@pytest.mark.django_db
def test_days_beyond_retention_are_dropped_with_their_rows():
    ensure_days(BODIES, [FAR - timedelta(days=31), FAR - timedelta(days=30)])
    gone, kept = store_body(FAR - timedelta(days=31)), store_body(FAR - timedelta(days=30))

    dropped = keep_days(BODIES, today=FAR, days_ahead=1, retention_days=30).dropped

    assert FAR - timedelta(days=31) in dropped
    assert not UsageBody.objects.filter(event_id=gone.event_id).exists()
    assert UsageBody.objects.filter(event_id=kept.event_id).exists()


@pytest.mark.django_db
def test_strays_beyond_retention_are_deleted_without_a_day():
    stray = store_body(FAR - timedelta(days=40))

    keep_days(BODIES, today=FAR, days_ahead=1, retention_days=30)

    assert not UsageBody.objects.filter(event_id=stray.event_id).exists()
    assert FAR - timedelta(days=40) not in existing_days(BODIES)


@pytest.mark.django_db
def test_a_days_partition_has_every_index_of_its_table():
    ensure_days(EVENTS, [FAR])

    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_indexes WHERE tablename = 'billing_usageevent_p20400615'")
        assert cursor.fetchone()[0] == 12
