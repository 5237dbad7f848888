"""Prove the ledger: every balance and invariant recomputed. Exits 1 on a difference."""

import sys
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from django.utils import timezone

from billing.audit import Audit, audit_ledger
from billing.price_book import load_price_book


class Command(BaseCommand):
    help = "Recompute every balance and invariant of the ledger; exit 1 if anything differs."

    def handle(self, *args: Any, **options: Any) -> None:
        kept_since = timezone.now() - timedelta(days=settings.FAREBOX_USAGE_RETENTION_DAYS)
        audit = audit_ledger(load_price_book(), events_kept_since=kept_since)
        self._report(audit)
        if not audit.is_clean:
            sys.exit(1)

    def _report(self, audit: Audit) -> None:
        for finding in audit.findings:
            mark = f"{finding.differences} DIFFER" if finding.differences else "ok"
            self.stdout.write(f"{mark:>12}  {finding.title}")
            for example in finding.examples:
                self.stdout.write(f"{'':>12}    {example}")
        self.stdout.write(
            f"{audit.transfers:,} transfers, {audit.events:,} events; {audit.repriced:,} priced again,"
            f" {audit.not_repriced:,} at prices that the book does not hold."
        )
