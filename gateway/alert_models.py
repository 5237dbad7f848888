"""Alerts of budgets: what was reached, whom it is to be told, and how far that got.

Raised by `gateway.budget_alerts`, told by `gateway.alert_delivery`.
"""

import uuid

from django.db import models

from accounts.models import Organization
from billing.models import Budget, usd_field

MAX_WEBHOOK_URL_CHARACTERS = 512


class AlertWebhook(models.Model):
    """Where an organization's alerts are posted, signed with a secret of its own."""

    organization = models.OneToOneField(
        Organization, on_delete=models.CASCADE, primary_key=True, related_name="alert_webhook"
    )
    url = models.CharField(max_length=MAX_WEBHOOK_URL_CHARACTERS)
    encrypted_secret = models.BinaryField(editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.url


class BudgetAlert(models.Model):
    """That so many per cent of a budget were spent in one period; once per period and percentage."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="+")
    budget = models.ForeignKey(Budget, on_delete=models.CASCADE, related_name="alerts")
    counter = models.CharField(max_length=160, help_text="The budget's counter in that period.")
    percent = models.PositiveSmallIntegerField()
    subject = models.CharField(
        max_length=256, blank=True, help_text="The tag or end user of a budget for each."
    )
    amount_usd = usd_field()
    spent_usd = usd_field()
    renews_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.UniqueConstraint(fields=["budget", "counter", "percent"], name="budget_alert_once")
        ]

    def __str__(self) -> str:
        return f"{self.percent} % of {self.budget_id}"


class AlertDelivery(models.Model):
    """One way to tell an alert. It is due until it is delivered or given up."""

    class Channel(models.TextChoices):
        MAIL = "mail", "Mail"
        WEBHOOK = "webhook", "Webhook"

    alert = models.ForeignKey(BudgetAlert, on_delete=models.CASCADE, related_name="deliveries")
    channel = models.CharField(max_length=16, choices=Channel.choices)
    due_at = models.DateTimeField(null=True, help_text="When it is tried next; empty: never again.")
    attempts = models.PositiveSmallIntegerField(default=0)
    delivered_at = models.DateTimeField(null=True)
    problem = models.CharField(max_length=256, blank=True, help_text="Why the last attempt failed.")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["alert", "channel"], name="alert_delivery_once_per_channel")
        ]
        indexes = [
            models.Index(
                fields=["due_at"], name="alert_delivery_due", condition=models.Q(due_at__isnull=False)
            )
        ]

    def __str__(self) -> str:
        return f"{self.alert_id} by {self.channel}"
