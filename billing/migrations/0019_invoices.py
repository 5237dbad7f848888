"""Invoices and credit notes, and the counter of their numbers."""

import uuid

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("accounts", "0002_invitations"), ("billing", "0018_payments_and_promotion_codes")]

    operations = [
        migrations.CreateModel(
            name="InvoiceCounter",
            fields=[
                (
                    "id",
                    models.PositiveSmallIntegerField(
                        default=1, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("last_number", models.PositiveIntegerField(default=0)),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(condition=models.Q(("id", 1)), name="invoice_counter_single")
                ],
            },
        ),
        migrations.CreateModel(
            name="Invoice",
            fields=[
                (
                    "id",
                    models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False),
                ),
                (
                    "number",
                    models.PositiveIntegerField(help_text="Of this operator, without gaps.", unique=True),
                ),
                (
                    "name",
                    models.CharField(help_text="The number as it is written.", max_length=64, unique=True),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("invoice", "Invoice"),
                            ("credit_note", "Credit note"),
                            ("supplement", "Supplementary invoice"),
                        ],
                        max_length=16,
                    ),
                ),
                ("time_zone", models.CharField(max_length=64)),
                ("starts_at", models.DateTimeField()),
                ("ends_at", models.DateTimeField()),
                ("entries_up_to", models.BigIntegerField(help_text="The last ledger entry that it knows.")),
                (
                    "total_usd",
                    models.DecimalField(
                        decimal_places=9, help_text="Negative on a credit note.", max_digits=20
                    ),
                ),
                ("html", models.BinaryField()),
                ("html_sha256", models.CharField(max_length=64)),
                ("pdf", models.BinaryField()),
                ("pdf_sha256", models.CharField(max_length=64)),
                ("issued_at", models.DateTimeField()),
                (
                    "corrects",
                    models.ForeignKey(
                        help_text="Of a note.",
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="corrections",
                        to="billing.invoice",
                    ),
                ),
                (
                    "organization",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="invoices",
                        to="accounts.organization",
                    ),
                ),
            ],
            options={
                "ordering": ["-number"],
                "indexes": [models.Index(fields=["organization", "-number"], name="invoice_by_organization")],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("corrects", None)),
                        fields=("organization", "starts_at"),
                        name="invoice_once_per_period",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("starts_at__lt", models.F("ends_at"))),
                        name="invoice_period_has_length",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("kind", "credit_note"), ("total_usd__lt", 0)),
                            models.Q(models.Q(("kind", "credit_note"), _negated=True), ("total_usd__gte", 0)),
                            _connector="OR",
                        ),
                        name="invoice_total_fits_kind",
                    ),
                ],
            },
        ),
    ]
