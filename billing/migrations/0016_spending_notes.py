"""Notes of who has spent, for the alerts of budgets."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0003_apikey_is_budget_clamped"),
        ("billing", "0015_usage_event_would_refuse"),
    ]

    operations = [
        migrations.CreateModel(
            name="SpendingNote",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "scope",
                    models.CharField(
                        blank=True, help_text="tag or end_user; empty: no label.", max_length=16
                    ),
                ),
                ("subject", models.CharField(blank=True, max_length=256)),
                (
                    "organization",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="accounts.organization",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("organization", "scope", "subject"), name="spending_note_once"
                    )
                ],
            },
        ),
    ]
