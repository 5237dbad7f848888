"""Ingestion: events of a shard's stream become rows and ledger transfers, each exactly once.

One transaction writes a batch and moves the shard's cursor; only then are the entries
acknowledged. A crash in between delivers them again, and their ids make that harmless. While
the cursor is locked nobody else reads the shard, so everything up to the cursor is stored: the
data plane rebuilds lost counters from the tables plus what lies behind the cursor.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

import redis
from django.db import DataError, IntegrityError, transaction
from psycopg.errors import NotNullViolation

from accounts.models import Organization
from accounts.services import record_key_uses
from billing.announcements import announce_events
from billing.arrivals import Arrival, parse_arrival
from billing.errors import MalformedEvent
from billing.event_store import insert_events, lock_out_rollups
from billing.ledger import Transfer, TransferKind, charge_legs, post_transfers
from billing.models import IngestCursor
from billing.spending_notes import note_spending
from billing.usage_stream import DeadLetter, Entry, later_id, read_entries, settle_entries

MAX_EVENTS_PER_BATCH = 1_000

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class _Batch:
    """What becomes of the entries of one read."""

    stored: list[Arrival] = field(default_factory=list)
    dead: list[DeadLetter] = field(default_factory=list)


def ingest_shard(client: "redis.Redis", shard: int, *, max_events: int = MAX_EVENTS_PER_BATCH) -> int:
    """Ingest one batch and give how many entries it had; 0 when there are none or another reader is at it."""
    with transaction.atomic():
        lock_out_rollups()
        cursor = _locked_cursor(shard)
        if cursor is None:
            return 0
        entries = read_entries(client, shard, max_entries=max_events)
        if not entries:
            return 0
        batch = _Batch()
        _store(entries, batch)
        note_spending(batch.stored)
        _move(cursor, entries)
    if batch.dead:
        _report(batch.dead, shard)
    settle_entries(client, shard, entries, batch.dead)
    record_key_uses(last_used_at=_latest_uses(batch.stored))
    announce_events(batch.stored)
    return len(entries)


def _locked_cursor(shard: int) -> IngestCursor | None:
    """The shard's cursor, locked until the transaction ends; None if somebody else holds it."""
    free = IngestCursor.objects.select_for_update(skip_locked=True).filter(shard=shard)
    cursor = free.first()
    if cursor is None:
        IngestCursor.objects.bulk_create([IngestCursor(shard=shard)], ignore_conflicts=True)
        cursor = free.first()
    return cursor


def _move(cursor: IngestCursor, entries: Sequence[Entry]) -> None:
    # A Redis that lost its memory may hand out lower ids again; the cursor never goes back.
    for entry in entries:
        cursor.stream_id = later_id(cursor.stream_id, entry.stream_id)
    cursor.save(update_fields=["stream_id"])


def _store(entries: Sequence[Entry], batch: _Batch) -> None:
    parsed: dict[UUID, tuple[Entry, Arrival]] = {}
    for entry in entries:
        try:
            arrival = parse_arrival(entry.content)
        except MalformedEvent as exc:
            batch.dead.append(DeadLetter(entry, str(exc)))
        else:
            parsed.setdefault(arrival.id, (entry, arrival))
    wanted = {arrival.organization for _, arrival in parsed.values()}
    known = set(Organization.objects.filter(pk__in=wanted).values_list("pk", flat=True))
    for entry, arrival in parsed.values():
        if arrival.organization not in known:
            batch.dead.append(DeadLetter(entry, f"no organization {arrival.organization}"))
    _store_parsed([pair for pair in parsed.values() if pair[1].organization in known], batch)


def _store_parsed(pairs: Sequence[tuple[Entry, Arrival]], batch: _Batch) -> None:
    """Store all, or halve until the ones that the database refuses stand alone.

    Raises IntegrityError for a column that we do not know and that must have a value: the tables are of
    another version than this process, and the events wait for one that fits.
    """
    if not pairs:
        return
    try:
        with transaction.atomic():
            stored = insert_events([arrival for _, arrival in pairs])
            post_transfers([transfer for arrival in stored if (transfer := _transfer_of(arrival))])
    except (DataError, IntegrityError) as exc:
        if isinstance(exc.__cause__, NotNullViolation):
            raise
        if len(pairs) == 1:
            batch.dead.append(DeadLetter(pairs[0][0], str(exc)))
            return
        middle = len(pairs) // 2
        _store_parsed(pairs[:middle], batch)
        _store_parsed(pairs[middle:], batch)
    else:
        batch.stored += stored


def _transfer_of(arrival: Arrival) -> Transfer | None:
    """What the event moves; the provider's part only if the operator owes it."""
    owed_usd = arrival.cost_usd * (not arrival.own)
    legs = charge_legs(charge_usd=arrival.charge_usd, cost_usd=owed_usd)
    if not legs:
        return None
    return Transfer(
        id=arrival.id,
        organization_id=arrival.organization,
        kind=TransferKind.CHARGE,
        legs=legs,
        occurred_at=arrival.at,
        description=f"{arrival.provider}/{arrival.model}"[:256],
    )


def _report(dead: Sequence[DeadLetter], shard: int) -> None:
    logger.error(
        "usage events set aside",
        extra={
            "shard": shard,
            "count": len(dead),
            "first_stream_id": dead[0].entry.stream_id,
            "first_reason": dead[0].reason,
        },
    )


def _latest_uses(arrivals: Sequence[Arrival]) -> dict[UUID, datetime]:
    latest: dict[UUID, datetime] = {}
    for arrival in arrivals:
        latest[arrival.key] = max(arrival.at, latest.get(arrival.key, arrival.at))
    return latest
