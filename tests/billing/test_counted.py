"""What the data plane reads when Redis has lost a counter: sums and cursor of one snapshot."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.utils import timezone

from billing.counted import CREDIT_GRANTED_SQL, Counted, charged_ever, counted_of, counted_since
from billing.ingest import ingest_shard
from billing.services import top_up
from tests.billing.usage_events import append, event_of


def read(statement):
    query, parameters = statement
    with connection.cursor() as cursor:
        cursor.execute(query, parameters)
        return counted_of(cursor.fetchone())


@pytest.fixture
def ingested(alice, bob, redis_client, shard):
    """Alice's key: $0.000027 twice, once of an own credential, once a day ago. Bob's key: once."""
    yesterday = (timezone.now() - timedelta(days=1)).isoformat()
    ids = append(
        redis_client,
        shard,
        event_of(alice, at=yesterday),
        event_of(alice, own=True, charge_nano=0),
        event_of(bob),
    )
    ingest_shard(redis_client, shard)
    return ids[-1]


@pytest.mark.parametrize(
    ("scope", "amount_nano"), [("organization", 54_000), ("project", 54_000), ("key", 27_000)]
)
def test_a_budget_counts_the_greater_of_charge_and_cost_since_its_start(
    alice, ingested, shard, scope, amount_nano
):
    scope_id = {
        "organization": alice.organization.pk,
        "project": alice.project.pk,
        "key": alice.key_row.pk,
    }[scope]

    counted = read(
        counted_since(
            shard=shard,
            organization_id=alice.organization.pk,
            scope=scope,
            scope_id=scope_id,
            since=timezone.now() - timedelta(hours=1),
        )
    )

    assert counted == Counted(amount_nano, ingested)


def test_a_budget_without_a_start_counts_everything(alice, ingested, shard):
    counted = read(
        counted_since(
            shard=shard,
            organization_id=alice.organization.pk,
            scope="key",
            scope_id=alice.key_row.pk,
            since=None,
        )
    )

    assert counted.amount_nano == 54_000


def test_the_wallet_counts_charges_only(alice, ingested, shard):
    assert read(charged_ever(shard=shard, organization_id=alice.organization.pk)) == Counted(54_000, ingested)


def test_nothing_is_counted_where_nothing_was_ingested(alice, charlie, ingested):
    assert read(charged_ever(shard=999, organization_id=charlie.organization.pk)) == Counted(0, "0-0")


def test_credit_granted_is_all_that_was_credited(alice, ingested):
    top_up(organization=alice.organization, amount_usd=Decimal(3))

    with connection.cursor() as cursor:
        cursor.execute(CREDIT_GRANTED_SQL, {"organization_id": alice.organization.pk})
        assert cursor.fetchone()[0] == Decimal(3)
