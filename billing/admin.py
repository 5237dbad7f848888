"""The operator's admin of billing: promotion codes to make; the rest is looked at, not changed."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html_join
from unfold.admin import ModelAdmin, TabularInline
from unfold.decorators import display

from billing import price_admin as price_admin  # registers prices and markups
from billing.errors import BillingError
from billing.models import (
    Budget,
    IngestCursor,
    Invoice,
    LedgerAccount,
    LedgerAudit,
    LedgerAuditFinding,
    LedgerEntry,
    LedgerTransfer,
    Payment,
    ProcessorEvent,
    PromotionCode,
)
from billing.promotions import checked_code, create_promotion_code, withdraw_promotion_code
from billing.read_only_admin import ReadOnly
from billing.reconciliation_admin import ProviderDayAdmin as ProviderDayAdmin


class LedgerEntryInline(ReadOnly, TabularInline):  # type: ignore[misc]  # unfold has no types
    model = LedgerEntry
    fields = ("account", "amount_usd", "balance_after_usd")
    extra = 0


@admin.register(Budget)
class BudgetAdmin(ReadOnly, ModelAdmin):  # type: ignore[misc]
    list_display = (
        "organization", "name", "scope", "subject", "is_each", "amount_usd", "window", "is_rolling",
        "is_observed", "time_zone",
    )  # fmt: skip
    list_filter = ("scope", "window", "is_rolling", "is_observed")
    search_fields = ("organization__name", "organization__slug", "scope_id")
    list_select_related = ("organization",)


@admin.register(LedgerAccount)
class LedgerAccountAdmin(ReadOnly, ModelAdmin):  # type: ignore[misc]
    list_display = ("organization", "kind", "balance_usd", "charged_usd")
    list_filter = ("kind",)
    search_fields = ("organization__name", "organization__slug")
    list_select_related = ("organization",)


@admin.register(LedgerTransfer)
class LedgerTransferAdmin(ReadOnly, ModelAdmin):  # type: ignore[misc]
    list_display = ("id", "organization", "kind", "occurred_at", "posted_at", "description")
    list_filter = ("kind",)
    search_fields = ("id", "organization__slug")
    list_select_related = ("organization",)
    ordering = ("-occurred_at",)
    show_full_result_count = False
    inlines = (LedgerEntryInline,)


class LedgerAuditFindingInline(ReadOnly, TabularInline):  # type: ignore[misc]
    model = LedgerAuditFinding
    fields = ("number", "title", "organization_id", "differences", "examples")
    ordering = ("number", "title")
    extra = 0


@admin.register(LedgerAudit)
class LedgerAuditAdmin(ReadOnly, ModelAdmin):  # type: ignore[misc]
    """Each audit with its rules, and what differed in whose books."""

    list_display = ("finished_at", "result", "duration", "transfers", "events", "not_repriced")
    fields = (
        ("started_at", "finished_at", "duration"),
        ("outcome", "failure"),
        ("transfers", "entries", "events", "repriced", "not_repriced"),
        "checked_rules",
    )
    readonly_fields = ("outcome", "duration", "checked_rules")
    inlines = (LedgerAuditFindingInline,)

    @display(description="Result", label={"clean": "success", "differs": "danger", "not finished": "warning"})  # type: ignore[untyped-decorator]
    def result(self, audit: LedgerAudit) -> tuple[str, str]:
        return ("differs" if audit.differences else audit.outcome, audit.outcome)

    @admin.display(description="Took")
    def duration(self, audit: LedgerAudit) -> str:
        return f"{(audit.finished_at - audit.started_at).total_seconds():.1f} s"

    @admin.display(description="Rules")
    def checked_rules(self, audit: LedgerAudit) -> str:
        return format_html_join(
            "",
            "<div>{} · {} · {}</div>",
            (
                (
                    rule["number"],
                    rule["title"],
                    f"{rule['differences']} differ" if rule["differences"] else "ok",
                )
                for rule in audit.rules
            ),
        )


@admin.register(IngestCursor)
class IngestCursorAdmin(ReadOnly, ModelAdmin):  # type: ignore[misc]
    list_display = ("shard", "stream_id")
    ordering = ("shard",)


@admin.register(Payment)
class PaymentAdmin(ReadOnly, ModelAdmin):  # type: ignore[misc]
    list_display = ("id", "organization", "kind", "status", "amount_usd", "refunded_usd", "created_at")
    list_filter = ("status", "kind", "processor")
    search_fields = ("id", "organization__slug", "processor_ref", "checkout_ref")
    list_select_related = ("organization",)
    ordering = ("-created_at",)


@admin.register(ProcessorEvent)
class ProcessorEventAdmin(ReadOnly, ModelAdmin):  # type: ignore[misc]
    list_display = ("event_ref", "type", "outcome", "payment", "received_at")
    list_filter = ("outcome", "type")
    search_fields = ("event_ref", "payment__id")
    ordering = ("-received_at",)
    show_full_result_count = False


@admin.register(Invoice)
class InvoiceAdmin(ReadOnly, ModelAdmin):  # type: ignore[misc]
    list_display = ("name", "organization", "kind", "starts_at", "ends_at", "total_usd", "issued_at")
    list_filter = ("kind",)
    search_fields = ("name", "organization__slug")
    list_select_related = ("organization",)
    exclude = ("html", "pdf")
    ordering = ("-number",)


class PromotionCodeForm(forms.ModelForm):  # type: ignore[type-arg]  # it takes none at run time
    """A code as the operator asks for it; `billing.promotions` says what is allowed."""

    class Meta:
        model = PromotionCode
        fields = ("code", "amount_usd", "most_uses", "expires_at")

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        if not self.errors:
            try:
                cleaned["code"] = checked_code(**cleaned)
            except BillingError as refusal:
                raise forms.ValidationError(str(refusal)) from refusal
        return cleaned


@admin.register(PromotionCode)
class PromotionCodeAdmin(ModelAdmin):  # type: ignore[misc]
    """Codes are made and withdrawn here; what was redeemed stays."""

    form = PromotionCodeForm
    list_display = ("code", "amount_usd", "uses", "most_uses", "expires_at", "is_active")
    list_filter = ("is_active",)
    search_fields = ("code",)
    ordering = ("-created_at",)
    actions = ("withdraw",)

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        # The list needs it for its action; a single code is looked at only.
        return obj is None

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def save_model(
        self, request: HttpRequest, obj: PromotionCode, form: PromotionCodeForm, change: bool
    ) -> None:
        obj.pk = create_promotion_code(**form.cleaned_data).pk

    @admin.action(description="Withdraw: nobody can redeem it any more")
    def withdraw(self, request: HttpRequest, queryset: QuerySet[PromotionCode]) -> None:
        for code in queryset:
            withdraw_promotion_code(code=code)
