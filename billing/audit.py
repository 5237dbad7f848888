"""The audit: recompute every balance and invariant of the money, in one snapshot, and say what differs.

It never repairs. The rules of one statement each are in `billing.audit_rules`; here they are run,
and every event is priced again (L10). Run by `manage.py auditledger`, and nightly by `billing.audit_runs`.
What each number means: docs/ledger.md.
"""

import re
import time
import uuid
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import OperationalError, connection, transaction
from django.db.models import Count, Min
from psycopg.errors import QueryCanceled

from billing.audit_rules import Rule, rules
from billing.errors import AuditTooSlow, UnknownPrice
from billing.models import LedgerEntry, LedgerTransfer, UsageEvent
from billing.money import nano_to_usd
from billing.price_book import PriceBook
from billing.pricing import Price, cost_of
from billing.usage import FIELDS, TokenUsage

MAX_EXAMPLES = 5
ROWS_PER_FETCH = 2_000
NO_LIMIT_SECONDS = 24 * 3600
TOO_SLOW = "The audit did not finish within its time (FAREBOX_AUDIT_TIMEOUT_SECONDS)."
REPRICING = ("L10", "Every event's cost is its usage at its price version")

# The version of a price that an owner declared names its two rates, in pico-dollars a token.
_DECLARED = re.compile(r"declared:.+@(?P<input>\d+)/(?P<output>\d+)")


@dataclass(frozen=True, slots=True)
class Finding:
    """One rule's outcome; `differences` is how many rows break it, `examples` a few of them in words."""

    number: str
    title: str
    by_organization: "dict[uuid.UUID | None, Difference]" = field(default_factory=dict)

    @property
    def differences(self) -> int:
        return sum(each.count for each in self.by_organization.values())

    @property
    def examples(self) -> tuple[str, ...]:
        found = [text for each in self.by_organization.values() for text in each.examples]
        return tuple(found[:MAX_EXAMPLES])


@dataclass(frozen=True, slots=True)
class Difference:
    """What breaks a rule in one organization's books."""

    count: int
    examples: tuple[str, ...]


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
        repricing, repriced, not_repriced = _repriced(book, deadline)
        _limit_statement(deadline)
        return Audit(
            transfers=LedgerTransfer.objects.count(),
            entries=LedgerEntry.objects.count(),
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


def _repriced(book: PriceBook, deadline: float) -> tuple[Finding, int, int]:
    """Price every event again at the version it names; also how many were, and how many could not be."""
    repriced, not_repriced = 0, 0
    wrong: defaultdict[uuid.UUID | None, list[tuple[int, str]]] = defaultdict(list)
    _limit_statement(deadline)
    for group in _priced_groups().iterator(chunk_size=ROWS_PER_FETCH):
        if time.monotonic() > deadline:
            raise AuditTooSlow(TOO_SLOW)
        try:
            expected_usd = _price_of(group, book)
        except UnknownPrice:
            not_repriced += group["count"]
            continue
        repriced += group["count"]
        if group["cost_usd"] != expected_usd:
            for organization_id, count, request_id in _organizations_of(group):
                wrong[organization_id].append((count, _words(group, request_id, expected_usd)))
    found = {
        organization_id: Difference(
            sum(count for count, _ in parts), tuple(text for _, text in parts[:MAX_EXAMPLES])
        )
        for organization_id, parts in wrong.items()
    }
    return Finding(*REPRICING, found), repriced, not_repriced


def _priced_groups() -> Any:
    """The events that share version, counts and cost, as one row each."""
    return (
        UsageEvent.objects.order_by()
        .values("price_version", "cost_usd", *_USAGE_COLUMNS)
        .annotate(count=Count("id"))
    )


def _organizations_of(group: dict[str, Any]) -> Iterator[tuple[uuid.UUID, int, str]]:
    """Whose the events of a group are, how many, and the id of one of each."""
    same = {name: value for name, value in group.items() if name != "count"}
    rows = UsageEvent.objects.order_by().filter(**same).values("organization_id")
    for row in rows.annotate(count=Count("id"), example=Min("request_id")):
        yield row["organization_id"], row["count"], row["example"]


def _words(group: dict[str, Any], request_id: str, expected_usd: Decimal | None) -> str:
    if expected_usd is None:
        return f"request {request_id}: a count of its usage is negative"
    return f"request {request_id}: cost {group['cost_usd']}, {group['price_version']} gives {expected_usd}"


def _price_of(group: dict[str, Any], book: PriceBook) -> Decimal | None:
    """What the group's usage costs at its version; None where no usage can be such."""
    counts = {name: group[column] for name, column in zip(FIELDS, _USAGE_COLUMNS, strict=True)}
    if min(counts.values()) < 0:
        return None
    usage = TokenUsage(**counts)
    if usage == TokenUsage():
        return nano_to_usd(0)
    return nano_to_usd(cost_of(usage, _price_named(group["price_version"], book)).total_nano)


def _price_named(version: str, book: PriceBook) -> Price:
    declared = _DECLARED.fullmatch(version)
    if declared is None:
        return book.price_of_version(version)
    return Price(version=version, input=int(declared["input"]), output=int(declared["output"]))


_USAGE_COLUMNS = tuple(name if name == "searches" else f"{name}_tokens" for name in FIELDS)
