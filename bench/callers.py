"""Callers: connections that stream answers, on bare sockets. Which are opened when is in streams.py."""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from bench.answers import StreamScan
from bench.figures import quantiles_ms
from bench.pacing import Pacer

COMPLETED, FAILED, LEFT = "completed", "failed", "left"
# How long a caller that has its first token leaves the rest of a stream at a pace to the kernel: it shares
# the processors with what it measures, and a read for each token takes as much of them as sending it.
REST_SECONDS = 0.2
# The loop's own clock counts milliseconds.
clock = time.perf_counter


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one stream; times are those of `clock`. `first_at` is None when no token came."""

    result: str
    asked_at: float
    first_at: float | None
    ended_at: float


class Caller(asyncio.Protocol):
    """One connection, which streams one answer at a time and is kept for the next."""

    def __init__(self, pacer: Pacer | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        self._pacer = pacer
        self._scan: StreamScan | None = None
        self._first_at: float | None = None
        self.is_connected = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self.is_connected = True

    def ask(
        self, request: bytes, *, asked_at: float, leave_after_events: int | None = None
    ) -> asyncio.Future[Outcome]:
        """Send the request; the outcome comes with the end of its answer, or with our leaving."""
        self._scan, self._asked_at = StreamScan(), asked_at
        self._first_at = None
        self._leave_after_events = leave_after_events
        self.first_token: asyncio.Future[None] = self._loop.create_future()
        self._outcome: asyncio.Future[Outcome] = self._loop.create_future()
        self._transport.write(request)
        return self._outcome

    def data_received(self, data: bytes) -> None:
        scan = self._scan
        if scan is None:
            return
        scan.feed(data)
        if self._first_at is None and scan.has_token:
            self._first_at = clock()
            self.first_token.set_result(None)
        if scan.is_complete:
            self._end(COMPLETED if scan.is_good else FAILED)
        elif self._leave_after_events is not None and scan.events >= self._leave_after_events:
            self._end(LEFT)
        elif self._pacer is not None and scan.has_token:
            self._transport.pause_reading()
            self._pacer.call_at(self._loop.time() + REST_SECONDS, self._read_on)

    def _read_on(self) -> None:
        if self.is_connected:
            self._transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_connected = False
        if self._scan is not None:
            self._end(FAILED)

    def leave(self) -> None:
        """Close the connection at once, whatever it is doing."""
        self._transport.abort()

    def _end(self, result: str) -> None:
        self._scan = None
        if result != COMPLETED:
            self._transport.abort()
        self._outcome.set_result(Outcome(result, self._asked_at, self._first_at, clock()))


class Callers:
    """Connections to one port: one that is idle is used again. With `rests` they read in pieces."""

    def __init__(self, port: int, *, rests: bool = False) -> None:
        self._port = port
        self._pacer = Pacer() if rests else None
        self._idle: list[Caller] = []
        self.busy = 0

    async def stream(
        self, request: bytes, *, asked_at: float, leave_after_events: int | None = None
    ) -> Outcome:
        """Ask on an idle connection, or on a new one. A connection that fails is an outcome, not an error."""
        self.busy += 1
        try:
            caller = await self.connected()
            outcome = await caller.ask(request, asked_at=asked_at, leave_after_events=leave_after_events)
        except OSError:
            return Outcome(FAILED, asked_at, None, clock())
        finally:
            self.busy -= 1
        if outcome.result == COMPLETED:
            self._idle.append(caller)
        return outcome

    async def connected(self) -> Caller:
        """Raises OSError."""
        while self._idle:
            caller = self._idle.pop()
            if caller.is_connected:
                return caller
        loop = asyncio.get_running_loop()
        _, caller = await loop.create_connection(lambda: Caller(self._pacer), "127.0.0.1", self._port)
        return caller


def figures_of(
    outcomes: Sequence[Outcome], *, seconds: float, measured: Sequence[Outcome] | None = None
) -> dict[str, float]:
    """Counts over all outcomes, times over the measured ones that completed (default: all)."""
    counts = Counter(outcome.result for outcome in outcomes)
    timed = [
        (outcome, outcome.first_at)
        for outcome in (outcomes if measured is None else measured)
        if outcome.result == COMPLETED and outcome.first_at is not None
    ]
    return {
        "requests": counts[COMPLETED],
        "seconds": seconds,
        "per_second": counts[COMPLETED] / seconds,
        "errors": counts[FAILED],
        "left": counts[LEFT],
        **quantiles_ms((first_at - outcome.asked_at for outcome, first_at in timed), "first"),
        **quantiles_ms((outcome.ended_at - outcome.asked_at for outcome, _ in timed), "total"),
    }
