"""Provider connections and the models that their owners declare."""

import uuid

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("accounts", "0001_people_organizations_keys"),
    ]

    operations = [
        migrations.CreateModel(
            name="ProviderConnection",
            fields=[
                (
                    "id",
                    models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False),
                ),
                (
                    "provider",
                    models.SlugField(help_text="The provider's name in model strings.", max_length=64),
                ),
                ("base_url", models.CharField(max_length=512)),
                ("encrypted_api_key", models.BinaryField()),
                (
                    "api_key_tail",
                    models.CharField(
                        blank=True,
                        editable=False,
                        help_text="Tells keys apart; empty: it has no key.",
                        max_length=4,
                    ),
                ),
                ("is_active", models.BooleanField(default=True)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                (
                    "updated_at",
                    models.DateTimeField(
                        auto_now=True, help_text="Processes load the operator's rows anew when it moves."
                    ),
                ),
                (
                    "organization",
                    models.ForeignKey(
                        blank=True,
                        help_text="Empty: the operator's, which everyone may use.",
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="provider_connections",
                        to="accounts.organization",
                    ),
                ),
            ],
            options={
                "ordering": ["provider"],
            },
        ),
        migrations.CreateModel(
            name="CustomModel",
            fields=[
                (
                    "id",
                    models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False),
                ),
                ("model", models.CharField(help_text="The name that requests use.", max_length=200)),
                (
                    "upstream_name",
                    models.CharField(help_text="The name that the endpoint uses.", max_length=200),
                ),
                ("context_window_tokens", models.PositiveIntegerField(default=128000)),
                ("max_output_tokens", models.PositiveIntegerField(default=4096)),
                ("input_usd_per_million", models.DecimalField(decimal_places=6, max_digits=12)),
                ("output_usd_per_million", models.DecimalField(decimal_places=6, max_digits=12)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                (
                    "connection",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="custom_models",
                        to="gateway.providerconnection",
                    ),
                ),
            ],
            options={
                "ordering": ["model"],
            },
        ),
        migrations.AddConstraint(
            model_name="providerconnection",
            constraint=models.UniqueConstraint(
                fields=("organization", "provider"), name="provider_connection_once", nulls_distinct=False
            ),
        ),
        migrations.AddConstraint(
            model_name="custommodel",
            constraint=models.UniqueConstraint(fields=("connection", "model"), name="custom_model_once"),
        ),
        migrations.AddConstraint(
            model_name="custommodel",
            constraint=models.CheckConstraint(
                condition=models.Q(("input_usd_per_million__gte", 0), ("output_usd_per_million__gte", 0)),
                name="custom_model_price_not_negative",
            ),
        ),
        migrations.AddConstraint(
            model_name="custommodel",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("max_output_tokens__gte", 1),
                    ("max_output_tokens__lte", models.F("context_window_tokens")),
                ),
                name="custom_model_output_within_window",
            ),
        ),
    ]
