"""One run of a task at a time over all workers, and none that lasts: for tasks that wait for strangers.

A processor, a mail server or a tenant's webhook that hangs then costs one thread, and the other threads
of the workers go on ingesting. The lock is PostgreSQL's, of the session: it ends with its process.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import TypeVar

from django.db import connection

MAX_RUN_SECONDS = 20.0

_Item = TypeVar("_Item")


@contextmanager
def only_run(lock_id: int) -> Iterator[bool]:
    """Whether this run is the only one until the end of the block; if not, the block does nothing."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [lock_id])
        is_only = bool(cursor.fetchone()[0])
    try:
        yield is_only
    finally:
        if is_only:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [lock_id])


def for_a_while(items: Iterable[_Item], *, seconds: float = MAX_RUN_SECONDS) -> Iterator[_Item]:
    """The items, until the time is over; the others are left to the next run."""
    ends_at = monotonic() + seconds
    for item in items:
        if monotonic() >= ends_at:
            return
        yield item
