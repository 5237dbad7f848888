"""Storing an export: all of it in one transaction, or nothing.

The same export a second time changes nothing; another one for a day that is there already stands
beside it and counts from then on.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from django.conf import settings
from django.db import connection, transaction

from accounts.models import Organization
from billing.models import ProviderStatement, ProviderStatementLine, UsageEvent
from billing.reconciliation.known_names import model_names
from billing.reconciliation.names import ModelNames
from billing.reconciliation.our_side import Account
from billing.reconciliation.shapes import COUNTS, Export, ExportLine, ExportRefused
from billing.reconciliation.their_side import statement_of

IMPORT_LOCK_ID = 4_214_002
MAX_SHOWN = 20

Kind = ProviderStatement.Kind


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import did: days with a statement that is new or other than before, and unchanged ones."""

    changed: tuple[date, ...]
    unchanged: tuple[date, ...]


@transaction.atomic
def import_export(
    *,
    export: Export,
    provider: str,
    organization: Organization | None,
    source_name: str,
    keeps_unknown_models: bool,
    now: datetime,
) -> Imported:
    """Store what the export says of each of its days. Raises ExportRefused, and then nothing is stored.

    `organization` None is the operator's account; an organization's own account is matched with the
    calls on its own credential. Unknown models are refused, or kept to be shown as such.
    """
    account = Account(provider, organization.pk if organization else None)
    names = model_names(account.organization_id)
    _check_provider(account, names)
    _check_days(export, now)
    if not keeps_unknown_models:
        _check_models(export, account, names)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [IMPORT_LOCK_ID])
    changed = set()
    for day in sorted(export.days):
        for kind in _kinds(export):
            lines = [line for line in export.lines if line.day == day and _is_of(line, kind)]
            if _store(account, day, kind, lines, export.source, source_name):
                changed.add(day)
    return Imported(tuple(sorted(changed)), tuple(sorted(export.days - changed)))


def _kinds(export: Export) -> list[Kind]:
    """What the export tells: costs, usage or both. A report without lines tells that of its name."""
    if not export.lines:
        return [Kind.USAGE if export.source.endswith("usage") else Kind.COST]
    has_costs = any(line.amount_usd is not None for line in export.lines)
    has_counts = any(line.has_counts for line in export.lines)
    return [kind for kind, is_told in ((Kind.COST, has_costs), (Kind.USAGE, has_counts)) if is_told]


def _is_of(line: ExportLine, kind: Kind) -> bool:
    return line.amount_usd is not None if kind == Kind.COST else line.has_counts


def _store(
    account: Account, day: date, kind: Kind, lines: list[ExportLine], source: str, source_name: str
) -> bool:
    """Whether the day's statement is another one than before."""
    fingerprint = _fingerprint(lines, kind)
    latest = statement_of(account, day, kind)
    if latest is not None and latest.fingerprint == fingerprint:
        return False
    statement = ProviderStatement.objects.create(
        provider=account.provider,
        organization_id=account.organization_id,
        day=day,
        kind=kind,
        source=source,
        source_name=source_name[-256:],
        fingerprint=fingerprint,
    )
    ProviderStatementLine.objects.bulk_create(
        [_row(statement, line, kind) for line in lines], batch_size=1_000
    )
    return True


def _row(statement: ProviderStatement, line: ExportLine, kind: Kind) -> ProviderStatementLine:
    row = ProviderStatementLine(statement=statement, model=line.model, item=line.item)
    if kind == Kind.COST:
        row.amount_usd = line.amount_usd
        return row
    for name in COUNTS:
        setattr(row, name, getattr(line, name))
    return row


def _fingerprint(lines: Iterable[ExportLine], kind: Kind) -> str:
    said = sorted(
        (line.model, line.item, str(line.amount_usd) if kind == Kind.COST else "", *_counts_of(line, kind))
        for line in lines
    )
    return hashlib.sha256(repr(said).encode()).hexdigest()


def _counts_of(line: ExportLine, kind: Kind) -> tuple[str, ...]:
    return tuple(str(getattr(line, name)) for name in COUNTS) if kind == Kind.USAGE else ()


def _check_provider(account: Account, names: ModelNames) -> None:
    known = names.providers()
    if account.provider not in known:
        had_events = UsageEvent.objects.filter(provider=account.provider).exists()
        if not had_events:
            raise ExportRefused(
                f"provider must be one of {', '.join(sorted(known))}, got {account.provider[:64]!r}."
            )


def _check_days(export: Export, now: datetime) -> None:
    today = now.astimezone(UTC).date()
    earliest = today - timedelta(days=settings.FAREBOX_USAGE_RETENTION_DAYS)
    for day in sorted(export.days):
        if not earliest < day <= today:
            where = next((line.where for line in export.lines if line.day == day), "the export")
            raise ExportRefused(
                f"{where}: day must be after {earliest}, from when our events are kept,"
                f" and not after {today} (UTC), got {day}."
            )


def _check_models(export: Export, account: Account, names: ModelNames) -> None:
    unknown: dict[str, str] = {}
    for line in export.lines:
        if line.model and names.of_theirs(account.provider, line.model) is None:
            unknown.setdefault(line.model, line.where)
    if unknown:
        shown = "; ".join(f"{where}: {model!r}" for model, where in [*unknown.items()][:MAX_SHOWN])
        raise ExportRefused(
            f"{shown}: the price book has no such model of {account.provider}, by name, alias or upstream"
            " name. Add it there, or keep unknown models to see them as unmatched."
        )
