"""Rows of the price book: prices, markups and ceilings that stand in the database.

Prices and markups are append-only by trigger. Each says from which day it holds, and the database
notes since when it is known, so that a corrected price is another row and what was known earlier
stays. Rows of files are written by `billing.price_services.register_shipped_prices`, all others by
people through the same module. What they mean together is `billing.price_list`.
"""

from django.db import models
from django.db.models.functions import Now

from accounts.models import Organization
from billing.pricing import DEFAULT_TIER, TIERS

MAX_PROVIDER_CHARACTERS = 64
MAX_MODEL_CHARACTERS = 200
MAX_REGION_CHARACTERS = 32
MAX_VERSION_CHARACTERS = 512
MAX_NOTE_CHARACTERS = 512
MAX_URL_CHARACTERS = 512


class Statement(models.Model):
    """A row that somebody stated once; a later one corrects it."""

    id = models.BigAutoField(primary_key=True)
    valid_from = models.DateField(help_text="The first day (UTC) on which it holds.")
    known_from = models.DateTimeField(
        db_default=Now(), editable=False, help_text="Since when this is known; earlier statements stay."
    )
    entered_by = models.CharField(max_length=254, blank=True, editable=False)
    note = models.CharField(
        max_length=MAX_NOTE_CHARACTERS, blank=True, help_text="Why, for whoever reads it."
    )

    class Meta:
        abstract = True


class PriceFact(Statement):
    """One price of one model at one provider: for everyone, or for one organization.

    Of the facts about one variant (region and tier) the one with the latest `valid_from` holds, and
    of those with the same day the one that became known last. Without `facts` it takes back what
    was stated for that day.
    """

    class Source(models.TextChoices):
        SHIPPED = "shipped", "Shipped"
        OPERATOR = "operator", "Operator"
        IMPORTED = "imported", "Imported"

    source = models.CharField(max_length=16, choices=Source.choices)
    organization = models.ForeignKey(
        Organization,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="prices",
        help_text="Empty: what the provider asks. Else what this organization is charged.",
    )
    provider = models.CharField(max_length=MAX_PROVIDER_CHARACTERS)
    model = models.CharField(max_length=MAX_MODEL_CHARACTERS)
    region = models.CharField(max_length=MAX_REGION_CHARACTERS, blank=True, help_text="Empty: everywhere.")
    tier = models.CharField(
        max_length=16,
        default=DEFAULT_TIER,
        choices=[(tier, tier) for tier in TIERS],
        help_text="Service tier.",
    )
    valid_until = models.DateField(
        null=True, blank=True, help_text="The first day on which it no longer holds; empty: until the next."
    )
    version = models.CharField(max_length=MAX_VERSION_CHARACTERS, blank=True, editable=False)
    facts = models.JSONField(
        null=True, editable=False, help_text="The numbers in pico-dollars; none: taken back."
    )
    source_url = models.CharField(max_length=MAX_URL_CHARACTERS, blank=True)

    class Meta:
        ordering = ["provider", "model", "region", "tier", "-valid_from", "-id"]
        indexes = [
            models.Index(fields=["version"], name="price_fact_by_version"),
            models.Index(fields=["provider", "model", "-valid_from"], name="price_fact_by_model"),
            models.Index(
                fields=["organization"],
                name="price_fact_by_organization",
                condition=models.Q(organization__isnull=False),
            ),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["version"], condition=models.Q(source="shipped"), name="price_fact_shipped_once"
            ),
            models.CheckConstraint(
                condition=models.Q(valid_until__isnull=True)
                | models.Q(valid_until__gt=models.F("valid_from")),
                name="price_fact_ends_after_it_starts",
            ),
            models.CheckConstraint(
                condition=~models.Q(source="shipped", organization__isnull=False),
                name="price_fact_shipped_for_everyone",
            ),
        ]

    def __str__(self) -> str:
        return self.version or f"{self.provider}/{self.model} taken back from {self.valid_from}"


class Markup(Statement):
    """What the operator adds to the cost of a provider's requests, or of all that have none of their own."""

    provider = models.CharField(
        max_length=MAX_PROVIDER_CHARACTERS, blank=True, help_text="Empty: every provider without its own."
    )
    multiplier_ppm = models.PositiveIntegerField(help_text="In millionths: 1,050,000 is 1.05.")
    fee_pico = models.BigIntegerField(default=0, help_text="Pico-dollars a request.")

    class Meta:
        ordering = ["provider", "-valid_from", "-id"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(multiplier_ppm__gt=0, fee_pico__gte=0), name="markup_not_negative"
            )
        ]

    def __str__(self) -> str:
        return f"markup of {self.provider or 'every provider'} from {self.valid_from}"


class PriceCeiling(models.Model):
    """The most that an organization's owner lets a model without a price cost, per million tokens."""

    organization = models.OneToOneField(
        Organization, on_delete=models.CASCADE, primary_key=True, related_name="price_ceiling"
    )
    input_usd_per_million = models.DecimalField(max_digits=12, decimal_places=6)
    output_usd_per_million = models.DecimalField(max_digits=12, decimal_places=6)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(input_usd_per_million__gt=0, output_usd_per_million__gt=0),
                name="price_ceiling_positive",
            )
        ]

    def __str__(self) -> str:
        return f"ceiling of {self.organization_id}"
