"""A provider's bill as a CSV file: its columns by their names or well-known others. Pure.

Which columns there are: docs/reconciliation.md.
"""

import csv
import io
import re
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal, InvalidOperation

from billing.reconciliation.shapes import (
    COUNTS,
    MAX_COUNT,
    Export,
    ExportLine,
    ExportRefused,
    checked_currency,
    checked_name,
    exact_usd,
    without_repeats,
)

SOURCE = "csv"
MAX_ROWS = 200_000
# Our name of a column, then the headers under which providers and their consoles export it; case,
# blanks, dashes and underscores do not matter.
HEADERS: Mapping[str, tuple[str, ...]] = {
    "day": ("day", "date", "usage date", "usage date utc", "start time iso", "bucket start", "starting at"),
    "model": ("model", "model name", "model version", "snapshot"),
    "item": ("item", "line item", "token type", "description"),
    "amount_usd": ("cost usd", "cost", "amount", "amount usd", "amount value", "list cost usd", "total cost"),
    "currency": ("currency", "amount currency"),
    "requests": ("requests", "num model requests", "request count", "n requests"),
    "input_tokens": ("input tokens", "uncached input tokens", "usage input tokens no cache"),
    "cached_input_tokens": (
        "cached input tokens",
        "input cached tokens",
        "cache read input tokens",
        "usage input tokens cache read",
    ),
    "cache_write_tokens": (
        "cache write tokens",
        "cache creation input tokens",
        "usage input tokens cache write 5m",
    ),
    "output_tokens": ("output tokens", "usage output tokens"),
}
_COLUMN_OF = {alias: column for column, aliases in HEADERS.items() for alias in aliases}
_COUNT = re.compile(r"[0-9]{1,19}")


def read_csv(text: str, *, file_name: str) -> Export:
    """The export in a CSV file with a line of headers. Raises ExportRefused naming file, line and column."""
    rows = csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""), strict=True)
    try:
        columns = _columns(next(rows, []), file_name)
        lines = [
            _line(dict(zip(columns, _cells(row, columns, where), strict=True)), where)
            for row in rows
            if row and (where := f"{file_name}, line {rows.line_num}")
        ]
    except csv.Error as exc:
        raise ExportRefused(f"{file_name}, line {rows.line_num}: not readable as CSV ({exc}).") from exc
    if not lines:
        raise ExportRefused(f"{file_name}: there is no row below the headers.")
    return Export(SOURCE, frozenset(line.day for line in lines), without_repeats(lines))


def _columns(headers: list[str], file_name: str) -> list[str]:
    """Our name of each column, "" for those that say nothing to us."""
    columns = [_COLUMN_OF.get(re.sub(r"[\s_\-()]+", " ", header).strip().lower(), "") for header in headers]
    where = f"{file_name}, line 1"
    for needed in ("day", "model"):
        if needed not in columns:
            raise ExportRefused(
                f"{where}: a column {needed!r} is missing; headers: {', '.join(headers)[:200]}."
            )
    if not {"amount_usd", *COUNTS} & {*columns}:
        raise ExportRefused(f"{where}: there must be a column 'cost_usd' or columns of tokens.")
    twice = sorted({column for column in columns if column and columns.count(column) > 1})
    if twice:
        raise ExportRefused(f"{where}: two columns are a {twice[0]!r}; keep one.")
    return columns


def _cells(row: list[str], columns: list[str], where: str) -> list[str]:
    if len(row) != len(columns):
        raise ExportRefused(f"{where}: must have {len(columns)} cells as the headers do, got {len(row)}.")
    return row


def _line(cells: Mapping[str, str], where: str) -> ExportLine:
    if "currency" in cells:
        checked_currency(cells["currency"], where=where, field="currency")
    if int(where.rpartition(" ")[2]) > MAX_ROWS:
        raise ExportRefused(f"{where}: an export may have {MAX_ROWS:,} lines; split it by days.")
    return ExportLine(
        day=_day(cells["day"], where),
        model=checked_name(cells["model"], where=where, field="model"),
        item=checked_name(cells.get("item", ""), where=where, field="item"),
        amount_usd=_amount(cells["amount_usd"], where) if "amount_usd" in cells else None,
        where=where,
        **{name: _count(cells[name], where, name) for name in COUNTS if name in cells},
    )


def _day(text: str, where: str) -> date:
    """A day, or a moment that is the first of its UTC day."""
    try:
        if len(text.strip()) == 10:
            return date.fromisoformat(text.strip())
        moment = datetime.fromisoformat(text.strip())
    except ValueError as exc:
        raise ExportRefused(f"{where}: day must be like 2026-11-26, got {text[:40]!r}.") from exc
    if (moment.utcoffset() or moment - moment) != moment - moment or moment.time() != moment.time().min:
        raise ExportRefused(f"{where}: day must be a whole UTC day, got {text[:40]!r}.")
    return moment.date()


def _amount(text: str, where: str) -> Decimal:
    try:
        amount_usd = Decimal(text.strip().removeprefix("$"))
    except InvalidOperation as exc:
        raise ExportRefused(f"{where}: cost_usd must be a number like 12.34, got {text[:40]!r}.") from exc
    return exact_usd(amount_usd, where=where, field="cost_usd")


def _count(text: str, where: str, field: str) -> int:
    if not _COUNT.fullmatch(text.strip()) or int(text) > MAX_COUNT:
        raise ExportRefused(f"{where}: {field} must be a whole number from 0, got {text[:40]!r}.")
    return int(text)
