"""The operator's admin of the gateway: the connections that everybody may use, and their models.

Keys are written and never read back: the form takes one and shows only its last characters.
Organizations' own connections are theirs and do not appear here.
"""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.admin import ModelAdmin, TabularInline
from unfold.widgets import UnfoldAdminPasswordWidget, UnfoldAdminTextInputWidget

from gateway import services
from gateway.bill_admin import BillSourceAdmin as BillSourceAdmin
from gateway.connection_rules import WrongConnection, checked_declaration
from gateway.models import MAX_BASE_URL_CHARACTERS, MAX_MODEL_CHARACTERS, CustomModel, ProviderConnection

DECLARED = (
    "model",
    "upstream_name",
    "context_window_tokens",
    "max_output_tokens",
    "input_usd_per_million",
    "output_usd_per_million",
)


class ConnectionForm(forms.ModelForm):  # type: ignore[type-arg]  # it takes none at run time
    """A connection of the operator. Its address and its key change together only."""

    base_url = forms.CharField(
        label="Base URL",
        required=False,
        max_length=MAX_BASE_URL_CHARACTERS,
        widget=UnfoldAdminTextInputWidget,
        help_text="Empty: the price book's.",
    )
    api_key = forms.CharField(
        label="API key",
        required=False,
        widget=UnfoldAdminPasswordWidget,
        help_text="Stored encrypted and never shown again. Empty keeps the one there is.",
    )

    class Meta:
        model = ProviderConnection
        fields = ("provider", "is_active", "region")

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        try:
            self._check(self.given(cleaned))
        except WrongConnection as refusal:
            self.add_error(refusal.field if refusal.field in self.fields else None, str(refusal))
        return cleaned

    def given(self, cleaned: dict[str, Any]) -> dict[str, str]:
        """The keywords of `connect_provider`; the provider of a connection never changes."""
        return {
            "provider": self.instance.provider if self.is_change else cleaned.get("provider", ""),
            "base_url": cleaned.get("base_url", ""),
            "api_key": cleaned.get("api_key", ""),
        }

    @property
    def is_change(self) -> bool:
        return not self.instance._state.adding

    @property
    def is_connecting(self) -> bool:
        return not self.is_change or bool({"base_url", "api_key"} & set(self.changed_data))

    def _check(self, given: dict[str, str]) -> None:
        if self.is_connecting and self.is_change and not given["api_key"]:
            raise WrongConnection("Enter the key again: it will be sent to the new address.", field="api_key")
        if not self.is_connecting:
            return
        way = services.checked_way(organization=None, **given)
        taken = ProviderConnection.objects.filter(organization=None, provider=way.provider)
        if not self.is_change and taken.exists():
            raise WrongConnection(f"{way.provider} is connected already; change it there.", field="provider")


class DeclaredModelForm(forms.ModelForm):  # type: ignore[type-arg]
    """A model of a connection. Its prices have no default: zero is stated, not assumed."""

    upstream_name = forms.CharField(
        required=False, max_length=MAX_MODEL_CHARACTERS, widget=UnfoldAdminTextInputWidget
    )

    class Meta:
        model = CustomModel
        fields = DECLARED

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        if not self.errors:
            try:
                checked_declaration(**{name: cleaned[name] for name in DECLARED})
            except WrongConnection as refusal:
                self.add_error(refusal.field, str(refusal))
        return cleaned


class CustomModelInline(TabularInline):  # type: ignore[misc]  # unfold has no types
    model = CustomModel
    form = DeclaredModelForm
    fields = DECLARED
    extra = 0


@admin.register(ProviderConnection)
class ProviderConnectionAdmin(ModelAdmin):  # type: ignore[misc]
    form = ConnectionForm
    list_display = ("provider", "base_url", "key", "is_active", "updated_at")
    fields = ("provider", "base_url", "key", "api_key", "region", "is_active")
    inlines = (CustomModelInline,)

    @admin.display(description="Key there is")
    def key(self, connection: ProviderConnection) -> str:
        return f"…{connection.api_key_tail}" if connection.has_api_key else "none"

    def get_queryset(self, request: HttpRequest) -> QuerySet[ProviderConnection]:
        connections: QuerySet[ProviderConnection] = super().get_queryset(request)
        return connections.filter(organization=None)

    def get_readonly_fields(
        self, request: HttpRequest, obj: ProviderConnection | None = None
    ) -> tuple[str, ...]:
        return ("provider", "key") if obj else ("key",)

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        return {"is_active": True}

    def save_model(self, request: HttpRequest, obj: ProviderConnection, form: Any, change: bool) -> None:
        if form.is_connecting:
            obj.pk = services.connect_provider(organization=None, **form.given(form.cleaned_data)).pk
        stored = ProviderConnection.objects.get(pk=obj.pk)
        services.switch_connection(connection=stored, is_active=obj.is_active)
        if "region" in form.changed_data:
            services.place_connection(connection=stored, region=obj.region)

    def save_formset(self, request: HttpRequest, form: Any, formset: Any, change: bool) -> None:
        formset.new_objects, formset.changed_objects, formset.deleted_objects = [], [], []
        connection = ProviderConnection.objects.get(pk=form.instance.pk)
        for row in formset.forms:
            if row in formset.deleted_forms or "model" in row.changed_data:
                _remove(row, connection=connection)
            if row not in formset.deleted_forms and row.has_changed():
                stated = {name: row.cleaned_data[name] for name in DECLARED}
                services.declare_model(connection=connection, **stated)

    def delete_model(self, request: HttpRequest, obj: ProviderConnection) -> None:
        services.disconnect_provider(connection=obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[ProviderConnection]) -> None:
        for connection in queryset:
            services.disconnect_provider(connection=connection)


def _remove(row: Any, *, connection: ProviderConnection) -> None:
    """Take back what the row declared before; nothing if it is a new one."""
    declared = connection.custom_models.filter(pk=row.instance.pk).first()
    if declared is not None:
        services.remove_model(model=declared)
