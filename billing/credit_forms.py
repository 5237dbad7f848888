"""The forms of the billing page. They check with the same rules as the services."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from django import forms
from django.conf import settings

from accounts import rules
from billing.amounts import CENT
from billing.columns import USD_DECIMALS, USD_DIGITS
from billing.models import BillingProfile
from billing.payment_models import MAX_CODE_CHARACTERS
from billing.profiles import MAX_ADDRESS_CHARACTERS, MAX_TAX_ID_CHARACTERS
from billing.services import MAX_AMOUNT_USD

CENT_DECIMALS = 2


class CentsField(forms.DecimalField):
    """US dollars in whole cents."""

    def __init__(self, **options: Any) -> None:
        least, most = options.pop("least", CENT), options.pop("most", MAX_AMOUNT_USD)
        super().__init__(
            min_value=least,
            max_value=most,
            max_digits=USD_DIGITS,
            decimal_places=CENT_DECIMALS,
            widget=forms.NumberInput(attrs={"step": "0.01", "inputmode": "decimal"}),
            **options,
        )


class TopUpForm(forms.Form):
    """How much credit to buy."""

    field_order = ("credit_usd", "is_card_to_save")
    is_card_to_save = forms.BooleanField(label="Keep the card for automatic refill", required=False)

    def __init__(self, data: Mapping[str, Any] | None = None) -> None:
        super().__init__(data)
        console = settings.FAREBOX_CONSOLE
        least, most = console.top_up_minimum_usd, console.top_up_maximum_usd
        self.fields["credit_usd"] = CentsField(
            label="Credit in US dollars",
            initial=max(least, min(50, most)),
            least=least,
            most=most,
            help_text=f"From ${least:,} to ${most:,}.{_fee_text()}",
        )
        self.order_fields(self.field_order)


class RefillForm(forms.Form):
    """When to charge the saved card, and how much at most."""

    below_usd = CentsField(label="When the credit is below, in US dollars")
    amount_usd = CentsField(label="Add this credit, in US dollars")
    most_a_day_usd = CentsField(label="At most in a day, in US dollars")
    most_a_month_usd = CentsField(label="At most in a month, in US dollars")


class PromotionForm(forms.Form):
    code = forms.CharField(
        label="Promotion code",
        max_length=MAX_CODE_CHARACTERS,
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )


class LowBalanceForm(forms.Form):
    """When to mail that the credit runs low."""

    below_usd = forms.DecimalField(
        label="Mail when the credit falls below, in US dollars",
        required=False,
        min_value=0,
        max_value=MAX_AMOUNT_USD,
        max_digits=USD_DIGITS,
        decimal_places=USD_DECIMALS,
        widget=forms.NumberInput(attrs={"step": "any", "inputmode": "decimal"}),
        help_text="Empty: no mail. Owners and billing members get it once each time.",
    )


class InvoiceHeadForm(forms.Form):
    """Whom invoices are made out to."""

    legal_name = forms.CharField(
        label="Name on invoices", required=False, max_length=rules.MAX_NAME_CHARACTERS
    )
    address = forms.CharField(
        label="Address",
        required=False,
        max_length=MAX_ADDRESS_CHARACTERS,
        widget=forms.Textarea(attrs={"rows": 3, "autocomplete": "street-address"}),
    )
    tax_id = forms.CharField(label="Tax id", required=False, max_length=MAX_TAX_ID_CHARACTERS)
    time_zone = forms.ChoiceField(
        label="Time zone of the months",
        choices=lambda: [(zone, zone.replace("_", " ")) for zone in rules.time_zones()],
    )


def refill_initial(profile: BillingProfile) -> dict[str, Any]:
    """What the refill form shows at first."""
    if not profile.refill_amount_usd:
        return {"below_usd": 10, "amount_usd": 50, "most_a_day_usd": 100, "most_a_month_usd": 500}
    return {
        "below_usd": f"{profile.refill_below_usd:.2f}",
        "amount_usd": f"{profile.refill_amount_usd:.2f}",
        "most_a_day_usd": f"{profile.refill_most_a_day_usd:.2f}",
        "most_a_month_usd": f"{profile.refill_most_a_month_usd:.2f}",
    }


def invoice_head_initial(profile: BillingProfile) -> dict[str, Any]:
    """What the invoice form shows at first."""
    return {
        "legal_name": profile.legal_name,
        "address": profile.address,
        "tax_id": profile.tax_id,
        "time_zone": profile.time_zone,
    }


def low_balance_initial(profile: BillingProfile) -> dict[str, Any]:
    """What the form of the low-balance mail shows at first."""
    below_usd = profile.low_balance_usd
    return {"below_usd": None if below_usd is None else format(below_usd.normalize(), "f")}


def _fee_text() -> str:
    points = settings.FAREBOX_CONSOLE.top_up_fee_basis_points
    return f" A fee of {(Decimal(points) / 100).normalize():f} % comes on top." if points else ""
