"""What an organization wants of requests that are doubles, and of questions that are alike."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0007_project_caching"),
        ("gateway", "0006_provider_connection_database_default"),
    ]

    operations = [
        migrations.CreateModel(
            name="ReusePolicy",
            fields=[
                (
                    "organization",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="reuse_policy",
                        serialize=False,
                        to="accounts.organization",
                    ),
                ),
                (
                    "deduplication_seconds",
                    models.PositiveSmallIntegerField(
                        default=0, help_text="How long a request's double is refused; 0: it is not."
                    ),
                ),
                (
                    "embedding_model",
                    models.CharField(
                        blank=True,
                        help_text="Who tells how alike two questions are, as provider/model; empty: nobody.",
                        max_length=265,
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("deduplication_seconds__lte", 60)),
                        name="reuse_policy_deduplication_in_range",
                    )
                ],
            },
        ),
    ]
