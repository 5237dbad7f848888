"""`manage.py refundpayment <payment> <amount>`: give money of a payment back."""

import uuid
from decimal import Decimal, InvalidOperation
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from billing.errors import BillingError
from billing.models import Payment
from billing.refunds import refund_payment


class Command(BaseCommand):
    help = "Give back so many US dollars of a payment: never more than was paid, nor than the credit left."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("payment", type=uuid.UUID, help="The payment's id, as its page shows it.")
        parser.add_argument("amount_usd", help="As in 12.50.")

    def handle(self, *args: Any, **options: Any) -> None:
        payment = Payment.objects.filter(pk=options["payment"]).first()
        if payment is None:
            raise CommandError(f"There is no payment {options['payment']}.")
        try:
            amount_usd = Decimal(options["amount_usd"])
        except InvalidOperation as exc:
            raise CommandError(f"{options['amount_usd']!r} is not an amount like 12.50.") from exc
        try:
            standing = refund_payment(payment=payment, amount_usd=amount_usd)
        except BillingError as refusal:
            raise CommandError(str(refusal)) from refusal
        self.stdout.write(f"refund of ${amount_usd} of payment {payment.pk}: {standing}")
