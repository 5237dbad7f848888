"""The audit as it runs every night: its result is kept for ever and, if it is bad, told to the operator.

What is checked is in `billing.audit`; `latest_verdict` is what an organization's own page says of it.
"""

import logging
import uuid
from dataclasses import dataclass
from datetime import datetime, time, timedelta

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from accounts.models import Organization
from billing.audit import Audit, audit_ledger
from billing.errors import AuditTooSlow
from billing.models import LedgerAudit, LedgerAuditFinding
from billing.operator_alerts import alert_operator, note_figures
from billing.price_book import load_price_book
from billing.single_flight import only_run

# Held while an audit runs, so that two do not read everything at once.
AUDIT_LOCK_ID = 4_214_001
STALE_AFTER = timedelta(hours=50)
MAX_LINES_IN_MAIL = 40

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the latest audit says of one organization's books."""

    checked_at: datetime
    differences: int
    findings: tuple[LedgerAuditFinding, ...]
    is_stale: bool


def run_audit() -> LedgerAudit | None:
    """Audit, keep the result and alert on a difference; None if another audit is running."""
    with only_run(AUDIT_LOCK_ID) as is_only:
        return _run() if is_only else None


def is_audit_due(now: datetime) -> bool:
    """Whether no audit has begun since the hour of the night at which one should have."""
    at_hour = time(settings.FAREBOX_CONSOLE.audit_hour_utc)
    due_at = datetime.combine(now.date(), at_hour, tzinfo=now.tzinfo)
    if due_at > now:
        due_at -= timedelta(days=1)
    return not LedgerAudit.objects.filter(started_at__gte=due_at).exists()


def latest_audit() -> LedgerAudit | None:
    """The latest audit that was finished."""
    return LedgerAudit.objects.filter(failure="").order_by("-finished_at").first()


def latest_verdict(organization: Organization, *, now: datetime) -> Verdict | None:
    """Of this organization's rows alone; None when they have not been audited yet."""
    audit = latest_audit()
    if audit is None or audit.started_at < organization.created_at:
        return None
    findings = tuple(audit.findings.filter(organization_id=organization.pk).order_by("number", "title"))
    return Verdict(
        checked_at=audit.finished_at,
        differences=sum(finding.differences for finding in findings),
        findings=findings,
        is_stale=now - audit.finished_at > STALE_AFTER,
    )


def kept_since(now: datetime) -> datetime:
    """From when on every event is still there."""
    return now - timedelta(days=settings.FAREBOX_USAGE_RETENTION_DAYS)


def _run() -> LedgerAudit:
    started_at = timezone.now()
    try:
        found = audit_ledger(
            load_price_book(),
            events_kept_since=kept_since(started_at),
            limit_seconds=settings.FAREBOX_CONSOLE.audit_timeout_seconds,
        )
    except AuditTooSlow as exc:
        kept = LedgerAudit.objects.create(
            started_at=started_at, finished_at=timezone.now(), failure=str(exc)[:256]
        )
    else:
        kept = _keep(found, started_at)
    _report(kept)
    return kept


@transaction.atomic
def _keep(found: Audit, started_at: datetime) -> LedgerAudit:
    audit = LedgerAudit.objects.create(
        started_at=started_at,
        finished_at=timezone.now(),
        differences=found.differences,
        rules=[
            {"number": each.number, "title": each.title, "differences": each.differences}
            for each in found.findings
        ],
        transfers=found.transfers,
        entries=found.entries,
        events=found.events,
        repriced=found.repriced,
        not_repriced=found.not_repriced,
    )
    LedgerAuditFinding.objects.bulk_create(
        [
            LedgerAuditFinding(
                audit=audit,
                organization_id=organization_id,
                number=finding.number,
                title=finding.title,
                differences=difference.count,
                examples=list(difference.examples),
            )
            for finding in found.findings
            for organization_id, difference in finding.by_organization.items()
        ],
        batch_size=1_000,
    )
    return audit


def _report(audit: LedgerAudit) -> None:
    note_figures(
        audit_differences=audit.differences,
        audit_failed=int(bool(audit.failure)),
        audit_finished_at=int(audit.finished_at.timestamp()),
    )
    if audit.is_clean:
        logger.info("ledger audited", extra={"events": audit.events, "transfers": audit.transfers})
        return
    logger.error(
        "ledger audit found differences" if audit.differences else "ledger audit not finished",
        extra={"audit": str(audit.pk), "differences": audit.differences, "reason": audit.failure},
    )
    alert_operator(subject=f"Ledger audit: {audit.outcome}", text=_mail_text(audit))


def _mail_text(audit: LedgerAudit) -> str:
    lines = [audit.failure] if audit.failure else []
    for finding in audit.findings.order_by("number", "title", "id")[:MAX_LINES_IN_MAIL]:
        lines.append(f"{finding.number} {finding.title}: {finding.differences}")
        lines.append(f"    {_owner(finding.organization_id)}")
        lines += [f"    {example}" for example in finding.examples]
    return "\n".join([*lines, "", "Nothing was repaired. What to do: docs/ledger.md."])


def _owner(organization_id: uuid.UUID | None) -> str:
    return f"organization {organization_id}" if organization_id else "the whole ledger"
