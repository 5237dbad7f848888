"""Fetching a provider's bill with an admin key: pages of costs and usage, over the guarded transport.

Knows where OpenAI and Anthropic tell them; what a page says is read by `billing.reconciliation`.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time

import httpx

from billing.reconciliation import anthropic_report, openai_report
from billing.reconciliation.json_pages import Node, read_page
from billing.reconciliation.shapes import Export
from gateway.egress import EgressPolicy, EgressRefused
from gateway.transport import PooledTransport

PAGES_LIMIT = 200
PAGE_LIMIT_BYTES = 16 * 1024 * 1024
BUCKETS_PER_PAGE = 31
CALL_TIMEOUT_SECONDS = 30.0
TRIES = 4
FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 60.0
RETRIED = frozenset({408, 409, 429, 500, 502, 503, 504, 529})
# https://platform.claude.com/docs/en/api/versioning (checked 2026-11-27)
ANTHROPIC_VERSION = "2023-06-01"

Parameters = tuple[tuple[str, str], ...]


class BillNotFetched(Exception):
    """The provider did not tell its bill; the message says why and holds no key."""


@dataclass(frozen=True, slots=True)
class Report:
    """One report of a provider: its path below the base URL, and what to ask of it."""

    path: str
    parameters: Parameters
    read: Callable[[Sequence[Node]], Export]


@dataclass(frozen=True, slots=True)
class BillAddress:
    """Where and with which key to ask; `reports` are those of the dialect."""

    base_url: str
    admin_key: str = field(repr=False)
    dialect: str
    egress: EgressPolicy

    def headers(self) -> Mapping[str, str]:
        if self.dialect == "anthropic":
            return {"x-api-key": self.admin_key, "anthropic-version": ANTHROPIC_VERSION}
        return {"authorization": f"Bearer {self.admin_key}"}

    def reports(self, since: date, until: date) -> tuple[Report, ...]:
        """The days from `since` on, before `until`."""
        begin, end = (datetime.combine(day, time.min, tzinfo=UTC) for day in (since, until))
        if self.dialect == "anthropic":
            span = (("starting_at", _rfc3339(begin)), ("ending_at", _rfc3339(end)), *_PAGED)
            return (
                Report(
                    "/organizations/cost_report",
                    (*span, ("group_by[]", "description")),
                    anthropic_report.read_costs,
                ),
                Report(
                    "/organizations/usage_report/messages",
                    (*span, ("group_by[]", "model")),
                    anthropic_report.read_usage,
                ),
            )
        span = (("start_time", _unix(begin)), ("end_time", _unix(end)), *_PAGED)
        return (
            Report("/organization/costs", (*span, ("group_by", "line_item")), openai_report.read_costs),
            Report(
                "/organization/usage/completions", (*span, ("group_by", "model")), openai_report.read_usage
            ),
        )


async def fetch_bill(
    address: BillAddress,
    *,
    since: date,
    until: date,
    transport: httpx.AsyncBaseTransport | None = None,
    first_pause_seconds: float = FIRST_PAUSE_SECONDS,
) -> list[Export]:
    """Every report of the days, whole. Raises BillNotFetched and ExportRefused; nothing is half read."""
    async with httpx.AsyncClient(
        transport=transport or PooledTransport(), timeout=CALL_TIMEOUT_SECONDS, trust_env=False
    ) as client:
        caller = _Caller(client, address, first_pause_seconds)
        return [await _read(caller, report) for report in address.reports(since, until)]


async def _read(caller: "_Caller", report: Report) -> Export:
    pages: list[Node] = []
    cursor: str | None = None
    while True:
        asked = report.parameters if cursor is None else (*report.parameters, ("page", cursor))
        text = await caller.get(report.path, asked)
        page, next_cursor = read_page(text, name=f"{report.path}, page {len(pages) + 1}")
        pages.append(page)
        if next_cursor is None:
            return report.read(pages)
        if len(pages) == PAGES_LIMIT or next_cursor == cursor:
            raise BillNotFetched(f"{report.path} does not end after {len(pages)} pages.")
        cursor = next_cursor


@dataclass(frozen=True, slots=True)
class _Caller:
    """Asks, and asks again when it is worth it."""

    client: httpx.AsyncClient
    address: BillAddress
    first_pause_seconds: float

    async def get(self, path: str, parameters: Parameters) -> str:
        pause_seconds = self.first_pause_seconds
        for attempt in range(TRIES):
            is_last = attempt == TRIES - 1
            try:
                return await self._get_once(path, parameters)
            except _WorthAnotherTry as failure:
                if is_last:
                    raise BillNotFetched(f"{path}: {failure}, {TRIES} times.") from failure
                wait_seconds = failure.retry_after_seconds or pause_seconds
            await asyncio.sleep(min(wait_seconds, LONGEST_PAUSE_SECONDS))
            pause_seconds *= 2
        raise AssertionError("the last try returns or raises")

    async def _get_once(self, path: str, parameters: Parameters) -> str:
        request = self.client.stream(
            "GET",
            f"{self.address.base_url}{path}",
            params=parameters,
            headers=dict(self.address.headers()),
            extensions={"egress": self.address.egress},
        )
        try:
            async with request as response:
                _check_status(response, path)
                return await _body_of(response, path)
        except EgressRefused as exc:
            raise BillNotFetched(f"{path}: {exc}.") from exc
        except httpx.HTTPError as exc:
            raise _WorthAnotherTry(f"no answer ({type(exc).__name__})") from exc


class _WorthAnotherTry(Exception):
    def __init__(self, message: str, retry_after_seconds: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


def _check_status(response: httpx.Response, path: str) -> None:
    status = response.status_code
    if status in RETRIED:
        raise _WorthAnotherTry(f"the provider answered {status}", _retry_after(response))
    if status in (401, 403):
        raise BillNotFetched(
            f"{path}: the provider answered {status}; it must be an admin key of the account."
        )
    if status != 200:
        raise BillNotFetched(f"{path}: the provider answered {status}.")


async def _body_of(response: httpx.Response, path: str) -> str:
    body = bytearray()
    async for part in response.aiter_bytes():
        body += part
        if len(body) > PAGE_LIMIT_BYTES:
            raise BillNotFetched(f"{path}: a page is larger than {PAGE_LIMIT_BYTES:,} bytes.")
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError as exc:
        raise BillNotFetched(f"{path}: the answer is not UTF-8.") from exc


def _retry_after(response: httpx.Response) -> float:
    text = response.headers.get("retry-after", "")
    return float(text) if text.isdecimal() else 0.0


def _rfc3339(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def _unix(moment: datetime) -> str:
    return str(int(moment.timestamp()))


_PAGED: Parameters = (("bucket_width", "1d"), ("limit", str(BUCKETS_PER_PAGE)))
