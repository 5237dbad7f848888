"""The ledger's pages: entries, one transfer, the statement by month and the CSV of a filter."""

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from asgiref.sync import sync_to_async
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_GET

from accounts.context import time_zone_of
from accounts.models import Organization
from accounts.permissions import Action
from accounts.tenancy import Tenant, tenant_of
from billing.audit_runs import latest_verdict
from billing.budgets import zone_named
from billing.csv_export import csv_text
from billing.ledger_address import entry_id_of, known_words, labels_of, ledger_filters_of, period_words
from billing.models import LedgerTransfer
from billing.money import ZERO_USD
from billing.selectors import balance_usd
from billing.statements import (
    LedgerFilters,
    Line,
    Month,
    ledger_entries,
    ledger_totals,
    months,
    transfer_detail,
)

CSV_LINES_PER_READ = 2_000
CSV_HEADER = (
    "posting",
    "time_utc",
    "kind",
    "credit_usd",
    "charge_usd",
    "balance_usd",
    "transfer",
    "description",
)


@login_required
@require_GET
def ledger(request: HttpRequest, slug: str) -> HttpResponseBase:
    """The entries of the prepaid credit; `?format=csv` downloads all that pass the filter."""
    tenant = _spend_viewer(request, slug)
    zone = zone_named(time_zone_of(request))
    filters = ledger_filters_of(request.GET, zone)
    if request.GET.get("format") == "csv":
        return _download(tenant, filters)
    page = ledger_entries(
        tenant.organization, filters=filters, before=entry_id_of(request.GET.get("before", ""))
    )
    frame = {
        "lines": page.lines,
        "totals": ledger_totals(tenant.organization, filters=filters),
        "period_words": period_words(filters, zone),
        "known_words": known_words(filters, zone),
        "balance_usd": balance_usd(tenant.organization),
        "as_of": timezone.now(),
        "verdict": latest_verdict(tenant.organization, now=timezone.now()),
        "filters": filters,
        "filter_labels": labels_of(filters),
        "is_filtered": not filters.is_open,
        "kinds": LedgerTransfer.Kind.choices,
        "day": request.GET.get("day", ""),
        "kept_parameters": _kept_parameters(request),
        "csv_query": _query(request, format="csv"),
        "older_query": _query(request, before=str(page.older)) if page.older else "",
        "newest_query": _query(request) if "before" in request.GET else "",
    }
    return render(request, "billing/ledger.html", frame)


@login_required
@require_GET
def ledger_months(request: HttpRequest, slug: str) -> HttpResponse:
    """The statement of each month, in the viewer's time zone; `?format=csv` downloads it."""
    tenant = _spend_viewer(request, slug)
    zone = zone_named(time_zone_of(request))
    filters = ledger_filters_of(request.GET, zone)
    found = months(tenant.organization, zone=zone, known_at=filters.known_at)
    if request.GET.get("format") == "csv":
        return _statement_csv(tenant, found, zone)
    lines = [_month_line(month, zone) for month in found]
    frame = {"months": lines, "as_of": timezone.now(), "known_words": known_words(filters, zone)}
    return render(request, "billing/months.html", frame)


@login_required
@require_GET
def ledger_transfer(request: HttpRequest, slug: str, transfer_id: UUID) -> HttpResponse:
    """A transfer with its legs and the request that it charges."""
    tenant = _spend_viewer(request, slug)
    detail = transfer_detail(tenant.organization, transfer_id)
    if detail is None:
        raise Http404("The organization has no such transfer.")
    return render(
        request,
        "billing/transfer.html",
        {
            "transfer": detail.transfer,
            "kind_label": detail.transfer.get_kind_display(),
            "legs": detail.legs,
            "event": detail.event,
            "adjustment": detail.adjustment,
        },
    )


def _spend_viewer(request: HttpRequest, slug: str) -> Tenant:
    tenant = tenant_of(request, slug)
    tenant.require(Action.VIEW_SPEND)
    return tenant


def _kept_parameters(request: HttpRequest) -> list[tuple[str, str]]:
    """What the form does not show and must send along; a day replaces a span."""
    dropped = {"day", "kind", "before", "format", "start", "end"}
    return [(name, str(value)) for name, value in request.GET.items() if name not in dropped]


def _month_line(month: Month, zone: ZoneInfo) -> dict[str, object]:
    first_day = month.starts_at.astimezone(zone).date()
    next_month = (first_day.replace(day=28) + timedelta(days=4)).replace(day=1)
    return {
        "name": f"{first_day:%B %Y}",
        "href": f"../?start={first_day.isoformat()}&end={next_month.isoformat()}",
        "opening_usd": month.opening_usd,
        "credited_usd": month.credited_usd,
        "charged_usd": month.charged_usd,
        "closing_usd": month.closing_usd,
        "moved_usd": {kind: month.moved_usd.get(kind, ZERO_USD) for kind in LedgerTransfer.Kind.values},
    }


def _statement_csv(tenant: Tenant, statement: Sequence[Month], zone: ZoneInfo) -> HttpResponse:
    """One row a month, what each kind of transfer added to the credit, charges negative."""
    kinds = LedgerTransfer.Kind.values
    rows = [("month", "time_zone", "opening_usd", *(f"{kind}_usd" for kind in kinds), "closing_usd")]
    for month in statement:
        amounts = (month.opening_usd, *(month.moved_usd.get(kind, ZERO_USD) for kind in kinds))
        figures = (format(amount_usd, "f") for amount_usd in (*amounts, month.closing_usd))
        rows.append((f"{month.starts_at.astimezone(zone):%Y-%m}", zone.key, *figures))
    response = HttpResponse(csv_text(rows), content_type="text/csv; charset=utf-8")
    slug = tenant.organization.slug
    response["Content-Disposition"] = f'attachment; filename="statements-{slug}.csv"'
    return response


def _query(request: HttpRequest, **changes: str) -> str:
    parameters = request.GET.copy()
    parameters.pop("before", None)
    for name, value in changes.items():
        parameters[name] = value
    return f"?{parameters.urlencode()}"


def _download(tenant: Tenant, filters: LedgerFilters) -> StreamingHttpResponse:
    content = _csv_of(tenant.organization, filters)
    response = StreamingHttpResponse(content, content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="ledger-{tenant.organization.slug}.csv"'
    return response


async def _csv_of(organization: Organization, filters: LedgerFilters) -> AsyncIterator[str]:
    """All that passes, read and sent page by page, so that no ledger is too long for memory."""
    yield csv_text([CSV_HEADER])
    before: int | None = None
    while True:
        page = await sync_to_async(ledger_entries)(
            organization, filters=filters, before=before, limit=CSV_LINES_PER_READ
        )
        yield csv_text(_row(line) for line in page.lines)
        if page.older is None:
            return
        before = page.older


def _row(line: Line) -> tuple[str, ...]:
    amount = format(abs(line.amount_usd), "f")
    return (
        str(line.entry_id),
        line.occurred_at.isoformat(),
        line.kind,
        amount if line.amount_usd > 0 else "",
        amount if line.amount_usd < 0 else "",
        format(line.balance_after_usd, "f"),
        str(line.transfer_id),
        line.description,
    )
