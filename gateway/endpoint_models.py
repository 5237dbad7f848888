"""Keys under names of their own, the endpoints that take them, and what their owners measured there.

What Unify's clients call custom API keys, custom endpoints and endpoint metrics. A key under a
provider's name is a `ProviderConnection` instead. Writes are in `gateway.provider_key_services` and
`gateway.endpoint_services`.
"""

import uuid

from django.db import models

from accounts.models import Organization

MAX_KEY_NAME_CHARACTERS = 64
MAX_PROVIDER_CHARACTERS = 64
MAX_BASE_URL_CHARACTERS = 512
MAX_MODEL_CHARACTERS = 200
PRICE_DIGITS, PRICE_DECIMALS = 12, 6
METRIC_DIGITS, METRIC_DECIMALS = 18, 6


class ProviderKey(models.Model):
    """A credential that an organization stored to be sent to endpoints of its own."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="provider_keys")
    name = models.CharField(max_length=MAX_KEY_NAME_CHARACTERS)
    encrypted_value = models.BinaryField(editable=False)
    tail = models.CharField(max_length=4, blank=True, editable=False, help_text="Tells keys apart.")
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["organization", "name"], name="provider_key_once")]

    def __str__(self) -> str:
        return self.name


class CustomEndpoint(models.Model):
    """One model at one address, called `model@provider`; its key is found by its name.

    Prices are what the owner stated last; None: nothing was, and only a price ceiling lets it be used.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="custom_endpoints")
    model = models.CharField(max_length=MAX_MODEL_CHARACTERS, help_text="The name that requests use.")
    provider = models.SlugField(
        max_length=MAX_PROVIDER_CHARACTERS, help_text="`custom`, or `custom-` and a provider."
    )
    base_url = models.CharField(max_length=MAX_BASE_URL_CHARACTERS)
    key_name = models.CharField(max_length=MAX_KEY_NAME_CHARACTERS)
    upstream_name = models.CharField(
        max_length=MAX_MODEL_CHARACTERS, help_text="The name that the endpoint uses."
    )
    input_usd_per_million = models.DecimalField(
        max_digits=PRICE_DIGITS, decimal_places=PRICE_DECIMALS, null=True
    )
    output_usd_per_million = models.DecimalField(
        max_digits=PRICE_DIGITS, decimal_places=PRICE_DECIMALS, null=True
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["model", "provider"]
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "model", "provider"], name="custom_endpoint_once"
            ),
            models.CheckConstraint(
                condition=(models.Q(input_usd_per_million=None) | models.Q(input_usd_per_million__gte=0))
                & (models.Q(output_usd_per_million=None) | models.Q(output_usd_per_million__gte=0)),
                name="custom_endpoint_price_not_negative",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def name(self) -> str:
        """As requests and Unify's clients call it."""
        return f"{self.model}@{self.provider}"

    @property
    def has_price(self) -> bool:
        return self.input_usd_per_million is not None and self.output_usd_per_million is not None


class EndpointMetric(models.Model):
    """What an owner says of their endpoint: costs in USD per million tokens, times in milliseconds."""

    class Metric(models.TextChoices):
        INPUT_COST = "input_cost", "Input cost"
        OUTPUT_COST = "output_cost", "Output cost"
        TTFT = "ttft", "Time to first token"
        ITL = "itl", "Inter-token latency"

    id = models.BigAutoField(primary_key=True)
    endpoint = models.ForeignKey(CustomEndpoint, on_delete=models.CASCADE, related_name="metrics")
    metric = models.CharField(max_length=16, choices=Metric.choices)
    value = models.DecimalField(max_digits=METRIC_DIGITS, decimal_places=METRIC_DECIMALS)
    measured_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["endpoint", "measured_at", "metric"], name="endpoint_metric_once"
            ),
            models.CheckConstraint(condition=models.Q(value__gte=0), name="endpoint_metric_not_negative"),
        ]

    def __str__(self) -> str:
        return f"{self.metric} of {self.endpoint_id} at {self.measured_at:%Y-%m-%d %H:%M:%S}"
