"""Invoices and credit notes: documents that never change once they are issued.

A trigger refuses every change. The document is stored as the bytes that were issued, with their
SHA-256. Numbers come from `InvoiceCounter`, whose row is locked until the document is committed:
a number that is not used is not taken.
"""

import uuid

from django.db import models

from accounts.models import Organization
from billing.columns import usd_field


class Invoice(models.Model):
    """What an organization was charged from `starts_at` up to `ends_at`; a note: what changed since."""

    class Kind(models.TextChoices):
        INVOICE = "invoice", "Invoice"
        CREDIT_NOTE = "credit_note", "Credit note"
        SUPPLEMENT = "supplement", "Supplementary invoice"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="invoices")
    number = models.PositiveIntegerField(unique=True, help_text="Of this operator, without gaps.")
    name = models.CharField(max_length=64, unique=True, help_text="The number as it is written.")
    kind = models.CharField(max_length=16, choices=Kind.choices)
    corrects = models.ForeignKey(
        "self", on_delete=models.PROTECT, null=True, related_name="corrections", help_text="Of a note."
    )
    time_zone = models.CharField(max_length=64)
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    entries_up_to = models.BigIntegerField(help_text="The last ledger entry that it knows.")
    total_usd = usd_field(help_text="Negative on a credit note.")
    html = models.BinaryField()
    html_sha256 = models.CharField(max_length=64)
    pdf = models.BinaryField()
    pdf_sha256 = models.CharField(max_length=64)
    issued_at = models.DateTimeField()

    class Meta:
        ordering = ["-number"]
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "starts_at"],
                condition=models.Q(corrects=None),
                name="invoice_once_per_period",
            ),
            models.CheckConstraint(
                condition=models.Q(starts_at__lt=models.F("ends_at")), name="invoice_period_has_length"
            ),
            models.CheckConstraint(
                condition=models.Q(kind="credit_note", total_usd__lt=0)
                | (~models.Q(kind="credit_note") & models.Q(total_usd__gte=0)),
                name="invoice_total_fits_kind",
            ),
        ]
        indexes = [models.Index(fields=["organization", "-number"], name="invoice_by_organization")]

    def __str__(self) -> str:
        return self.name


class InvoiceCounter(models.Model):
    """The operator's last invoice number; one row."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1, editable=False)
    last_number = models.PositiveIntegerField(default=0)

    class Meta:
        constraints = [models.CheckConstraint(condition=models.Q(id=1), name="invoice_counter_single")]

    def __str__(self) -> str:
        return f"last invoice number {self.last_number}"
