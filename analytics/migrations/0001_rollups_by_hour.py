"""Hourly rollups of usage events, and the watermark up to which they reach."""

from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="LatencyHour",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("organization_id", models.UUIDField()),
                (
                    "dimension",
                    models.CharField(
                        choices=[
                            ("organization", "Organization"),
                            ("project", "Project"),
                            ("key", "Key"),
                            ("model", "Model"),
                            ("provider", "Provider"),
                            ("tag", "Tag"),
                            ("cause", "Cause of the error"),
                        ],
                        max_length=16,
                    ),
                ),
                ("value", models.CharField(blank=True, max_length=256)),
                ("hour", models.DateTimeField(help_text="The first moment of the hour, UTC.")),
                (
                    "measure",
                    models.CharField(
                        choices=[("duration", "Duration"), ("first_token", "Time to first token")],
                        max_length=16,
                    ),
                ),
                ("bucket", models.PositiveSmallIntegerField()),
                ("requests", models.BigIntegerField()),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("organization_id", "dimension", "value", "hour", "measure", "bucket"),
                        name="latency_hour_once",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="RollupWatermark",
            fields=[
                ("id", models.PositiveSmallIntegerField(default=1, primary_key=True, serialize=False)),
                ("sequence", models.BigIntegerField(default=0)),
                ("moved_at", models.DateTimeField(auto_now=True)),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(condition=models.Q(("id", 1)), name="rollup_watermark_single")
                ],
            },
        ),
        migrations.CreateModel(
            name="UsageHour",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("organization_id", models.UUIDField()),
                (
                    "dimension",
                    models.CharField(
                        choices=[
                            ("organization", "Organization"),
                            ("project", "Project"),
                            ("key", "Key"),
                            ("model", "Model"),
                            ("provider", "Provider"),
                            ("tag", "Tag"),
                            ("cause", "Cause of the error"),
                        ],
                        max_length=16,
                    ),
                ),
                ("value", models.CharField(blank=True, max_length=256)),
                ("hour", models.DateTimeField(help_text="The first moment of the hour, UTC.")),
                ("requests", models.BigIntegerField()),
                ("errors", models.BigIntegerField(help_text="Neither completed nor left by the client.")),
                ("estimated_requests", models.BigIntegerField(help_text="Whose usage was counted by us.")),
                ("prompt_tokens", models.BigIntegerField()),
                (
                    "cached_tokens",
                    models.BigIntegerField(help_text="Of the prompt tokens, those read from a cache."),
                ),
                ("completion_tokens", models.BigIntegerField()),
                ("charge_usd", models.DecimalField(decimal_places=9, max_digits=20)),
                ("cost_usd", models.DecimalField(decimal_places=9, max_digits=20)),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("organization_id", "dimension", "hour", "value"), name="usage_hour_once"
                    )
                ],
            },
        ),
    ]
