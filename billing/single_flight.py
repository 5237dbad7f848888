"""One run of a task at a time over all workers, none that lasts, and none that ends for one of many.

A processor, a mail server or a tenant's webhook that hangs then costs one thread, and the other threads
of the workers go on ingesting. The lock is PostgreSQL's, of the session: it ends with its process.
"""

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import TypeVar

from django.db import connection

MAX_RUN_SECONDS = 20.0

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

logger = logging.getLogger(__name__)


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


def each_done(work: Callable[[_Item], _Result], items: Iterable[_Item]) -> Iterator[_Result]:
    """What the work gives for each item; one that fails is logged, and the others go on."""
    for item in items:
        try:
            result = work(item)
        except Exception:
            logger.exception("one of many failed", extra={"item": str(getattr(item, "pk", item))})
        else:
            yield result
