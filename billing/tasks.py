"""What runs in the background: ingestion, credit, payments, invoices, partitions, the nightly audit.

Each is safe to run twice. What waits for strangers runs once at a time: see `billing.single_flight`.
"""

import logging
from datetime import UTC, datetime
from functools import cache

import redis
from celery import shared_task
from django.conf import settings
from django.utils import timezone

from billing.audit_runs import is_audit_due, run_audit
from billing.ingest import MAX_EVENTS_PER_BATCH, ingest_shard
from billing.invoices import issue_due_documents
from billing.low_balance import watch_balances
from billing.open_payments import settle_open_payments
from billing.partitions import BODIES, EVENTS, keep_days
from billing.price_book import load_price_book
from billing.price_services import register_shipped_prices
from billing.processors.built_in_test import deliver_test_webhook as deliver_test_webhook
from billing.reconciliation.alerting import match_recent_days
from billing.refills import refill_credit
from billing.single_flight import only_run
from billing.usage_stream import waiting_shards

PARTITION_DAYS_AHEAD = 7
MAX_BATCHES_PER_RUN = 200
REDIS_TIMEOUT_SECONDS = 5.0
CREDIT_LOCK_ID = 4_214_004
PAYMENTS_LOCK_ID = 4_214_005

logger = logging.getLogger(__name__)


@shared_task
def ingest_usage() -> int:
    """Ingest every shard until it is dry, within bounds; gives the number of entries.

    A shard that another run is at is left to it.
    """
    _keep_shipped_prices()
    with _client() as client:
        return sum(_drain(client, shard) for shard in waiting_shards(client, settings.FAREBOX_SHARDS))


@shared_task
def watch_credit() -> None:
    """After ingestion: mail whose credit has just run low, and refill what is due."""
    with only_run(CREDIT_LOCK_ID) as is_only:
        if is_only:
            watch_balances()
            refill_credit()


@shared_task
def settle_payments() -> None:
    """Ask the processor for what its webhooks have not told us."""
    with only_run(PAYMENTS_LOCK_ID) as is_only:
        if is_only:
            settle_open_payments()


@shared_task
def issue_invoices() -> int:
    """Issue what is due: invoices of months that have closed, and notes on those issued before."""
    return issue_due_documents(timezone.now())


@shared_task
def keep_partitions() -> None:
    """Create the coming days of the event tables and drop those beyond retention."""
    today = datetime.now(UTC).date()
    tables = {EVENTS: settings.FAREBOX_USAGE_RETENTION_DAYS, BODIES: settings.FAREBOX_BODY_RETENTION_DAYS}
    for table, retention_days in tables.items():
        kept = keep_days(table, today=today, days_ahead=PARTITION_DAYS_AHEAD, retention_days=retention_days)
        if kept.created or kept.dropped:
            logger.info(
                "partitions kept",
                extra={"table": table, "created": len(kept.created), "dropped": len(kept.dropped)},
            )


@shared_task
def prove_ledger() -> str:
    """Audit the ledger once a night, or as soon as a worker is there again; gives the outcome."""
    if not is_audit_due(datetime.now(UTC)):
        return "not due"
    audit = run_audit()
    return audit.outcome if audit else "running elsewhere"


@cache
def _keep_shipped_prices() -> None:
    """Once in a process: the prices of its files are kept before any event that names them."""
    kept = register_shipped_prices(book=load_price_book())
    if kept:
        logger.info("shipped prices kept", extra={"count": kept})


@shared_task
def match_providers() -> int:
    """Match the latest days of all providers again; gives how many."""
    return len(match_recent_days(now=datetime.now(UTC)))


def _drain(client: "redis.Redis", shard: int) -> int:
    total = 0
    for _ in range(MAX_BATCHES_PER_RUN):
        count = ingest_shard(client, shard)
        total += count
        if count < MAX_EVENTS_PER_BATCH:
            break
    return total


def _client() -> "redis.Redis":
    return redis.Redis.from_url(
        settings.FAREBOX_REDIS_URL,
        socket_timeout=REDIS_TIMEOUT_SECONDS,
        socket_connect_timeout=REDIS_TIMEOUT_SECONDS,
    )
