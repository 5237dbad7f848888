"""The audit: recompute every balance and invariant of the money, in one snapshot, and say what differs.

It never repairs. Here the rules of `billing.audit_rules` are run, and every event is priced again by
`billing.audit_repricing`. Called by `manage.py auditledger`, and nightly by `billing.audit_runs`.
What each number means: docs/ledger.md.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from django.db import OperationalError, connection, transaction
from psycopg.errors import QueryCanceled

from billing.audit_findings import MAX_EXAMPLES, Difference, Finding
from billing.audit_repricing import TOO_SLOW, reprice
from billing.audit_rules import Rule, rules
from billing.errors import AuditTooSlow
from billing.models import LedgerEntry, LedgerTransfer, UsageEvent
from billing.price_book import PriceBook

NO_LIMIT_SECONDS = 24 * 3600


@dataclass(frozen=True, slots=True)
class Audit:
    """All findings, and over how much they were made."""

    transfers: int
    entries: int
    events: int
    repriced: int
    not_repriced: int
    findings: tuple[Finding, ...]

    @property
    def differences(self) -> int:
        return sum(finding.differences for finding in self.findings)

    @property
    def is_clean(self) -> bool:
        return not self.differences


def audit_ledger(
    book: PriceBook, *, events_kept_since: datetime, limit_seconds: float = NO_LIMIT_SECONDS
) -> Audit:
    """Check everything in one snapshot of the database.

    Charges before `events_kept_since` may have lost their events to retention, so they are
    held to the rules of the ledger alone. Raises AuditTooSlow beyond `limit_seconds`.
    """
    deadline = time.monotonic() + limit_seconds
    with _one_snapshot(), _slowness_named():
        findings = [_checked(rule, events_kept_since, deadline) for rule in rules()]
        _limit_statement(deadline)
        repricing = reprice(book, is_late=lambda: time.monotonic() > deadline)
        _limit_statement(deadline)
        return Audit(
            transfers=LedgerTransfer.objects.count(),
            entries=LedgerEntry.objects.count(),
            events=UsageEvent.objects.order_by().count(),
            repriced=repricing.repriced,
            not_repriced=repricing.not_repriced,
            findings=(*findings, repricing.costs, repricing.charges, repricing.adjustments),
        )


@contextmanager
def _one_snapshot() -> Iterator[None]:
    is_outermost = not connection.in_atomic_block
    with transaction.atomic():
        if is_outermost:
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield


@contextmanager
def _slowness_named() -> Iterator[None]:
    try:
        yield
    except OperationalError as exc:
        if isinstance(exc.__cause__, QueryCanceled):
            raise AuditTooSlow(TOO_SLOW) from exc
        raise


def _limit_statement(deadline: float) -> None:
    """Let PostgreSQL end the next statement at the deadline: a thread of ours could not."""
    left_ms = int((deadline - time.monotonic()) * 1000)
    if left_ms <= 0:
        raise AuditTooSlow(TOO_SLOW)
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('statement_timeout', %s, true)", [str(left_ms)])


_BY_ORGANIZATION = """
SELECT organization_id, differences, array_agg(example) FROM (
    SELECT organization_id, example, count(*) OVER mine AS differences, row_number() OVER mine AS place
      FROM ({rule}) AS broken (organization_id, example) WINDOW mine AS (PARTITION BY organization_id)
) AS counted WHERE place <= {most} GROUP BY organization_id, differences
"""


def _checked(rule: Rule, since: datetime, deadline: float) -> Finding:
    _limit_statement(deadline)
    with connection.cursor() as cursor:
        cursor.execute(_BY_ORGANIZATION.format(rule=rule.sql, most=MAX_EXAMPLES), {"since": since})
        rows = cursor.fetchall()
    return Finding(rule.number, rule.title, {row[0]: Difference(row[1], tuple(row[2])) for row in rows})
