"""The forms of the key and provider pages. They check with the same rules as the services."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from django import forms
from django.conf import settings
from django.utils import timezone

from accounts import rules
from accounts.errors import AccountsRefusal
from accounts.models import ApiKey, Project
from accounts.permissions import key_roles_within
from accounts.tenancy import Tenant
from billing.models import Budget
from billing.price_book import load_price_book
from gateway.connection_rules import (
    MAX_API_KEY_CHARACTERS,
    MAX_MODEL_CHARACTERS,
    MAX_PRICE_USD,
    MAX_PROVIDER_CHARACTERS,
    MAX_WINDOW_TOKENS,
    OWN_ENDPOINT,
)
from gateway.limit_forms import BudgetForm, RatesForm, amount_of, rates_of
from gateway.models import MAX_BASE_URL_CHARACTERS, PRICE_DECIMALS, PRICE_DIGITS
from gateway.snippets import SIMULATOR

DATETIME_LOCAL = "%Y-%m-%dT%H:%M"
MAX_LIST_CHARACTERS = 20_000
NO_ROLE = "No role: it only completes"

_Checked = TypeVar("_Checked")


class KeyLimitsForm(BudgetForm, RatesForm):
    """What a key may do and spend; an empty field sets no limit."""

    allowed_models = forms.CharField(
        label="Allowed models",
        required=False,
        max_length=MAX_LIST_CHARACTERS,
        widget=forms.Textarea(attrs={"rows": 2, "spellcheck": "false"}),
        help_text="As in openai/gpt-5 or openai/*, separated by commas or lines. Empty: all models.",
    )
    allowed_networks = forms.CharField(
        label="Allowed networks",
        required=False,
        max_length=MAX_LIST_CHARACTERS,
        widget=forms.Textarea(attrs={"rows": 2, "spellcheck": "false"}),
        help_text="As in 203.0.113.7 or 2001:db8::/32, separated by commas or lines. Empty: from anywhere.",
    )
    is_budget_clamped = forms.BooleanField(
        label="Shorten answers where money is short",
        required=False,
        help_text="The output cap is lowered to what credit and budgets buy, instead of a refusal.",
    )

    def clean_allowed_models(self) -> list[str] | None:
        return _checked(rules.checked_models, _items(self.cleaned_data["allowed_models"]) or None)

    def clean_allowed_networks(self) -> list[str] | None:
        return _checked(rules.checked_networks, _items(self.cleaned_data["allowed_networks"]) or None)


class NewKeyForm(KeyLimitsForm):
    """A new key. The project is asked for where there are several; moments are the viewer's."""

    name = forms.CharField(
        label="Name",
        max_length=rules.MAX_NAME_CHARACTERS,
        help_text="What it is for, as in Nightly reports.",
    )
    project = forms.ModelChoiceField(label="Project", queryset=Project.objects.none(), empty_label=None)
    expires_at = forms.DateTimeField(
        label="Expires",
        required=False,
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format=DATETIME_LOCAL),
    )
    default_tags = forms.CharField(
        label="Default tags",
        required=False,
        max_length=MAX_LIST_CHARACTERS,
        help_text="Separated by commas; each request of this key wears them.",
    )

    role = forms.ChoiceField(label="In management calls", required=False)

    field_order = ("name", "project", "budget_usd", "budget_window")

    def __init__(self, data: Any = None, *, tenant: Tenant, time_zone: str) -> None:
        super().__init__(data, initial={"project": tenant.projects().first()})
        self._zone = ZoneInfo(time_zone)
        projects = self.fields["project"]
        assert isinstance(projects, forms.ModelChoiceField)
        projects.queryset = tenant.projects()
        if len(projects.queryset) == 1:
            projects.widget = projects.hidden_widget()
        _offer_roles(self.fields["role"], own_role=tenant.role)
        self.fields["expires_at"].help_text = f"On the clock of {time_zone}. Empty: never."

    def full_clean(self) -> None:
        with timezone.override(self._zone):
            super().full_clean()

    def clean_name(self) -> str:
        return _checked(rules.checked_name, self.cleaned_data["name"])

    def clean_expires_at(self) -> Any:
        expires_at = self.cleaned_data["expires_at"]
        _checked(rules.check_expiry, expires_at)
        return expires_at

    def clean_default_tags(self) -> list[str]:
        return _checked(rules.checked_tags, _items(self.cleaned_data["default_tags"]))


class KeyRoleForm(forms.Form):
    """What a key may do in management calls: at most what whoever gives it may."""

    role = forms.ChoiceField(label="In management calls", required=False)

    def __init__(self, data: Any = None, *, own_role: str, current: str = "") -> None:
        super().__init__(data, initial={"role": current})
        _offer_roles(self.fields["role"], own_role=own_role)


class FirstKeyForm(forms.Form):
    """One click: the name is a suggestion."""

    name = forms.CharField(label="Name of the key", max_length=rules.MAX_NAME_CHARACTERS, initial="First key")

    def clean_name(self) -> str:
        return _checked(rules.checked_name, self.cleaned_data["name"])


class ConnectionForm(forms.Form):
    """Credentials for a provider of the price book, or an endpoint of one's own."""

    provider = forms.ChoiceField(label="Provider")
    name = forms.CharField(
        label="Name of your endpoint",
        required=False,
        max_length=MAX_PROVIDER_CHARACTERS,
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
        help_text="What comes after @ in model names, as in my-model@in-house. "
        f"Only for an endpoint of your own; empty: {OWN_ENDPOINT}.",
    )
    base_url = forms.CharField(
        label="Base URL",
        required=False,
        max_length=MAX_BASE_URL_CHARACTERS,
        widget=forms.URLInput(attrs={"autocomplete": "off", "placeholder": "https://models.example.com/v1"}),
        help_text="Empty: the provider's own.",
    )
    api_key = forms.CharField(
        label="API key",
        required=False,
        max_length=MAX_API_KEY_CHARACTERS,
        widget=forms.PasswordInput(attrs={"autocomplete": "off"}),
        help_text="Stored encrypted and never shown again.",
    )

    def __init__(self, data: Any = None) -> None:
        super().__init__(data)
        provider = self.fields["provider"]
        assert isinstance(provider, forms.ChoiceField)
        provider.choices = _provider_choices()

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        if cleaned.get("provider") == OWN_ENDPOINT:
            cleaned["provider"] = cleaned.get("name") or OWN_ENDPOINT
        elif cleaned.get("name"):
            self.add_error("name", "Choose 'Your own endpoint' to give it a name, or leave the name empty.")
        return cleaned


class DeclaredModelForm(forms.Form):
    """A model of an own endpoint with its price. The prices have no default: zero is stated, not assumed."""

    model = forms.CharField(label="Model", max_length=MAX_MODEL_CHARACTERS, help_text="As requests name it.")
    upstream_name = forms.CharField(
        label="Name at the endpoint",
        required=False,
        max_length=MAX_MODEL_CHARACTERS,
        help_text="Empty: the same.",
    )
    context_window_tokens = forms.IntegerField(
        label="Context window in tokens", min_value=1, max_value=MAX_WINDOW_TOKENS, initial=128_000
    )
    max_output_tokens = forms.IntegerField(
        label="Most output tokens", min_value=1, max_value=MAX_WINDOW_TOKENS, initial=4_096
    )
    input_usd_per_million = forms.DecimalField(
        label="US dollars per million input tokens",
        min_value=0,
        max_value=MAX_PRICE_USD,
        max_digits=PRICE_DIGITS,
        decimal_places=PRICE_DECIMALS,
        help_text="Enter 0 if it costs nothing.",
    )
    output_usd_per_million = forms.DecimalField(
        label="US dollars per million output tokens",
        min_value=0,
        max_value=MAX_PRICE_USD,
        max_digits=PRICE_DIGITS,
        decimal_places=PRICE_DECIMALS,
        help_text="Enter 0 if it costs nothing.",
    )


def _offer_roles(field: forms.Field, *, own_role: str) -> None:
    assert isinstance(field, forms.ChoiceField)
    field.choices = [("", NO_ROLE), *((role.value, role.label) for role in key_roles_within(own_role))]
    field.help_text = "A key with a role can do by API what people with that role can do here."


def limits_form_of(key: ApiKey, budget: Budget | None) -> KeyLimitsForm:
    """The form filled with what binds the key."""
    return KeyLimitsForm(
        initial={
            **rates_of(key),
            **amount_of(budget),
            "allowed_models": "\n".join(key.allowed_models or ()),
            "allowed_networks": "\n".join(key.allowed_networks or ()),
            "is_budget_clamped": key.is_budget_clamped,
        }
    )


def _provider_choices() -> Sequence[tuple[str, str]]:
    hidden = set() if settings.FAREBOX_SIMULATOR_URL else {SIMULATOR}
    offered = [each for slug, each in load_price_book().providers.items() if slug not in hidden]
    known = sorted(((each.slug, each.name) for each in offered), key=lambda choice: choice[1].lower())
    return [*known, (OWN_ENDPOINT, "Your own endpoint (OpenAI-compatible)")]


def _items(text: str) -> list[str]:
    return [item.strip() for item in text.replace("\n", ",").split(",") if item.strip()]


def _checked(check: Callable[[Any], _Checked], value: Any) -> _Checked:
    try:
        return check(value)
    except AccountsRefusal as refusal:
        raise forms.ValidationError(str(refusal)) from refusal
