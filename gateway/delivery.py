"""Delivery: what the client reads, in the dialect of the path it called.

Answers, streams, failures and their headers. Which bytes they are is `gateway.wire`'s business.
"""

import asyncio
import math
import time
from contextlib import suppress
from operator import itemgetter

from gateway.errors import GatewayError
from gateway.exchange import HeaderPairs, Incoming, Reply
from gateway.limits import Standing
from gateway.running import Running
from gateway.trace import Trace
from gateway.wire.answer import render_answer
from gateway.wire.failure import render_failure
from gateway.wire.shapes import ChatAnswer, Served
from gateway.wire.stream import StreamRewriter

COMPLETION_ID_PREFIX = "chatcmpl-"
EVENT_ID_HEADER = b"x-farebox-event-id"
CLAMPED_HEADER = b"x-farebox-budget-clamped"
FAREWELL_SECONDS = 2.0
REQUESTS, TOKENS = ":requests", ":tokens"
LIMIT_HEADERS = {
    REQUESTS: (
        b"x-ratelimit-limit-requests",
        b"x-ratelimit-remaining-requests",
        b"x-ratelimit-reset-requests",
    ),
    TOKENS: (b"x-ratelimit-limit-tokens", b"x-ratelimit-remaining-tokens", b"x-ratelimit-reset-tokens"),
}
_left = itemgetter("left")


class Delivery:
    """The answer to one request."""

    def __init__(self, incoming: Incoming, reply: Reply) -> None:
        self._incoming = incoming
        self._reply = reply
        self._rewriter: StreamRewriter | None = None

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
            *_timing_headers(trace),
            *_limit_headers(trace.standing),
        ]
        await self._send_whole(failure.status, headers, failure.body)

    async def fail(self, error: GatewayError, trace: Trace) -> None:
        """A failure at any time: a status while that is possible, then the stream's last event.

        A client that reads nothing does not keep its request from ending.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(FAREWELL_SECONDS):
                if self._rewriter is None:
                    await self.refuse(error, trace)
                else:
                    await self._reply.send_body(self._rewriter.fail(error, event_id=trace.id_text))

    async def send_answer(self, answer: ChatAnswer, running: Running) -> None:
        trace = running.trace
        reading = running.meter.reading()
        body = render_answer(
            answer,
            served=_served(trace),
            reading=reading,
            cost=trace.charge(reading),
            dialect=self._incoming.dialect,
            routing=trace.attempts,
            latency_ms=round(trace.now_ms),
        )
        trace.note_head()
        headers = [
            (b"content-type", b"application/json"),
            *_identity_headers(trace),
            *_timing_headers(trace),
            *_limit_headers(trace.standing),
        ]
        await self._send_whole(200, headers, body)

    async def start_stream(self, running: Running) -> StreamRewriter:
        """Send the head of an event stream; gives what turns chunks into this client's bytes."""
        trace = running.trace
        assert trace.request is not None, "a request that is served has been parsed"
        trace.note_head()
        headers = [
            (b"content-type", b"text/event-stream; charset=utf-8"),
            (b"cache-control", b"no-cache"),
            (b"x-accel-buffering", b"no"),
            *_identity_headers(trace),
            *_timing_headers(trace),
            *_limit_headers(trace.standing),
        ]
        self._rewriter = StreamRewriter(
            dialect=self._incoming.dialect,
            served=_served(trace),
            include_usage=trace.request.include_usage,
            created=int(time.time()),
        )
        await self._reply.send_headers(status=200, headers=headers)
        return self._rewriter

    async def send_piece(self, data: bytes, running: Running) -> None:
        """Send a part of the stream, waiting while the client does not read."""
        running.sending_since = time.monotonic()
        await self._reply.send_body(data, more_body=True)
        running.sending_since = None

    async def finish_stream(self, rewriter: StreamRewriter, running: Running) -> None:
        """Send what was held back for the usage, and `[DONE]`."""
        trace = running.trace
        reading = running.meter.reading()
        last = rewriter.finish(
            reading=reading,
            cost=trace.charge(reading),
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
    return Served(
        completion_id=COMPLETION_ID_PREFIX + trace.request_id.hex,
        request_id=trace.shown_id,
        requested_model=request.model,
        requested_provider=trace.requested_provider,
        provider=target.provider,
        model=target.model,
        upstream_name=target.upstream_name,
        dropped_params=trace.dropped_params,
        tags=tuple(trace.tags),
    )


def _identity_headers(trace: Trace) -> list[tuple[bytes, bytes]]:
    headers = [(b"x-request-id", trace.shown_id.encode()), (EVENT_ID_HEADER, trace.id_text.encode())]
    if trace.clamped_tokens is not None:
        headers.append((CLAMPED_HEADER, b"%d" % trace.clamped_tokens))
    return headers


def _timing_headers(trace: Trace) -> HeaderPairs:
    return (
        (b"openai-processing-ms", b"%d" % round(trace.now_ms)),
        (b"x-farebox-overhead-ms", b"%.2f" % trace.overhead_ms),
    )


def _limit_headers(standing: Standing) -> list[tuple[bytes, bytes]]:
    """The tightest request and token limits that bind this key, as OpenAI and the IETF draft name them."""
    headers: list[tuple[bytes, bytes]] = []
    for dimension, (limit_name, remaining_name, reset_name) in LIMIT_HEADERS.items():
        limits = [limit for name, limit in standing.items() if name.endswith(dimension)]
        if not limits:
            continue
        tightest = min(limits, key=_left) if len(limits) > 1 else limits[0]
        limit, left = b"%d" % tightest["limit"], b"%d" % tightest["left"]
        reset_ms = tightest["reset_ms"]
        headers += (limit_name, limit), (remaining_name, left), (reset_name, _duration(reset_ms).encode())
        if dimension == REQUESTS:
            reset = b"%d" % math.ceil(reset_ms / 1000)
            headers += (b"ratelimit-limit", limit), (b"ratelimit-remaining", left)
            headers.append((b"ratelimit-reset", reset))
    return headers


def _duration(milliseconds: int) -> str:
    """OpenAI's style: `12ms`, `1.5s`, `6m0s`."""
    if milliseconds < 1000:
        return f"{milliseconds}ms"
    minutes, rest_ms = divmod(milliseconds, 60_000)
    seconds = f"{rest_ms / 1000:.3f}".rstrip("0").rstrip(".")
    return f"{minutes}m{seconds}s" if minutes else f"{seconds}s"
