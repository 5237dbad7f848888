"""The operator's pages of prices and markups: the whole history, and forms that state another one.

Nothing is changed or deleted here, as nothing stated ever is. Every write is a function of
`billing.price_services`, and the forms check with the same rules.
"""

from decimal import Decimal
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from unfold.admin import ModelAdmin
from unfold.widgets import (
    UnfoldAdminDecimalFieldWidget,
    UnfoldAdminSingleDateWidget,
    UnfoldAdminTextareaWidget,
)

from billing.errors import InvalidPrice
from billing.models import Markup, PriceFact
from billing.money import PICO_PER_USD
from billing.price_facts import REQUEST_FIELD, SEARCH_FIELD, TOKENS_PER_MILLION, UNITS, Numbers
from billing.price_services import (
    checked_markup,
    checked_price,
    set_markup,
    state_price,
    take_price_back,
)
from billing.terms import PAR_PPM

PLACE = ("organization", "provider", "model", "region", "tier", "valid_from")


def _amount(label: str, help_text: str = "") -> forms.DecimalField:
    return forms.DecimalField(
        label=label, required=False, widget=UnfoldAdminDecimalFieldWidget, help_text=help_text
    )


class StatedForm(forms.ModelForm):  # type: ignore[type-arg]  # it takes none at run time
    """A statement's form: what the rules refuse stands beside its field."""

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        if not self.errors:
            try:
                self.check_rules(cleaned)
            except InvalidPrice as refusal:
                self.add_error(refusal.field if refusal.field in self.fields else None, str(refusal))
        return cleaned

    def check_rules(self, cleaned: dict[str, Any]) -> None:
        raise NotImplementedError


class PriceForm(StatedForm):
    """One price, in the units of price files."""

    last_day = forms.DateField(
        required=False, widget=UnfoldAdminSingleDateWidget, help_text="Empty: until another price comes."
    )
    is_free = forms.BooleanField(required=False, label="Free", help_text="Then no rate is given.")
    input = _amount("Input, $ per million tokens")
    cached_input = _amount("Cached input")
    cache_write = _amount("Cache write, 5 minutes")
    cache_write_1h = _amount("Cache write, 1 hour")
    output = _amount("Output")
    reasoning = _amount("Reasoning")
    audio_input = _amount("Audio input")
    audio_output = _amount("Audio output")
    image_input = _amount("Image input")
    usd_per_request = _amount("$ per request")
    usd_per_thousand_searches = _amount("$ per thousand searches")
    above = forms.CharField(
        required=False,
        label="Long prompts",
        widget=UnfoldAdminTextareaWidget,
        help_text="One line each, as in: 272000 input=5 cached_input=0.5 output=22.5",
    )

    class Meta:
        model = PriceFact
        fields = (*PLACE, "source_url", "note")

    def check_rules(self, cleaned: dict[str, Any]) -> None:
        cleaned["numbers"] = numbers = Numbers(
            usd_per_million={unit: cleaned[unit] for unit in UNITS if cleaned.get(unit) is not None},
            is_free=cleaned["is_free"],
            usd_per_request=cleaned.get(REQUEST_FIELD),
            usd_per_thousand_searches=cleaned.get(SEARCH_FIELD),
            above=_above(cleaned["above"]),
        )
        place = {name: cleaned[name] for name in PLACE if name != "organization"}
        checked_price(numbers=numbers, last_day=cleaned.get("last_day"), **place)


class MarkupForm(StatedForm):
    """What is charged for a provider's cost."""

    multiplier = forms.DecimalField(
        widget=UnfoldAdminDecimalFieldWidget, initial=Decimal(1), help_text="1.05 charges 5 % on top."
    )
    fee_usd = forms.DecimalField(
        label="Fee", widget=UnfoldAdminDecimalFieldWidget, initial=Decimal(0), help_text="$ per request."
    )

    class Meta:
        model = Markup
        fields = ("provider", "valid_from", "note")

    def check_rules(self, cleaned: dict[str, Any]) -> None:
        stated = ("provider", "multiplier", "fee_usd", "valid_from")
        checked_markup(**{name: cleaned[name] for name in stated})


class Stated:
    """For admin classes: rows are looked at and added, never changed or deleted."""

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


@admin.register(PriceFact)
class PriceFactAdmin(Stated, ModelAdmin):  # type: ignore[misc]  # unfold has no types
    form = PriceForm
    list_display = (
        "provider", "model", "tier", "region", "organization", "valid_from", "valid_until", "rates", "source",
        "known_from", "entered_by", "note",
    )  # fmt: skip
    list_filter = ("source", "provider", "tier")
    search_fields = ("provider", "model", "version", "organization__slug")
    list_select_related = ("organization",)
    ordering = ("provider", "model", "region", "tier", "-valid_from", "-id")
    autocomplete_fields = ("organization",)
    fieldsets = (
        (None, {"fields": (*PLACE, "last_day")}),
        ("US dollars per million tokens", {"fields": ("is_free", *UNITS, "above")}),
        ("Besides tokens", {"fields": (REQUEST_FIELD, SEARCH_FIELD)}),
        ("Where it stands and why", {"fields": ("source_url", "note")}),
    )
    actions = ("take_back",)

    @admin.display(description="$ per million")
    def rates(self, fact: PriceFact) -> str:
        return rates_text(fact)

    def get_fieldsets(self, request: HttpRequest, obj: PriceFact | None = None) -> Any:
        if obj is None:
            return self.fieldsets
        shown = (*PLACE, "valid_until", "rates", "version", "source", "source_url", "known_from")
        return ((None, {"fields": (*shown, "entered_by", "note")}),)

    def save_model(self, request: HttpRequest, obj: PriceFact, form: Any, change: bool) -> None:
        names = (*PLACE, "last_day", "numbers", "source_url", "note")
        stated = {name: form.cleaned_data[name] for name in names}
        obj.pk = state_price(**stated, entered_by=str(request.user)).pk

    @admin.action(description="Take the selected prices back", permissions=["add"])
    def take_back(self, request: HttpRequest, facts: QuerySet[PriceFact]) -> None:
        for fact in facts:
            try:
                take_price_back(fact=fact, note="taken back", entered_by=str(request.user))
            except InvalidPrice as refusal:
                messages.error(request, f"{fact}: {refusal}")
            else:
                messages.success(request, f"{fact} is taken back.")


@admin.register(Markup)
class MarkupAdmin(Stated, ModelAdmin):  # type: ignore[misc]
    form = MarkupForm
    list_display = ("name", "multiplier", "fee_usd", "valid_from", "known_from", "entered_by", "note")
    list_filter = ("provider",)
    ordering = ("provider", "-valid_from", "-id")

    @admin.display(description="Provider")
    def name(self, markup: Markup) -> str:
        return markup.provider or "every other"

    @admin.display(description="Times")
    def multiplier(self, markup: Markup) -> str:
        return f"{Decimal(markup.multiplier_ppm) / PAR_PPM:f}"

    @admin.display(description="Plus, $ per request")
    def fee_usd(self, markup: Markup) -> str:
        return f"{Decimal(markup.fee_pico) / PICO_PER_USD:f}"

    def get_fields(self, request: HttpRequest, obj: Markup | None = None) -> tuple[str, ...]:
        stated = ("provider", "multiplier", "fee_usd", "valid_from", "note")
        return (*stated, "known_from", "entered_by") if obj else stated

    def save_model(self, request: HttpRequest, obj: Markup, form: Any, change: bool) -> None:
        stated = {
            name: form.cleaned_data[name]
            for name in ("provider", "multiplier", "fee_usd", "valid_from", "note")
        }
        obj.pk = set_markup(**stated, entered_by=str(request.user)).pk


def rates_text(fact: PriceFact) -> str:
    """The price's rates for people: `input 2.5, output 10`; what was taken back says so."""
    if fact.facts is None:
        return "taken back"
    named = [
        f"{unit} {Decimal(pico * TOKENS_PER_MILLION) / PICO_PER_USD:f}"
        for unit, pico in fact.facts["rates"].items()
    ]
    tiers = [f"above {each['prompt_tokens']:,} tokens dearer" for each in fact.facts["above"]]
    return ", ".join([*named, *tiers])


def _above(text: str) -> dict[int, dict[str, Decimal]]:
    """The context tiers of the form's lines; raises InvalidPrice for what cannot be read."""
    tiers: dict[int, dict[str, Decimal]] = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        prompt_tokens, *pairs = line.split()
        try:
            rates = {unit: Decimal(usd) for unit, usd in (pair.split("=", 1) for pair in pairs)}
            tiers[int(prompt_tokens)] = rates
        except (ValueError, ArithmeticError) as exc:
            raise InvalidPrice(
                f"a line is prompt tokens and rates, as in 272000 input=5 output=22.5, got {line[:80]!r}",
                field="above",
            ) from exc
    return tiers
