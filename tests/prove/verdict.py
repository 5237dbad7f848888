"""The verdict: five books laid side by side, request by request, after everything has come to rest.

Requests whose usage the provider reported must cost the same in all of them. Those that were counted by
us or recovered after a crash are listed apart, with what the provider's invoice says of them.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import redis
from django.conf import settings

from billing.models import LedgerEntry, UsageEvent
from billing.money import ZERO_USD, format_usd, nano_to_usd
from billing.usage_stream import dead_letter_key
from gateway.policy import shard_of, shard_prefix
from tests.guarantees.books import audit_report, csv_usd, overview_usd, priced
from tests.house import House, Process, Team, eventually
from tests.prove.load import Told

MAX_EXAMPLES = 5
MAX_LISTED = 60
ROLLUP_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Row:
    """One request in three books; None where a book does not know it."""

    id: str
    event: UsageEvent | None
    invoiced_usd: Decimal | None
    posted_usd: Decimal

    @property
    def charged_usd(self) -> Decimal:
        return self.event.charge_usd if self.event else ZERO_USD

    @property
    def owed_usd(self) -> Decimal:
        return self.invoiced_usd or ZERO_USD

    @property
    def difference_usd(self) -> Decimal:
        return self.charged_usd - self.owed_usd

    @property
    def kind(self) -> str:
        """Why its charge may differ from the invoice; empty when it may not."""
        if self.event is None:
            return ""
        if self.event.ending == UsageEvent.Ending.RECOVERED:
            return "recovered after a crash"
        if self.event.is_estimated:
            return f"counted by us ({self.event.get_ending_display().lower()})"
        if self.charged_usd == ZERO_USD and self.event.ending != UsageEvent.Ending.COMPLETED:
            return f"not charged ({self.event.get_ending_display().lower()})"
        return ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found. `problems` is empty when the proof holds."""

    rows: Sequence[Row]
    overview_usd: Decimal
    csv_usd: Decimal
    counter_usd: Decimal
    problems: Sequence[str]

    @property
    def is_clean(self) -> bool:
        return not self.problems

    def render(self) -> str:
        exact = [row for row in self.rows if not row.kind]
        apart: defaultdict[str, list[Row]] = defaultdict(list)
        for row in self.rows:
            if row.kind:
                apart[row.kind].append(row)
        lines = [
            "**The books agree.**" if self.is_clean else "**The books differ:**",
            *(f"- {problem}" for problem in self.problems),
            "",
            "| Requests | Number | Simulator's invoice | Usage events | Ledger | Events less invoice |",
            "|---|---:|---:|---:|---:|---:|",
            _line("usage reported", exact),
            *(_line(kind, rows) for kind, rows in sorted(apart.items())),
            _line("all", self.rows),
            "",
            f"Overview page {format_usd(self.overview_usd)}, ledger's CSV {format_usd(self.csv_usd)}, "
            f"Redis' wallet {format_usd(self.counter_usd)}.",
            "",
            *_listed([row for rows in apart.values() for row in rows if row.difference_usd]),
        ]
        return "\n".join(lines)


def judge(house: House, team: Team, page: Process, told: Told) -> Verdict:
    """Open the books. Waits for the rollups, which follow the events within seconds."""
    rows, problems = _rows(house, team)
    posted_usd = sum((row.posted_usd for row in rows), ZERO_USD)
    with suppress(AssertionError):
        eventually(lambda: overview_usd(page, team) == posted_usd, "the rollups", seconds=ROLLUP_SECONDS)
    shown_usd, downloaded_usd = overview_usd(page, team), csv_usd(page, team)
    spent_usd, held_usd, dead = _counters(team)
    totals = {
        "the overview": shown_usd,
        "the CSV": downloaded_usd,
        "the usage events": sum((row.charged_usd for row in rows), ZERO_USD),
        "Redis' wallet": spent_usd,
    }
    problems += [
        f"{name} says {format_usd(total)}, the ledger {format_usd(posted_usd)}"
        for name, total in totals.items()
        if total != posted_usd
    ]
    problems += [f"{format_usd(held_usd)} is still held"] * bool(held_usd)
    problems += [f"{dead} dead letters"] * bool(dead)
    problems += _told_otherwise(rows, told)
    problems += [f"auditledger: {line.strip()}" for line in audit_report().splitlines() if "DIFFER" in line]
    return Verdict(rows, shown_usd, downloaded_usd, spent_usd, problems)


def _rows(house: House, team: Team) -> tuple[list[Row], list[str]]:
    lines: dict[str, dict[str, Any]] = {}
    problems: list[str] = []
    for line in house.invoice():
        if line["client_request_id"] in lines:
            problems.append(f"{line['client_request_id']} is on the invoice twice")
        lines[line["client_request_id"]] = line
    events = {str(event.id): event for event in team.events()}
    posted = _posted(team)
    rows = [
        Row(
            number,
            events.get(number),
            priced(lines[number]) if number in lines else None,
            posted.get(number, ZERO_USD),
        )
        for number in {**events, **lines, **posted}
    ]
    problems += _some("not among the usage events", (row.id for row in rows if row.event is None))
    problems += _some(
        "charged without a line on the invoice",
        (row.id for row in rows if row.charged_usd and row.invoiced_usd is None),
    )
    problems += _some(
        "posted for another amount than its event says",
        (row.id for row in rows if row.charged_usd != row.posted_usd),
    )
    problems += _some(
        "of another price than the invoice says",
        (row.id for row in rows if not row.kind and row.charged_usd != row.owed_usd),
    )
    return rows, problems


def _posted(team: Team) -> dict[str, Decimal]:
    entries = LedgerEntry.objects.filter(
        account__organization=team.organization, account__kind="prepaid_credit", transfer__kind="charge"
    )
    return {str(number): -amount for number, amount in entries.values_list("transfer_id", "amount_usd")}


def _told_otherwise(rows: Iterable[Row], told: Told) -> list[str]:
    """A client that has a whole answer has a completed request, unless its process was given up for dead."""
    endings = {row.id: row.event.ending for row in rows if row.event}
    fine = (UsageEvent.Ending.COMPLETED, UsageEvent.Ending.RECOVERED)
    twice = [number for number, count in Counter(told.whole).items() if count > 1]
    return [
        *_some("answered twice", twice),
        *_some("answered, but recorded otherwise", (n for n in told.whole if endings.get(n) not in fine)),
        *([f"{told.given_up} requests were never answered"] if told.given_up else []),
    ]


def _counters(team: Team) -> tuple[Decimal, Decimal, int]:
    """Spent and held by Redis' count, and how many events were set aside."""
    shard = shard_of(team.organization.pk, settings.FAREBOX_SHARDS)
    with redis.Redis.from_url(settings.FAREBOX_REDIS_URL) as client:
        spent, held = client.hmget(f"{shard_prefix(shard)}money:wallet:{team.organization.pk.hex}", "s", "h")
        dead = sum(client.xlen(dead_letter_key(each)) for each in range(settings.FAREBOX_SHARDS))
    return nano_to_usd(int(spent or 0)), nano_to_usd(int(held or 0)), dead


def _some(what: str, numbers: Iterable[str]) -> list[str]:
    found = list(numbers)
    examples = ", ".join(found[:MAX_EXAMPLES])
    return [f"{len(found)} {what}: {examples}{' …' * (len(found) > MAX_EXAMPLES)}"] if found else []


def _line(title: str, rows: Sequence[Row]) -> str:
    owed_usd = sum((row.owed_usd for row in rows), ZERO_USD)
    charged_usd = sum((row.charged_usd for row in rows), ZERO_USD)
    posted_usd = sum((row.posted_usd for row in rows), ZERO_USD)
    amounts = (owed_usd, charged_usd, posted_usd, charged_usd - owed_usd)
    return f"| {title} | {len(rows):,} | {' | '.join(map(format_usd, amounts))} |"


def _listed(rows: Sequence[Row]) -> list[str]:
    if not rows:
        return ["No request differs from the invoice."]
    dearest = sorted(rows, key=lambda row: -abs(row.difference_usd))
    shown = f", the {MAX_LISTED} that differ most" if len(rows) > MAX_LISTED else ""
    return [
        f"{len(rows):,} requests differ from the invoice{shown}:",
        "",
        "| Request | Why | Invoice | Charged | Difference |",
        "|---|---|---:|---:|---:|",
        *(
            f"| {row.id} | {row.kind} | {format_usd(row.owed_usd)} | {format_usd(row.charged_usd)}"
            f" | {format_usd(row.difference_usd)} |"
            for row in dearest[:MAX_LISTED]
        ),
    ]
