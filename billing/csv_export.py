"""CSV that a spreadsheet opens as text and numbers, never as formulas. Pure."""

import csv
import io
import re
from collections.abc import Iterable, Sequence

# https://owasp.org/www-community/attacks/CSV_Injection (checked 2026-11-21)
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")


def csv_text(rows: Iterable[Sequence[str]]) -> str:
    """The rows by RFC 4180; each cell goes through `safe_cell`."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerows([safe_cell(cell) for cell in row] for row in rows)
    return text.getvalue()


def safe_cell(cell: str) -> str:
    """The cell with a quote before it if a spreadsheet would take it for a formula; numbers are none."""
    is_formula = cell.startswith(FORMULA_STARTS) and not _NUMBER.fullmatch(cell)
    return f"'{cell}" if is_formula else cell
