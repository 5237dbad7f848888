"""Aliases of models, and what is tried last, of an organization."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("accounts", "0002_invitations"), ("gateway", "0008_custom_endpoints")]

    operations = [
        migrations.CreateModel(
            name="RoutingPolicy",
            fields=[
                (
                    "organization",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="routing_policy",
                        serialize=False,
                        to="accounts.organization",
                    ),
                ),
                ("model_aliases", models.JSONField(default=dict, help_text="Name → selector.")),
                (
                    "default_fallbacks",
                    models.JSONField(
                        default=list,
                        help_text="Models tried after those of a request that names no fallbacks.",
                    ),
                ),
            ],
        ),
    ]
