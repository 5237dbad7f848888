"""Ingestion: each event once, in one transaction with its transfer, whatever dies in between."""

import threading
import uuid
from decimal import Decimal

import orjson
import pytest
import redis
from django.db import connection

from billing.announcements import digest_of
from billing.arrivals import parse_arrival
from billing.ingest import ingest_shard
from billing.models import IngestCursor, LedgerTransfer, UsageBody, UsageEvent
from billing.selectors import balance_usd, charged_usd
from billing.usage_stream import CONSUMER, GROUP, dead_letter_key, later_id, stream_key, waiting_shards
from tests.billing.usage_events import append, event_of
from tests.people import founder


class LosesTheAcknowledgement(redis.Redis):
    """A Redis whose connection breaks when the entries are to be acknowledged."""

    def pipeline(self, *args, **kwargs):
        raise redis.ConnectionError("gone")


def events_of(somebody):
    return UsageEvent.objects.filter(organization_id=somebody.organization.pk)


def pending(client, shard):
    return client.xpending(stream_key(shard), GROUP)["pending"]


def test_an_event_becomes_a_row_with_every_field(alice, redis_client, shard):
    event = event_of(alice, request_body="c2VhbGVk")
    append(redis_client, shard, event)

    assert ingest_shard(redis_client, shard) == 1

    row = events_of(alice).get()
    assert row.id == uuid.UUID(event["id"])
    assert row.occurred_at.isoformat() == event["at"]
    assert (row.project_id, row.key_id) == (alice.project.pk, alice.key_row.pk)
    assert (row.model, row.provider, row.status, row.ending) == ("echo", "fake", 200, "completed")
    assert (row.input_tokens, row.output_tokens, row.reasoning_tokens) == (7, 10, 0)
    assert (row.cost_usd, row.charge_usd) == (Decimal("0.000027"), Decimal("0.000027"))
    assert row.cost_parts["output"] == "0.000020000000"
    assert row.timeline == [["admit", 0.1, 0.5]]
    assert row.tags == ["nightly"]
    assert (row.duration_ms, row.first_token_ms, row.overhead_ms) == (12.5, 3.25, 0.75)
    assert row.is_stream
    assert not row.is_own_credential
    assert row.sequence > 0
    assert bytes(UsageBody.objects.get(event_id=row.id).encrypted_request) == b"sealed"


def test_a_charge_is_posted_under_the_events_id(alice, redis_client, shard):
    event = event_of(alice)
    append(redis_client, shard, event)

    ingest_shard(redis_client, shard)

    transfer = LedgerTransfer.objects.get(pk=uuid.UUID(event["id"]))
    assert (transfer.kind, transfer.organization_id) == ("charge", alice.organization.pk)
    legs = {entry.account.kind: entry.amount_usd for entry in transfer.entries.select_related("account")}
    assert legs == {
        "prepaid_credit": Decimal("-0.000027"),
        "platform_revenue": Decimal("0.000027"),
        "provider_cost": Decimal("-0.000027"),
        "provider_payable": Decimal("0.000027"),
    }


def test_an_own_credential_is_neither_charged_nor_owed(alice, redis_client, shard):
    append(redis_client, shard, event_of(alice, own=True, charge_nano=0))

    ingest_shard(redis_client, shard)

    assert events_of(alice).get().cost_usd == Decimal("0.000027")
    assert not LedgerTransfer.objects.filter(organization=alice.organization).exists()


def test_a_cost_that_nobody_is_charged_is_still_owed_to_the_provider(alice, redis_client, shard):
    event = event_of(alice, charge_nano=0)
    append(redis_client, shard, event)

    ingest_shard(redis_client, shard)

    entries = LedgerTransfer.objects.get(pk=uuid.UUID(event["id"])).entries
    assert set(entries.values_list("account__kind", flat=True)) == {"provider_cost", "provider_payable"}


def test_a_refusal_is_recorded_and_moves_nothing(alice, redis_client, shard):
    append(
        redis_client,
        shard,
        event_of(alice, status=402, ending="refused", usage={}, cost_nano=0, charge_nano=0),
    )

    ingest_shard(redis_client, shard)

    assert events_of(alice).get().status == 402
    assert balance_usd(alice.organization) == 0


def test_the_stream_is_empty_and_the_cursor_at_its_end_afterwards(alice, redis_client, shard):
    *_, last = append(redis_client, shard, *(event_of(alice) for _ in range(5)))

    ingest_shard(redis_client, shard)

    assert redis_client.xlen(stream_key(shard)) == 0
    assert pending(redis_client, shard) == 0
    assert IngestCursor.objects.get(shard=shard).stream_id == last


def test_a_batch_takes_no_more_than_it_may(alice, redis_client, shard):
    ids = append(redis_client, shard, *(event_of(alice) for _ in range(5)))

    assert ingest_shard(redis_client, shard, max_events=2) == 2
    assert IngestCursor.objects.get(shard=shard).stream_id == ids[1]
    assert [ingest_shard(redis_client, shard, max_events=2) for _ in range(3)] == [2, 1, 0]
    assert events_of(alice).count() == 5


def test_an_event_that_was_sent_twice_is_stored_and_charged_once(alice, redis_client, shard):
    event = event_of(alice)
    append(redis_client, shard, event, event)
    ingest_shard(redis_client, shard)

    append(redis_client, shard, event)
    ingest_shard(redis_client, shard)

    assert events_of(alice).count() == 1
    assert charged_usd(alice.organization) == Decimal("0.000027")


def test_two_reports_of_one_request_with_times_apart_are_one_event(alice, redis_client, shard):
    event = event_of(alice, at="2026-11-21T23:59:59.999999+00:00")
    append(redis_client, shard, event, event_of(alice))
    ingest_shard(redis_client, shard)

    append(redis_client, shard, event | {"at": "2026-11-22T00:00:00+00:00", "charge_nano": 1})
    ingest_shard(redis_client, shard)

    assert events_of(alice).count() == 2
    assert charged_usd(alice.organization) == Decimal("0.000054")


def test_a_crash_between_commit_and_acknowledgement_changes_nothing(alice, redis_client, shard, settings):
    append(redis_client, shard, event_of(alice), event_of(alice))
    with (
        LosesTheAcknowledgement.from_url(settings.FAREBOX_REDIS_URL) as dying,
        pytest.raises(redis.ConnectionError),
    ):
        ingest_shard(dying, shard)
    assert events_of(alice).count() == 2
    assert pending(redis_client, shard) == 2

    assert ingest_shard(redis_client, shard) == 2

    assert events_of(alice).count() == 2
    assert charged_usd(alice.organization) == Decimal("0.000054")
    assert redis_client.xlen(stream_key(shard)) == 0


def test_what_a_dead_consumer_took_is_ingested_before_what_came_later(alice, redis_client, shard):
    ids = append(redis_client, shard, event_of(alice), event_of(alice))
    redis_client.xgroup_create(stream_key(shard), GROUP, id="0")
    redis_client.xreadgroup(GROUP, "a worker that died", {stream_key(shard): ">"}, count=2)
    append(redis_client, shard, event_of(alice))

    assert ingest_shard(redis_client, shard, max_events=2) == 2

    assert IngestCursor.objects.get(shard=shard).stream_id == ids[1]
    assert ingest_shard(redis_client, shard) == 1
    assert events_of(alice).count() == 3


def test_malformed_entries_are_set_aside_and_block_nobody(alice, redis_client, shard):
    redis_client.xadd(stream_key(shard), {"e": b"{not json"})
    redis_client.xadd(stream_key(shard), {"other": b"field"})
    nobody = event_of(alice, organization=uuid.uuid4().hex)
    append(redis_client, shard, nobody, event_of(alice))

    assert ingest_shard(redis_client, shard) == 4

    assert events_of(alice).count() == 1
    assert redis_client.xlen(stream_key(shard)) == 0
    dead = [fields for _, fields in redis_client.xrange(dead_letter_key(shard))]
    assert [fields[b"e"] for fields in dead[:2]] == [b"{not json", b""]
    assert uuid.UUID(nobody["organization"]).hex.encode() in dead[2][b"e"]
    assert b"no organization" in dead[2][b"reason"]


def test_an_event_that_the_database_refuses_is_set_aside_alone(alice, redis_client, shard):
    offset_that_postgres_lacks = event_of(alice, at="2026-11-21T00:00:00+23:59")
    append(redis_client, shard, event_of(alice), offset_that_postgres_lacks, event_of(alice))

    assert ingest_shard(redis_client, shard) == 3

    assert events_of(alice).count() == 2
    assert charged_usd(alice.organization) == Decimal("0.000054")
    assert redis_client.xlen(dead_letter_key(shard)) == 1


def test_a_redis_that_lost_its_memory_is_read_from_the_start_again(alice, redis_client, shard):
    append(redis_client, shard, event_of(alice))
    ingest_shard(redis_client, shard)
    high_id = IngestCursor.objects.get(shard=shard).stream_id
    redis_client.delete(stream_key(shard))

    redis_client.xadd(stream_key(shard), {"e": b"{}"}, id="5-1")
    append(redis_client, shard, event_of(alice))

    assert ingest_shard(redis_client, shard) == 2
    assert events_of(alice).count() == 2
    assert later_id(IngestCursor.objects.get(shard=shard).stream_id, high_id) != high_id


def test_the_cursor_never_goes_back(alice, redis_client, shard):
    IngestCursor.objects.create(shard=shard, stream_id="99999999999999-0")
    append(redis_client, shard, event_of(alice))

    ingest_shard(redis_client, shard)

    assert IngestCursor.objects.get(shard=shard).stream_id == "99999999999999-0"


def test_stream_ids_are_compared_as_numbers():
    assert later_id("9-1", "10-0") == "10-0"
    assert later_id("10-9", "10-10") == "10-10"


def test_keys_remember_their_last_use(alice, redis_client, shard):
    append(
        redis_client,
        shard,
        event_of(alice, at="2026-11-21T02:00:00+00:00"),
        event_of(alice, at="2026-11-21T01:00:00+00:00"),
    )

    ingest_shard(redis_client, shard)

    alice.key_row.refresh_from_db()
    assert alice.key_row.last_used_at.isoformat() == "2026-11-21T02:00:00+00:00"


def test_only_shards_that_hold_something_are_visited(alice, redis_client, shard):
    append(redis_client, shard, event_of(alice))

    assert shard in waiting_shards(redis_client, shard + 1)
    ingest_shard(redis_client, shard)
    assert shard not in waiting_shards(redis_client, shard + 1)


def test_two_ingesters_at_once_store_each_event_once(committed, redis_client, shard):
    somebody = founder(f"{uuid.uuid4().hex}@example.com", organization_name="Raced")
    append(redis_client, shard, *(event_of(somebody) for _ in range(300)))

    def drain():
        with redis.Redis(connection_pool=redis_client.connection_pool) as client:
            while client.xlen(stream_key(shard)):
                ingest_shard(client, shard, max_events=20)
        connection.close()

    threads = [threading.Thread(target=drain) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert events_of(somebody).count() == 300
    assert charged_usd(somebody.organization) == Decimal("0.0081")
    assert redis_client.xinfo_consumers(stream_key(shard), GROUP)[0]["name"] == CONSUMER.encode()


def test_a_page_is_told_what_it_shows(alice):
    event = event_of(alice, usage={"input": 5, "cached_input": 2, "output": 8, "reasoning": 2})

    digest = digest_of(parse_arrival(orjson.dumps(event)))

    assert (digest["prompt_tokens"], digest["completion_tokens"]) == (7, 10)
    assert digest["charge_usd"] == "0.000027000"
    assert digest["key_id"] == str(alice.key_row.pk)
