"""The audit: recompute every balance and invariant of the money, in one snapshot, and say what differs.

It never repairs. Run by `manage.py auditledger`; the numbered invariants it proves are those of
double entry, of one charge per event, and of the price that each event was billed at.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection, transaction
from django.db.models import Count, Min

from billing.errors import UnknownPrice
from billing.models import LedgerTransfer, UsageEvent
from billing.money import nano_to_usd
from billing.price_book import PriceBook
from billing.pricing import cost_of
from billing.usage import FIELDS, TokenUsage

MAX_EXAMPLES = 5
ROWS_PER_FETCH = 2_000


@dataclass(frozen=True, slots=True)
class Finding:
    """One check's outcome; `differences` is how many rows break it, `examples` a few of them in words."""

    title: str
    differences: int
    examples: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Audit:
    """All findings, and over how much they were made."""

    transfers: int
    events: int
    repriced: int
    not_repriced: int
    findings: tuple[Finding, ...]

    @property
    def is_clean(self) -> bool:
        return not any(finding.differences for finding in self.findings)


# Each statement gives one text per row that breaks its rule; `since` is how far back events are kept.
# Texts are made by format(); its %% are doubled for the driver.
_RULES = {
    "Every transfer has two entries or more, which sum to zero": """
        SELECT format('transfer %%s: %%s entries sum to %%s', t.id, count(e.id), sum(e.amount_usd))
          FROM billing_ledgertransfer t LEFT JOIN billing_ledgerentry e ON e.transfer_id = t.id
         GROUP BY t.id HAVING count(e.id) < 2 OR sum(e.amount_usd) <> 0
    """,
    "Every account's balance is the sum of its entries": """
        SELECT format('account %%s: balance %%s, entries %%s; charged %%s, entries %%s', a.id,
                      a.balance_usd, COALESCE(s.total, 0), a.charged_usd, COALESCE(s.charged, 0))
          FROM billing_ledgeraccount a
          LEFT JOIN (SELECT e.account_id, sum(e.amount_usd) AS total,
                            -sum(e.amount_usd) FILTER (WHERE t.kind = 'charge') AS charged
                       FROM billing_ledgerentry e JOIN billing_ledgertransfer t ON t.id = e.transfer_id
                      GROUP BY e.account_id) s ON s.account_id = a.id
         WHERE a.balance_usd <> COALESCE(s.total, 0) OR a.charged_usd <> COALESCE(s.charged, 0)
    """,
    "Every entry's balance follows from the one before it": """
        SELECT format('entry %%s: balance after it %%s, recomputed %%s', id, balance_after_usd, running)
          FROM (SELECT id, balance_after_usd,
                       sum(amount_usd) OVER (PARTITION BY account_id ORDER BY id) AS running
                  FROM billing_ledgerentry) e
         WHERE balance_after_usd <> running
    """,
    "Every entry has its transfer's moment and organization": """
        SELECT format('entry %%s of transfer %%s', e.id, t.id)
          FROM billing_ledgerentry e
          JOIN billing_ledgertransfer t ON t.id = e.transfer_id
          JOIN billing_ledgeraccount a ON a.id = e.account_id
         WHERE e.occurred_at <> t.occurred_at OR a.organization_id <> t.organization_id
    """,
    "Every event is stored once": """
        SELECT format('event %%s is stored %%s times', id, count(*))
          FROM billing_usageevent GROUP BY id HAVING count(*) > 1
    """,
    "Every event's charge and cost are in the ledger, and only those": """
        SELECT format('event %%s: charge %%s, ledger %%s; owed to the provider %%s, ledger %%s',
                      COALESCE(e.id, l.id), e.charge_usd, l.charge_usd, e.owed_usd, l.owed_usd)
          FROM (SELECT id, organization_id, charge_usd,
                       CASE WHEN is_own_credential THEN 0 ELSE cost_usd END AS owed_usd
                  FROM billing_usageevent
                 WHERE occurred_at >= %(since)s
                   AND (charge_usd <> 0 OR (cost_usd <> 0 AND NOT is_own_credential))) e
          FULL JOIN (SELECT t.id, t.organization_id,
                            sum(CASE a.kind WHEN 'prepaid_credit' THEN -n.amount_usd ELSE 0 END)
                                AS charge_usd,
                            sum(CASE a.kind WHEN 'provider_payable' THEN n.amount_usd ELSE 0 END)
                                AS owed_usd
                       FROM billing_ledgertransfer t
                       JOIN billing_ledgerentry n ON n.transfer_id = t.id
                       JOIN billing_ledgeraccount a ON a.id = n.account_id
                      WHERE t.kind = 'charge' AND t.occurred_at >= %(since)s
                      GROUP BY t.id) l ON l.id = e.id
         WHERE (e.charge_usd, e.owed_usd, e.organization_id)
               IS DISTINCT FROM (l.charge_usd, l.owed_usd, l.organization_id)
    """,
    "Every event belongs to the organization of its key and project": """
        SELECT format('event %%s', e.id)
          FROM billing_usageevent e
          LEFT JOIN accounts_apikey k ON k.id = e.key_id
          LEFT JOIN accounts_project p ON p.id = e.project_id
         WHERE k.organization_id <> e.organization_id OR p.organization_id <> e.organization_id
    """,
    "Nobody is charged more than the cost, nor for an own credential": """
        SELECT format('event %%s: charge %%s, cost %%s', id, charge_usd, cost_usd)
          FROM billing_usageevent
         WHERE charge_usd > cost_usd OR charge_usd < 0 OR (is_own_credential AND charge_usd <> 0)
    """,
}


def audit_ledger(book: PriceBook, *, events_kept_since: datetime) -> Audit:
    """Check everything in one snapshot of the database.

    Charges before `events_kept_since` may have lost their events to retention, so they are
    held to the rules of the ledger alone.
    """
    with _one_snapshot():
        findings = [_checked(title, sql, events_kept_since) for title, sql in _RULES.items()]
        repricing, repriced, not_repriced = _repriced(book)
        return Audit(
            transfers=LedgerTransfer.objects.count(),
            events=UsageEvent.objects.order_by().count(),
            repriced=repriced,
            not_repriced=not_repriced,
            findings=(*findings, repricing),
        )


@contextmanager
def _one_snapshot() -> Iterator[None]:
    is_outermost = not connection.in_atomic_block
    with transaction.atomic():
        if is_outermost:
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield


def _checked(title: str, sql: str, since: datetime) -> Finding:
    counted = f"SELECT example, count(*) OVER () FROM ({sql}) AS broken (example) LIMIT {MAX_EXAMPLES}"
    with connection.cursor() as cursor:
        cursor.execute(counted, {"since": since})
        rows = cursor.fetchall()
    return Finding(title, rows[0][1] if rows else 0, tuple(row[0] for row in rows))


def _repriced(book: PriceBook) -> tuple[Finding, int, int]:
    """Price every event again at the version it names; also how many were, and how many could not be."""
    differences, repriced, not_repriced = 0, 0, 0
    examples: list[str] = []
    for group in _priced_groups().iterator(chunk_size=ROWS_PER_FETCH):
        try:
            expected_usd = _price_of(group, book)
        except UnknownPrice:
            not_repriced += group["count"]
            continue
        repriced += group["count"]
        if group["cost_usd"] != expected_usd:
            differences += group["count"]
            examples.append(
                f"request {group['example']}: cost {group['cost_usd']},"
                f" {group['price_version']} gives {expected_usd}"
            )
    title = "Every event's cost is its usage at its price version"
    return Finding(title, differences, tuple(examples[:MAX_EXAMPLES])), repriced, not_repriced


def _priced_groups() -> Any:
    """The events that share version, counts and cost, as one row each."""
    return (
        UsageEvent.objects.order_by()
        .values("price_version", "cost_usd", *_USAGE_COLUMNS)
        .annotate(count=Count("id"), example=Min("request_id"))
    )


def _price_of(group: dict[str, Any], book: PriceBook) -> Any:
    usage = TokenUsage(**{name: group[column] for name, column in zip(FIELDS, _USAGE_COLUMNS, strict=True)})
    if usage == TokenUsage():
        return nano_to_usd(0)
    return nano_to_usd(cost_of(usage, book.price_of_version(group["price_version"])).total_nano)


_USAGE_COLUMNS = tuple(name if name == "searches" else f"{name}_tokens" for name in FIELDS)
