"""Delivery: what the client reads, in the dialect of the path it called.

Answers, streams, failures and their headers. Which bytes they are is `gateway.wire`'s business.
"""

import asyncio
import time
from contextlib import suppress

from msgspec.structs import replace

from billing.pricing import Cost
from gateway.answer_headers import (
    EVENT_ID_HEADER,
    hit_headers,
    identity_headers,
    limit_headers,
    standing_of,
    timing_headers,
)
from gateway.answer_price import FREE
from gateway.errors import GatewayError
from gateway.exchange import HeaderPairs, Incoming, Reply
from gateway.running import Running
from gateway.trace import Trace
from gateway.treatment import TreatedStream
from gateway.wire.answer import render_answer
from gateway.wire.failure import render_failure
from gateway.wire.shapes import ChatAnswer, Reading, Served
from gateway.wire.stream import StreamRewriter

COMPLETION_ID_PREFIX = "chatcmpl-"
FAREWELL_SECONDS = 2.0
KEEP_ALIVE = b": keep-alive\n\n"


class Delivery:
    """The answer to one request."""

    def __init__(self, incoming: Incoming, reply: Reply) -> None:
        self._incoming = incoming
        self._reply = reply
        self._rewriter: StreamRewriter | TreatedStream | None = None
        self._comment: asyncio.Task[None] | None = None

    async def refuse(self, error: GatewayError, trace: Trace) -> None:
        """A failure before anything was sent: a status and the dialect's envelope."""
        failure = render_failure(
            error,
            dialect=self._incoming.dialect,
            event_id=trace.id_text,
            request_id=trace.shown_id,
            requested_model=trace.request.model if trace.request else "",
            provider=trace.target.provider if trace.target else "",
            is_stream=trace.request.is_stream if trace.request else False,
        )
        trace.note_head()
        headers = [
            *((name.encode(), value.encode()) for name, value in failure.headers.items()),
            (EVENT_ID_HEADER, trace.id_text.encode()),
            *timing_headers(trace),
            *limit_headers(trace.standing or standing_of(error)),
        ]
        await self._send_whole(failure.status, headers, failure.body)

    async def fail(self, error: GatewayError, trace: Trace) -> None:
        """A failure at any time: a status while that is possible, then the stream's last event.

        A client that reads nothing does not keep its request from ending.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(FAREWELL_SECONDS):
                if self._comment is not None:
                    await self._after_comment(trace)
                if self._rewriter is None:
                    await self.refuse(error, trace)
                else:
                    await self._reply.send_body(self._rewriter.fail(error, event_id=trace.id_text))

    async def send_answer(self, answer: ChatAnswer, running: Running) -> None:
        trace = running.trace
        reading, cost = _reading_and_charge(running)
        body = render_answer(
            answer,
            served=_served(trace),
            reading=reading,
            cost=cost,
            dialect=self._incoming.dialect,
            routing=trace.attempts,
            latency_ms=round(trace.now_ms),
        )
        trace.note_head()
        headers = [
            (b"content-type", b"application/json"),
            *identity_headers(trace),
            *timing_headers(trace),
            *limit_headers(trace.standing),
            *hit_headers(trace.treatment),
        ]
        await self._send_whole(200, headers, body)

    async def start_stream(self, running: Running) -> StreamRewriter | TreatedStream:
        """Send the head of an event stream; gives what turns chunks into this client's bytes."""
        trace = running.trace
        if self._comment is not None:
            await self._after_comment(trace)
        rewriter = self._rewriter = self._rewriter or self._new_rewriter(trace)
        if not trace.has_head:
            trace.note_head()
            await self._send_stream_head(trace)
        return rewriter

    def tell_alive(self, running: Running) -> None:
        """Send a comment, behind the head if that is still to be sent; what is sent next waits for it."""
        if self._comment is None or self._comment.done():
            self._comment = asyncio.create_task(self._send_comment(running.trace))

    async def _send_comment(self, trace: Trace) -> None:
        # Whoever has left meanwhile is noticed by the request itself.
        with suppress(RuntimeError, OSError):
            if not trace.has_head:
                trace.note_early_head()
                await self._send_stream_head(trace)
            await self._reply.send_body(KEEP_ALIVE, more_body=True)

    async def _after_comment(self, trace: Trace) -> None:
        """Let a comment go out that is on its way. A stream whose head is out can only end as one."""
        if self._comment is not None:
            await asyncio.wait({self._comment})
        if trace.has_head and self._rewriter is None and trace.target is not None:
            self._rewriter = self._new_rewriter(trace)

    def _new_rewriter(self, trace: Trace) -> StreamRewriter | TreatedStream:
        assert trace.request is not None, "a request that is served has been parsed"
        rewriter = StreamRewriter(
            dialect=self._incoming.dialect,
            served=_served(trace),
            include_usage=trace.request.include_usage,
            created=int(time.time()),
        )
        treatment = trace.treatment
        return rewriter if treatment is None else TreatedStream(rewriter, treatment)

    async def _send_stream_head(self, trace: Trace) -> None:
        headers = [
            (b"content-type", b"text/event-stream; charset=utf-8"),
            (b"cache-control", b"no-cache"),
            (b"x-accel-buffering", b"no"),
            *identity_headers(trace),
            *timing_headers(trace),
            *limit_headers(trace.standing),
            *hit_headers(trace.treatment),
        ]
        await self._reply.send_headers(status=200, headers=headers)

    async def send_piece(self, data: bytes, running: Running) -> None:
        """Send a part of the stream, waiting while the client does not read."""
        running.heard_at = running.sending_since = time.monotonic()
        await self._reply.send_body(data, more_body=True)
        running.sending_since = None

    async def finish_stream(self, rewriter: StreamRewriter | TreatedStream, running: Running) -> None:
        """Send what was held back for the usage, and `[DONE]`."""
        trace = running.trace
        running.client = None
        if self._comment is not None:
            await self._after_comment(trace)
        reading, cost = _reading_and_charge(running)
        if trace.treatment is not None:
            rewriter.tell_of(_served(trace))
        last = rewriter.finish(
            reading=reading,
            cost=cost,
            routing=trace.attempts,
            latency_ms=round(trace.now_ms),
        )
        await self._reply.send_body(last)

    async def _send_whole(self, status: int, headers: HeaderPairs, body: bytes) -> None:
        length = (b"content-length", str(len(body)).encode())
        await self._reply.send_headers(status=status, headers=[*headers, length])
        await self._reply.send_body(body)


def _served(trace: Trace) -> Served:
    target, request = trace.target, trace.request
    assert target is not None, "someone answered"
    assert request is not None, "something was asked"
    treatment = trace.treatment
    served = Served(
        completion_id=COMPLETION_ID_PREFIX + trace.request_id.hex,
        request_id=trace.shown_id,
        requested_model=request.model,
        requested_provider=trace.requested_provider,
        provider=target.provider,
        model=target.model,
        upstream_name=target.upstream_name,
        dropped_params=trace.dropped_params,
        tags=tuple(trace.tags),
        raw=trace.raw,
    )
    if treatment is None:
        return served
    return replace(
        served,
        is_cached=treatment.hit is not None,
        healing=treatment.healing_object,
        cache_debug=treatment.cache_debug,
    )


def _reading_and_charge(running: Running) -> tuple[Reading, Cost | None]:
    """What the client is told that its answer took, and what it is charged. A kept one costs nothing."""
    treatment = running.trace.treatment
    if treatment is not None and treatment.hit is not None:
        return treatment.hit.reading, FREE
    reading = running.meter.reading()
    return reading, running.trace.charge(reading)
