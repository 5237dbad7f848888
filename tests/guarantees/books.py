"""The three books laid side by side: the provider's invoice, our usage events, the ledger."""

from collections import Counter
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from billing.models import UsageEvent
from billing.money import nano_to_usd
from billing.price_book import load_price_book
from billing.pricing import cost_of
from billing.usage import TokenUsage
from tests.house import House, Team


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
