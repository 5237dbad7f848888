"""Payments, what an organization has set about them, promotion codes, and the events of processors.

Card numbers, expiry dates and codes are at the processor alone; of a saved card there is the name
to call it by ("Visa ending in 4242") and the processor's own id of it. What a payment moved is in
the ledger, and `PaymentTransfer` says which transfers those are.
"""

import uuid

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models

from accounts.models import Organization
from accounts.rules import MAX_NAME_CHARACTERS
from billing.columns import usd_field

MAX_CODE_CHARACTERS = 40
MAX_PROCESSOR_ID_CHARACTERS = 255


class BillingProfile(models.Model):
    """One organization: its saved card, its automatic refill, its low-balance mail, its invoice's head."""

    organization = models.OneToOneField(
        Organization, on_delete=models.PROTECT, primary_key=True, related_name="billing_profile"
    )
    processor = models.CharField(max_length=16, blank=True, help_text="Whose the next three are.")
    customer_ref = models.CharField(max_length=MAX_PROCESSOR_ID_CHARACTERS, blank=True)
    card_ref = models.CharField(max_length=MAX_PROCESSOR_ID_CHARACTERS, blank=True)
    card_label = models.CharField(max_length=64, blank=True, help_text="As in Visa ending in 4242.")

    is_refill_on = models.BooleanField(default=False)
    refill_below_usd = usd_field(default=0, help_text="Refill when the credit is below this.")
    refill_amount_usd = usd_field(default=0)
    refill_most_a_day_usd = usd_field(default=0)
    refill_most_a_month_usd = usd_field(default=0)
    refill_declines = models.PositiveSmallIntegerField(default=0, help_text="One after the other.")
    refill_paused_until = models.DateTimeField(null=True, blank=True)
    refill_looked_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="When it was last found to be due: others are next."
    )

    low_balance_usd = usd_field(null=True, blank=True, help_text="Mail below this; empty: no mail.")
    low_balance_mailed_at = models.DateTimeField(
        null=True, blank=True, help_text="Set while the credit is below it."
    )

    time_zone = models.CharField(max_length=64, default="UTC", help_text="Its months are the invoices'.")
    legal_name = models.CharField(max_length=MAX_NAME_CHARACTERS, blank=True)
    address = models.CharField(max_length=512, blank=True)
    tax_id = models.CharField(max_length=64, blank=True)
    invoiced_up_to = models.BigIntegerField(
        default=0, editable=False, help_text="The last ledger entry that has been looked at for invoices."
    )

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(is_refill_on=False)
                | (
                    ~models.Q(card_ref="")
                    & models.Q(refill_below_usd__gt=0, refill_amount_usd__gt=0)
                    & models.Q(refill_most_a_day_usd__gte=models.F("refill_amount_usd"))
                    & models.Q(refill_most_a_month_usd__gte=models.F("refill_amount_usd"))
                ),
                name="refill_has_what_it_needs",
            )
        ]
        indexes = [
            models.Index(
                fields=["organization"],
                condition=models.Q(is_refill_on=True) | models.Q(low_balance_usd__isnull=False),
                name="billing_profile_watched",
            )
        ]

    def __str__(self) -> str:
        return f"billing of {self.organization_id}"


class Payment(models.Model):
    """Money asked of an organization for credit. Its id is also the id of its top-up in the ledger."""

    class Kind(models.TextChoices):
        CHECKOUT = "checkout", "Payment"
        REFILL = "refill", "Automatic refill"

    class Status(models.TextChoices):
        PENDING = "pending", "Waiting for the payment"
        SUCCEEDED = "succeeded", "Paid"
        FAILED = "failed", "Declined"
        EXPIRED = "expired", "Not finished"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="payments")
    kind = models.CharField(max_length=16, choices=Kind.choices)
    status = models.CharField(max_length=16, choices=Status.choices, default=Status.PENDING)
    processor = models.CharField(max_length=16)
    credit_usd = usd_field(help_text="What it adds to the credit.")
    fee_usd = usd_field(default=0)
    amount_usd = usd_field(help_text="What is paid: credit and fee, in whole cents.")
    refunded_usd = usd_field(default=0, help_text="Of it, what was given back.")
    disputed_usd = usd_field(default=0, help_text="Of it, what the card's bank has taken back.")
    is_card_to_save = models.BooleanField(
        default=False, help_text="The payer wants the card saved, and it is not yet."
    )
    description = models.CharField(
        max_length=256,
        blank=True,
        default="",
        db_default="",
        help_text="This and the next two: as it was first asked for.",
    )
    customer_ref = models.CharField(
        max_length=MAX_PROCESSOR_ID_CHARACTERS, blank=True, default="", db_default=""
    )
    card_ref = models.CharField(
        max_length=MAX_PROCESSOR_ID_CHARACTERS,
        blank=True,
        default="",
        db_default="",
        help_text="Of a refill.",
    )
    asked_at = models.DateTimeField(
        null=True, blank=True, help_text="When the processor was last asked: whoever waits longest is next."
    )
    checkout_ref = models.CharField(max_length=MAX_PROCESSOR_ID_CHARACTERS, blank=True)
    processor_ref = models.CharField(max_length=MAX_PROCESSOR_ID_CHARACTERS, blank=True)
    failure = models.CharField(max_length=256, blank=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organization"],
                condition=models.Q(kind="refill", status="pending"),
                name="refill_one_at_a_time",
            ),
            models.UniqueConstraint(
                fields=["processor", "processor_ref"],
                condition=~models.Q(processor_ref=""),
                name="payment_once_per_processor_ref",
            ),
            models.CheckConstraint(
                condition=models.Q(amount_usd=models.F("credit_usd") + models.F("fee_usd"))
                & models.Q(credit_usd__gt=0, fee_usd__gte=0),
                name="payment_adds_up",
            ),
            models.CheckConstraint(
                condition=models.Q(refunded_usd__gte=0, refunded_usd__lte=models.F("amount_usd")),
                name="payment_refunded_at_most_once",
            ),
        ]
        indexes = [
            models.Index(fields=["organization", "-created_at"], name="payment_by_organization"),
            models.Index(fields=["created_at"], condition=models.Q(status="pending"), name="payment_pending"),
        ]

    def __str__(self) -> str:
        return f"{self.amount_usd} USD {self.status} {self.id}"


class PaymentTransfer(models.Model):
    """Which payment a transfer of the ledger belongs to: its top-up, its fee, its refunds."""

    class Kind(models.TextChoices):
        TOP_UP = "top_up", "Credit"
        FEE = "fee", "Fee"
        REFUND = "refund", "Refund"
        DISPUTE = "dispute", "Dispute"

    class Status(models.TextChoices):
        """Of a refund that we ask for: what the processor said of it."""

        ASKED = "asked", "On its way"
        DONE = "done", "Done"
        REFUSED = "refused", "Refused by the processor"

    transfer = models.OneToOneField(
        "billing.LedgerTransfer", on_delete=models.PROTECT, primary_key=True, related_name="payment_link"
    )
    payment = models.ForeignKey(Payment, on_delete=models.PROTECT, related_name="transfers")
    kind = models.CharField(max_length=16, choices=Kind.choices)
    amount_usd = usd_field(help_text="What it adds to the credit; negative for what it takes.")
    status = models.CharField(max_length=16, choices=Status.choices, default=Status.DONE)

    def __str__(self) -> str:
        return f"{self.amount_usd} of payment {self.payment_id}"


class ProcessorEvent(models.Model):
    """An event that a processor has told us, once. What it said is not kept."""

    class Outcome(models.TextChoices):
        APPLIED = "applied", "Applied"
        NOTHING_TO_DO = "nothing_to_do", "Nothing to do"
        UNKNOWN_TYPE = "unknown_type", "Of a type that we do not use"
        UNKNOWN_PAYMENT = "unknown_payment", "Of a payment that is not ours"
        MISMATCH = "mismatch", "Does not fit the payment"

    id = models.BigAutoField(primary_key=True)
    processor = models.CharField(max_length=16)
    event_ref = models.CharField(max_length=MAX_PROCESSOR_ID_CHARACTERS)
    type = models.CharField(max_length=128)
    outcome = models.CharField(max_length=16, choices=Outcome.choices)
    payment = models.ForeignKey(Payment, on_delete=models.PROTECT, null=True, related_name="events")
    received_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["processor", "event_ref"], name="processor_event_once")
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.event_ref}: {self.outcome}"


class PromotionCode(models.Model):
    """A word that gives credit: so many times in all, once to an organization and to a person."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    code = models.CharField(max_length=MAX_CODE_CHARACTERS, unique=True, help_text="In capitals.")
    amount_usd = usd_field()
    most_uses = models.PositiveIntegerField()
    uses = models.PositiveIntegerField(default=0, editable=False)
    expires_at = models.DateTimeField(null=True, blank=True)
    is_active = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=models.Q(amount_usd__gt=0), name="promotion_code_gives_credit"),
            models.CheckConstraint(
                condition=models.Q(uses__lte=models.F("most_uses")), name="promotion_code_not_overused"
            ),
        ]

    def __str__(self) -> str:
        return self.code


class Redemption(models.Model):
    """A code that an organization has used; its transfer is the credit that it got."""

    transfer = models.OneToOneField(
        "billing.LedgerTransfer", on_delete=models.PROTECT, primary_key=True, related_name="redemption"
    )
    code = models.ForeignKey(PromotionCode, on_delete=models.PROTECT, related_name="redemptions")
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="redemptions")
    redeemed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+"
    )
    redeemed_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["code", "organization"], name="promotion_code_once_each")
        ]

    def __str__(self) -> str:
        return f"{self.code_id} by {self.organization_id}"


class TestCharge(models.Model):
    """The book of the built-in test processor: what it was asked for and what came of it."""

    # pytest would take the name for a test's.
    __test__ = False

    ref = models.CharField(max_length=64, primary_key=True)
    order_id = models.UUIDField(unique=True, help_text="The payment; asking twice makes one charge.")
    amount_cents = models.PositiveBigIntegerField()
    refunded_cents = models.PositiveBigIntegerField(default=0)
    status = models.CharField(max_length=16, default="open")
    card = models.CharField(max_length=16, blank=True)
    is_card_kept = models.BooleanField(default=False)
    refund_ids = ArrayField(models.UUIDField(), default=list, help_text="Asking twice refunds once.")
    return_url = models.CharField(max_length=512, blank=True)
    description = models.CharField(max_length=256, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(refunded_cents__lte=models.F("amount_cents")),
                name="test_charge_refunded_at_most_once",
            )
        ]

    def __str__(self) -> str:
        return f"{self.ref} {self.status}"
