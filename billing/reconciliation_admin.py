"""The operator's pages of reconciliation: days with their drift, down to models, causes and events.

Nothing is changed here. Bills come from `manage.py importproviderusage` or a bill source.
"""

from collections.abc import Iterator
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html_join
from unfold.admin import ModelAdmin
from unfold.decorators import display

from billing.csv_export import csv_text
from billing.models import ProviderDay, ProviderStatement
from billing.money import format_usd
from billing.read_only_admin import ReadOnly
from billing.reconciliation.alerting import percent_words
from billing.reconciliation.matching import CAUSES, account_of, model_day_of
from billing.reconciliation.our_side import events_behind
from billing.reconciliation_tables import (
    day_csv_rows,
    event_csv_rows,
    events_table,
    line_words,
    models_table,
)

EVENTS_PER_PAGE = 100
LINES_SHOWN = 1_000
STATEMENTS_SHOWN = 20


@admin.register(ProviderDay)
class ProviderDayAdmin(ReadOnly, ModelAdmin):  # type: ignore[misc]  # unfold has no types
    """A table of days; a day is a table of models; a model's causes lead to its events."""

    list_display = ("day", "provider", "whose", "bill", "cost", "drift", "drift_percent", "state")
    list_filter = ("provider", "is_drifting")
    date_hierarchy = "day"
    list_select_related = ("organization",)
    list_before_template = "admin/billing/providerday_before_list.html"

    @admin.display(description="Account", ordering="organization")
    def whose(self, row: ProviderDay) -> str:
        return f"own account of {row.organization}" if row.organization else "the operator's"

    @admin.display(description="Their bill", ordering="theirs_usd")
    def bill(self, row: ProviderDay) -> str:
        return format_usd(row.theirs_usd)

    @admin.display(description="Our cost", ordering="ours_usd")
    def cost(self, row: ProviderDay) -> str:
        return format_usd(row.ours_usd)

    @admin.display(description="Drift", ordering="drift_usd")
    def drift(self, row: ProviderDay) -> str:
        return format_usd(row.drift_usd)

    @admin.display(description="Drift, %", ordering="drift_ppm")
    def drift_percent(self, row: ProviderDay) -> str:
        return percent_words(row)

    @display(description="State", label={"beyond": "danger", "within": "success", "not over": "info"})  # type: ignore[untyped-decorator]
    def state(self, row: ProviderDay) -> tuple[str, str]:
        if row.is_drifting:
            return "beyond", "beyond the limit"
        is_over = row.day < timezone.now().date()
        return ("within", "within") if is_over else ("not over", "day not over")

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("export.csv", view(self.export), name="billing_providerday_export"),
            path("<int:pk>/events/", view(self.events), name="billing_providerday_events"),
            *super().get_urls(),
        ]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """A day with its models; there is no form, as nothing is changed."""
        row = self._row(request, object_id)
        statements = account_of(row).rows(ProviderStatement.objects.filter(day=row.day)).order_by("-pk")
        context = {
            "title": f"{row.provider}, {row.day}, {self.whose(row)}",
            "day": row,
            "facts": {
                "headers": ["Their bill", "Our cost", "Drift", "Drift, %", "State", "Matched (UTC)"],
                "rows": [
                    [
                        self.bill(row),
                        self.cost(row),
                        self.drift(row),
                        self.drift_percent(row),
                        self.state(row)[1],
                        f"{row.matched_at:%Y-%m-%d %H:%M}",
                    ]
                ],
            },
            "models": models_table(
                map(model_day_of, row.models_matched),
                events_href=reverse("admin:billing_providerday_events", args=[row.pk]),
            ),
            "statements": {
                "headers": ["Imported (UTC)", "Kind", "Source", "From"],
                "rows": [
                    [f"{each.imported_at:%Y-%m-%d %H:%M}", each.kind, each.source, each.source_name]
                    for each in statements[:STATEMENTS_SHOWN]
                ],
            },
        }
        return self._page(request, "admin/billing/providerday.html", context)

    def export(self, request: HttpRequest) -> StreamingHttpResponse:
        """Every model of every day, as CSV."""
        self._require_view(request)
        days = self.get_queryset(request).select_related("organization").order_by("-day", "provider", "pk")
        return _csv(day_csv_rows(days), "provider-bills.csv")

    def events(self, request: HttpRequest, pk: int) -> HttpResponseBase:
        """The events of a model of the day, all of them or those behind a cause; also as CSV."""
        row = self._row(request, pk)
        name, cause = request.GET.get("model", ""), request.GET.get("cause", "")
        each = next((each for each in map(model_day_of, row.models_matched) if each.model == name), None)
        if each is None or (cause and cause not in each.doubts):
            raise Http404("The day has no such model or cause.")
        found = events_behind(account_of(row), row.day, models=list(each.our_names), doubt=cause)
        if request.GET.get("format") == "csv":
            return _csv(event_csv_rows(found), f"events-{row.provider}-{row.day}.csv")
        pages = Paginator(found.order_by("-occurred_at", "-id"), EVENTS_PER_PAGE)
        page = pages.get_page(request.GET.get("page"))
        context = {
            "title": f"{row.provider}, {each.model}, {row.day}",
            "words": CAUSES.get(cause, "all of the day"),
            "count": pages.count,
            "events": events_table(page.object_list),
            "day_href": reverse("admin:billing_providerday_change", args=[row.pk]),
            "csv_query": _query(request, format="csv"),
            "older_query": _query(request, page=str(page.number + 1)) if page.has_next() else "",
            "newer_query": _query(request, page=str(page.number - 1)) if page.has_previous() else "",
        }
        return self._page(request, "admin/billing/providerday_events.html", context)

    def _row(self, request: HttpRequest, object_id: Any) -> ProviderDay:
        self._require_view(request)
        row: ProviderDay | None = self.get_object(request, str(object_id))
        if row is None:
            raise Http404("No such day.")
        return row

    def _require_view(self, request: HttpRequest) -> None:
        if not self.has_view_permission(request):
            raise PermissionDenied("View provider days")

    def _page(self, request: HttpRequest, template: str, context: dict[str, Any]) -> TemplateResponse:
        frame = {**self.admin_site.each_context(request), "opts": self.model._meta}
        return TemplateResponse(request, template, frame | context)


@admin.register(ProviderStatement)
class ProviderStatementAdmin(ReadOnly, ModelAdmin):  # type: ignore[misc]
    """What was imported, corrections beside what they correct."""

    list_display = ("imported_at", "provider", "whose", "day", "kind", "source", "source_name")
    list_filter = ("provider", "kind")
    list_select_related = ("organization",)
    date_hierarchy = "day"
    ordering = ("-pk",)
    readonly_fields = ("told",)
    fields = (("provider", "organization"), ("day", "kind"), ("source", "source_name"), "told")

    @admin.display(description="Account")
    def whose(self, statement: ProviderStatement) -> str:
        return str(statement.organization) if statement.organization else "the operator's"

    @admin.display(description="Lines")
    def told(self, statement: ProviderStatement) -> str:
        lines = statement.lines.order_by("model", "item")[:LINES_SHOWN]
        return format_html_join("", "<div>{}</div>", ((line_words(line),) for line in lines))


def _csv(rows: Iterator[tuple[str, ...]], name: str) -> StreamingHttpResponse:
    parts = (csv_text([row]) for row in rows)
    response = StreamingHttpResponse(parts, content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


def _query(request: HttpRequest, **changes: str) -> str:
    parameters = request.GET.copy()
    for name, value in changes.items():
        parameters[name] = value
    return f"?{parameters.urlencode()}"
