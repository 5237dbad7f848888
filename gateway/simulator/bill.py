"""The simulator's own bill: what its invoice comes to, told as OpenAI and Anthropic tell theirs.

Prices are the simulator's own, like its books. An admin key `admin` sees the whole account,
`admin-KEY` the calls of one API key, as the keys of two organizations would.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Protocol

import orjson

from gateway.simulator.chat_request import Refused
from gateway.simulator.invoice import Totals

ADMIN_KEY = "admin"
DAY = timedelta(days=1)
DEFAULT_BUCKETS = 7
MAX_BUCKETS = {"costs": 180, "completions": 31, "cost_report": 31, "messages": 31}
FREE_MODELS = frozenset({"free"})

# Pico-dollars a token: $1.00 a million of prompt, $0.10 of it cached, $2.00 of completion.
PROMPT_PICO, CACHED_PICO, COMPLETION_PICO = 1_000_000, 100_000, 2_000_000
PICO_DIGITS = 12

DayTotals = Mapping[tuple[str, str, str], Totals]
Parameters = Mapping[str, Sequence[str]]


class Report(Protocol):
    """Answers one page of a report with JSON. Raises Refused."""

    def __call__(self, totals: DayTotals, parameters: Parameters, *, now: datetime) -> bytes: ...


@dataclass(frozen=True, slots=True)
class _Window:
    """The days asked for, and those on this page."""

    days: tuple[date, ...]
    next_page: str | None


def account_of(admin_key: str) -> str | None:
    """The API key whose calls the admin key sees, None for all. Raises Refused."""
    if admin_key == ADMIN_KEY:
        return None
    if not admin_key.startswith(f"{ADMIN_KEY}-"):
        raise Refused("Incorrect admin API key provided.", status=401, code="invalid_api_key")
    return admin_key.removeprefix(f"{ADMIN_KEY}-")


def openai_costs(totals: DayTotals, parameters: Parameters, *, now: datetime) -> bytes:
    """`GET /v1/organization/costs`, dollars by day, and by line item if asked so."""
    window = _window(parameters, now, start="start_time", end="end_time", kind="costs")
    is_itemised = "line_item" in _list(parameters, "group_by")
    return _page(
        [
            _openai_bucket(
                day, [_openai_cost(*line, is_itemised) for line in _costs(totals, day, is_itemised)]
            )
            for day in window.days
        ],
        window,
        object="page",
    )


def openai_usage(totals: DayTotals, parameters: Parameters, *, now: datetime) -> bytes:
    """`GET /v1/organization/usage/completions`, tokens by day, and by model if asked so."""
    window = _window(parameters, now, start="start_time", end="end_time", kind="completions")
    is_by_model = "model" in _list(parameters, "group_by")
    return _page(
        [
            _openai_bucket(day, [_openai_usage(*row) for row in _usage(totals, day, is_by_model)])
            for day in window.days
        ],
        window,
        object="page",
    )


def anthropic_costs(totals: DayTotals, parameters: Parameters, *, now: datetime) -> bytes:
    """`GET /v1/organizations/cost_report`, cents by day, and by description if asked so."""
    window = _window(parameters, now, start="starting_at", end="ending_at", kind="cost_report")
    is_itemised = "description" in _list(parameters, "group_by[]")
    return _page(
        [
            _anthropic_bucket(
                day, [_anthropic_cost(*line, is_itemised) for line in _costs(totals, day, is_itemised)]
            )
            for day in window.days
        ],
        window,
    )


def anthropic_usage(totals: DayTotals, parameters: Parameters, *, now: datetime) -> bytes:
    """`GET /v1/organizations/usage_report/messages`, tokens by day, and by model if asked so."""
    window = _window(parameters, now, start="starting_at", end="ending_at", kind="messages")
    is_by_model = "model" in _list(parameters, "group_by[]")
    return _page(
        [
            _anthropic_bucket(day, [_anthropic_usage(*row) for row in _usage(totals, day, is_by_model)])
            for day in window.days
        ],
        window,
    )


REPORTS: Mapping[str, Report] = {
    "/v1/organization/costs": openai_costs,
    "/v1/organization/usage/completions": openai_usage,
    "/v1/organizations/cost_report": anthropic_costs,
    "/v1/organizations/usage_report/messages": anthropic_usage,
}


def _window(parameters: Parameters, now: datetime, *, start: str, end: str, kind: str) -> _Window:
    if parameters.get("bucket_width", ["1d"])[-1] != "1d":
        raise Refused("bucket_width must be 1d.", param="bucket_width")
    first, last = _day(parameters, start), _day(parameters, end, default=now.date() + DAY)
    limit_text = parameters.get("limit", [str(DEFAULT_BUCKETS)])[-1]
    if not limit_text.isdecimal() or not 1 <= int(limit_text) <= MAX_BUCKETS[kind]:
        raise Refused(f"limit must be from 1 to {MAX_BUCKETS[kind]}.", param="limit")
    page = parameters.get("page", ["page_0"])[-1].removeprefix("page_")
    if not page.isdecimal():
        raise Refused("page must be the next_page of an answer.", param="page")
    days = tuple(first + DAY * number for number in range(max(0, (last - first).days)))
    begin, size = int(page), int(limit_text)
    has_more = begin + size < len(days)
    return _Window(days[begin : begin + size], f"page_{begin + size}" if has_more else None)


def _day(parameters: Parameters, name: str, *, default: date | None = None) -> date:
    """The UTC day of a moment in Unix seconds or RFC 3339."""
    text = parameters.get(name, [""])[-1]
    if not text and default is not None:
        return default
    try:
        moment = datetime.fromtimestamp(int(text), UTC) if text.isdecimal() else datetime.fromisoformat(text)
    except (ValueError, OverflowError) as exc:
        raise Refused(f"{name} must be a moment.", param=name) from exc
    return moment.astimezone(UTC).date()


def _list(parameters: Parameters, name: str) -> list[str]:
    return [
        item
        for text in (*parameters.get(name, ()), *parameters.get(f"{name}[]", ()))
        for item in text.split(",")
    ]


def _usage(totals: DayTotals, day: date, is_by_model: bool) -> Iterable[tuple[str | None, Totals]]:
    """The day's totals that anything was billed for, by model or in one sum."""
    sums: dict[str | None, Totals] = {}
    for (on, _, model), total in totals.items():
        if on == day.isoformat() and (total.prompt_tokens or total.completion_tokens):
            name = model if is_by_model else None
            sums[name] = sums.get(name, Totals()).plus(total)
    return sums.items()


def _costs(totals: DayTotals, day: date, is_itemised: bool) -> Iterable[tuple[str | None, str, int]]:
    """(model, what, pico-dollars) of the day, or one sum."""
    lines: dict[tuple[str | None, str], int] = {}
    for model, total in _usage(totals, day, is_by_model=True):
        is_free = model in FREE_MODELS
        for what, count, rate in (
            ("input", total.prompt_tokens - total.cached_tokens, PROMPT_PICO),
            ("cached input", total.cached_tokens, CACHED_PICO),
            ("output", total.completion_tokens, COMPLETION_PICO),
        ):
            if count:
                key = (model, what) if is_itemised else (None, "")
                lines[key] = lines.get(key, 0) + count * rate * (not is_free)
    return [(model, what, pico) for (model, what), pico in lines.items()]


def _openai_bucket(day: date, results: list[dict[str, Any]]) -> dict[str, Any]:
    start = int(datetime.combine(day, time.min, tzinfo=UTC).timestamp())
    return {"object": "bucket", "start_time": start, "end_time": start + 86_400, "results": results}


def _anthropic_bucket(day: date, results: list[dict[str, Any]]) -> dict[str, Any]:
    return {"starting_at": f"{day}T00:00:00Z", "ending_at": f"{day + DAY}T00:00:00Z", "results": results}


def _openai_cost(model: str | None, what: str, pico: int, is_itemised: bool) -> dict[str, Any]:
    return {
        "object": "organization.costs.result",
        "amount": {"value": orjson.Fragment(_decimal(pico, PICO_DIGITS)), "currency": "usd"},
        "line_item": f"{model}, {what}" if is_itemised else None,
        "project_id": None,
    }


def _openai_usage(model: str | None, total: Totals) -> dict[str, Any]:
    return {
        "object": "organization.usage.completions.result",
        "input_tokens": total.prompt_tokens,
        "output_tokens": total.completion_tokens,
        "input_cached_tokens": total.cached_tokens,
        "input_audio_tokens": 0,
        "output_audio_tokens": 0,
        "num_model_requests": total.requests,
        "project_id": None,
        "user_id": None,
        "api_key_id": None,
        "model": model,
        "batch": None,
    }


_TOKEN_TYPES = {
    "input": "uncached_input_tokens",
    "cached input": "cache_read_input_tokens",
    "output": "output_tokens",
}


def _anthropic_cost(model: str | None, what: str, pico: int, is_itemised: bool) -> dict[str, Any]:
    return {
        "amount": _decimal(pico, PICO_DIGITS - 2).decode(),
        "currency": "USD",
        "cost_type": "tokens" if is_itemised else None,
        "context_window": "0-200k" if is_itemised else None,
        "description": f"{model} Usage - {what.title()} Tokens" if is_itemised else None,
        "model": model,
        "service_tier": "standard" if is_itemised else None,
        "token_type": _TOKEN_TYPES.get(what),
        "workspace_id": None,
    }


def _anthropic_usage(model: str | None, total: Totals) -> dict[str, Any]:
    return {
        "uncached_input_tokens": total.prompt_tokens - total.cached_tokens,
        "cache_creation": {"ephemeral_1h_input_tokens": 0, "ephemeral_5m_input_tokens": 0},
        "cache_read_input_tokens": total.cached_tokens,
        "output_tokens": total.completion_tokens,
        "server_tool_use": {"web_search_requests": 0},
        "api_key_id": None,
        "workspace_id": None,
        "model": model,
        "service_tier": None,
        "context_window": None,
    }


def _page(buckets: list[dict[str, Any]], window: _Window, **more: str) -> bytes:
    return orjson.dumps(
        {
            **more,
            "data": buckets,
            "has_more": window.next_page is not None,
            "next_page": window.next_page,
        }
    )


def _decimal(amount: int, digits: int) -> bytes:
    whole, rest = divmod(amount, 10**digits)
    return f"{whole}.{rest:0{digits}d}".encode()
