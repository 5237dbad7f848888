"""Payments, what organizations set about them, promotion codes, and events of processors."""

import uuid

import django.contrib.postgres.fields
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0002_invitations"),
        ("billing", "0017_ledger_fees"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="BillingProfile",
            fields=[
                (
                    "organization",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        related_name="billing_profile",
                        serialize=False,
                        to="accounts.organization",
                    ),
                ),
                (
                    "processor",
                    models.CharField(blank=True, help_text="Whose the next three are.", max_length=16),
                ),
                ("customer_ref", models.CharField(blank=True, max_length=255)),
                ("card_ref", models.CharField(blank=True, max_length=255)),
                (
                    "card_label",
                    models.CharField(blank=True, help_text="As in Visa ending in 4242.", max_length=64),
                ),
                ("is_refill_on", models.BooleanField(default=False)),
                (
                    "refill_below_usd",
                    models.DecimalField(
                        decimal_places=9,
                        default=0,
                        help_text="Refill when the credit is below this.",
                        max_digits=20,
                    ),
                ),
                ("refill_amount_usd", models.DecimalField(decimal_places=9, default=0, max_digits=20)),
                ("refill_most_a_day_usd", models.DecimalField(decimal_places=9, default=0, max_digits=20)),
                ("refill_most_a_month_usd", models.DecimalField(decimal_places=9, default=0, max_digits=20)),
                (
                    "refill_declines",
                    models.PositiveSmallIntegerField(default=0, help_text="One after the other."),
                ),
                ("refill_paused_until", models.DateTimeField(blank=True, null=True)),
                (
                    "low_balance_usd",
                    models.DecimalField(
                        blank=True,
                        decimal_places=9,
                        help_text="Mail below this; empty: no mail.",
                        max_digits=20,
                        null=True,
                    ),
                ),
                (
                    "low_balance_mailed_at",
                    models.DateTimeField(
                        blank=True, help_text="Set while the credit is below it.", null=True
                    ),
                ),
                (
                    "time_zone",
                    models.CharField(default="UTC", help_text="Its months are the invoices'.", max_length=64),
                ),
                ("legal_name", models.CharField(blank=True, max_length=120)),
                ("address", models.CharField(blank=True, max_length=512)),
                ("tax_id", models.CharField(blank=True, max_length=64)),
                (
                    "invoiced_up_to",
                    models.BigIntegerField(
                        default=0,
                        editable=False,
                        help_text="The last ledger entry that has been looked at for invoices.",
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(
                        condition=models.Q(
                            ("is_refill_on", True), ("low_balance_usd__isnull", False), _connector="OR"
                        ),
                        fields=["organization"],
                        name="billing_profile_watched",
                    )
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            ("is_refill_on", False),
                            models.Q(
                                models.Q(("card_ref", ""), _negated=True),
                                ("refill_amount_usd__gt", 0),
                                ("refill_below_usd__gt", 0),
                                ("refill_most_a_day_usd__gte", models.F("refill_amount_usd")),
                                ("refill_most_a_month_usd__gte", models.F("refill_amount_usd")),
                            ),
                            _connector="OR",
                        ),
                        name="refill_has_what_it_needs",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="Payment",
            fields=[
                (
                    "id",
                    models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[("checkout", "Payment"), ("refill", "Automatic refill")], max_length=16
                    ),
                ),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("pending", "Waiting for the payment"),
                            ("succeeded", "Paid"),
                            ("failed", "Declined"),
                            ("expired", "Not finished"),
                        ],
                        default="pending",
                        max_length=16,
                    ),
                ),
                ("processor", models.CharField(max_length=16)),
                (
                    "credit_usd",
                    models.DecimalField(
                        decimal_places=9, help_text="What it adds to the credit.", max_digits=20
                    ),
                ),
                ("fee_usd", models.DecimalField(decimal_places=9, default=0, max_digits=20)),
                (
                    "amount_usd",
                    models.DecimalField(
                        decimal_places=9,
                        help_text="What is paid: credit and fee, in whole cents.",
                        max_digits=20,
                    ),
                ),
                (
                    "refunded_usd",
                    models.DecimalField(
                        decimal_places=9, default=0, help_text="Of it, what was given back.", max_digits=20
                    ),
                ),
                (
                    "disputed_usd",
                    models.DecimalField(
                        decimal_places=9,
                        default=0,
                        help_text="Of it, what the card's bank has taken back.",
                        max_digits=20,
                    ),
                ),
                (
                    "is_card_to_save",
                    models.BooleanField(
                        default=False, help_text="The payer wants the card saved, and it is not yet."
                    ),
                ),
                ("checkout_ref", models.CharField(blank=True, max_length=255)),
                ("processor_ref", models.CharField(blank=True, max_length=255)),
                ("failure", models.CharField(blank=True, max_length=256)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("finished_at", models.DateTimeField(blank=True, null=True)),
                (
                    "created_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "organization",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="payments",
                        to="accounts.organization",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="PaymentTransfer",
            fields=[
                (
                    "transfer",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        related_name="payment_link",
                        serialize=False,
                        to="billing.ledgertransfer",
                    ),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("top_up", "Credit"),
                            ("fee", "Fee"),
                            ("refund", "Refund"),
                            ("dispute", "Dispute"),
                        ],
                        max_length=16,
                    ),
                ),
                (
                    "amount_usd",
                    models.DecimalField(
                        decimal_places=9,
                        help_text="What it adds to the credit; negative for what it takes.",
                        max_digits=20,
                    ),
                ),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("asked", "On its way"),
                            ("done", "Done"),
                            ("refused", "Refused by the processor"),
                        ],
                        default="done",
                        max_length=16,
                    ),
                ),
                (
                    "payment",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="transfers",
                        to="billing.payment",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="ProcessorEvent",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("processor", models.CharField(max_length=16)),
                ("event_ref", models.CharField(max_length=255)),
                ("type", models.CharField(max_length=128)),
                (
                    "outcome",
                    models.CharField(
                        choices=[
                            ("applied", "Applied"),
                            ("nothing_to_do", "Nothing to do"),
                            ("unknown_type", "Of a type that we do not use"),
                            ("unknown_payment", "Of a payment that is not ours"),
                            ("mismatch", "Does not fit the payment"),
                        ],
                        max_length=16,
                    ),
                ),
                ("received_at", models.DateTimeField(auto_now_add=True)),
                (
                    "payment",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="events",
                        to="billing.payment",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="PromotionCode",
            fields=[
                (
                    "id",
                    models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False),
                ),
                ("code", models.CharField(help_text="In capitals.", max_length=40, unique=True)),
                ("amount_usd", models.DecimalField(decimal_places=9, max_digits=20)),
                ("most_uses", models.PositiveIntegerField()),
                ("uses", models.PositiveIntegerField(default=0, editable=False)),
                ("expires_at", models.DateTimeField(blank=True, null=True)),
                ("is_active", models.BooleanField(default=True)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("amount_usd__gt", 0)), name="promotion_code_gives_credit"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("uses__lte", models.F("most_uses"))),
                        name="promotion_code_not_overused",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Redemption",
            fields=[
                (
                    "transfer",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        related_name="redemption",
                        serialize=False,
                        to="billing.ledgertransfer",
                    ),
                ),
                ("redeemed_at", models.DateTimeField(auto_now_add=True)),
                (
                    "code",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="redemptions",
                        to="billing.promotioncode",
                    ),
                ),
                (
                    "organization",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="redemptions",
                        to="accounts.organization",
                    ),
                ),
                (
                    "redeemed_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="TestCharge",
            fields=[
                ("ref", models.CharField(max_length=64, primary_key=True, serialize=False)),
                (
                    "order_id",
                    models.UUIDField(help_text="The payment; asking twice makes one charge.", unique=True),
                ),
                ("amount_cents", models.PositiveBigIntegerField()),
                ("refunded_cents", models.PositiveBigIntegerField(default=0)),
                ("status", models.CharField(default="open", max_length=16)),
                ("card", models.CharField(blank=True, max_length=16)),
                ("is_card_kept", models.BooleanField(default=False)),
                (
                    "refund_ids",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.UUIDField(),
                        default=list,
                        help_text="Asking twice refunds once.",
                        size=None,
                    ),
                ),
                ("return_url", models.CharField(blank=True, max_length=512)),
                ("description", models.CharField(blank=True, max_length=256)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("refunded_cents__lte", models.F("amount_cents"))),
                        name="test_charge_refunded_at_most_once",
                    )
                ],
            },
        ),
        migrations.AddIndex(
            model_name="payment",
            index=models.Index(fields=["organization", "-created_at"], name="payment_by_organization"),
        ),
        migrations.AddIndex(
            model_name="payment",
            index=models.Index(
                condition=models.Q(("status", "pending")), fields=["created_at"], name="payment_pending"
            ),
        ),
        migrations.AddConstraint(
            model_name="payment",
            constraint=models.UniqueConstraint(
                condition=models.Q(("kind", "refill"), ("status", "pending")),
                fields=("organization",),
                name="refill_one_at_a_time",
            ),
        ),
        migrations.AddConstraint(
            model_name="payment",
            constraint=models.UniqueConstraint(
                condition=models.Q(("processor_ref", ""), _negated=True),
                fields=("processor", "processor_ref"),
                name="payment_once_per_processor_ref",
            ),
        ),
        migrations.AddConstraint(
            model_name="payment",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    (
                        "amount_usd",
                        django.db.models.expressions.CombinedExpression(
                            models.F("credit_usd"), "+", models.F("fee_usd")
                        ),
                    ),
                    ("credit_usd__gt", 0),
                    ("fee_usd__gte", 0),
                ),
                name="payment_adds_up",
            ),
        ),
        migrations.AddConstraint(
            model_name="payment",
            constraint=models.CheckConstraint(
                condition=models.Q(("refunded_usd__gte", 0), ("refunded_usd__lte", models.F("amount_usd"))),
                name="payment_refunded_at_most_once",
            ),
        ),
        migrations.AddConstraint(
            model_name="processorevent",
            constraint=models.UniqueConstraint(
                fields=("processor", "event_ref"), name="processor_event_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="redemption",
            constraint=models.UniqueConstraint(
                fields=("code", "organization"), name="promotion_code_once_each"
            ),
        ),
    ]
