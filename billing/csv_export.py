"""CSV that a spreadsheet opens as text and numbers, never as formulas. Pure."""

import csv
from collections.abc import Iterable, Iterator, Sequence

# https://owasp.org/www-community/attacks/CSV_Injection (checked 2026-11-21)
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def csv_lines(header: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """The lines by RFC 4180, header first; each cell goes through `safe_cell`."""
    writer = csv.writer(_Echo(), lineterminator="\r\n")
    yield writer.writerow(header)
    for row in rows:
        yield writer.writerow([safe_cell(cell) for cell in row])


def safe_cell(cell: str) -> str:
    """The cell with a quote before it if a spreadsheet would take it for a formula."""
    return f"'{cell}" if cell.startswith(FORMULA_STARTS) else cell


class _Echo:
    """A file that gives back what is written, so that lines can be streamed."""

    def write(self, line: str) -> str:
        return line
