"""Reading the ledger of one organization: its prepaid credit, entry by entry and month by month.

A statement's total is the sum over its filter, not over a page. Posting is in `billing.ledger`.
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import groupby
from typing import Any
from zoneinfo import ZoneInfo

from django.db.models import F, Q, QuerySet, Sum
from django.db.models.functions import TruncMonth

from accounts.models import Organization
from billing.event_filters import EventFilters
from billing.models import EventAdjustment, LedgerAccount, LedgerEntry, LedgerTransfer, UsageEvent
from billing.money import ZERO_USD
from billing.selectors import adjusted_total, credit_granted_usd
from billing.selectors import charged_usd as charged_ever_usd

LINES_PER_PAGE = 50

# Usage is what requests were charged, and what re-rating has made of that since.
_OF_USAGE = Q(transfer__kind=LedgerTransfer.Kind.CHARGE) | Q(transfer__event_adjustment__isnull=False)
_CHARGED = Sum("amount_usd", filter=_OF_USAGE)


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerFilters:
    """None or empty leaves a field open. `events` keeps the usage of the events that pass it.

    `known_at` is the statement as it stood then: what was posted later is left out.
    """

    start: datetime | None = None
    end: datetime | None = None
    kind: str = ""
    known_at: datetime | None = None
    events: EventFilters | None = None

    @property
    def is_open(self) -> bool:
        """Whether everything passes."""
        are_events_open = self.events is None or self.events.is_open
        return are_events_open and self == LedgerFilters(events=self.events)


@dataclass(frozen=True, slots=True)
class Line:
    """One entry of the prepaid credit with the balance after it."""

    entry_id: int
    transfer_id: uuid.UUID
    kind: str
    occurred_at: datetime
    amount_usd: Decimal
    balance_after_usd: Decimal
    description: str

    @property
    def kind_label(self) -> str:
        return LedgerTransfer.Kind(self.kind).label

    @property
    def is_charge(self) -> bool:
        """Whether it has a request behind it, of the same id."""
        return self.kind == LedgerTransfer.Kind.CHARGE


@dataclass(frozen=True, slots=True)
class LinePage:
    """A page of lines, newest first; `older` is the entry id to go on before, None at the end."""

    lines: tuple[Line, ...]
    older: int | None


@dataclass(frozen=True, slots=True)
class Totals:
    """The sums over everything that passes a filter; `charged_usd` is positive."""

    credited_usd: Decimal
    charged_usd: Decimal

    @property
    def net_usd(self) -> Decimal:
        return self.credited_usd - self.charged_usd


@dataclass(frozen=True, slots=True)
class Month:
    """One calendar month in the viewer's time zone; by when things happened, not when they were posted."""

    starts_at: datetime
    opening_usd: Decimal
    credited_usd: Decimal
    charged_usd: Decimal
    closing_usd: Decimal
    moved_usd: Mapping[str, Decimal]
    """By kind of transfer, what it added to the credit; charges are negative. They sum to the change."""


@dataclass(frozen=True, slots=True)
class TransferDetail:
    """A transfer with all its legs, and the request behind it if it is one's charge or correction."""

    transfer: LedgerTransfer
    legs: tuple[LedgerEntry, ...]
    event: UsageEvent | None
    adjustment: EventAdjustment | None = None


def ledger_entries(
    organization: Organization,
    *,
    filters: LedgerFilters,
    before: int | None = None,
    limit: int = LINES_PER_PAGE,
) -> LinePage:
    """A page of the prepaid credit's entries, in the order they were posted, newest first."""
    rows = _entries(organization, filters)
    if before is not None:
        rows = rows.filter(pk__lt=before)
    found = [_line(row) for row in _columns(rows.order_by("-pk"))[: limit + 1]]
    lines = tuple(found[:limit])
    return LinePage(lines, lines[-1].entry_id if len(found) > limit else None)


def ledger_totals(organization: Organization, *, filters: LedgerFilters) -> Totals:
    """The sums of everything that passes, over all pages."""
    if filters.is_open:
        # A correction moves the balance and not what charges have taken, so here it moves both.
        added_usd = adjusted_total(organization)["charge_usd"]
        return Totals(
            credit_granted_usd(organization) + added_usd, charged_ever_usd(organization) + added_usd
        )
    sums = _entries(organization, filters).aggregate(charged=_CHARGED, total=Sum("amount_usd"))
    charged = -(sums["charged"] or ZERO_USD)
    return Totals((sums["total"] or ZERO_USD) + charged, charged)


def months(
    organization: Organization, *, zone: ZoneInfo, known_at: datetime | None = None
) -> tuple[Month, ...]:
    """The statement of every month that has entries, latest first, as it stood at `known_at`, else now."""
    rows = (
        _entries(organization, LedgerFilters(known_at=known_at))
        .annotate(month=TruncMonth("occurred_at", tzinfo=zone))
        .values("month", "transfer__kind")
        .annotate(total=Sum("amount_usd"), charged=_CHARGED)
        .order_by("month")
    )
    statement: list[Month] = []
    opening_usd = ZERO_USD
    for starts_at, kinds in groupby(rows, key=lambda row: row["month"]):
        of_month = list(kinds)
        moved_usd = {row["transfer__kind"]: row["total"] for row in of_month}
        total_usd = sum(moved_usd.values(), ZERO_USD)
        charged_usd = -sum((row["charged"] or ZERO_USD for row in of_month), ZERO_USD)
        closing_usd = opening_usd + total_usd
        statement.append(
            Month(starts_at, opening_usd, total_usd + charged_usd, charged_usd, closing_usd, moved_usd)
        )
        opening_usd = closing_usd
    return tuple(reversed(statement))


def transfer_detail(organization: Organization, transfer_id: uuid.UUID) -> TransferDetail | None:
    """The organization's transfer of this id with everything that belongs to it."""
    transfer = LedgerTransfer.objects.filter(organization=organization, pk=transfer_id).first()
    if transfer is None:
        return None
    legs = tuple(transfer.entries.select_related("account").order_by("pk"))
    adjustment = EventAdjustment.objects.filter(transfer=transfer).first()
    is_charge = transfer.kind == LedgerTransfer.Kind.CHARGE
    if adjustment is None and not is_charge:
        return TransferDetail(transfer, legs, None)
    event_id = adjustment.event_id if adjustment else transfer.pk
    events = UsageEvent.objects.filter(organization_id=organization.pk, id=event_id)
    return TransferDetail(transfer, legs, events.filter(occurred_at=transfer.occurred_at).first(), adjustment)


def _entries(organization: Organization, filters: LedgerFilters) -> QuerySet[LedgerEntry]:
    account = LedgerAccount.objects.filter(
        organization=organization, kind=LedgerAccount.Kind.PREPAID_CREDIT
    ).first()
    if account is None:
        return LedgerEntry.objects.none()
    rows = LedgerEntry.objects.filter(account=account)
    if filters.start:
        rows = rows.filter(occurred_at__gte=filters.start)
    if filters.end:
        rows = rows.filter(occurred_at__lt=filters.end)
    if filters.known_at:
        rows = rows.filter(transfer__posted_at__lte=filters.known_at)
    if filters.kind == LedgerTransfer.Kind.CHARGE:
        rows = rows.filter(_OF_USAGE)
    elif filters.kind:
        rows = rows.filter(transfer__kind=filters.kind)
    if filters.events and not filters.events.is_open:
        passing = filters.events.apply(UsageEvent.objects.filter(organization_id=organization.pk))
        ids = passing.order_by().values("id")
        rows = rows.filter(Q(transfer__in=ids) | Q(transfer__event_adjustment__event_id__in=ids))
    return rows


def _columns(rows: QuerySet[LedgerEntry]) -> QuerySet[LedgerEntry, Any]:
    return rows.values(
        "pk",
        "transfer_id",
        "occurred_at",
        "amount_usd",
        "balance_after_usd",
        kind=F("transfer__kind"),
        description=F("transfer__description"),
    )


def _line(row: dict[str, Any]) -> Line:
    return Line(
        entry_id=row["pk"],
        transfer_id=row["transfer_id"],
        kind=row["kind"],
        occurred_at=row["occurred_at"],
        amount_usd=row["amount_usd"],
        balance_after_usd=row["balance_after_usd"],
        description=row["description"],
    )
