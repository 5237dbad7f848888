"""Prices, markups and ceilings that people state: valid from a day, known from a moment."""

import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0002_invitations"),
        ("billing", "0011_usage_event_replayed"),
    ]

    operations = [
        migrations.CreateModel(
            name="Markup",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("valid_from", models.DateField(help_text="The first day (UTC) on which it holds.")),
                (
                    "known_from",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(),
                        editable=False,
                        help_text="Since when this is known; earlier statements stay.",
                    ),
                ),
                ("entered_by", models.CharField(blank=True, editable=False, max_length=254)),
                (
                    "note",
                    models.CharField(blank=True, help_text="Why, for whoever reads it.", max_length=512),
                ),
                (
                    "provider",
                    models.CharField(
                        blank=True, help_text="Empty: every provider without its own.", max_length=64
                    ),
                ),
                (
                    "multiplier_ppm",
                    models.PositiveIntegerField(help_text="In millionths: 1,050,000 is 1.05."),
                ),
                ("fee_pico", models.BigIntegerField(default=0, help_text="Pico-dollars a request.")),
            ],
            options={
                "ordering": ["provider", "-valid_from", "-id"],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("fee_pico__gte", 0), ("multiplier_ppm__gt", 0)),
                        name="markup_not_negative",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="PriceCeiling",
            fields=[
                (
                    "organization",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="price_ceiling",
                        serialize=False,
                        to="accounts.organization",
                    ),
                ),
                ("input_usd_per_million", models.DecimalField(decimal_places=6, max_digits=12)),
                ("output_usd_per_million", models.DecimalField(decimal_places=6, max_digits=12)),
                ("updated_at", models.DateTimeField(auto_now=True)),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            ("input_usd_per_million__gt", 0), ("output_usd_per_million__gt", 0)
                        ),
                        name="price_ceiling_positive",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="PriceFact",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("valid_from", models.DateField(help_text="The first day (UTC) on which it holds.")),
                (
                    "known_from",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(),
                        editable=False,
                        help_text="Since when this is known; earlier statements stay.",
                    ),
                ),
                ("entered_by", models.CharField(blank=True, editable=False, max_length=254)),
                (
                    "note",
                    models.CharField(blank=True, help_text="Why, for whoever reads it.", max_length=512),
                ),
                (
                    "source",
                    models.CharField(
                        choices=[("shipped", "Shipped"), ("operator", "Operator"), ("imported", "Imported")],
                        max_length=16,
                    ),
                ),
                ("provider", models.CharField(max_length=64)),
                ("model", models.CharField(max_length=200)),
                ("region", models.CharField(blank=True, help_text="Empty: everywhere.", max_length=32)),
                (
                    "tier",
                    models.CharField(
                        choices=[
                            ("default", "default"),
                            ("flex", "flex"),
                            ("priority", "priority"),
                            ("batch", "batch"),
                        ],
                        default="default",
                        help_text="Service tier.",
                        max_length=16,
                    ),
                ),
                (
                    "valid_until",
                    models.DateField(
                        blank=True,
                        help_text="The first day on which it no longer holds; empty: until the next.",
                        null=True,
                    ),
                ),
                ("version", models.CharField(blank=True, editable=False, max_length=512)),
                (
                    "facts",
                    models.JSONField(
                        editable=False, help_text="The numbers in pico-dollars; none: taken back.", null=True
                    ),
                ),
                ("source_url", models.CharField(blank=True, max_length=512)),
                (
                    "organization",
                    models.ForeignKey(
                        blank=True,
                        help_text="Empty: what the provider asks. Else what this organization is charged.",
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="prices",
                        to="accounts.organization",
                    ),
                ),
            ],
            options={
                "ordering": ["provider", "model", "region", "tier", "-valid_from", "-id"],
                "indexes": [
                    models.Index(fields=["version"], name="price_fact_by_version"),
                    models.Index(fields=["provider", "model", "-valid_from"], name="price_fact_by_model"),
                    models.Index(
                        condition=models.Q(("organization__isnull", False)),
                        fields=["organization"],
                        name="price_fact_by_organization",
                    ),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("source", "shipped")),
                        fields=("version",),
                        name="price_fact_shipped_once",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("valid_until__isnull", True),
                            ("valid_until__gt", models.F("valid_from")),
                            _connector="OR",
                        ),
                        name="price_fact_ends_after_it_starts",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("organization__isnull", False), ("source", "shipped"), _negated=True
                        ),
                        name="price_fact_shipped_for_everyone",
                    ),
                ],
            },
        ),
    ]
