"""What providers say they bill, as they said it, and each day of it beside our own books.

Statements and their lines are append-only by trigger: a correction is another statement of the same
day, and the latest counts. `ProviderDay` is derived from them and made anew at every match.
Written by `billing.reconciliation`.
"""

from typing import Any

from django.db import models
from django.db.models.functions import Now

from accounts.models import Organization

# Providers' amounts are finer than a nano-dollar.
BILLED_DIGITS, BILLED_DECIMALS = 24, 12


def billed_field(**options: Any) -> "models.DecimalField[Any, Any]":
    """A column of US dollars, exact to the pico-dollar."""
    return models.DecimalField(max_digits=BILLED_DIGITS, decimal_places=BILLED_DECIMALS, **options)


class ProviderStatement(models.Model):
    """What one export said of one UTC day: its costs or its usage. The latest of a day counts."""

    class Kind(models.TextChoices):
        COST = "cost", "Costs"
        USAGE = "usage", "Usage"

    id = models.BigAutoField(primary_key=True)
    provider = models.CharField(max_length=64)
    organization = models.ForeignKey(
        Organization,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="provider_statements",
        help_text="Whose account with the provider it is of; empty: the operator's.",
    )
    day = models.DateField()
    kind = models.CharField(max_length=8, choices=Kind.choices)
    source = models.CharField(max_length=32, help_text="csv, openai costs, anthropic usage, …")
    source_name = models.CharField(max_length=256, help_text="The file or the address it was read from.")
    fingerprint = models.CharField(max_length=64, help_text="Of its lines, so that a repetition is seen.")
    imported_at = models.DateTimeField(db_default=Now())

    class Meta:
        indexes = [
            models.Index(
                fields=["provider", "organization", "day", "kind", "-id"], name="provider_statement_by_day"
            )
        ]

    def __str__(self) -> str:
        return f"{self.provider} {self.day} {self.kind}"


class ProviderStatementLine(models.Model):
    """One line of a statement. Counts are disjoint; null where the export has none."""

    id = models.BigAutoField(primary_key=True)
    statement = models.ForeignKey(ProviderStatement, on_delete=models.PROTECT, related_name="lines")
    model = models.CharField(max_length=256, blank=True, help_text="The provider's name; empty: of no model.")
    item = models.CharField(max_length=256, blank=True)
    amount_usd = billed_field(null=True)
    requests = models.BigIntegerField(null=True)
    input_tokens = models.BigIntegerField(null=True)
    cached_input_tokens = models.BigIntegerField(null=True)
    cache_write_tokens = models.BigIntegerField(null=True)
    output_tokens = models.BigIntegerField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(amount_usd__isnull=True) | models.Q(amount_usd__gte=0),
                name="provider_statement_amount_not_negative",
            )
        ]

    def __str__(self) -> str:
        return f"{self.model} {self.item}"


class ProviderDay(models.Model):
    """One UTC day of one provider account: its bill beside our cost, as of `matched_at`."""

    id = models.BigAutoField(primary_key=True)
    provider = models.CharField(max_length=64)
    organization = models.ForeignKey(
        Organization, on_delete=models.CASCADE, null=True, blank=True, related_name="provider_days"
    )
    day = models.DateField()
    matched_at = models.DateTimeField()
    ours_usd = billed_field(help_text="What our events cost at the price book.")
    theirs_usd = billed_field(help_text="What the provider bills.")
    drift_usd = billed_field(help_text="Theirs less ours.")
    drift_ppm = models.BigIntegerField(null=True, help_text="Millionths of ours; empty: ours is nothing.")
    is_drifting = models.BooleanField(default=False, help_text="Beyond the setting, and the day is over.")
    told_drift_usd = billed_field(null=True, help_text="The drift that the operator was last mailed about.")
    models_matched = models.JSONField(default=list, help_text="One object per model; see matching.ModelDay.")

    class Meta:
        ordering = ["-day", "provider"]
        constraints = [
            models.UniqueConstraint(
                fields=["provider", "organization", "day"], nulls_distinct=False, name="provider_day_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.provider} {self.day}"
