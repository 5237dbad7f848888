"""What an organization says of routing: its own names for selectors, and what is tried last."""

from django.db import models

from accounts.models import Organization


class RoutingPolicy(models.Model):
    """Aliases and fallbacks of all keys of an organization; without a row there are none."""

    organization = models.OneToOneField(
        Organization, on_delete=models.CASCADE, primary_key=True, related_name="routing_policy"
    )
    model_aliases = models.JSONField(default=dict, help_text="Name → selector.")
    default_fallbacks = models.JSONField(
        default=list, help_text="Models tried after those of a request that names no fallbacks."
    )

    def __str__(self) -> str:
        return f"{len(self.model_aliases)} aliases of {self.organization_id}"
