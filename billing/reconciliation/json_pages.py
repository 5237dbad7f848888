"""Reading the pages of a provider's report as JSON, with the place of whatever is wrong. Pure.

Numbers become Decimal, never binary fractions.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, NoReturn

from billing.reconciliation.shapes import MAX_COUNT, ExportRefused

DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Node:
    """A JSON object and where it stands: `openai.json, data[3].results[0]`."""

    where: str
    values: dict[str, Any]

    def refuse(self, field: str, allowed: str) -> NoReturn:
        """Raise ExportRefused naming the field, what is allowed and what is there."""
        found = json.dumps(self.values.get(field), default=str)[:60]
        raise ExportRefused(f"{self.where}: {field} must be {allowed}, got {found}.")

    def nodes(self, field: str) -> list["Node"]:
        found = self.values.get(field)
        if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
            self.refuse(field, "a list of objects")
        return [Node(f"{self._path(field)}[{index}]", each) for index, each in enumerate(found)]

    def node(self, field: str) -> "Node":
        found = self.values.get(field)
        if not isinstance(found, dict):
            self.refuse(field, "an object")
        return Node(self._path(field), found)

    def text(self, field: str) -> str:
        found = self.values.get(field)
        if not isinstance(found, str):
            self.refuse(field, "a text")
        return str(found)

    def count(self, field: str) -> int:
        """A whole number from 0; one that is absent or null is none."""
        found = self.values.get(field) or 0
        if isinstance(found, Decimal) and found == found.to_integral_value():
            found = int(found)
        if isinstance(found, bool) or not isinstance(found, int) or not 0 <= found <= MAX_COUNT:
            self.refuse(field, "a whole number from 0")
        return int(found)

    def amount(self, field: str) -> Decimal:
        """A number, written as one or as a text."""
        found = self.values.get(field)
        if isinstance(found, str):
            try:
                found = Decimal(found)
            except ArithmeticError:
                self.refuse(field, "an amount")
        if isinstance(found, bool) or not isinstance(found, int | Decimal):
            self.refuse(field, "an amount")
        return Decimal(found)

    def _path(self, field: str) -> str:
        return f"{self.where}.{field}" if self.where.endswith("]") else f"{self.where}, {field}"


def read_pages(text: str, *, file_name: str) -> tuple[Node, ...]:
    """The pages in a file: one page, or a list of all of them.

    Raises ExportRefused for what is no JSON, with line and column, and if the last page is missing.
    """
    found = _parsed(text, file_name)
    pages = found if isinstance(found, list) else [found]
    if not pages or not all(isinstance(page, dict) for page in pages):
        raise ExportRefused(f"{file_name}: must be a page of the report, or a list of its pages.")
    if pages[-1].get("has_more"):
        raise ExportRefused(f"{file_name}: has_more is true on the last page: the rest is missing.")
    names = [file_name] if len(pages) == 1 else [f"{file_name}, [{number}]" for number in range(len(pages))]
    return tuple(Node(name, page) for name, page in zip(names, pages, strict=True))


def read_page(text: str, *, name: str) -> tuple[Node, str | None]:
    """One page as it was fetched, and what to ask for next; None at the end. Raises ExportRefused."""
    found = _parsed(text, name)
    if not isinstance(found, dict):
        raise ExportRefused(f"{name}: must be a page of the report.")
    page = Node(name, found)
    return page, page.text("next_page") if found.get("has_more") else None


def _parsed(text: str, name: str) -> Any:
    try:
        return json.loads(text, parse_float=Decimal, parse_constant=_refuse_constant)
    except json.JSONDecodeError as exc:
        where = f"{name}, line {exc.lineno}, column {exc.colno}"
        raise ExportRefused(f"{where}: not whole JSON ({exc.msg}).") from exc
    except (ValueError, RecursionError) as exc:
        raise ExportRefused(f"{name}: not readable as JSON ({exc}).") from exc


def buckets_by_day(pages: Sequence[Node], *, start: str, end: str) -> Iterator[tuple[date, Node]]:
    """Each bucket with its UTC day. Raises ExportRefused unless each is one day, and each day comes once."""
    seen: dict[date, str] = {}
    for page in pages:
        for bucket in page.nodes("data"):
            begins, ends = _moment(bucket, start), _moment(bucket, end)
            if begins.time() != time.min or ends - begins != DAY:
                bucket.refuse(start, f"the start of a UTC day that {end} ends (bucket_width=1d)")
            day = begins.date()
            if day in seen:
                raise ExportRefused(f"{bucket.where}: {day} stands at {seen[day]} already; days overlap.")
            seen[day] = bucket.where
            yield day, bucket


def _moment(bucket: Node, field: str) -> datetime:
    """A moment in Unix seconds or RFC 3339, in UTC."""
    found = bucket.values.get(field)
    try:
        if isinstance(found, int) and not isinstance(found, bool):
            return datetime.fromtimestamp(found, UTC)
        moment = datetime.fromisoformat(str(found))
        return moment.astimezone(UTC) if moment.tzinfo else bucket.refuse(field, "a moment with its zone")
    except (ValueError, OverflowError, OSError):
        bucket.refuse(field, "a moment")


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")
