"""Forms of what a holder may do and spend: a key, a project or the whole organization.

An empty field sets no limit. They check with the same rules as the services.
"""

from typing import Any

from django import forms

from accounts import rules
from accounts.errors import AccountsRefusal
from accounts.models import Limits, Project
from billing.models import USD_DECIMALS, USD_DIGITS, Budget
from billing.money import SMALLEST_USD, plain_usd
from billing.services import MAX_AMOUNT_USD
from gateway.models import OutagePolicy

RENEWALS = (
    (Budget.Window.HOUR, "every hour"),
    (Budget.Window.DAY, "every day"),
    (Budget.Window.WEEK, "every week"),
    (Budget.Window.MONTH, "every month"),
    (Budget.Window.QUARTER, "every quarter"),
    (Budget.Window.TOTAL, "never"),
)


class RatesForm(forms.Form):
    """How much at once and in a minute."""

    requests_per_minute = forms.IntegerField(
        label="Requests per minute", required=False, min_value=1, max_value=rules.MAX_RATE
    )
    tokens_per_minute = forms.IntegerField(
        label="Tokens per minute", required=False, min_value=1, max_value=rules.MAX_TOKENS_PER_MINUTE
    )
    concurrent_requests = forms.IntegerField(
        label="Requests at once", required=False, min_value=1, max_value=rules.MAX_RATE
    )


class BudgetForm(forms.Form):
    """How much money in which time."""

    budget_usd = forms.DecimalField(
        label="Budget in US dollars",
        required=False,
        min_value=SMALLEST_USD,
        max_value=MAX_AMOUNT_USD,
        max_digits=USD_DIGITS,
        decimal_places=USD_DECIMALS,
        widget=forms.NumberInput(attrs={"step": "any", "inputmode": "decimal"}),
        error_messages={"min_value": f"Enter at least {SMALLEST_USD:f}; without a budget, leave it empty."},
    )
    budget_window = forms.ChoiceField(
        label="Budget renews", choices=RENEWALS, initial=Budget.Window.MONTH, required=False
    )

    def clean_budget_window(self) -> str:
        return self.cleaned_data["budget_window"] or Budget.Window.MONTH


class OutageForm(forms.Form):
    """What may be spent while limits cannot be checked."""

    redis_away_usd = forms.DecimalField(
        label="Let through, in US dollars",
        min_value=0,
        max_digits=USD_DIGITS,
        decimal_places=USD_DECIMALS,
        widget=forms.NumberInput(attrs={"step": "any", "inputmode": "decimal"}),
        help_text="For each outage, all keys together. 0 refuses every call, and nothing is overspent.",
    )


class ProjectForm(BudgetForm, RatesForm):
    """A project: whose provider keys its requests use, and what its keys may do and spend together."""

    name = forms.CharField(
        label="Name",
        max_length=rules.MAX_NAME_CHARACTERS,
        help_text="A team, a product or an environment, as in Production.",
    )
    mode = forms.ChoiceField(
        label="Requests are paid with", choices=Project.Mode.choices, initial=Project.Mode.HYBRID
    )
    is_body_logging_on = forms.BooleanField(
        label="Store prompts and answers",
        required=False,
        initial=True,
        help_text="Where the organization stores them at all; see Settings.",
    )

    is_caching_on = forms.BooleanField(
        label="Give known answers again",
        required=False,
        help_text="The same request of this project gets the answer it had before, at no charge.",
    )
    cache_ttl_seconds = forms.IntegerField(
        label="Answers are known for, in seconds",
        required=False,
        min_value=rules.MIN_CACHE_TTL_SECONDS,
        max_value=rules.MAX_CACHE_TTL_SECONDS,
        initial=rules.DEFAULT_CACHE_TTL_SECONDS,
        help_text="From ten seconds to a year; a request may say otherwise.",
    )

    field_order = ("name", "mode", "budget_usd", "budget_window")

    def clean_cache_ttl_seconds(self) -> int:
        return self.cleaned_data["cache_ttl_seconds"] or rules.DEFAULT_CACHE_TTL_SECONDS

    def clean_name(self) -> str:
        try:
            return rules.checked_name(self.cleaned_data["name"])
        except AccountsRefusal as refusal:
            raise forms.ValidationError(str(refusal)) from refusal


def rates_of(holder: Limits) -> dict[str, Any]:
    """What a RatesForm shows at first."""
    return {
        "requests_per_minute": holder.requests_per_minute,
        "tokens_per_minute": holder.tokens_per_minute,
        "concurrent_requests": holder.concurrent_requests,
    }


def allowance_of(policy: OutagePolicy | None) -> dict[str, Any]:
    """What an OutageForm shows at first."""
    return {"redis_away_usd": plain_usd(policy.redis_away_usd) if policy else "0"}


def amount_of(budget: Budget | None) -> dict[str, Any]:
    """What a BudgetForm shows at first."""
    return {
        "budget_usd": plain_usd(budget.amount_usd) if budget else None,
        "budget_window": budget.window if budget else Budget.Window.MONTH,
    }
