"""Usage events and bodies, partitioned by day of arrival (UTC).

A default partition catches what no day holds, so that an event is never refused for its date;
`billing.partitions` makes the days ahead and empties the default partition into days.
"""

import uuid

import django.contrib.postgres.fields
import django.contrib.postgres.indexes
import django.db.models.functions.datetime
from django.db import migrations, models

CREATE_PARTITIONS = """
DO $$
DECLARE
    parent text;
    first_day date;
BEGIN
    FOREACH parent IN ARRAY ARRAY['billing_usageevent', 'billing_usagebody'] LOOP
        EXECUTE format('CREATE TABLE %I PARTITION OF %I DEFAULT', parent || '_default', parent);
        FOR first_day IN SELECT generate_series(current_date - 1, current_date + 7, interval '1 day') LOOP
            EXECUTE format(
                'CREATE TABLE %I PARTITION OF %I FOR VALUES FROM (%L) TO (%L)',
                parent || to_char(first_day, '_pYYYYMMDD'),
                parent,
                to_char(first_day, 'YYYY-MM-DD "00:00:00+00"'),
                to_char(first_day + 1, 'YYYY-MM-DD "00:00:00+00"')
            );
        END LOOP;
    END LOOP;
END $$
"""


class CreateModelByDay(migrations.CreateModel):
    """CreateModel whose table is partitioned by the range of `occurred_at`."""

    def database_forwards(self, app_label, schema_editor, from_state, to_state):
        plain_sql = schema_editor.sql_create_table
        schema_editor.sql_create_table = plain_sql + " PARTITION BY RANGE (occurred_at)"
        super().database_forwards(app_label, schema_editor, from_state, to_state)
        schema_editor.sql_create_table = plain_sql


class Migration(migrations.Migration):
    dependencies = [("billing", "0001_budgets_and_ledger")]

    operations = [
        migrations.RunSQL(
            "CREATE SEQUENCE billing_usageevent_sequence AS bigint",
            "DROP SEQUENCE billing_usageevent_sequence",
        ),
        CreateModelByDay(
            name="UsageBody",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "event_id",
                        "occurred_at",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("event_id", models.UUIDField()),
                ("occurred_at", models.DateTimeField()),
                ("organization_id", models.UUIDField()),
                ("encrypted_request", models.BinaryField(null=True)),
                ("encrypted_response", models.BinaryField(null=True)),
            ],
        ),
        CreateModelByDay(
            name="UsageEvent",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "id", "occurred_at", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("id", models.UUIDField(default=uuid.uuid4)),
                ("occurred_at", models.DateTimeField(help_text="When the request arrived.")),
                (
                    "sequence",
                    models.BigIntegerField(
                        db_default=models.Func(
                            models.Value("billing_usageevent_sequence"), function="nextval"
                        ),
                        help_text="Order of ingestion; the rollups' watermark.",
                    ),
                ),
                ("ingested_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("organization_id", models.UUIDField()),
                ("project_id", models.UUIDField()),
                ("key_id", models.UUIDField()),
                ("request_id", models.CharField(help_text="What x-request-id said.", max_length=128)),
                ("route", models.CharField(help_text="The path that was called.", max_length=64)),
                ("requested_model", models.CharField(max_length=256)),
                ("model", models.CharField(blank=True, max_length=256)),
                ("provider", models.CharField(blank=True, max_length=64)),
                ("is_own_credential", models.BooleanField(default=False)),
                ("is_stream", models.BooleanField(default=False)),
                (
                    "status",
                    models.PositiveSmallIntegerField(
                        help_text="HTTP status to the client; 499 when it left first."
                    ),
                ),
                (
                    "ending",
                    models.CharField(
                        choices=[
                            ("completed", "Completed"),
                            ("refused", "Refused by Farebox"),
                            ("upstream_error", "Provider error"),
                            ("client_left", "Client left"),
                            ("cut", "Cut by Farebox"),
                            ("recovered", "Recovered after a crash"),
                        ],
                        max_length=16,
                    ),
                ),
                ("error_code", models.CharField(blank=True, max_length=64)),
                ("error_message", models.CharField(blank=True, max_length=512)),
                ("finish_reason", models.CharField(blank=True, max_length=32)),
                ("input_tokens", models.BigIntegerField(default=0)),
                ("cached_input_tokens", models.BigIntegerField(default=0)),
                ("cache_write_tokens", models.BigIntegerField(default=0)),
                ("output_tokens", models.BigIntegerField(default=0)),
                ("reasoning_tokens", models.BigIntegerField(default=0)),
                ("audio_input_tokens", models.BigIntegerField(default=0)),
                ("audio_output_tokens", models.BigIntegerField(default=0)),
                ("image_input_tokens", models.BigIntegerField(default=0)),
                ("searches", models.IntegerField(default=0)),
                (
                    "is_estimated",
                    models.BooleanField(
                        default=False, help_text="The provider reported no usage; we counted."
                    ),
                ),
                ("price_version", models.CharField(blank=True, max_length=128)),
                (
                    "cost_usd",
                    models.DecimalField(
                        decimal_places=9,
                        default=0,
                        help_text="At the price book, whoever pays it.",
                        max_digits=20,
                    ),
                ),
                (
                    "charge_usd",
                    models.DecimalField(
                        decimal_places=9,
                        default=0,
                        help_text="What the organization's credit was charged.",
                        max_digits=20,
                    ),
                ),
                (
                    "cost_parts",
                    models.JSONField(
                        default=dict, help_text="USD by part, as decimal strings: input, output, …"
                    ),
                ),
                ("duration_ms", models.FloatField(null=True)),
                ("first_token_ms", models.FloatField(null=True)),
                ("overhead_ms", models.FloatField(null=True)),
                (
                    "timeline",
                    models.JSONField(default=list, help_text="[[step, start_ms, end_ms], …] from arrival."),
                ),
                (
                    "attempts",
                    models.JSONField(
                        default=list, help_text="[{provider, model, status_code, error_type, …}, …]"
                    ),
                ),
                (
                    "limits",
                    models.JSONField(
                        default=dict, help_text="Limits and budgets as they stood after admission."
                    ),
                ),
                (
                    "parameters",
                    models.JSONField(
                        default=dict, help_text="The request's parameters without its messages."
                    ),
                ),
                (
                    "tags",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=64), default=list, size=None
                    ),
                ),
                ("end_user", models.CharField(blank=True, max_length=256)),
                ("session_id", models.CharField(blank=True, max_length=256)),
                ("agent", models.CharField(blank=True, max_length=256)),
                ("source", models.CharField(blank=True, max_length=256)),
            ],
            options={
                "ordering": ["-occurred_at", "-id"],
                "indexes": [
                    models.Index(
                        models.F("organization_id"),
                        models.OrderBy(models.F("occurred_at"), descending=True),
                        models.OrderBy(models.F("id"), descending=True),
                        include=("charge_usd", "cost_usd"),
                        name="usage_event_by_organization",
                    ),
                    models.Index(
                        models.F("organization_id"),
                        models.F("key_id"),
                        models.F("occurred_at"),
                        include=("charge_usd", "cost_usd"),
                        name="usage_event_by_key",
                    ),
                    models.Index(
                        models.F("organization_id"),
                        models.F("project_id"),
                        models.F("occurred_at"),
                        include=("charge_usd", "cost_usd"),
                        name="usage_event_by_project",
                    ),
                    models.Index(models.F("sequence"), name="usage_event_by_sequence"),
                    django.contrib.postgres.indexes.GinIndex(
                        fastupdate=False, fields=["tags"], name="usage_event_by_tag"
                    ),
                ],
            },
        ),
        migrations.RunSQL(CREATE_PARTITIONS, migrations.RunSQL.noop),
    ]
