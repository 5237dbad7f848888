"""Background work: every shard is ingested until it is dry, and partitions are kept."""

from datetime import UTC, datetime, timedelta

import pytest

from billing.models import UsageEvent
from billing.partitions import EVENTS, existing_days
from billing.tasks import PARTITION_DAYS_AHEAD, ingest_usage, keep_partitions
from billing.usage_stream import stream_key
from tests.billing.usage_events import append, event_of


def test_every_shard_is_ingested_until_it_is_dry(alice, redis_client, settings, request):
    shards = range(settings.FAREBOX_SHARDS)
    # The database forgets what this test ingests; so must Redis, or it knows more than the ledger.
    request.addfinalizer(lambda: redis_client.delete(*map(stream_key, shards)))
    for shard in shards:
        append(redis_client, shard, event_of(alice))

    ingest_usage()

    assert UsageEvent.objects.filter(organization_id=alice.organization.pk).count() == len(shards)
    assert ingest_usage() == 0


@pytest.mark.django_db
def test_the_coming_days_have_partitions():
    keep_partitions()

    today = datetime.now(UTC).date()
    assert {today + timedelta(days=offset) for offset in range(PARTITION_DAYS_AHEAD + 1)} <= existing_days(
        EVENTS
    )
