"""While an upgrade lasts, two versions share the tables: neither loses what the other does not know."""

import pytest
from django.apps import apps
from django.db import IntegrityError, connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations import AddField

from billing.ingest import ingest_shard
from billing.models import UsageEvent
from billing.usage_stream import dead_letter_key, stream_key
from tests.billing.usage_events import append, event_of

OURS = {"accounts", "analytics", "billing", "gateway"}


def added_columns():
    """(table, column) of all that was added to a table after the first version."""
    migrations = MigrationLoader(None).disk_migrations.values()
    fields = [
        apps.get_model(migration.app_label, operation.model_name)._meta.get_field(operation.name)
        for migration in migrations
        if migration.app_label in OURS and not migration.initial
        for operation in migration.operations
        if isinstance(operation, AddField)
    ]
    return {(field.model._meta.db_table, field.column) for field in fields}


def columns_that_must_be_named():
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT table_name, column_name FROM information_schema.columns"
            " WHERE table_schema = current_schema() AND is_nullable = 'NO' AND column_default IS NULL"
        )
        return set(cursor.fetchall())


def alter_events(change):
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE billing_usageevent {change}")


def test_a_version_that_does_not_know_a_column_can_still_insert(db):
    assert ("billing_usageevent", "would_refuse") in added_columns()

    assert added_columns() & columns_that_must_be_named() == set()


def test_events_wait_while_a_column_that_we_do_not_know_must_be_named(alice, redis_client, shard):
    append(redis_client, shard, event_of(alice), event_of(alice))
    alter_events("ADD COLUMN of_another_version bigint NOT NULL DEFAULT 1")
    alter_events("ALTER COLUMN of_another_version DROP DEFAULT")

    with pytest.raises(IntegrityError, match="of_another_version"):
        ingest_shard(redis_client, shard)

    assert redis_client.xlen(stream_key(shard)) == 2
    assert redis_client.xlen(dead_letter_key(shard)) == 0

    alter_events("ALTER COLUMN of_another_version SET DEFAULT 1")
    assert ingest_shard(redis_client, shard) == 2
    assert UsageEvent.objects.filter(organization_id=alice.organization.pk).count() == 2
