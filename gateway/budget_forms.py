"""The form of a budget. It checks with the same rules as `billing.budget_services`."""

from typing import Any
from uuid import UUID

from django import forms
from django.db.models import Q

from accounts.tenancy import Tenant
from billing.budget_services import (
    MAX_ALERT_PERCENT,
    MAX_END_USER_CHARACTERS,
    MAX_NAME_CHARACTERS,
    BudgetTerms,
)
from billing.models import USD_DECIMALS, USD_DIGITS, Budget
from billing.money import SMALLEST_USD, plain_usd
from billing.services import MAX_AMOUNT_USD
from gateway.alert_models import MAX_WEBHOOK_URL_CHARACTERS
from gateway.budget_rights import right_to_set
from gateway.budget_texts import CALENDAR_TEXTS, ROLLING_TEXTS

ROLLING = "rolling-"
RENEWALS = [
    ("By the calendar", [*CALENDAR_TEXTS.items()]),
    ("Rolling", [(f"{ROLLING}{window}", text) for window, text in ROLLING_TEXTS.items()]),
    ("Once", [("total", "in total, never renewed")]),
]
EACH = "each-"
LABEL_CHOICES = [
    ("tag", "One tag"),
    (f"{EACH}tag", "Each tag for itself"),
    ("end_user", "One end user"),
    (f"{EACH}end_user", "Each end user for itself"),
    ("model", "A model family"),
]
MODES = [("refuse", "Refuse requests that it does not cover"), ("observe", "Only observe and count them")]
# Which field of the form says what the services call so.
FIELD_OF_TERM = {
    "amount_usd": "amount_usd",
    "scope": "whom",
    "scope_id": "whom",
    "is_each": "whom",
    "subject": "subject",
    "window": "renewal",
    "time_zone": "time_zone",
    "name": "name",
    "alert_percents": "alert_percents",
}


class BudgetTermsForm(forms.Form):
    """One sentence: so much, so often, for whom, and what happens then."""

    amount_usd = forms.DecimalField(
        label="US dollars",
        min_value=SMALLEST_USD,
        max_value=MAX_AMOUNT_USD,
        max_digits=USD_DIGITS,
        decimal_places=USD_DECIMALS,
        widget=forms.NumberInput(attrs={"step": "any", "inputmode": "decimal"}),
        error_messages={
            "min_value": f"Enter an amount between {SMALLEST_USD:f} and {MAX_AMOUNT_USD:,}.",
            "max_value": f"Enter an amount between {SMALLEST_USD:f} and {MAX_AMOUNT_USD:,}.",
        },
    )
    renewal = forms.ChoiceField(label="How often", choices=RENEWALS, initial="month")
    time_zone = forms.CharField(
        label="On the calendar of",
        max_length=64,
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
        help_text="A time zone such as Europe/Berlin. Rolling windows do not need it.",
    )
    whom = forms.ChoiceField(label="Whom it binds")
    subject = forms.CharField(
        label="Tag, end user or model family",
        required=False,
        max_length=MAX_END_USER_CHARACTERS,
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
        help_text="Only if it binds one of them. A family is a pattern such as gpt-5* or openai/*.",
    )
    mode = forms.ChoiceField(label="When it is used up", choices=MODES, initial="refuse")
    alert_percents = forms.CharField(
        label="Alert when so many per cent are spent",
        required=False,
        initial="50, 80, 100",
        max_length=64,
        help_text=f"Numbers from 1 to {MAX_ALERT_PERCENT}, separated by commas, once a period. Empty: never.",
    )
    name = forms.CharField(
        label="Name",
        required=False,
        max_length=MAX_NAME_CHARACTERS,
        help_text="Shown in refusals and alerts, as in Launch campaign.",
    )

    def __init__(
        self, data: Any = None, *, tenant: Tenant, time_zone: str, budget: Budget | None = None
    ) -> None:
        super().__init__(data, initial=initial_of(budget) if budget else {"time_zone": time_zone})
        whom = self.fields["whom"]
        assert isinstance(whom, forms.ChoiceField)
        whom.choices = _whom_choices(tenant, budget)

    def clean_alert_percents(self) -> tuple[int, ...]:
        written = self.cleaned_data["alert_percents"].replace("%", "").split(",")
        parts = [part.strip() for part in written]
        if not all(part.isascii() and part.isdigit() for part in parts if part):
            raise forms.ValidationError("Write whole numbers separated by commas, as in 50, 80, 100.")
        return tuple(int(part) for part in parts if part)

    @property
    def terms(self) -> BudgetTerms:
        """What a valid form says."""
        given = self.cleaned_data
        kind, _, number = given["whom"].partition(":")
        return BudgetTerms(
            scope=kind.removeprefix(EACH),
            scope_id=UUID(number) if number else None,
            subject=given["subject"],
            is_each=kind.startswith(EACH),
            amount_usd=given["amount_usd"],
            window=given["renewal"].removeprefix(ROLLING),
            is_rolling=given["renewal"].startswith(ROLLING),
            time_zone=given["time_zone"],
            name=given["name"],
            is_observed=given["mode"] == "observe",
            alert_percents=given["alert_percents"],
        )


class WebhookForm(forms.Form):
    """Where alerts are posted, beside the mails."""

    url = forms.CharField(
        label="Webhook",
        required=False,
        max_length=MAX_WEBHOOK_URL_CHARACTERS,
        widget=forms.URLInput(attrs={"autocomplete": "off", "placeholder": "https://example.com/alerts"}),
        help_text="Alerts are posted there, signed with a secret that is made anew and shown once.",
    )


def initial_of(budget: Budget) -> dict[str, Any]:
    """The form filled with a budget."""
    whom = f"{EACH}{budget.scope}" if budget.is_each else budget.scope
    if budget.scope in (Budget.Scope.PROJECT, Budget.Scope.KEY):
        whom = f"{budget.scope}:{budget.scope_id}"
    return {
        "amount_usd": plain_usd(budget.amount_usd),
        "renewal": f"{ROLLING}{budget.window}" if budget.is_rolling else budget.window,
        "time_zone": budget.time_zone,
        "whom": whom,
        "subject": budget.subject,
        "mode": "observe" if budget.is_observed else "refuse",
        "alert_percents": ", ".join(map(str, budget.alert_percents)),
        "name": budget.name,
    }


def _whom_choices(tenant: Tenant, budget: Budget | None) -> list[Any]:
    bound = Q(revoked_at=None) | Q(pk=budget.scope_id if budget else None)
    keys = tenant.keys().filter(bound)
    scope = Budget.Scope.ORGANIZATION
    whole = [(scope.value, "The whole organization")] if tenant.may(right_to_set(scope)) else []
    return [
        *whole,
        ("Labels of requests", LABEL_CHOICES),
        ("Projects", [(f"project:{project.pk}", project.name) for project in tenant.projects()]),
        ("Keys", [(f"key:{key.pk}", f"{key.name} …{key.last_four}") for key in keys]),
    ]
