"""What audits have found: a row per run, and one per rule and organization that differed."""

import uuid

import django.contrib.postgres.fields
import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0008_usage_event_longer_price_version"),
    ]

    operations = [
        migrations.CreateModel(
            name="LedgerAudit",
            fields=[
                (
                    "id",
                    models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False),
                ),
                ("started_at", models.DateTimeField()),
                ("finished_at", models.DateTimeField()),
                (
                    "failure",
                    models.CharField(
                        blank=True, help_text="Why it could not be finished; empty: it was.", max_length=256
                    ),
                ),
                ("differences", models.BigIntegerField(default=0)),
                ("rules", models.JSONField(default=list, help_text="[{number, title, differences}, …]")),
                ("transfers", models.BigIntegerField(default=0)),
                ("entries", models.BigIntegerField(default=0)),
                ("events", models.BigIntegerField(default=0)),
                ("repriced", models.BigIntegerField(default=0, help_text="Events priced again.")),
                (
                    "not_repriced",
                    models.BigIntegerField(default=0, help_text="Events at prices that the book lacks."),
                ),
            ],
            options={
                "ordering": ["-finished_at"],
                "indexes": [models.Index(fields=["-finished_at"], name="ledger_audit_by_time")],
            },
        ),
        migrations.CreateModel(
            name="LedgerAuditFinding",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("organization_id", models.UUIDField(help_text="Empty: it is nobody's alone.", null=True)),
                (
                    "number",
                    models.CharField(help_text="The invariant's number in docs/ledger.md.", max_length=8),
                ),
                ("title", models.CharField(max_length=128)),
                ("differences", models.BigIntegerField()),
                (
                    "examples",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.TextField(), default=list, size=None
                    ),
                ),
                (
                    "audit",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="findings",
                        to="billing.ledgeraudit",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("audit", "organization_id", "title"),
                        name="ledger_audit_finding_once",
                        nulls_distinct=False,
                    )
                ],
            },
        ),
    ]
