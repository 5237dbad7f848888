"""Attempts: one target after the other, until one gives its first output.

Falling back ends with the first chunk of a stream: what a client has begun to read is never
spliced. Each attempt is noted in the trace and in the target's health, whether it succeeded or not.
A target whose breaker is open comes when no other is left; it is never the reason to refuse a request.
"""

import asyncio
from collections.abc import Sequence
from random import Random

from gateway.deadlines import Deadlines
from gateway.errors import AllProvidersFailed, GatewayError, UpstreamError, UpstreamRefused, UpstreamTimeout
from gateway.health import Health, key_of
from gateway.providers.base import Provider
from gateway.providers.registry import provider_for
from gateway.race import Leg, legs_of, run_race, set_aside
from gateway.retries import RetryRules
from gateway.routing.target import Target
from gateway.settings import GatewaySettings
from gateway.trace import ABANDONED, Trace, to_microsecond
from gateway.upstream import Answer, Outbound, UpstreamStream, read_answer, read_failure
from gateway.wire.raw import RawExchange
from gateway.wire.shapes import Attempt, ChatAnswer

Answering = ChatAnswer | UpstreamStream
PROVIDER_AT_FAULT = AllProvidersFailed.status

ForwardedHeaders = Sequence[tuple[str, str]]


class Attempts:
    """Calls the targets of a request in their order."""

    def __init__(
        self, outbound: Outbound, *, settings: GatewaySettings, deadlines: Deadlines, health: Health
    ) -> None:
        self._outbound = outbound
        self._deadlines = deadlines
        self._settings = settings
        self._health = health
        self._retries = RetryRules.of(settings)
        self._luck = Random()

    async def first_answer(
        self, targets: Sequence[Target], trace: Trace, *, extra_headers: ForwardedHeaders = ()
    ) -> Answering:
        """A whole answer, or a stream whose first chunk has arrived.

        Raises the error of the last attempt, AllProvidersFailed when several failed each in its own
        way, or UpstreamTimeout when all of them together took too long.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._settings.upstream_total_timeout_seconds
        calls_left = self._settings.upstream_attempts_limit
        remaining = list(targets[:calls_left])
        set_aside(remaining, trace)
        failures: list[GatewayError] = []
        while True:
            chosen = self._take(remaining, calls_left)
            calls_left -= len(chosen)
            try:
                if chosen[0].is_race_leg:
                    return await self._race(chosen, trace, extra_headers, deadline)
                return await self._attempt(chosen[0], trace, extra_headers, deadline)
            except GatewayError as error:
                failures.append(error)
            if loop.time() >= deadline:
                raise _too_late(failures[-1])
            if not remaining or calls_left < 1 or not _may_follow(failures[-1], remaining[0]):
                break
        if remaining or chosen[0].is_race_leg:
            raise _verdict(failures)
        return await self._insist(chosen[0], trace, extra_headers, deadline, failures)

    def _take(self, remaining: list[Target], calls_left: int) -> list[Target]:
        """Take the next target, or the legs of the next race; what is open waits for the others."""
        position = 0
        if self._health.breakers.any_is_open:
            closed = (number for number, target in enumerate(remaining) if not self._is_open(target))
            position = next(closed, 0)
        chosen = [remaining.pop(position)]
        while chosen[0].is_race_leg and len(chosen) < calls_left and position < len(remaining):
            if not remaining[position].is_race_leg:
                break
            if self._is_open(remaining[position]) and not self._is_open(chosen[0]):
                position += 1
            else:
                chosen.append(remaining.pop(position))
        return chosen

    def _is_open(self, target: Target) -> bool:
        return self._health.is_open(target.provider, target.model, target.connection_id)

    async def _insist(
        self,
        target: Target,
        trace: Trace,
        extra_headers: ForwardedHeaders,
        deadline: float,
        failures: list[GatewayError],
    ) -> Answering:
        """Call the last target again, as often and as long as the rules say. Raises the verdict at last."""
        loop = asyncio.get_running_loop()
        retry = 1
        while len(trace.attempts) < self._settings.upstream_attempts_limit:
            pause_seconds = self._retries.pause_before(retry, failures[-1], luck=self._luck)
            is_too_late = pause_seconds is None or loop.time() + pause_seconds >= deadline
            if pause_seconds is None or is_too_late or self._is_open(target):
                break
            with trace.waiting("pause before a retry"):
                await asyncio.sleep(pause_seconds)
            try:
                return await self._attempt(target, trace, extra_headers, deadline)
            except GatewayError as error:
                failures[-1] = error
            if loop.time() >= deadline:
                raise _too_late(failures[-1])
            retry += 1
        raise _verdict(failures)

    async def _race(
        self, targets: Sequence[Target], trace: Trace, extra_headers: ForwardedHeaders, deadline: float
    ) -> UpstreamStream:
        async def start(leg: Leg) -> UpstreamStream:
            leg.ends_at = self._end_of(leg, deadline)
            answering = await self._attempt(leg.target, leg.trace, extra_headers, leg.ends_at, leg=leg)
            assert isinstance(answering, UpstreamStream), "only streams race"
            return answering

        with trace.waiting("race"):
            return await run_race(legs_of(targets, trace), trace, start=start, deadline=deadline)

    def _end_of(self, leg: Leg, deadline: float) -> float:
        patience_seconds = leg.target.ttft_timeout_seconds
        if not patience_seconds:
            return deadline
        return min(deadline, asyncio.get_running_loop().time() + patience_seconds)

    async def _attempt(
        self,
        target: Target,
        trace: Trace,
        extra_headers: ForwardedHeaders,
        deadline: float,
        *,
        leg: Leg | None = None,
    ) -> Answering:
        trace.begin_attempt(target)
        begun_ms = trace.asked_at_ms
        error_type: str | None = ABANDONED
        status_code: int | None = None
        breakers = self._health.breakers
        is_probe = breakers.any_is_open and breakers.begin(key_of(target))
        try:
            with self._deadlines.at(deadline):
                answering = await self._call(target, trace, extra_headers, leg)
            error_type, status_code = None, 200
            self._health.note_answering(target)
            return answering
        except GatewayError as error:
            error_type, status_code = error.code, error.upstream_status
            self._note_error(target, error)
            raise
        except TimeoutError as exc:
            error_type = UpstreamTimeout.code
            if leg is None:
                self._health.note_failure(target)
            raise UpstreamTimeout("No provider answered within the time for one request.") from exc
        finally:
            attempt = Attempt(
                provider=target.provider,
                model=target.model,
                status_code=status_code,
                error_type=error_type,
                succeeded=error_type is None,
                duration_ms=to_microsecond(trace.now_ms - begun_ms),
            )
            trace.end_attempt(attempt, begun_ms)
            if is_probe:
                # Where the target was heard or failed, that has ended the probe already.
                breakers.abandon(key_of(target))

    def _note_error(self, target: Target, error: GatewayError) -> None:
        """Who finds fault with a request is there; what we refuse ourselves says nothing of anyone."""
        if isinstance(error, UpstreamError):
            self._health.note_failure(target)
        elif isinstance(error, UpstreamRefused):
            self._health.note_answering(target)

    async def _call(
        self, target: Target, trace: Trace, extra_headers: ForwardedHeaders, leg: Leg | None
    ) -> Answering:
        request = target.request or trace.request
        assert request is not None, "a request that is routed has been parsed"
        provider = provider_for(target.kind)
        call = provider.build_request(request, target, extra_headers=extra_headers)
        trace.dropped_params = call.dropped_params
        if request.wants_raw:
            limit_bytes = self._settings.upstream_event_limit_bytes
            trace.raw = RawExchange(call.body, secret=target.credential, limit_bytes=limit_bytes)
        response = await self._outbound.send(call, target=target)
        if not 200 <= response.status < 300:
            raise await read_failure(response, provider, name=target.provider)
        if request.is_stream:
            return await self._stream(response, provider, target, trace.raw, leg)
        limit_bytes = self._settings.upstream_answer_limit_bytes
        return await read_answer(
            response, provider, limit_bytes=limit_bytes, name=target.provider, raw=trace.raw
        )

    async def _stream(
        self,
        response: Answer,
        provider: Provider,
        target: Target,
        raw: RawExchange | None,
        leg: Leg | None,
    ) -> UpstreamStream:
        limit_bytes = self._settings.upstream_event_limit_bytes
        stream = UpstreamStream(
            response,
            provider,
            name=target.provider,
            event_limit_bytes=limit_bytes,
            pressure=self._outbound.pressure,
            raw=raw,
        )
        try:
            if leg is None:
                await stream.wait_for_first()
            else:
                await leg.wait_for_output(stream)
        except BaseException:
            await stream.aclose()
            raise
        return stream


def _may_follow(error: GatewayError, following: Target) -> bool:
    """Whether this target may be tried after this error."""
    is_explicit = not following.is_alternative
    return error.may_fall_back or (is_explicit and error.may_fall_back_when_explicit)


def _too_late(error: GatewayError) -> GatewayError:
    """The time for one request is over, whatever the last attempt said."""
    if isinstance(error, UpstreamTimeout):
        return error
    return UpstreamTimeout(f"No provider answered within the time for one request; the last said: {error}")


def _verdict(failures: Sequence[GatewayError]) -> GatewayError:
    """What all failures come to: the last one if the client can act on it, else that all have failed."""
    last = failures[-1]
    are_alike = all(failure.status == last.status for failure in failures)
    if len(failures) == 1 or not last.may_fall_back or (are_alike and last.status != PROVIDER_AT_FAULT):
        return last
    return AllProvidersFailed(f"All {len(failures)} providers failed; the last said: {last}")
