"""Budgets, the ledger's tables and the cursors of ingestion."""

import uuid

import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = [("accounts", "0001_people_organizations_keys")]

    operations = [
        migrations.CreateModel(
            name="IngestCursor",
            fields=[
                ("shard", models.PositiveSmallIntegerField(primary_key=True, serialize=False)),
                ("stream_id", models.CharField(default="0-0", max_length=48)),
            ],
        ),
        migrations.CreateModel(
            name="LedgerAccount",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("prepaid_credit", "Prepaid credit"),
                            ("platform_revenue", "Platform revenue"),
                            ("provider_cost", "Provider cost"),
                            ("provider_payable", "Owed to providers"),
                            ("promotion", "Promotion"),
                            ("adjustment", "Adjustment"),
                            ("payments", "Payments received"),
                        ],
                        max_length=32,
                    ),
                ),
                ("balance_usd", models.DecimalField(decimal_places=9, default=0, max_digits=20)),
                (
                    "charged_usd",
                    models.DecimalField(
                        decimal_places=9,
                        default=0,
                        help_text="What charges have taken from it.",
                        max_digits=20,
                    ),
                ),
                (
                    "organization",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="ledger_accounts",
                        to="accounts.organization",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="LedgerTransfer",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, primary_key=True, serialize=False)),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("charge", "Usage"),
                            ("top_up", "Top-up"),
                            ("promotion", "Promotion"),
                            ("refund", "Refund"),
                            ("adjustment", "Adjustment"),
                        ],
                        max_length=16,
                    ),
                ),
                ("occurred_at", models.DateTimeField()),
                ("posted_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                (
                    "posted_in",
                    models.BigIntegerField(
                        db_default=models.Func(function="txid_current"),
                        editable=False,
                        help_text="The database transaction that posted it; a transfer takes no entries after that.",
                    ),
                ),
                ("description", models.CharField(blank=True, max_length=256)),
                (
                    "organization",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="ledger_transfers",
                        to="accounts.organization",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="LedgerEntry",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                (
                    "occurred_at",
                    models.DateTimeField(help_text="The transfer's, kept here for the statements' index."),
                ),
                ("amount_usd", models.DecimalField(decimal_places=9, max_digits=20)),
                ("balance_after_usd", models.DecimalField(decimal_places=9, max_digits=20)),
                (
                    "account",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="entries",
                        to="billing.ledgeraccount",
                    ),
                ),
                (
                    "transfer",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="entries",
                        to="billing.ledgertransfer",
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "ledger entries",
            },
        ),
        migrations.CreateModel(
            name="Budget",
            fields=[
                (
                    "id",
                    models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False),
                ),
                (
                    "scope",
                    models.CharField(
                        choices=[("organization", "Organization"), ("project", "Project"), ("key", "Key")],
                        max_length=16,
                    ),
                ),
                (
                    "scope_id",
                    models.UUIDField(help_text="The id of the organization, project or key that it binds."),
                ),
                ("amount_usd", models.DecimalField(decimal_places=9, max_digits=20)),
                (
                    "window",
                    models.CharField(
                        choices=[
                            ("day", "a day"),
                            ("week", "a week"),
                            ("month", "a month"),
                            ("total", "in total"),
                        ],
                        max_length=16,
                    ),
                ),
                ("time_zone", models.CharField(default="UTC", max_length=64)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                (
                    "organization",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="budgets",
                        to="accounts.organization",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("scope", "scope_id", "window"), name="budget_once_per_scope_and_window"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("amount_usd__gte", 0)), name="budget_amount_not_negative"
                    ),
                ],
            },
        ),
        migrations.AddConstraint(
            model_name="ledgeraccount",
            constraint=models.UniqueConstraint(fields=("organization", "kind"), name="ledger_account_once"),
        ),
        migrations.AddIndex(
            model_name="ledgerentry",
            index=models.Index(fields=["account", "-id"], name="ledger_entry_by_account"),
        ),
        migrations.AddIndex(
            model_name="ledgerentry",
            index=models.Index(fields=["account", "-occurred_at", "-id"], name="ledger_entry_by_time"),
        ),
        migrations.AddConstraint(
            model_name="ledgerentry",
            constraint=models.UniqueConstraint(
                fields=("transfer", "account"), name="ledger_entry_once_per_account"
            ),
        ),
        migrations.AddConstraint(
            model_name="ledgerentry",
            constraint=models.CheckConstraint(
                condition=models.Q(("amount_usd", 0), _negated=True), name="ledger_entry_not_zero"
            ),
        ),
    ]
