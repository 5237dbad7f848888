"""Attempts: one target after the other, until one gives its first output.

Falling back ends with the first chunk of a stream: what a client has begun to read is never
spliced. Each attempt is noted in the trace, whether it succeeded or not.
"""

import asyncio
from collections.abc import Sequence

import httpx

from gateway.deadlines import Deadlines
from gateway.errors import AllProvidersFailed, GatewayError, UpstreamTimeout
from gateway.providers.base import Provider
from gateway.providers.registry import provider_for
from gateway.routing.target import Target
from gateway.settings import GatewaySettings
from gateway.trace import ABANDONED, Trace
from gateway.upstream import Outbound, UpstreamStream, read_answer, read_failure
from gateway.wire.raw import RawExchange
from gateway.wire.shapes import Attempt, ChatAnswer

Answering = ChatAnswer | UpstreamStream
PROVIDER_AT_FAULT = AllProvidersFailed.status

ForwardedHeaders = Sequence[tuple[str, str]]


class Attempts:
    """Calls the targets of a request in their order."""

    def __init__(self, outbound: Outbound, *, settings: GatewaySettings, deadlines: Deadlines) -> None:
        self._outbound = outbound
        self._deadlines = deadlines
        self._settings = settings

    async def first_answer(
        self, targets: Sequence[Target], trace: Trace, *, extra_headers: ForwardedHeaders = ()
    ) -> Answering:
        """A whole answer, or a stream whose first chunk has arrived.

        Raises the error of the last attempt, AllProvidersFailed when several failed each in its own
        way, or UpstreamTimeout when all of them together took too long.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._settings.upstream_total_timeout_seconds
        allowed = targets[: self._settings.upstream_attempts_limit]
        failures: list[GatewayError] = []
        for position, target in enumerate(allowed):
            try:
                return await self._attempt(target, trace, extra_headers, deadline)
            except GatewayError as error:
                failures.append(error)
            if loop.time() >= deadline:
                raise failures[-1]
            if not _may_follow(failures[-1], allowed[position + 1 :]):
                break
        raise _verdict(failures)

    async def _attempt(
        self, target: Target, trace: Trace, extra_headers: ForwardedHeaders, deadline: float
    ) -> Answering:
        trace.begin_attempt(target)
        begun_ms = trace.now_ms
        error_type: str | None = ABANDONED
        status_code: int | None = None
        try:
            with self._deadlines.at(deadline):
                answering = await self._call(target, trace, extra_headers)
            error_type, status_code = None, 200
            return answering
        except GatewayError as error:
            error_type, status_code = error.code, error.upstream_status
            raise
        except TimeoutError as exc:
            error_type = UpstreamTimeout.code
            raise UpstreamTimeout("No provider answered within the time for one request.") from exc
        finally:
            attempt = Attempt(
                provider=target.provider,
                model=target.model,
                status_code=status_code,
                error_type=error_type,
                succeeded=error_type is None,
                duration_ms=round(trace.now_ms - begun_ms, 3),
            )
            trace.end_attempt(attempt, begun_ms)

    async def _call(self, target: Target, trace: Trace, extra_headers: ForwardedHeaders) -> Answering:
        request = target.request or trace.request
        assert request is not None, "a request that is routed has been parsed"
        provider = provider_for(target.kind)
        call = provider.build_request(request, target, extra_headers=extra_headers)
        trace.dropped_params = call.dropped_params
        if request.wants_raw:
            limit_bytes = self._settings.upstream_event_limit_bytes
            trace.raw = RawExchange(call.body, secret=target.credential, limit_bytes=limit_bytes)
        response = await self._outbound.send(call, target=target)
        if not 200 <= response.status_code < 300:
            raise await read_failure(response, provider, name=target.provider)
        if request.is_stream:
            return await self._stream(response, provider, target, trace.raw)
        limit_bytes = self._settings.upstream_answer_limit_bytes
        return await read_answer(
            response, provider, limit_bytes=limit_bytes, name=target.provider, raw=trace.raw
        )

    async def _stream(
        self, response: httpx.Response, provider: Provider, target: Target, raw: RawExchange | None
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
            await stream.wait_for_first()
        except BaseException:
            await stream.aclose()
            raise
        return stream


def _may_follow(error: GatewayError, following: Sequence[Target]) -> bool:
    """Whether the next target, if there is one, may be tried after this error."""
    if not following:
        return False
    is_explicit = not following[0].is_alternative
    return error.may_fall_back or (is_explicit and error.may_fall_back_when_explicit)


def _verdict(failures: Sequence[GatewayError]) -> GatewayError:
    """What all failures come to: the last one if the client can act on it, else that all have failed."""
    last = failures[-1]
    are_alike = all(failure.status == last.status for failure in failures)
    if len(failures) == 1 or not last.may_fall_back or (are_alike and last.status != PROVIDER_AT_FAULT):
        return last
    return AllProvidersFailed(f"All {len(failures)} providers failed; the last said: {last}")
