"""Provider connections, declared models, bill sources: how a provider is reached, with whose credential.

A connection without an organization is the operator's and serves everyone. Secrets are sealed
by `accounts.vault`; every write is a function in `gateway.services`.
"""

import uuid

from django.db import models

from accounts.models import Organization
from billing.models import USD_DECIMALS, USD_DIGITS
from billing.price_rows import MAX_REGION_CHARACTERS
from gateway.alert_models import AlertDelivery as AlertDelivery
from gateway.alert_models import AlertWebhook as AlertWebhook
from gateway.alert_models import BudgetAlert as BudgetAlert
from gateway.endpoint_models import CustomEndpoint as CustomEndpoint
from gateway.endpoint_models import EndpointMetric as EndpointMetric
from gateway.endpoint_models import ProviderKey as ProviderKey
from gateway.routing_models import RoutingPolicy as RoutingPolicy

MAX_PROVIDER_CHARACTERS = 64
MAX_BASE_URL_CHARACTERS = 512
MAX_MODEL_CHARACTERS = 200
MAX_DEDUPLICATION_SECONDS = 60
PRICE_DIGITS, PRICE_DECIMALS = 12, 6


class ProviderConnection(models.Model):
    """One base URL with one credential, of the operator or of an organization."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    organization = models.ForeignKey(
        Organization,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="provider_connections",
        help_text="Empty: the operator's, which everyone may use.",
    )
    provider = models.SlugField(
        max_length=MAX_PROVIDER_CHARACTERS, help_text="The provider's name in model strings."
    )
    base_url = models.CharField(max_length=MAX_BASE_URL_CHARACTERS)
    encrypted_api_key = models.BinaryField(editable=False)
    api_key_tail = models.CharField(
        max_length=4, blank=True, editable=False, help_text="Tells keys apart; empty: it has no key."
    )
    region = models.SlugField(
        max_length=MAX_REGION_CHARACTERS,
        blank=True,
        default="",
        db_default="",
        help_text="Where its endpoint is, if the price book has other prices there; empty: everywhere.",
    )
    is_active = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(
        auto_now=True, help_text="Processes load the operator's rows anew when it moves."
    )

    class Meta:
        ordering = ["provider"]
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "provider"], nulls_distinct=False, name="provider_connection_once"
            ),
        ]

    def __str__(self) -> str:
        return self.provider

    @property
    def has_api_key(self) -> bool:
        return bool(self.api_key_tail)


class OutagePolicy(models.Model):
    """What an organization wants while something that guards its limits is away."""

    organization = models.OneToOneField(
        Organization, on_delete=models.CASCADE, primary_key=True, related_name="outage_policy"
    )
    redis_away_usd = models.DecimalField(
        max_digits=USD_DIGITS,
        decimal_places=USD_DECIMALS,
        default=0,
        help_text="What may be spent while Redis is away; 0 refuses.",
    )

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(redis_away_usd__gte=0), name="outage_policy_amount_not_negative"
            ),
        ]

    def __str__(self) -> str:
        return f"${self.redis_away_usd} for {self.organization_id} while Redis is away"


class ReusePolicy(models.Model):
    """What an organization wants of requests that are doubles, and of questions that are alike."""

    organization = models.OneToOneField(
        Organization, on_delete=models.CASCADE, primary_key=True, related_name="reuse_policy"
    )
    deduplication_seconds = models.PositiveSmallIntegerField(
        default=0, help_text="How long a request's double is refused; 0: it is not."
    )
    embedding_connection = models.ForeignKey(
        ProviderConnection,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        help_text="Who tells how alike two questions are; empty: nobody.",
    )
    embedding_model = models.CharField(
        max_length=MAX_PROVIDER_CHARACTERS + 1 + MAX_MODEL_CHARACTERS,
        blank=True,
        help_text="The model's name at that connection.",
    )
    embedding_usd_per_million = models.DecimalField(
        max_digits=PRICE_DIGITS,
        decimal_places=PRICE_DECIMALS,
        default=0,
        db_default=0,
        help_text="What a million tokens of it cost.",
    )

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(deduplication_seconds__lte=MAX_DEDUPLICATION_SECONDS),
                name="reuse_policy_deduplication_in_range",
            ),
            models.CheckConstraint(
                condition=models.Q(embedding_usd_per_million__gte=0), name="reuse_policy_price_not_negative"
            ),
        ]

    def __str__(self) -> str:
        return f"doubles within {self.deduplication_seconds} s of {self.organization_id}"


class CustomModel(models.Model):
    """A model that an owner declared for a connection, with its price.

    A price of zero is a declaration ("this costs nothing"), never a missing value.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    connection = models.ForeignKey(ProviderConnection, on_delete=models.CASCADE, related_name="custom_models")
    model = models.CharField(max_length=MAX_MODEL_CHARACTERS, help_text="The name that requests use.")
    upstream_name = models.CharField(
        max_length=MAX_MODEL_CHARACTERS, help_text="The name that the endpoint uses."
    )
    context_window_tokens = models.PositiveIntegerField(default=128_000)
    max_output_tokens = models.PositiveIntegerField(default=4_096)
    input_usd_per_million = models.DecimalField(max_digits=PRICE_DIGITS, decimal_places=PRICE_DECIMALS)
    output_usd_per_million = models.DecimalField(max_digits=PRICE_DIGITS, decimal_places=PRICE_DECIMALS)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["model"]
        constraints = [
            models.UniqueConstraint(fields=["connection", "model"], name="custom_model_once"),
            models.CheckConstraint(
                condition=models.Q(input_usd_per_million__gte=0, output_usd_per_million__gte=0),
                name="custom_model_price_not_negative",
            ),
            models.CheckConstraint(
                condition=models.Q(
                    max_output_tokens__gte=1, max_output_tokens__lte=models.F("context_window_tokens")
                ),
                name="custom_model_output_within_window",
            ),
        ]

    def __str__(self) -> str:
        return self.model


class BillSource(models.Model):
    """Where a provider tells the operator's own costs and usage, and the admin key that it takes."""

    class Dialect(models.TextChoices):
        OPENAI = "openai", "OpenAI: organization costs and usage"
        ANTHROPIC = "anthropic", "Anthropic: cost and usage reports"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    provider = models.SlugField(
        max_length=MAX_PROVIDER_CHARACTERS, unique=True, help_text="The provider's name in model strings."
    )
    dialect = models.CharField(max_length=16, choices=Dialect.choices)
    base_url = models.CharField(max_length=MAX_BASE_URL_CHARACTERS)
    encrypted_admin_key = models.BinaryField(editable=False)
    admin_key_tail = models.CharField(max_length=4, blank=True, editable=False)
    is_active = models.BooleanField(default=True)
    fetched_at = models.DateTimeField(null=True, editable=False, help_text="When it was last asked.")
    failure = models.CharField(
        max_length=512, blank=True, editable=False, help_text="Why the last fetch failed; empty: it did not."
    )

    class Meta:
        ordering = ["provider"]

    def __str__(self) -> str:
        return self.provider
