"""Attempts: one target after the other, until one gives its first output.

Falling back ends with the first chunk of a stream: what a client has begun to read is never
spliced. Each attempt is noted in the trace, whether it succeeded or not.
"""

import asyncio
from collections.abc import Sequence

import httpx

from gateway.errors import AllProvidersFailed, GatewayError, UpstreamTimeout
from gateway.providers.base import Provider
from gateway.providers.registry import provider_for
from gateway.routing.target import Target
from gateway.settings import GatewaySettings
from gateway.trace import Trace
from gateway.upstream import Outbound, UpstreamStream, read_answer, read_failure
from gateway.wire.shapes import Attempt, ChatAnswer

Answering = ChatAnswer | UpstreamStream
ForwardedHeaders = Sequence[tuple[str, str]]


class Attempts:
    """Calls the targets of a request in their order."""

    def __init__(self, outbound: Outbound, *, settings: GatewaySettings) -> None:
        self._outbound = outbound
        self._settings = settings

    async def first_answer(
        self, targets: Sequence[Target], trace: Trace, *, extra_headers: ForwardedHeaders = ()
    ) -> Answering:
        """A whole answer, or a stream whose first chunk has arrived.

        Raises the error of the last attempt, or of the first one that no other target can mend;
        UpstreamTimeout when all of them together took too long.
        """
        allowed = targets[: self._settings.upstream_attempts_limit]
        try:
            async with asyncio.timeout(self._settings.upstream_total_timeout_seconds):
                return await self._in_turn(allowed, trace, extra_headers)
        except TimeoutError as exc:
            raise UpstreamTimeout("No provider answered within the time for one request.") from exc

    async def _in_turn(
        self, targets: Sequence[Target], trace: Trace, extra_headers: ForwardedHeaders
    ) -> Answering:
        failures: list[GatewayError] = []
        for position, target in enumerate(targets):
            following = targets[position + 1] if position + 1 < len(targets) else None
            try:
                return await self._attempt(target, trace, extra_headers)
            except GatewayError as error:
                failures.append(error)
                if following is None or not _may_follow(error, following):
                    break
        if len(failures) > 1:
            raise AllProvidersFailed(
                f"All {len(failures)} providers failed; the last said: {failures[-1]}"
            ) from failures[-1]
        raise failures[0]

    async def _attempt(self, target: Target, trace: Trace, extra_headers: ForwardedHeaders) -> Answering:
        trace.begin_attempt(target)
        begun_ms = trace.now_ms
        try:
            answering = await self._call(target, trace, extra_headers)
        except GatewayError as error:
            trace.end_attempt(_attempt_of(target, begun_ms, trace, error), begun_ms)
            raise
        trace.end_attempt(_attempt_of(target, begun_ms, trace, None), begun_ms)
        return answering

    async def _call(self, target: Target, trace: Trace, extra_headers: ForwardedHeaders) -> Answering:
        request = trace.request
        assert request is not None, "a request that is routed has been parsed"
        provider = provider_for(target.kind)
        call = provider.build_request(request, target, extra_headers=extra_headers)
        trace.dropped_params = call.dropped_params
        response = await self._outbound.send(call, target=target)
        if not 200 <= response.status_code < 300:
            raise await read_failure(response, provider, name=target.provider)
        if request.is_stream:
            return await self._stream(response, provider, target)
        limit_bytes = self._settings.upstream_answer_limit_bytes
        return await read_answer(response, provider, limit_bytes=limit_bytes, name=target.provider)

    async def _stream(self, response: httpx.Response, provider: Provider, target: Target) -> UpstreamStream:
        limit_bytes = self._settings.upstream_event_limit_bytes
        stream = UpstreamStream(response, provider, name=target.provider, event_limit_bytes=limit_bytes)
        try:
            await stream.wait_for_first()
        except BaseException:
            await stream.aclose()
            raise
        return stream


def _may_follow(error: GatewayError, following: Target) -> bool:
    explicit = not following.is_alternative
    return error.may_fall_back or (explicit and error.may_fall_back_when_explicit)


def _attempt_of(target: Target, begun_ms: float, trace: Trace, error: GatewayError | None) -> Attempt:
    return Attempt(
        provider=target.provider,
        model=target.model,
        status_code=200 if error is None else error.upstream_status,
        error_type=error.code if error else None,
        succeeded=error is None,
        duration_ms=round(trace.now_ms - begun_ms, 3),
    )
