"""Monthly invoices, and notes on those that were issued: from the ledger, once, never changed.

An invoice says what usage, fees and adjustments took from the credit in a month of the
organization's time zone. Its ledger entries are those up to a watermark; what is dated into an
invoiced month but posted later becomes a credit note or a supplementary invoice. What the documents
look like is in `billing.invoice_documents`.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial

from django.conf import settings
from django.db import transaction
from django.db.models import Count, Max, QuerySet, Sum

from accounts.models import Organization
from billing.budgets import Period, period_of
from billing.invoice_documents import Document, DocumentLine, render_html, render_pdf
from billing.ledger import TransferKind
from billing.models import BillingProfile, Invoice, InvoiceCounter, LedgerAccount, LedgerEntry
from billing.money import ZERO_USD
from billing.single_flight import each_done

# What takes credit; the other kinds bring it or give it back, and are no turnover.
BILLED_KINDS = (TransferKind.CHARGE, TransferKind.FEE, TransferKind.ADJUSTMENT)
MAX_MONTHS_PER_RUN = 24
NUMBER_DIGITS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class _Draft:
    """A document that is due, without its number."""

    starts_at: datetime
    ends_at: datetime
    after_entry: int
    up_to_entry: int
    corrects: Invoice | None = None


def issue_due_documents(now: datetime) -> int:
    """Issue what is due to every organization; how many documents. Safe to run twice and at once."""
    accounts = LedgerAccount.objects.filter(kind=LedgerAccount.Kind.PREPAID_CREDIT)
    accounts = accounts.select_related("organization").order_by("pk")
    organizations = (account.organization for account in accounts.iterator())
    return sum(each_done(partial(issue_documents, now=now), organizations))


def issue_documents(organization: Organization, now: datetime) -> int:
    """Issue what is due to one organization; how many documents."""
    BillingProfile.objects.get_or_create(organization=organization)
    profile = BillingProfile.objects.get(pk=organization.pk)
    account_id, watermark = _watermark(organization)
    last_ends_at = _last_end(profile)
    if watermark <= profile.invoiced_up_to and not _has_open_month(account_id, profile, now):
        return 0
    drafts = [
        *_late_drafts(profile, account_id, watermark),
        *_month_drafts(profile, account_id, watermark, now),
    ]
    with transaction.atomic():
        # Whoever has the lock first issues; another run finds the mark moved, or the month invoiced.
        held = BillingProfile.objects.select_for_update().get(pk=profile.pk)
        if held.invoiced_up_to != profile.invoiced_up_to or _last_end(held) != last_ends_at:
            return 0
        held.invoiced_up_to = watermark
        held.save(update_fields=["invoiced_up_to"])
        return sum(_issue(profile, account_id, draft, now) for draft in drafts)


def _watermark(organization: Organization) -> tuple[int, int]:
    """The prepaid account, and its last entry: under the lock of all posters none below is to come."""
    with transaction.atomic():
        account = LedgerAccount.objects.select_for_update().get(
            organization=organization, kind=LedgerAccount.Kind.PREPAID_CREDIT
        )
        last = LedgerEntry.objects.filter(account=account).aggregate(last=Max("pk"))["last"]
        return account.pk, last or 0


def _late_drafts(profile: BillingProfile, account_id: int, watermark: int) -> Iterator[_Draft]:
    """One for each invoiced month into which something was posted since."""
    last_ends_at = _last_end(profile)
    if last_ends_at is None:
        return
    late = LedgerEntry.objects.filter(
        account_id=account_id,
        pk__gt=profile.invoiced_up_to,
        pk__lte=watermark,
        occurred_at__lt=last_ends_at,
        transfer__kind__in=BILLED_KINDS,
    )
    invoices = list(Invoice.objects.filter(organization_id=profile.pk, corrects=None).defer("html", "pdf"))
    moments = late.order_by("occurred_at").values_list("occurred_at", flat=True)
    periods = {_period_around(profile, invoices, moment): None for moment in moments.iterator()}
    for period in periods:
        yield _Draft(
            starts_at=period.starts_at,
            ends_at=period.ends_at,
            after_entry=profile.invoiced_up_to,
            up_to_entry=watermark,
            corrects=period.invoice,
        )


@dataclass(frozen=True, slots=True)
class _Invoiced:
    """A span of time, and the invoice that covers it; None for a month in which nothing was billed."""

    starts_at: datetime
    ends_at: datetime
    invoice: Invoice | None


def _period_around(profile: BillingProfile, invoices: Sequence[Invoice], moment: datetime) -> _Invoiced:
    """The invoiced period that holds the moment, or the month between invoices that does."""
    for invoice in invoices:
        if invoice.starts_at <= moment < invoice.ends_at:
            return _Invoiced(invoice.starts_at, invoice.ends_at, invoice)
    starts_at, ends_at = _month_of(profile, moment)
    before = [invoice.ends_at for invoice in invoices if invoice.ends_at <= moment]
    after = [invoice.starts_at for invoice in invoices if invoice.starts_at > moment]
    return _Invoiced(max([starts_at, *before]), min([ends_at, *after]), None)


def _month_drafts(
    profile: BillingProfile, account_id: int, watermark: int, now: datetime
) -> Iterator[_Draft]:
    """One for each month that has closed since the last invoice and has anything billed in it."""
    starts_at = _last_end(profile)
    for _ in range(MAX_MONTHS_PER_RUN):
        entry = _first_billed(account_id, starts_at, watermark)
        if entry is None:
            return
        month_starts_at, ends_at = _month_of(profile, entry.occurred_at)
        if not _is_closed(ends_at, now):
            return
        # Where the time zone was changed, the month begins where the one before it has ended.
        begins_at = max(month_starts_at, starts_at) if starts_at else month_starts_at
        yield _Draft(starts_at=begins_at, ends_at=ends_at, after_entry=0, up_to_entry=watermark)
        starts_at = ends_at


def _has_open_month(account_id: int, profile: BillingProfile, now: datetime) -> bool:
    """Whether a month has closed although nothing was posted since the last look."""
    entry = _first_billed(account_id, _last_end(profile), None)
    return entry is not None and _is_closed(_month_of(profile, entry.occurred_at)[1], now)


def _first_billed(account_id: int, since: datetime | None, watermark: int | None) -> LedgerEntry | None:
    rows = LedgerEntry.objects.filter(account_id=account_id, transfer__kind__in=BILLED_KINDS)
    if since is not None:
        rows = rows.filter(occurred_at__gte=since)
    if watermark is not None:
        rows = rows.filter(pk__lte=watermark)
    return rows.order_by("occurred_at", "pk").first()


def _last_end(profile: BillingProfile) -> datetime | None:
    rows = Invoice.objects.filter(organization_id=profile.pk, corrects=None)
    found: datetime | None = rows.aggregate(last=Max("ends_at"))["last"]
    return found


def _month_of(profile: BillingProfile, moment: datetime) -> tuple[datetime, datetime]:
    period: Period = period_of("month", profile.time_zone, moment)
    assert period.starts_at is not None, "a month has a start"
    assert period.ends_at is not None, "a month has an end"
    return period.starts_at, period.ends_at


def _is_closed(ends_at: datetime, now: datetime) -> bool:
    return ends_at + timedelta(hours=settings.FAREBOX_CONSOLE.invoice_delay_hours) <= now


def _issue(profile: BillingProfile, account_id: int, draft: _Draft, now: datetime) -> int:
    """Number, render and store one document; 0 when it would say nothing."""
    entries = _entries(account_id, draft)
    lines = _lines(entries.filter(transfer__kind__in=BILLED_KINDS))
    total_usd = sum((line.amount_usd for line in lines), ZERO_USD)
    if not lines or (draft.corrects and not total_usd):
        return 0
    kind = _kind_of(draft, total_usd)
    number = _next_number()
    document = Document(
        kind=kind.label,
        name=f"{settings.FAREBOX_CONSOLE.invoice_prefix}{number:0{NUMBER_DIGITS}d}",
        corrects=draft.corrects.name if draft.corrects else "",
        customer=_customer_of(profile),
        time_zone=profile.time_zone,
        starts_at=draft.starts_at,
        ends_at=draft.ends_at,
        issued_at=now,
        lines=tuple(lines),
        total_usd=total_usd,
        credit=() if draft.corrects else tuple(_credit_lines(account_id, draft, entries)),
    )
    html, pdf = render_html(document), render_pdf(document)
    Invoice.objects.create(
        organization_id=profile.pk,
        number=number,
        name=document.name,
        kind=kind,
        corrects=draft.corrects,
        time_zone=profile.time_zone,
        starts_at=draft.starts_at,
        ends_at=draft.ends_at,
        entries_up_to=draft.up_to_entry,
        total_usd=total_usd,
        html=html,
        html_sha256=hashlib.sha256(html).hexdigest(),
        pdf=pdf,
        pdf_sha256=hashlib.sha256(pdf).hexdigest(),
        issued_at=now,
    )
    return 1


def _kind_of(draft: _Draft, total_usd: Decimal) -> Invoice.Kind:
    if total_usd < 0:
        return Invoice.Kind.CREDIT_NOTE
    return Invoice.Kind.SUPPLEMENT if draft.corrects else Invoice.Kind.INVOICE


def _next_number() -> int:
    """The next number of the operator, taken until the transaction ends: it leaves no gap."""
    InvoiceCounter.objects.get_or_create(pk=1)
    counter = InvoiceCounter.objects.select_for_update().get(pk=1)
    counter.last_number += 1
    counter.save(update_fields=["last_number"])
    return counter.last_number


def _entries(account_id: int, draft: _Draft) -> QuerySet[LedgerEntry]:
    return LedgerEntry.objects.filter(
        account_id=account_id,
        occurred_at__gte=draft.starts_at,
        occurred_at__lt=draft.ends_at,
        pk__gt=draft.after_entry,
        pk__lte=draft.up_to_entry,
    )


def _lines(entries: QuerySet[LedgerEntry]) -> list[DocumentLine]:
    """What was billed, by kind and description; positive is what the customer pays."""
    rows = (
        entries.order_by()
        .values("transfer__kind", "transfer__description")
        .annotate(count=Count("pk"), total=Sum("amount_usd"))
    )
    order = {str(kind): place for place, kind in enumerate(BILLED_KINDS)}
    ordered = sorted(rows, key=lambda row: (order[row["transfer__kind"]], row["transfer__description"]))
    return [
        DocumentLine(
            text=f"{TransferKind(row['transfer__kind']).label}: {row['transfer__description']}",
            count=row["count"],
            amount_usd=-row["total"],
        )
        for row in ordered
    ]


def _credit_lines(
    account_id: int, draft: _Draft, entries: QuerySet[LedgerEntry]
) -> Iterable[tuple[str, Decimal]]:
    """How the credit went through the month."""
    earlier = LedgerEntry.objects.filter(
        account_id=account_id, occurred_at__lt=draft.starts_at, pk__lte=draft.up_to_entry
    )
    opening_usd = earlier.aggregate(total=Sum("amount_usd"))["total"] or ZERO_USD
    rows = entries.order_by().values_list("transfer__kind").annotate(total=Sum("amount_usd"))
    by_kind = dict(rows)
    yield "Credit at the start", opening_usd
    for kind in (TransferKind.TOP_UP, TransferKind.PROMOTION, TransferKind.REFUND):
        if by_kind.get(kind):
            yield TransferKind(kind).label, by_kind[kind]
    billed_usd = sum((by_kind.get(kind, ZERO_USD) for kind in BILLED_KINDS), ZERO_USD)
    yield "This invoice", billed_usd
    yield "Credit at the end", opening_usd + sum(by_kind.values(), ZERO_USD)


def _customer_of(profile: BillingProfile) -> tuple[str, ...]:
    named = profile.legal_name or profile.organization.name
    tax = [f"Tax id {profile.tax_id}"] if profile.tax_id else []
    return (named, *profile.address.splitlines(), *tax)
