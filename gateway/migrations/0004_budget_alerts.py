"""Alerts of budgets, their deliveries, and webhooks."""

import uuid

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0003_apikey_is_budget_clamped"),
        ("billing", "0016_spending_notes"),
        ("gateway", "0003_outage_policy"),
    ]

    operations = [
        migrations.CreateModel(
            name="AlertWebhook",
            fields=[
                (
                    "organization",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="alert_webhook",
                        serialize=False,
                        to="accounts.organization",
                    ),
                ),
                ("url", models.CharField(max_length=512)),
                ("encrypted_secret", models.BinaryField()),
                ("created_at", models.DateTimeField(auto_now_add=True)),
            ],
        ),
        migrations.CreateModel(
            name="BudgetAlert",
            fields=[
                (
                    "id",
                    models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False),
                ),
                (
                    "counter",
                    models.CharField(help_text="The budget's counter in that period.", max_length=160),
                ),
                ("percent", models.PositiveSmallIntegerField()),
                (
                    "subject",
                    models.CharField(
                        blank=True, help_text="The tag or end user of a budget for each.", max_length=256
                    ),
                ),
                ("amount_usd", models.DecimalField(decimal_places=9, max_digits=20)),
                ("spent_usd", models.DecimalField(decimal_places=9, max_digits=20)),
                ("renews_at", models.DateTimeField(null=True)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                (
                    "budget",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="alerts",
                        to="billing.budget",
                    ),
                ),
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
                "ordering": ["-created_at"],
            },
        ),
        migrations.CreateModel(
            name="AlertDelivery",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "channel",
                    models.CharField(choices=[("mail", "Mail"), ("webhook", "Webhook")], max_length=16),
                ),
                (
                    "due_at",
                    models.DateTimeField(help_text="When it is tried next; empty: never again.", null=True),
                ),
                ("attempts", models.PositiveSmallIntegerField(default=0)),
                ("delivered_at", models.DateTimeField(null=True)),
                (
                    "problem",
                    models.CharField(blank=True, help_text="Why the last attempt failed.", max_length=256),
                ),
                (
                    "alert",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="deliveries",
                        to="gateway.budgetalert",
                    ),
                ),
            ],
        ),
        migrations.AddConstraint(
            model_name="budgetalert",
            constraint=models.UniqueConstraint(
                fields=("budget", "counter", "percent"), name="budget_alert_once"
            ),
        ),
        migrations.AddIndex(
            model_name="alertdelivery",
            index=models.Index(
                condition=models.Q(("due_at__isnull", False)), fields=["due_at"], name="alert_delivery_due"
            ),
        ),
        migrations.AddConstraint(
            model_name="alertdelivery",
            constraint=models.UniqueConstraint(
                fields=("alert", "channel"), name="alert_delivery_once_per_channel"
            ),
        ),
    ]
