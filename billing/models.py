"""Budgets, usage events and the double-entry ledger.

Events are written by `billing.ingest`, transfers by `billing.ledger`, and by nobody else. Payments
are in `billing.payment_models`, invoices in `billing.invoice_models`. The
tables `billing_usageevent` and `billing_usagebody` are partitioned by day (`occurred_at`); the
ledger's tables are append-only by trigger and each transfer sums to zero by a deferred
constraint: both stand in the migrations.

A column that is added to a table has a database default: processes of the version before, which do not
know it, go on inserting while an upgrade lasts.
"""

import uuid

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models.functions import Now

from accounts.models import Organization
from billing.adjustment_rows import EVENT_SEQUENCE, PRICE_VERSION_CHARACTERS
from billing.adjustment_rows import EventAdjustment as EventAdjustment
from billing.audit_models import LedgerAudit as LedgerAudit
from billing.audit_models import LedgerAuditFinding as LedgerAuditFinding
from billing.columns import USD_DECIMALS as USD_DECIMALS
from billing.columns import USD_DIGITS as USD_DIGITS
from billing.columns import usd_field as usd_field
from billing.event_models import IngestCursor as IngestCursor
from billing.event_models import UsageBody as UsageBody
from billing.invoice_models import Invoice as Invoice
from billing.invoice_models import InvoiceCounter as InvoiceCounter
from billing.payment_models import BillingProfile as BillingProfile
from billing.payment_models import Payment as Payment
from billing.payment_models import PaymentTransfer as PaymentTransfer
from billing.payment_models import ProcessorEvent as ProcessorEvent
from billing.payment_models import PromotionCode as PromotionCode
from billing.payment_models import Redemption as Redemption
from billing.payment_models import TestCharge as TestCharge
from billing.price_rows import Markup as Markup
from billing.price_rows import PriceCeiling as PriceCeiling
from billing.price_rows import PriceFact as PriceFact
from billing.reconciliation_models import ProviderDay as ProviderDay
from billing.reconciliation_models import ProviderStatement as ProviderStatement
from billing.reconciliation_models import ProviderStatementLine as ProviderStatementLine


class Budget(models.Model):
    """An amount that a scope may spend in each window of time.

    What a budget counts never changes under it: another scope, subject, window or calendar makes
    another row, so that no counter holds the sum of something else.
    """

    class Scope(models.TextChoices):
        ORGANIZATION = "organization", "Organization"
        PROJECT = "project", "Project"
        KEY = "key", "Key"
        TAG = "tag", "Tag"
        END_USER = "end_user", "End user"
        MODEL = "model", "Model family"

    class Window(models.TextChoices):
        HOUR = "hour", "an hour"
        DAY = "day", "a day"
        WEEK = "week", "a week"
        MONTH = "month", "a month"
        QUARTER = "quarter", "a quarter"
        TOTAL = "total", "in total"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="budgets")
    name = models.CharField(max_length=64, blank=True, default="", db_default="")
    scope = models.CharField(max_length=16, choices=Scope.choices)
    scope_id = models.UUIDField(
        help_text="The id of the project or key that it binds; the organization's for all else."
    )
    subject = models.CharField(
        max_length=256,
        blank=True,
        default="",
        db_default="",
        help_text="The tag, end user or model family that it binds.",
    )
    is_each = models.BooleanField(
        default=False,
        db_default=False,
        help_text="Each tag or end user has this amount for itself; the subject is empty.",
    )
    amount_usd = usd_field()
    window = models.CharField(max_length=16, choices=Window.choices)
    is_rolling = models.BooleanField(
        default=False,
        db_default=False,
        help_text="The last hour, day, … of any moment, instead of the calendar's.",
    )
    time_zone = models.CharField(max_length=64, default="UTC")
    is_observed = models.BooleanField(
        default=False,
        db_default=False,
        help_text="Refuses nothing; requests that it would have refused are counted.",
    )
    alert_percents = ArrayField(
        models.PositiveSmallIntegerField(),
        db_default=[50, 80, 100],
        blank=True,
        help_text="Its people are told once a period when so many per cent are spent.",
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=models.Q(amount_usd__gte=0), name="budget_amount_not_negative"),
            models.CheckConstraint(
                condition=~models.Q(is_rolling=True, window="total"), name="budget_total_never_rolls"
            ),
            models.CheckConstraint(
                condition=models.Q(is_each=False) | models.Q(scope__in=["tag", "end_user"], subject=""),
                name="budget_each_tag_or_end_user",
            ),
        ]
        indexes = [models.Index(fields=["organization", "scope", "scope_id"], name="budget_by_scope")]

    def __str__(self) -> str:
        whom = "each" if self.is_each else self.subject or self.scope_id
        return f"${self.amount_usd} {self.get_window_display()} for {self.scope} {whom}"


class SpendingNote(models.Model):
    """That an organization has spent since its budgets' alerts were looked at last, and with which label.

    Written by the transaction that stores the events, for organizations with alerts alone; taken away
    by whoever has looked. A label is noted only if a budget for each of its kind waits for it.
    """

    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="+")
    scope = models.CharField(max_length=16, blank=True, help_text="tag or end_user; empty: no label.")
    subject = models.CharField(max_length=256, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["organization", "scope", "subject"], name="spending_note_once")
        ]

    def __str__(self) -> str:
        return f"{self.organization_id} {self.scope} {self.subject}".rstrip()


class UsageEvent(models.Model):
    """One request of one key, as it ended. Token counts are disjoint (see `billing.usage`)."""

    class Ending(models.TextChoices):
        COMPLETED = "completed", "Completed"
        REFUSED = "refused", "Refused by Farebox"
        UPSTREAM_ERROR = "upstream_error", "Provider error"
        CLIENT_LEFT = "client_left", "Client left"
        CUT = "cut", "Cut by Farebox"
        RECOVERED = "recovered", "Recovered after a crash"
        REPLAYED = "replayed", "Replayed by its Idempotency-Key"
        RACE_LEG = "race_leg", "Leg of a race that did not answer"

    class CacheHit(models.TextChoices):
        DIRECT = "direct", "The same request"
        SEMANTIC = "semantic", "A request alike in meaning"

    pk = models.CompositePrimaryKey("id", "occurred_at")
    id = models.UUIDField(default=uuid.uuid4)
    occurred_at = models.DateTimeField(help_text="When the request arrived.")
    sequence = models.BigIntegerField(
        db_default=models.Func(models.Value(EVENT_SEQUENCE), function="nextval"),
        help_text="Order of ingestion; the rollups' watermark.",
    )
    ingested_at = models.DateTimeField(db_default=Now())

    organization_id = models.UUIDField()
    project_id = models.UUIDField()
    key_id = models.UUIDField()

    request_id = models.CharField(max_length=128, help_text="What x-request-id said.")
    route = models.CharField(max_length=64, help_text="The path that was called.")
    requested_model = models.CharField(max_length=256)
    model = models.CharField(max_length=256, blank=True)
    provider = models.CharField(max_length=64, blank=True)
    is_own_credential = models.BooleanField(default=False)
    is_stream = models.BooleanField(default=False)

    status = models.PositiveSmallIntegerField(help_text="HTTP status to the client; 499 when it left first.")
    ending = models.CharField(max_length=16, choices=Ending.choices)
    error_code = models.CharField(max_length=64, blank=True)
    error_message = models.CharField(max_length=512, blank=True)
    finish_reason = models.CharField(max_length=32, blank=True)

    input_tokens = models.BigIntegerField(default=0)
    cached_input_tokens = models.BigIntegerField(default=0)
    cache_write_tokens = models.BigIntegerField(default=0)
    output_tokens = models.BigIntegerField(default=0)
    reasoning_tokens = models.BigIntegerField(default=0)
    audio_input_tokens = models.BigIntegerField(default=0)
    audio_output_tokens = models.BigIntegerField(default=0)
    image_input_tokens = models.BigIntegerField(default=0)
    cache_write_1h_tokens = models.BigIntegerField(default=0, db_default=0)
    searches = models.IntegerField(default=0)
    is_estimated = models.BooleanField(default=False, help_text="The provider reported no usage; we counted.")

    price_version = models.CharField(max_length=PRICE_VERSION_CHARACTERS, blank=True)
    cost_usd = usd_field(default=0, help_text="At the price book, whoever pays it.")
    charge_usd = usd_field(default=0, help_text="What the organization's credit was charged.")
    cost_parts = models.JSONField(default=dict, help_text="USD by part, as decimal strings: input, output, …")

    duration_ms = models.FloatField(null=True)
    first_token_ms = models.FloatField(null=True)
    overhead_ms = models.FloatField(null=True)
    timeline = models.JSONField(default=list, help_text="[[step, start_ms, end_ms], …] from arrival.")
    attempts = models.JSONField(default=list, help_text="[{provider, model, status_code, error_type, …}, …]")
    limits = models.JSONField(default=dict, help_text="Limits and budgets as they stood after admission.")
    parameters = models.JSONField(default=dict, help_text="The request's parameters without its messages.")

    tags = ArrayField(models.CharField(max_length=64), default=list)
    end_user = models.CharField(max_length=256, blank=True)
    session_id = models.CharField(max_length=256, blank=True)
    agent = models.CharField(max_length=256, blank=True)
    source = models.CharField(max_length=256, blank=True)
    signature = models.CharField(
        max_length=256,
        blank=True,
        default="",
        db_default="",
        help_text="The client that sent it, as its body says.",
    )
    metadata = models.JSONField(
        default=dict, db_default={}, help_text="Names and texts that the client gave it."
    )
    cache_hit = models.CharField(
        max_length=16,
        blank=True,
        choices=CacheHit.choices,
        default="",
        db_default="",
        help_text="How the answer was found in the cache; empty: a provider gave it.",
    )
    would_refuse = ArrayField(
        models.UUIDField(),
        default=list,
        db_default=[],
        help_text="The observe-only budgets that did not cover it.",
    )

    class Meta:
        ordering = ["-occurred_at", "-id"]
        indexes = [
            models.Index(
                "organization_id",
                models.F("occurred_at").desc(),
                models.F("id").desc(),
                name="usage_event_by_organization",
                include=["charge_usd", "cost_usd"],
            ),
            models.Index(
                "organization_id",
                "key_id",
                "occurred_at",
                name="usage_event_by_key",
                include=["charge_usd", "cost_usd"],
            ),
            models.Index(
                "organization_id",
                "project_id",
                "occurred_at",
                name="usage_event_by_project",
                include=["charge_usd", "cost_usd"],
            ),
            models.Index("organization_id", "request_id", name="usage_event_by_request"),
            models.Index("sequence", name="usage_event_by_sequence"),
            GinIndex(fields=["tags"], name="usage_event_by_tag", fastupdate=False),
            models.Index(
                "organization_id",
                "end_user",
                "occurred_at",
                name="usage_event_by_end_user",
                condition=~models.Q(end_user=""),
            ),
            models.Index(
                "organization_id",
                "session_id",
                "occurred_at",
                name="usage_event_by_session",
                condition=~models.Q(session_id=""),
            ),
            GinIndex(
                fields=["metadata"],
                name="usage_event_by_metadata",
                fastupdate=False,
                condition=~models.Q(metadata={}),
            ),
            models.Index(
                "organization_id",
                "occurred_at",
                name="usage_event_by_cache_hit",
                condition=~models.Q(cache_hit=""),
            ),
            GinIndex(
                fields=["would_refuse"],
                name="usage_event_by_would_refuse",
                fastupdate=False,
                condition=~models.Q(would_refuse=[]),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.id} {self.ending}"


class LedgerAccount(models.Model):
    """One side of an organization's money; its balance is the sum of its entries, kept in the same step."""

    class Kind(models.TextChoices):
        PREPAID_CREDIT = "prepaid_credit", "Prepaid credit"
        PLATFORM_REVENUE = "platform_revenue", "Platform revenue"
        PROVIDER_COST = "provider_cost", "Provider cost"
        PROVIDER_PAYABLE = "provider_payable", "Owed to providers"
        PROMOTION = "promotion", "Promotion"
        ADJUSTMENT = "adjustment", "Adjustment"
        PAYMENTS = "payments", "Payments received"
        FEES = "fees", "Fees"

    id = models.BigAutoField(primary_key=True)
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="ledger_accounts")
    kind = models.CharField(max_length=32, choices=Kind.choices)
    balance_usd = usd_field(default=0)
    charged_usd = usd_field(default=0, help_text="What charges have taken from it.")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["organization", "kind"], name="ledger_account_once")]

    def __str__(self) -> str:
        return f"{self.kind} of {self.organization_id}"


class LedgerTransfer(models.Model):
    """One fact about money. `id` is the usage event's id for a charge, so it can be posted once only."""

    class Kind(models.TextChoices):
        CHARGE = "charge", "Usage"
        TOP_UP = "top_up", "Top-up"
        PROMOTION = "promotion", "Promotion"
        REFUND = "refund", "Refund"
        ADJUSTMENT = "adjustment", "Adjustment"
        FEE = "fee", "Fee"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="ledger_transfers")
    kind = models.CharField(max_length=16, choices=Kind.choices)
    occurred_at = models.DateTimeField()
    posted_at = models.DateTimeField(db_default=Now())
    posted_in = models.BigIntegerField(
        db_default=models.Func(function="txid_current"),
        editable=False,
        help_text="The database transaction that posted it; a transfer takes no entries after that.",
    )
    description = models.CharField(max_length=256, blank=True)

    class Meta:
        indexes = [
            models.Index(fields=["organization", "kind", "-occurred_at"], name="ledger_transfer_by_kind")
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.id}"


class LedgerEntry(models.Model):
    """One leg of a transfer; positive adds to the account. The legs of a transfer sum to zero.

    An account's entries are a chain in the order of their ids: each carries the balance after it.
    """

    id = models.BigAutoField(primary_key=True)
    transfer = models.ForeignKey(
        LedgerTransfer, on_delete=models.PROTECT, related_name="entries", db_index=False
    )
    account = models.ForeignKey(
        LedgerAccount, on_delete=models.PROTECT, related_name="entries", db_index=False
    )
    occurred_at = models.DateTimeField(help_text="The transfer's, kept here for the statements' index.")
    amount_usd = usd_field()
    balance_after_usd = usd_field()

    class Meta:
        verbose_name_plural = "ledger entries"
        indexes = [
            models.Index(fields=["account", "-id"], name="ledger_entry_by_account"),
            models.Index(fields=["account", "-occurred_at", "-id"], name="ledger_entry_by_time"),
        ]
        constraints = [
            models.UniqueConstraint(fields=["transfer", "account"], name="ledger_entry_once_per_account"),
            models.CheckConstraint(condition=~models.Q(amount_usd=0), name="ledger_entry_not_zero"),
        ]

    def __str__(self) -> str:
        return f"{self.amount_usd} to {self.account_id}"
