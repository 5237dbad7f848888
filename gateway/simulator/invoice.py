"""The simulator's own books: every call it has answered and every token it has generated.

What a call may bill is decided by its script; here it is only kept and summed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from itertools import islice
from typing import Any


class Outcome(StrEnum):
    """`cut` is an answer that the simulator itself broke off; what has `failed` bills nothing."""

    RUNNING = "running"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    CUT = "cut"
    FAILED = "failed"


@dataclass(slots=True)
class Call:
    """One line of the invoice. It grows while its answer is sent, so it is the one mutable record here."""

    index: int
    id: str
    started_at: float
    key: str = ""
    client_request_id: str = ""
    model: str = ""
    is_stream: bool = False
    status: int = 0
    outcome: Outcome = Outcome.RUNNING
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    reasoning_tokens: int = 0
    ended_at: float | None = None
    cancelled_after_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Totals:
    requests: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    reasoning_tokens: int = 0

    def plus(self, other: Totals) -> Totals:
        return Totals(
            self.requests + other.requests,
            self.prompt_tokens + other.prompt_tokens,
            self.cached_tokens + other.cached_tokens,
            self.completion_tokens + other.completion_tokens,
            self.reasoning_tokens + other.reasoning_tokens,
        )


class Invoice:
    """Keeps the last `max_calls` calls and the totals of all that have ended."""

    def __init__(self, *, max_calls: int) -> None:
        self._max_calls = max_calls
        self._next_index = 0
        self.clear()

    def clear(self) -> None:
        """Start anew. The index goes on, and calls that still run are not counted when they end."""
        self._first_index = self._next_index
        self._calls: deque[Call] = deque()
        self._by_id: dict[str, Call] = {}
        self._by_model: dict[str, Totals] = {}
        self._by_outcome: dict[str, int] = {}
        self._by_day: dict[tuple[str, str, str], Totals] = {}

    def open(self, call_id: str, *, now: float) -> Call:
        call = Call(index=self._next_index, id=call_id, started_at=now)
        self._next_index += 1
        self._calls.append(call)
        self._by_id[call_id] = call
        if len(self._calls) > self._max_calls:
            self._forget(self._calls.popleft())
        return call

    def rename(self, call: Call, call_id: str) -> None:
        self._forget(call)
        call.id = call_id
        self._by_id[call_id] = call

    def close(self, call: Call, outcome: Outcome, *, now: float) -> None:
        call.outcome, call.ended_at = outcome, now
        if outcome is Outcome.CANCELLED:
            call.cancelled_after_seconds = now - call.started_at
        if call.index < self._first_index:
            return
        self._by_model[call.model] = self._by_model.get(call.model, Totals()).plus(_totals_of(call))
        self._by_outcome[outcome.value] = self._by_outcome.get(outcome.value, 0) + 1
        day = datetime.fromtimestamp(call.started_at, UTC).date().isoformat()
        place = (day, call.key, call.model)
        self._by_day[place] = self._by_day.get(place, Totals()).plus(_totals_of(call))

    def by_day(self, *, key: str | None) -> dict[tuple[str, str, str], Totals]:
        """What has ended, by UTC day, API key and model; of one key or of all."""
        return {place: totals for place, totals in self._by_day.items() if key in (None, place[1])}

    def call(self, call_id: str) -> Call | None:
        """The latest call with this id: an upstream may give the same id twice."""
        return self._by_id.get(call_id)

    def statement(self, *, since: int = 0, key: str = "", client_request_id: str = "") -> dict[str, Any]:
        """The kept calls from index `since` on, for orjson, which knows dataclasses.

        `listed` sums the calls shown, `totals` all that have ended, kept or not.
        """
        listed = [
            call
            for call in self._kept_since(since)
            if key in ("", call.key) and client_request_id in ("", call.client_request_id)
        ]
        return {
            "requests": listed,
            "listed": _sum(map(_totals_of, listed)),
            "totals": _sum(self._by_model.values()),
            "by_model": self._by_model,
            "by_outcome": self._by_outcome,
            "next": self._next_index,
        }

    def _kept_since(self, since: int) -> Iterable[Call]:
        first_kept = self._next_index - len(self._calls)
        return islice(self._calls, max(0, since - first_kept), None)

    def _forget(self, call: Call) -> None:
        if self._by_id.get(call.id) is call:
            del self._by_id[call.id]


def _totals_of(call: Call) -> Totals:
    return Totals(1, call.prompt_tokens, call.cached_tokens, call.completion_tokens, call.reasoning_tokens)


def _sum(parts: Iterable[Totals]) -> Totals:
    totals = Totals()
    for part in parts:
        totals = totals.plus(part)
    return totals
