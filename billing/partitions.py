"""The daily partitions of usage events and bodies: made ahead, dropped when their time is over.

Days are UTC. What found no day lies in the default partition and is moved into days here.
"""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from django.db import IntegrityError, OperationalError, connection, transaction

logger = logging.getLogger(__name__)

EVENTS = "billing_usageevent"
BODIES = "billing_usagebody"

# Attaching and dropping need a short exclusive lock; a writer or reader must not queue behind it.
LOCK_TIMEOUT = "2s"

_EXISTING = """
SELECT substring(child.relname FROM '_p(\\d{8})$')
  FROM pg_inherits
  JOIN pg_class child ON child.oid = inhrelid
 WHERE inhparent = %s::regclass AND child.relname ~ '_p\\d{8}$'
"""
_STRAY_DAYS = "SELECT DISTINCT (occurred_at AT TIME ZONE 'UTC')::date FROM {table}_default"
_CREATE = "CREATE TABLE {name} (LIKE {table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS)"
_KEEP_WRITERS_OUT = "LOCK TABLE {table}_default IN ACCESS EXCLUSIVE MODE"
_MOVE_STRAYS = """
WITH moved AS (
    DELETE FROM {table}_default WHERE occurred_at >= %s AND occurred_at < %s RETURNING *
)
INSERT INTO {name} SELECT * FROM moved
"""
_ATTACH = "ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES FROM ('{start}') TO ('{end}')"


@dataclass(frozen=True, slots=True)
class KeptPartitions:
    """What one run changed, as days of one table."""

    created: tuple[date, ...]
    dropped: tuple[date, ...]


def keep_days(table: str, *, today: date, days_ahead: int, retention_days: int) -> KeptPartitions:
    """Create the days up to `days_ahead` and those of strays, and drop the days beyond retention.

    A day that is locked by somebody is left for the next run.
    """
    oldest_kept = today - timedelta(days=retention_days)
    existing = existing_days(table)
    ahead = {today + timedelta(days=offset) for offset in range(-1, days_ahead + 1)}
    strays = {day for day in stray_days(table) if oldest_kept <= day <= today + timedelta(days=days_ahead)}
    created = [day for day in sorted((ahead | strays) - existing) if _is_done(_create_day, table, day)]
    dropped = [day for day in sorted(existing) if day < oldest_kept and _is_done(_drop_day, table, day)]
    _delete_old_strays(table, oldest_kept)
    return KeptPartitions(tuple(created), tuple(dropped))


def ensure_days(table: str, days: Iterable[date]) -> None:
    """Create the partitions of these days that are missing; for seeding past events."""
    for day in sorted(set(days) - existing_days(table)):
        _create_day(table, day)


def existing_days(table: str) -> set[date]:
    """The days that have a partition."""
    with connection.cursor() as cursor:
        cursor.execute(_EXISTING, [table])
        return {datetime.strptime(row[0], "%Y%m%d").replace(tzinfo=UTC).date() for row in cursor.fetchall()}


def stray_days(table: str) -> set[date]:
    """The days of the rows in the default partition."""
    with connection.cursor() as cursor:
        cursor.execute(_STRAY_DAYS.format(table=table))
        return {row[0] for row in cursor.fetchall()}


def _is_done(change: Callable[[str, date], None], table: str, day: date) -> bool:
    try:
        change(table, day)
    except (OperationalError, IntegrityError) as exc:
        logger.warning(
            "partition left for later", extra={"table": table, "day": str(day), "reason": str(exc)}
        )
        return False
    return True


def _create_day(table: str, day: date) -> None:
    """Make the table aside and attach it, which blocks neither readers nor writers of other days.

    Whoever is writing a stray is waited for: one that is not moved keeps its day from being attached.
    """
    start, end = _bounds(day)
    name = _partition(table, day)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
        cursor.execute(_CREATE.format(name=name, table=table))
        cursor.execute(_KEEP_WRITERS_OUT.format(table=table))
        cursor.execute(_MOVE_STRAYS.format(name=name, table=table), [start, end])
        cursor.execute(_ATTACH.format(name=name, table=table, start=start.isoformat(), end=end.isoformat()))


def _drop_day(table: str, day: date) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
        cursor.execute(f"DROP TABLE {_partition(table, day)}")


def _delete_old_strays(table: str, oldest_kept: date) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"DELETE FROM {table}_default WHERE occurred_at < %s", [_bounds(oldest_kept)[0]])


def _partition(table: str, day: date) -> str:
    return f"{table}_p{day:%Y%m%d}"


def _bounds(day: date) -> tuple[datetime, datetime]:
    start = datetime.combine(day, time(), tzinfo=UTC)
    return start, start + timedelta(days=1)
