"""Keys under names of their own, the endpoints that take them, and their owners' metrics."""

import uuid

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0001_people_organizations_keys"),
        ("gateway", "0007_reuse_policy"),
    ]

    operations = [
        migrations.CreateModel(
            name="CustomEndpoint",
            fields=[
                (
                    "id",
                    models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False),
                ),
                ("model", models.CharField(help_text="The name that requests use.", max_length=200)),
                (
                    "provider",
                    models.SlugField(help_text="`custom`, or `custom-` and a provider.", max_length=64),
                ),
                ("base_url", models.CharField(max_length=512)),
                ("key_name", models.CharField(max_length=64)),
                (
                    "upstream_name",
                    models.CharField(help_text="The name that the endpoint uses.", max_length=200),
                ),
                ("input_usd_per_million", models.DecimalField(decimal_places=6, max_digits=12, null=True)),
                ("output_usd_per_million", models.DecimalField(decimal_places=6, max_digits=12, null=True)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                (
                    "organization",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="custom_endpoints",
                        to="accounts.organization",
                    ),
                ),
            ],
            options={
                "ordering": ["model", "provider"],
            },
        ),
        migrations.CreateModel(
            name="EndpointMetric",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                (
                    "metric",
                    models.CharField(
                        choices=[
                            ("input_cost", "Input cost"),
                            ("output_cost", "Output cost"),
                            ("ttft", "Time to first token"),
                            ("itl", "Inter-token latency"),
                        ],
                        max_length=16,
                    ),
                ),
                ("value", models.DecimalField(decimal_places=6, max_digits=18)),
                ("measured_at", models.DateTimeField()),
                (
                    "endpoint",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="metrics",
                        to="gateway.customendpoint",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="ProviderKey",
            fields=[
                (
                    "id",
                    models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False),
                ),
                ("name", models.CharField(max_length=64)),
                ("encrypted_value", models.BinaryField()),
                (
                    "tail",
                    models.CharField(blank=True, editable=False, help_text="Tells keys apart.", max_length=4),
                ),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("updated_at", models.DateTimeField(auto_now=True)),
                (
                    "organization",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="provider_keys",
                        to="accounts.organization",
                    ),
                ),
            ],
            options={
                "ordering": ["name"],
            },
        ),
        migrations.AddConstraint(
            model_name="customendpoint",
            constraint=models.UniqueConstraint(
                fields=("organization", "model", "provider"), name="custom_endpoint_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="customendpoint",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(
                        ("input_usd_per_million", None), ("input_usd_per_million__gte", 0), _connector="OR"
                    ),
                    models.Q(
                        ("output_usd_per_million", None), ("output_usd_per_million__gte", 0), _connector="OR"
                    ),
                ),
                name="custom_endpoint_price_not_negative",
            ),
        ),
        migrations.AddConstraint(
            model_name="endpointmetric",
            constraint=models.UniqueConstraint(
                fields=("endpoint", "measured_at", "metric"), name="endpoint_metric_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="endpointmetric",
            constraint=models.CheckConstraint(
                condition=models.Q(("value__gte", 0)), name="endpoint_metric_not_negative"
            ),
        ),
        migrations.AddConstraint(
            model_name="providerkey",
            constraint=models.UniqueConstraint(fields=("organization", "name"), name="provider_key_once"),
        ),
    ]
