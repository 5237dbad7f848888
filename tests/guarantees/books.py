"""The three books laid side by side: the provider's invoice, our usage events, the ledger."""

import csv
import re
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from io import StringIO
from typing import Any

import httpx
from django.core.management import call_command

from billing.models import UsageEvent
from billing.money import nano_to_usd
from billing.price_book import load_price_book
from billing.pricing import cost_of
from billing.usage import TokenUsage
from tests.house import House, Process, Team


@dataclass(frozen=True, slots=True)
class Books:
    """What each book says of one organization's requests, in dollars and by request."""

    invoiced: dict[str, dict[str, Any]]
    events: dict[str, UsageEvent]
    ledger_usd: Decimal

    @property
    def events_usd(self) -> Decimal:
        return sum((event.charge_usd for event in self.events.values()), Decimal(0))

    @property
    def invoiced_usd(self) -> Decimal:
        """The invoice at the price book: what the provider's customers owe."""
        return sum((priced(line) for line in self.invoiced.values()), Decimal(0))

    def differing(self) -> list[str]:
        """Requests for which the invoice and the event name different amounts."""
        return [
            request_id
            for request_id, event in self.events.items()
            if priced(self.invoiced[request_id]) != event.charge_usd
        ]


def books_of(house: House, team: Team) -> Books:
    """Read all three. Fails if a request is on the invoice twice, or was charged without being on it."""
    events = {str(event.id): event for event in team.events()}
    lines = [line for line in house.invoice() if line["client_request_id"] in events]
    counts = Counter(line["client_request_id"] for line in lines)
    twice = [number for number, count in counts.items() if count > 1]
    assert not twice, f"billed twice by the provider: {twice[:3]}"
    invoiced = {line["client_request_id"]: line for line in lines}
    missing = [number for number, event in events.items() if number not in invoiced and event.charge_usd]
    assert not missing, f"charged without a line on the invoice: {missing[:3]}"
    return Books(invoiced, {number: events[number] for number in invoiced}, team.charged_usd())


def priced(line: dict[str, Any]) -> Decimal:
    """One line of the invoice at the price book's price of today."""
    listing = load_price_book().listing("fake", line["model"])
    assert listing is not None, line["model"]
    cached, reasoning = line["cached_tokens"], line["reasoning_tokens"]
    usage = TokenUsage(
        input=line["prompt_tokens"] - cached,
        cached_input=cached,
        output=line["completion_tokens"] - reasoning,
        reasoning=reasoning,
    )
    price = listing.prices[-1].price
    return nano_to_usd(cost_of(usage, price).total_nano)


def overview_usd(page: Process, team: Team) -> Decimal:
    """The exact amount behind the overview's spend tile, as the browser gets it from the server."""
    text = _page(page, team, f"/o/{team.organization.slug}/")
    exact = re.search(r'class="tile-value"><a href="[^"]*" title="\$([0-9.,]+)', text)
    assert exact, "the spend tile tells the exact amount"
    return Decimal(exact.group(1).replace(",", ""))


def csv_usd(page: Process, team: Team) -> Decimal:
    """The sum of the charges in the ledger's download."""
    text = _page(page, team, f"/o/{team.organization.slug}/ledger/?format=csv")
    charges = [row["charge_usd"] for row in csv.DictReader(StringIO(text)) if row["charge_usd"]]
    return sum(map(Decimal, charges), Decimal(0))


def audit_report() -> str:
    """What `manage.py auditledger` says of everything that is committed."""
    report = StringIO()
    with suppress(SystemExit):
        call_command("auditledger", stdout=report)
    assert "priced again" in report.getvalue()
    return report.getvalue()


def _page(page: Process, team: Team, path: str) -> str:
    cookies = {name: morsel.value for name, morsel in team.somebody.browser.cookies.items()}
    answer = httpx.get(f"{page.url}{path}", cookies=cookies, timeout=120)
    assert answer.status_code == 200
    return answer.text
