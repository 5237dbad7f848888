"""Prove the ledger: every balance and invariant recomputed. Exits 1 on a difference."""

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.utils import timezone

from billing.audit import Audit, audit_ledger
from billing.audit_runs import kept_since, run_audit
from billing.price_book import load_price_book


class Command(BaseCommand):
    help = "Recompute every balance and invariant of the ledger; exit 1 if anything differs."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--record",
            action="store_true",
            help="Keep the result for the pages and alert the operator, as the nightly audit does.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["record"]:
            self._record()
            return
        audit = audit_ledger(load_price_book(), events_kept_since=kept_since(timezone.now()))
        self._report(audit)
        if not audit.is_clean:
            sys.exit(1)

    def _record(self) -> None:
        audit = run_audit()
        if audit is None:
            self.stderr.write("Another audit is running.")
            sys.exit(2)
        self.stdout.write(f"{audit}; recorded as {audit.pk}.")
        if not audit.is_clean:
            sys.exit(1)

    def _report(self, audit: Audit) -> None:
        for finding in audit.findings:
            mark = f"{finding.differences} DIFFER" if finding.differences else "ok"
            self.stdout.write(f"{mark:>12}  {finding.number:<4}{finding.title}")
            for example in finding.examples:
                self.stdout.write(f"{'':>12}    {example}")
        self.stdout.write(
            f"{audit.transfers:,} transfers, {audit.entries:,} entries, {audit.events:,} events;"
            f" {audit.repriced:,} priced again, {audit.not_repriced:,} at prices that the book does not hold."
        )
