"""Corrections of events at prices that became known later; the events stay as they are."""

import uuid

import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0020_invoices_append_only"),
    ]

    operations = [
        migrations.CreateModel(
            name="EventAdjustment",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=uuid.uuid4,
                        help_text="Also its transfer's.",
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("event_id", models.UUIDField()),
                ("occurred_at", models.DateTimeField(help_text="When the request arrived.")),
                ("organization_id", models.UUIDField()),
                ("ordinal", models.PositiveSmallIntegerField()),
                (
                    "sequence",
                    models.BigIntegerField(
                        db_default=models.Func(
                            models.Value("billing_usageevent_sequence"), function="nextval"
                        ),
                        help_text="Its place among events in the order of ingestion; the rollups' watermark.",
                    ),
                ),
                ("posted_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("price_version", models.CharField(max_length=1024)),
                (
                    "cost_usd",
                    models.DecimalField(decimal_places=9, help_text="Added to the cost.", max_digits=20),
                ),
                (
                    "charge_usd",
                    models.DecimalField(decimal_places=9, help_text="Added to the charge.", max_digits=20),
                ),
                ("note", models.CharField(blank=True, max_length=512)),
                (
                    "transfer",
                    models.OneToOneField(
                        help_text="None where an own provider key paid: then nothing moves.",
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="event_adjustment",
                        to="billing.ledgertransfer",
                    ),
                ),
            ],
            options={
                "ordering": ["occurred_at", "event_id", "ordinal"],
                "indexes": [
                    models.Index(fields=["organization_id", "occurred_at"], name="event_adjustment_by_time"),
                    models.Index(fields=["sequence"], name="event_adjustment_by_sequence"),
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("event_id", "ordinal"), name="event_adjustment_once"),
                    models.CheckConstraint(
                        condition=models.Q(("charge_usd", 0), ("cost_usd", 0), _negated=True),
                        name="event_adjustment_not_nothing",
                    ),
                ],
            },
        ),
    ]
