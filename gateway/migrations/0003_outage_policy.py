"""What an organization lets through while Redis is away."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("accounts", "0002_invitations"), ("gateway", "0002_provider_connection_region")]

    operations = [
        migrations.CreateModel(
            name="OutagePolicy",
            fields=[
                (
                    "organization",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="outage_policy",
                        serialize=False,
                        to="accounts.organization",
                    ),
                ),
                (
                    "redis_away_usd",
                    models.DecimalField(
                        decimal_places=9,
                        default=0,
                        help_text="What may be spent while Redis is away; 0 refuses.",
                        max_digits=20,
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("redis_away_usd__gte", 0)),
                        name="outage_policy_amount_not_negative",
                    )
                ],
            },
        ),
    ]
