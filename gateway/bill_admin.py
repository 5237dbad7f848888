"""The operator's admin of bill sources. Admin keys are written and never read back."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.admin import ModelAdmin
from unfold.widgets import UnfoldAdminPasswordWidget, UnfoldAdminTextInputWidget

from gateway import bill_services
from gateway.connection_rules import WrongConnection
from gateway.models import MAX_BASE_URL_CHARACTERS, BillSource


class BillSourceForm(forms.ModelForm):  # type: ignore[type-arg]  # it takes none at run time
    """A source. Its address and its key change together only."""

    base_url = forms.CharField(
        label="Base URL",
        required=False,
        max_length=MAX_BASE_URL_CHARACTERS,
        widget=UnfoldAdminTextInputWidget,
        help_text="Empty: the dialect's own, such as https://api.openai.com/v1.",
    )
    admin_key = forms.CharField(
        label="Admin key",
        required=False,
        widget=UnfoldAdminPasswordWidget,
        help_text="Stored encrypted and never shown again. Empty keeps the one there is.",
    )

    class Meta:
        model = BillSource
        fields = ("provider", "dialect", "is_active")

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        if not self.is_setting:
            return cleaned
        given = self.given(cleaned)
        try:
            if not given["admin_key"]:
                raise WrongConnection(
                    "Enter the admin key: it will be sent to this address.", field="api_key"
                )
            bill_services.checked_source(
                dialect=given["dialect"], base_url=given["base_url"], admin_key=given["admin_key"]
            )
        except WrongConnection as refusal:
            field = {"api_key": "admin_key"}.get(refusal.field, refusal.field)
            self.add_error(field if field in self.fields else None, str(refusal))
        return cleaned

    def given(self, cleaned: dict[str, Any]) -> dict[str, str]:
        """The keywords of `set_bill_source`; the provider of a source never changes."""
        names = ("dialect", "base_url", "admin_key")
        provider = cleaned.get("provider", "") if self.instance._state.adding else self.instance.provider
        return {"provider": provider, **{name: cleaned.get(name) or "" for name in names}}

    @property
    def is_setting(self) -> bool:
        """Whether the address or the key is to be stored anew."""
        changed = {"base_url", "admin_key", "dialect"} & set(self.changed_data)
        return self.instance._state.adding or bool(changed)


@admin.register(BillSource)
class BillSourceAdmin(ModelAdmin):  # type: ignore[misc]  # unfold has no types
    form = BillSourceForm
    list_display = ("provider", "dialect", "base_url", "key", "is_active", "fetched_at", "failure")
    fields = ("provider", "dialect", "base_url", "key", "admin_key", "is_active", "fetched_at", "failure")

    @admin.display(description="Key there is")
    def key(self, source: BillSource) -> str:
        return f"…{source.admin_key_tail}" if source.admin_key_tail else "none"

    def get_readonly_fields(self, request: HttpRequest, obj: BillSource | None = None) -> tuple[str, ...]:
        shown = ("key", "fetched_at", "failure")
        return ("provider", *shown) if obj else shown

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        return {"is_active": True}

    def save_model(self, request: HttpRequest, obj: BillSource, form: Any, change: bool) -> None:
        if form.is_setting:
            obj.pk = bill_services.set_bill_source(**form.given(form.cleaned_data)).pk
        bill_services.switch_bill_source(source=obj, is_active=obj.is_active)

    def delete_model(self, request: HttpRequest, obj: BillSource) -> None:
        bill_services.forget_bill_source(source=obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[BillSource]) -> None:
        for source in queryset:
            bill_services.forget_bill_source(source=source)
