"""What audits of the ledger have found: one row per run, and one per rule and organization that differed.

Append-only by trigger, as the ledger is. Written by `billing.audit_runs` alone.
"""

import uuid

from django.contrib.postgres.fields import ArrayField
from django.db import models


class LedgerAudit(models.Model):
    """One run of the audit, written when it had ended."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField()
    failure = models.CharField(
        max_length=256, blank=True, help_text="Why it could not be finished; empty: it was."
    )
    differences = models.BigIntegerField(default=0)
    rules = models.JSONField(default=list, help_text="[{number, title, differences}, …]")
    transfers = models.BigIntegerField(default=0)
    entries = models.BigIntegerField(default=0)
    events = models.BigIntegerField(default=0)
    repriced = models.BigIntegerField(default=0, help_text="Events priced again.")
    not_repriced = models.BigIntegerField(default=0, help_text="Events at prices that the book lacks.")

    class Meta:
        ordering = ["-finished_at"]
        indexes = [models.Index(fields=["-finished_at"], name="ledger_audit_by_time")]

    def __str__(self) -> str:
        return f"Audit of {self.finished_at:%Y-%m-%d %H:%M} UTC: {self.outcome}"

    @property
    def outcome(self) -> str:
        if self.failure:
            return "not finished"
        return f"{self.differences} differ" if self.differences else "clean"

    @property
    def is_clean(self) -> bool:
        return not self.failure and not self.differences


class LedgerAuditFinding(models.Model):
    """What breaks one rule in one organization's books, as of one audit."""

    id = models.BigAutoField(primary_key=True)
    audit = models.ForeignKey(LedgerAudit, on_delete=models.PROTECT, related_name="findings")
    organization_id = models.UUIDField(null=True, help_text="Empty: it is nobody's alone.")
    number = models.CharField(max_length=8, help_text="The invariant's number in docs/ledger.md.")
    title = models.CharField(max_length=128)
    differences = models.BigIntegerField()
    examples = ArrayField(models.TextField(), default=list)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["audit", "organization_id", "title"],
                nulls_distinct=False,
                name="ledger_audit_finding_once",
            )
        ]

    def __str__(self) -> str:
        return f"{self.number} {self.title}: {self.differences}"
