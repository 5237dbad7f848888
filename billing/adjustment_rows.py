"""Rows of re-rating: what an event's price became when a better one was known.

The event itself is never edited. Its effective cost and charge are its own and the sum of its
adjustments; each adjustment names the version that they then follow from. Written by
`billing.rerating` alone; append-only by trigger.
"""

import uuid

from django.db import models
from django.db.models.functions import Now

from billing.price_rows import MAX_NOTE_CHARACTERS

EVENT_SEQUENCE = "billing_usageevent_sequence"
# Two names of a model at a provider with their days and fingerprints (`billing.terms`).
PRICE_VERSION_CHARACTERS = 1_024


class EventAdjustment(models.Model):
    """The `ordinal`th correction of an event. `occurred_at` is the event's, so that its day gets it."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, help_text="Also its transfer's.")
    event_id = models.UUIDField()
    occurred_at = models.DateTimeField(help_text="When the request arrived.")
    organization_id = models.UUIDField()
    ordinal = models.PositiveSmallIntegerField()
    sequence = models.BigIntegerField(
        db_default=models.Func(models.Value(EVENT_SEQUENCE), function="nextval"),
        help_text="Its place among events in the order of ingestion; the rollups' watermark.",
    )
    posted_at = models.DateTimeField(db_default=Now())
    transfer = models.OneToOneField(
        "billing.LedgerTransfer",
        on_delete=models.PROTECT,
        null=True,
        related_name="event_adjustment",
        help_text="None where an own provider key paid: then nothing moves.",
    )
    price_version = models.CharField(max_length=PRICE_VERSION_CHARACTERS)
    cost_usd = models.DecimalField(max_digits=20, decimal_places=9, help_text="Added to the cost.")
    charge_usd = models.DecimalField(max_digits=20, decimal_places=9, help_text="Added to the charge.")
    note = models.CharField(max_length=MAX_NOTE_CHARACTERS, blank=True)

    class Meta:
        ordering = ["occurred_at", "event_id", "ordinal"]
        constraints = [
            models.UniqueConstraint(fields=["event_id", "ordinal"], name="event_adjustment_once"),
            models.CheckConstraint(
                condition=~models.Q(cost_usd=0, charge_usd=0), name="event_adjustment_not_nothing"
            ),
        ]
        indexes = [
            models.Index(fields=["organization_id", "occurred_at"], name="event_adjustment_by_time"),
            models.Index(fields=["sequence"], name="event_adjustment_by_sequence"),
        ]

    def __str__(self) -> str:
        return f"adjustment {self.ordinal} of {self.event_id}"
