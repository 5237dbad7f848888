"""The operator's admin of billing: budgets, accounts, transfers, audits to look at, not to change."""

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest
from django.utils.html import format_html_join
from unfold.admin import ModelAdmin, TabularInline
from unfold.decorators import display

from billing.models import (
    Budget,
    IngestCursor,
    LedgerAccount,
    LedgerAudit,
    LedgerAuditFinding,
    LedgerEntry,
    LedgerTransfer,
)


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
        ("result", "failure"),
        ("transfers", "entries", "events", "repriced", "not_repriced"),
        "checked_rules",
    )
    readonly_fields = ("result", "duration", "checked_rules")
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
