"""What a provider's export becomes: lines of one UTC day and one model each. Pure.

A line holds an amount (a cost), or counts (a usage), or both.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_EVEN, Decimal

from billing.errors import BillingError

MAX_NAME_CHARACTERS = 256
MAX_COUNT = 2**62
# Providers print binary fractions of dollars; beyond a pico-dollar there is only noise.
SMALLEST_BILLED_USD = Decimal("0.000000000001")
MAX_BILLED_USD = Decimal(100_000_000)
COUNTS = ("requests", "input_tokens", "cached_input_tokens", "cache_write_tokens", "output_tokens")


class ExportRefused(BillingError):
    """The export cannot be imported; the message says where in the file, which field, and what is allowed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportLine:
    """What a provider says of one model on one day. `model` is its own name, empty for what is of none.

    `item` tells lines of a model apart (input, output, …). Counts are disjoint, None where the
    export has none; `where` is the place in the file.
    """

    day: date
    model: str
    item: str = ""
    amount_usd: Decimal | None = None
    requests: int | None = None
    input_tokens: int | None = None
    cached_input_tokens: int | None = None
    cache_write_tokens: int | None = None
    output_tokens: int | None = None
    where: str = ""

    @property
    def has_counts(self) -> bool:
        return any(getattr(self, name) is not None for name in COUNTS)


@dataclass(frozen=True, slots=True)
class Export:
    """A whole export. `days` are all days that it speaks of, also those without a line."""

    source: str
    days: frozenset[date]
    lines: tuple[ExportLine, ...]


def exact_usd(amount_usd: Decimal, *, where: str, field: str) -> Decimal:
    """The amount to the pico-dollar. Raises ExportRefused if it is negative, too large or no number."""
    if not amount_usd.is_finite() or amount_usd < 0 or amount_usd > MAX_BILLED_USD:
        raise ExportRefused(
            f"{where}: {field} must be an amount from 0 to {MAX_BILLED_USD:,} US dollars, got {amount_usd}."
        )
    return amount_usd.quantize(SMALLEST_BILLED_USD, rounding=ROUND_HALF_EVEN)


def checked_currency(currency: object, *, where: str, field: str) -> None:
    """Raises ExportRefused for any currency but US dollars, in which this ledger is kept."""
    if str(currency).strip().upper() != "USD":
        raise ExportRefused(f"{where}: {field} must be USD, got {str(currency)[:32]!r}.")


def checked_name(text: str, *, where: str, field: str) -> str:
    """A printable name of bounded length. Raises ExportRefused."""
    name = text.strip()
    if len(name) > MAX_NAME_CHARACTERS or not name.isprintable():
        raise ExportRefused(
            f"{where}: {field} must be printable and at most {MAX_NAME_CHARACTERS} characters long."
        )
    return name


def without_repeats(lines: Sequence[ExportLine]) -> tuple[ExportLine, ...]:
    """The lines. Raises ExportRefused if two of them say the same thing of the same day."""
    seen: dict[tuple[date, str, str, bool], ExportLine] = {}
    for line in lines:
        first = seen.setdefault((line.day, line.model, line.item, line.amount_usd is None), line)
        if first is not line:
            what = f"{line.model or 'no model'} {line.item}".strip()
            raise ExportRefused(
                f"{line.where}: {what} on {line.day} stands at {first.where} already; days must not overlap."
            )
    return tuple(lines)
