"""What happened, summed by hour (UTC). Written by `analytics.rollups` only, and rebuilt from usage events.

One row per hour and value of one dimension: all requests of the organization, of each project,
key, model, provider and tag, and of each cause of an error. A request with two tags counts under both.
"""

from typing import ClassVar

from django.db import models

from billing.models import usd_field


class Dimension(models.TextChoices):
    ORGANIZATION = "organization", "Organization"
    PROJECT = "project", "Project"
    KEY = "key", "Key"
    MODEL = "model", "Model"
    PROVIDER = "provider", "Provider"
    TAG = "tag", "Tag"
    CAUSE = "cause", "Cause of the error"


class Hour(models.Model):
    """What every rollup row is about. `value` is empty for the organization, and for requests without one."""

    organization_id = models.UUIDField()
    dimension = models.CharField(max_length=16, choices=Dimension.choices)
    value = models.CharField(max_length=256, blank=True)
    hour = models.DateTimeField(help_text="The first moment of the hour, UTC.")

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return f"{self.dimension} {self.value} at {self.hour:%Y-%m-%d %H}"


class UsageHour(Hour):
    """Counts and money of one hour."""

    requests = models.BigIntegerField()
    errors = models.BigIntegerField(help_text="Neither completed nor left by the client.")
    estimated_requests = models.BigIntegerField(help_text="Whose usage was counted by us.")
    prompt_tokens = models.BigIntegerField()
    cached_tokens = models.BigIntegerField(help_text="Of the prompt tokens, those read from a cache.")
    completion_tokens = models.BigIntegerField()
    charge_usd = usd_field()
    cost_usd = usd_field()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["organization_id", "dimension", "hour", "value"], name="usage_hour_once"
            )
        ]


class LatencyHour(Hour):
    """How many completed requests of one hour fell into one bucket of `analytics.histograms`."""

    class Measure(models.TextChoices):
        DURATION = "duration", "Duration"
        FIRST_TOKEN = "first_token", "Time to first token"

    measure = models.CharField(max_length=16, choices=Measure.choices)
    bucket = models.PositiveSmallIntegerField()
    requests = models.BigIntegerField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["organization_id", "dimension", "value", "hour", "measure", "bucket"],
                name="latency_hour_once",
            )
        ]


class RollupWatermark(models.Model):
    """Usage events up to this sequence stand in the rollups; moves in the transaction that adds them."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    sequence = models.BigIntegerField(default=0)
    moved_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(condition=models.Q(id=1), name="rollup_watermark_single")
        ]

    def __str__(self) -> str:
        return f"up to {self.sequence}"
