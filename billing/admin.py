"""The operator's admin of billing: budgets, accounts and transfers to look at. Nothing is changed here."""

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest
from unfold.admin import ModelAdmin, TabularInline

from billing.models import Budget, IngestCursor, LedgerAccount, LedgerEntry, LedgerTransfer


class ReadOnly:
    """For admin classes: rows are looked at, not made, changed or deleted."""

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


class LedgerEntryInline(ReadOnly, TabularInline):  # type: ignore[misc]  # unfold has no types
    model = LedgerEntry
    fields = ("account", "amount_usd", "balance_after_usd")
    extra = 0


@admin.register(Budget)
class BudgetAdmin(ReadOnly, ModelAdmin):  # type: ignore[misc]
    list_display = ("organization", "scope", "scope_id", "amount_usd", "window", "time_zone")
    list_filter = ("scope", "window")
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


@admin.register(IngestCursor)
class IngestCursorAdmin(ReadOnly, ModelAdmin):  # type: ignore[misc]
    list_display = ("shard", "stream_id")
    ordering = ("shard",)
