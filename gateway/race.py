"""Races: several targets at once, and the first with output answers (CONTRACT 1.0.5, `a!b`).

The leg with the largest handicap starts at once, any other after the difference to its own; one that
fails early starts all the rest. Every leg that was started and did not fail is paid for: its provider
bills the prompt and what it had said when it was given up. So the hold covers the sum of all legs,
each is limited to its own share of it, and each that loses becomes a usage event beside its
request's, recorded in the same step. Which legs there are was decided in `gateway.routing`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from uuid import UUID

from msgspec.structs import replace

from gateway.errors import GatewayError, InvalidProviderResponse
from gateway.limits import Need
from gateway.meter import REASONING_FIELDS, Meter
from gateway.router import need_of, sum_of
from gateway.routing.target import Target
from gateway.trace import ABANDONED, LostLeg, Trace
from gateway.upstream import UpstreamStream
from gateway.wire.shapes import Attempt, ChatChunk, Reading

LOST = "lost_race"
# Losers are told at once; how long the winner waits for them to have put their things in order.
FAREWELL_SECONDS = 0.25
SAID_IN_WORDS = ("content", "refusal", *REASONING_FIELDS)
SAID_OTHERWISE = ("tool_calls", "function_call", "audio")


class Leg:
    """One target in a race, with a trace of its own: what it uses is counted and limited apart."""

    __slots__ = ("_stream", "ends_at", "need", "starts_after_seconds", "target", "trace", "was_for_nothing")

    def __init__(self, target: Target, trace: Trace, need: Need, starts_after_seconds: float) -> None:
        self.target = target
        self.trace = trace
        self.need = need
        self.starts_after_seconds = starts_after_seconds
        self.ends_at = float("inf")
        self.was_for_nothing = False
        """Whether its provider did what it was asked for, but without output, or not in time."""
        self._stream: UpstreamStream | None = None

    async def wait_for_output(self, stream: UpstreamStream) -> None:
        """Read until there is output. Raises InvalidProviderResponse if the stream ends without any."""
        self._stream = stream
        seen = 0
        while True:
            is_open = await stream.wait_for_more(seen)
            if any(map(has_output, stream.waiting[seen:])):
                return
            seen = len(stream.waiting)
            if not is_open:
                self.was_for_nothing = True
                raise InvalidProviderResponse(f"The provider {self.target.provider} said nothing.")

    @property
    def is_owed(self) -> bool:
        """Whether its provider bills what it has done, if it is given up now or was before."""
        return self.trace.was_sent or self.was_for_nothing

    def reading(self) -> Reading:
        """What it has used so far."""
        request = self.target.request or self.trace.request
        assert request is not None, "what races has been parsed"
        meter = Meter(
            prompt_tokens_estimate=request.prompt_tokens_estimate, least_searches=int(request.web_search)
        )
        for chunk in self._stream.waiting if self._stream else ():
            meter.observe(chunk)
        return meter.reading()


Start = Callable[[Leg], Awaitable[UpstreamStream]]


def set_aside(targets: Sequence[Target], trace: Trace) -> None:
    """Where some of the targets race, the others may use no more than what is held beyond the races."""
    legs = [target for target in targets if target.is_race_leg]
    if legs and trace.request is not None:
        trace.aside = sum_of([need_of(trace.request, (leg,)) for leg in legs])


def legs_of(targets: Sequence[Target], trace: Trace) -> list[Leg]:
    """The legs of one race, in the order in which they start."""
    request = trace.request
    assert request is not None, "what races has been parsed"
    longest_seconds = max(target.handicap_seconds for target in targets)
    legs = []
    for number, target in enumerate(targets, start=len(trace.attempts) + 1):
        # Known from the request and the leg's number alone: whoever records a leg twice gives it the same.
        own_id = UUID(int=trace.request_id.int ^ number)
        need = need_of(request, (target,))
        legs.append(Leg(target, trace.beside(own_id, need), need, longest_seconds - target.handicap_seconds))
    return sorted(legs, key=lambda leg: leg.starts_after_seconds)


async def run_race(legs: Sequence[Leg], trace: Trace, *, start: Start, deadline: float) -> UpstreamStream:
    """The stream of the first leg with output; its request's trace goes on with it.

    `deadline` is when its time is over, by the loop's clock: no leg is begun after it.
    Raises the last failure if all have failed. Whatever happens, what was started is ended and noted.
    """
    race = _Race(start, deadline)
    trace.asked_at_ms = trace.now_ms
    winner: Leg | None = None
    stream: UpstreamStream | None = None
    try:
        winner, stream = await race.run(legs)
        return stream
    finally:
        # Noted before anything is awaited: a second cancellation must not lose it.
        given_up = [leg for leg in race.started if leg is not winner and leg.is_owed]
        trace.lost_legs += tuple(LostLeg(leg.trace, leg.reading(), trace.now_ms) for leg in given_up)
        if winner is not None:
            trace.go_on_as(winner.trace, winner.need)
        elif race.started:
            trace.target = race.started[0].target
        try:
            await race.end()
        except asyncio.CancelledError:
            if stream is not None:
                await stream.aclose()
            raise
        finally:
            for leg in race.started:
                is_beaten = winner is not None and leg is not winner
                trace.attempts += map(_beaten, leg.trace.attempts) if is_beaten else leg.trace.attempts
                trace.timeline += leg.trace.timeline


class _Race:
    """The tasks of a race's legs."""

    def __init__(self, start: Start, deadline: float) -> None:
        self.started: list[Leg] = []
        self._start = start
        self._deadline = deadline
        self._running: dict[asyncio.Task[UpstreamStream], Leg] = {}

    async def run(self, legs: Sequence[Leg]) -> tuple[Leg, UpstreamStream]:
        loop = asyncio.get_running_loop()
        begun_at = loop.time()
        waiting = list(legs)
        failure: GatewayError | None = None
        while waiting or self._running:
            elapsed_seconds = loop.time() - begun_at
            while waiting and (failure is not None or waiting[0].starts_after_seconds <= elapsed_seconds):
                self._begin(waiting.pop(0))
            pause_seconds = waiting[0].starts_after_seconds - elapsed_seconds if waiting else None
            await asyncio.wait(self._running, timeout=pause_seconds, return_when=asyncio.FIRST_COMPLETED)
            for task, leg in [entry for entry in self._running.items() if entry[0].done()]:
                try:
                    stream = task.result()
                except GatewayError as error:
                    failure = error
                    leg.was_for_nothing |= loop.time() >= leg.ends_at
                    del self._running[task]
                else:
                    del self._running[task]
                    return leg, stream
            if loop.time() >= self._deadline:
                # Who began only now would be given up at once, and paid.
                waiting.clear()
        assert failure is not None, "a race has legs"
        raise failure

    def _begin(self, leg: Leg) -> None:
        self.started.append(leg)
        self._running[asyncio.ensure_future(self._start(leg))] = leg

    async def end(self) -> None:
        """Give up what still runs, and close what has just begun to answer."""
        losers = list(self._running)
        for task in losers:
            task.cancel()
            task.add_done_callback(_close_quietly)
        if losers:
            await asyncio.wait(losers, timeout=FAREWELL_SECONDS)


def has_output(chunk: ChatChunk) -> bool:
    """Whether somebody would see or use what it says: blanks and roles are nothing."""
    for choice in chunk.choices:
        delta = choice["delta"]
        if any(type(delta.get(name)) is str and delta[name].strip() for name in SAID_IN_WORDS):
            return True
        if any(delta.get(name) for name in SAID_OTHERWISE):
            return True
    return False


def _beaten(attempt: Attempt) -> Attempt:
    """The attempt of a leg that did not win: lost, unless it had failed by itself."""
    if not attempt.succeeded and attempt.error_type != ABANDONED:
        return attempt
    return replace(attempt, error_type=LOST, succeeded=False)


def _close_quietly(task: "asyncio.Task[UpstreamStream]") -> None:
    """A leg that had output in the same moment as the winner has a stream to be closed."""
    if task.cancelled() or task.exception() is not None:
        return
    closing = asyncio.ensure_future(task.result().aclose())
    _closing.add(closing)
    closing.add_done_callback(_closed)


_closing: set["asyncio.Future[None]"] = set()


def _closed(closing: "asyncio.Future[None]") -> None:
    _closing.discard(closing)
    with suppress(asyncio.CancelledError):
        closing.exception()
