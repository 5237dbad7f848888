"""What stands beside usage events: their sealed bodies, and how far their streams have been ingested."""

from django.db import models


class UsageBody(models.Model):
    """The stored request and answer of an event, encrypted with the organization's data key."""

    pk = models.CompositePrimaryKey("event_id", "occurred_at")
    event_id = models.UUIDField()
    occurred_at = models.DateTimeField()
    organization_id = models.UUIDField()
    encrypted_request = models.BinaryField(null=True)
    encrypted_response = models.BinaryField(null=True)

    def __str__(self) -> str:
        return f"bodies of {self.event_id}"


class IngestCursor(models.Model):
    """How far a shard's stream has been ingested; moves in the transaction that writes the events."""

    shard = models.PositiveSmallIntegerField(primary_key=True)
    stream_id = models.CharField(max_length=48, default="0-0")

    def __str__(self) -> str:
        return f"shard {self.shard} to {self.stream_id}"
