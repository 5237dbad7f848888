"""What providers say they bill, and each day of it beside our books."""

import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0002_invitations"),
        ("billing", "0022_event_adjustments_append_only"),
    ]

    operations = [
        migrations.CreateModel(
            name="ProviderStatement",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("provider", models.CharField(max_length=64)),
                ("day", models.DateField()),
                ("kind", models.CharField(choices=[("cost", "Costs"), ("usage", "Usage")], max_length=8)),
                (
                    "source",
                    models.CharField(help_text="csv, openai costs, anthropic usage, …", max_length=32),
                ),
                (
                    "source_name",
                    models.CharField(help_text="The file or the address it was read from.", max_length=256),
                ),
                (
                    "fingerprint",
                    models.CharField(help_text="Of its lines, so that a repetition is seen.", max_length=64),
                ),
                ("imported_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                (
                    "organization",
                    models.ForeignKey(
                        blank=True,
                        help_text="Whose account with the provider it is of; empty: the operator's.",
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="provider_statements",
                        to="accounts.organization",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="ProviderStatementLine",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                (
                    "model",
                    models.CharField(
                        blank=True, help_text="The provider's name; empty: of no model.", max_length=256
                    ),
                ),
                ("item", models.CharField(blank=True, max_length=256)),
                ("amount_usd", models.DecimalField(decimal_places=12, max_digits=24, null=True)),
                ("requests", models.BigIntegerField(null=True)),
                ("input_tokens", models.BigIntegerField(null=True)),
                ("cached_input_tokens", models.BigIntegerField(null=True)),
                ("cache_write_tokens", models.BigIntegerField(null=True)),
                ("output_tokens", models.BigIntegerField(null=True)),
                (
                    "statement",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="lines",
                        to="billing.providerstatement",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="ProviderDay",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("provider", models.CharField(max_length=64)),
                ("day", models.DateField()),
                ("matched_at", models.DateTimeField()),
                (
                    "ours_usd",
                    models.DecimalField(
                        decimal_places=12, help_text="What our events cost at the price book.", max_digits=24
                    ),
                ),
                (
                    "theirs_usd",
                    models.DecimalField(
                        decimal_places=12, help_text="What the provider bills.", max_digits=24
                    ),
                ),
                (
                    "drift_usd",
                    models.DecimalField(decimal_places=12, help_text="Theirs less ours.", max_digits=24),
                ),
                (
                    "drift_ppm",
                    models.BigIntegerField(
                        help_text="Millionths of ours; empty: ours is nothing.", null=True
                    ),
                ),
                (
                    "is_drifting",
                    models.BooleanField(default=False, help_text="Beyond the setting, and the day is over."),
                ),
                (
                    "told_drift_usd",
                    models.DecimalField(
                        decimal_places=12,
                        help_text="The drift that the operator was last mailed about.",
                        max_digits=24,
                        null=True,
                    ),
                ),
                (
                    "models_matched",
                    models.JSONField(default=list, help_text="One object per model; see matching.ModelDay."),
                ),
                (
                    "organization",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="provider_days",
                        to="accounts.organization",
                    ),
                ),
            ],
            options={
                "ordering": ["-day", "provider"],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("provider", "organization", "day"),
                        name="provider_day_once",
                        nulls_distinct=False,
                    )
                ],
            },
        ),
        migrations.AddIndex(
            model_name="providerstatement",
            index=models.Index(
                fields=["provider", "organization", "day", "kind", "-id"], name="provider_statement_by_day"
            ),
        ),
        migrations.AddConstraint(
            model_name="providerstatementline",
            constraint=models.CheckConstraint(
                condition=models.Q(("amount_usd__isnull", True), ("amount_usd__gte", 0), _connector="OR"),
                name="provider_statement_amount_not_negative",
            ),
        ),
    ]
