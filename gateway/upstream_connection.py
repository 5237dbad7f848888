"""One connection to an upstream, and the answer that arrives on it.

Deadlines, back-pressure, and who owns the connection when. The bytes are read by gateway.http1; which
connection serves which request is decided in gateway.transport.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Final, cast

import httpx

from gateway.http1 import AnswerLimits, AnswerParser, Headers

TimeoutSeconds = Mapping[str, float | None]

_NEVER: Final = float("inf")


class UpstreamConnection(asyncio.Protocol):
    """One connection, which answers one request at a time.

    Owned by the task that acquired it until a request is sent, then by the answer until it has arrived, then
    by its pool. It tells the pool through `on_free` that another request may be sent, and through
    `on_closed`, once, that it is gone.
    """

    def __init__(
        self,
        limits: AnswerLimits,
        *,
        on_free: Callable[["UpstreamConnection"], None],
        on_closed: Callable[["UpstreamConnection"], None],
    ) -> None:
        self.is_closed = False
        self._limits, self._on_free, self._on_closed = limits, on_free, on_closed
        self._parser = AnswerParser(limits)
        self._deadline = _Deadline(self._on_deadline)
        self._transport: asyncio.Transport | None = None
        self._answer: UpstreamAnswer | None = None
        self._is_reading_paused = self._is_writing_paused = False

    @property
    def is_fresh(self) -> bool:
        return self._transport is None

    @property
    def is_open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    def send(self, message: bytes, timeout: TimeoutSeconds, *, is_bodyless: bool) -> "UpstreamAnswer":
        answer = self._answer = UpstreamAnswer(self, timeout)
        self._parser.begin(is_bodyless=is_bodyless)
        if self._transport is None or self._transport.is_closing():
            self.connection_lost(None)
        else:
            self._transport.write(message)
        return answer

    def expire_after(self, idle_seconds: float) -> None:
        self._deadline.set(idle_seconds)

    def await_server(self) -> None:
        """The answer's reader waits: from now on the server's time runs."""
        if self._answer is not None:
            phase = "write" if self._is_writing_paused else "read"
            self._deadline.set(self._answer.timeout.get(phase))

    def resume_reading(self) -> None:
        """The answer's reader has taken all that was buffered."""
        if self._is_reading_paused and self._transport is not None and not self._transport.is_closing():
            self._is_reading_paused = False
            self._transport.resume_reading()

    def rest(self, seconds: float) -> None:
        """Read nothing for this time: what arrives meanwhile comes in one read."""
        if not self._is_reading_paused and self.is_open:
            self._is_reading_paused = True
            cast(asyncio.Transport, self._transport).pause_reading()
            asyncio.get_running_loop().call_later(seconds, self.resume_reading)

    def fail(self, error: httpx.TransportError) -> None:
        """Cut the connection. An answer in flight keeps the slot until its owner has seen the error."""
        if self._transport is not None:
            self._transport.abort()
        if self._answer is None:
            self.close()
        else:
            self._answer.fail(error)

    def close(self) -> None:
        if self.is_closed:
            return
        self.is_closed = True
        self._answer = None
        self._deadline.cancel()
        if self._transport is not None:
            self._transport.abort()
        self._on_closed(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if self.is_closed:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        answer, parser = self._answer, self._parser
        if answer is None:  # Nobody asked: whatever this is, it must not answer the next request.
            self.close()
            return
        body = parser.feed(data)
        answer.take(parser.status, parser.headers, body)
        if parser.is_complete:
            self._finish(answer)
        elif parser.failure is not None:
            self.fail(httpx.RemoteProtocolError(parser.failure))
        elif answer.is_waiting:
            self.await_server()
        elif answer.unread_bytes > self._limits.buffered_bytes and not self._is_reading_paused:
            self._is_reading_paused = True
            cast(asyncio.Transport, self._transport).pause_reading()

    def eof_received(self) -> None:
        self.connection_lost(None)

    def connection_lost(self, exc: Exception | None) -> None:
        answer, parser = self._answer, self._parser
        if answer is None:
            self.close()
        elif exc is not None:
            self.fail(httpx.ReadError(f"the connection broke ({type(exc).__name__})"))
        else:
            parser.end()
            if parser.failure is None:
                self._finish(answer)
            else:
                self.fail(httpx.RemoteProtocolError(parser.failure))

    def pause_writing(self) -> None:
        self._is_writing_paused = True

    def resume_writing(self) -> None:
        self._is_writing_paused = False
        if self._answer is not None and self._answer.is_waiting:
            self.await_server()

    def _finish(self, answer: "UpstreamAnswer") -> None:
        """All of the answer has arrived; what is unread of it stays with it."""
        self._answer = None
        answer.complete()
        transport = cast(asyncio.Transport, self._transport)
        if self._parser.is_reusable and self.is_open and not transport.get_write_buffer_size():
            self._on_free(self)
        else:
            self.close()

    def _on_deadline(self) -> None:
        if self._answer is None:
            self.close()
        elif self._answer.is_waiting:
            if self._is_writing_paused:
                self.fail(httpx.WriteTimeout("the server did not take the request in time"))
            else:
                self.fail(httpx.ReadTimeout("the server sent nothing for too long"))


class UpstreamAnswer(httpx.AsyncByteStream):
    """The answer to one request, which the caller reads as a stream."""

    def __init__(self, connection: UpstreamConnection, timeout: TimeoutSeconds) -> None:
        self.timeout = timeout
        self.status = 0
        self.headers: Headers = []
        self.has_bytes = False
        self.unread_bytes = 0
        # None when the answer has arrived, or is given up.
        self._connection: UpstreamConnection | None = connection
        self._chunks: deque[bytes] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._error: Exception | None = None

    @property
    def is_waiting(self) -> bool:
        return self._waiter is not None and not self._waiter.done()

    async def head(self) -> None:
        """Return when `status` and `headers` are there. Raises httpx.TransportError."""
        while not self.status:
            if self._error is not None:
                raise self._error
            await self._something()

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        while not self._chunks:
            if self._error is not None:
                self.abandon()
                raise self._error
            if self._connection is None:
                raise StopAsyncIteration
            await self._something()
        chunk = self._chunks.popleft()
        self.unread_bytes -= len(chunk)
        if self._connection is not None and not self._chunks:
            self._connection.resume_reading()
        return chunk

    def rest(self, seconds: float) -> None:
        """Have what arrives in this time come in one read; for who has too much to read."""
        if self._connection is not None and not self._chunks:
            self._connection.rest(seconds)

    async def aclose(self) -> None:
        self.abandon()

    def abandon(self) -> None:
        """Read no further. An answer that has not arrived in full takes its connection with it."""
        connection, self._connection = self._connection, None
        self._chunks.clear()
        self._error = self._error or httpx.StreamClosed()
        self._wake()
        if connection is not None:
            connection.close()

    def take(self, status: int, headers: Headers, body: bytes) -> None:
        self.has_bytes = True
        if body:
            self._chunks.append(body)
            self.unread_bytes += len(body)
        if body or (status and not self.status):
            self._wake()
        self.status, self.headers = status, headers

    def complete(self) -> None:
        self._connection = None
        self._wake()

    def fail(self, error: httpx.TransportError) -> None:
        self._error = self._error or error
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def _something(self) -> None:
        if self._waiter is not None or self._connection is None:
            raise RuntimeError("an answer has one reader")
        self._waiter = asyncio.get_running_loop().create_future()
        self._connection.await_server()
        try:
            await self._waiter
        finally:
            self._waiter = None


class _Deadline:
    """A time limit that is cheap to renew: the timer stays, and asks when it fires whether it was put off."""

    def __init__(self, on_expiry: Callable[[], None]) -> None:
        self._on_expiry = on_expiry
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_end = self._end = _NEVER

    def set(self, seconds: float | None) -> None:
        self._end = _NEVER if seconds is None else self._loop.time() + seconds
        if self._timer is None or self._end < self._timer_end:
            self._start_timer()

    def cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _start_timer(self) -> None:
        self.cancel()
        self._timer_end = self._end
        if self._end != _NEVER:
            self._timer = self._loop.call_at(self._end, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        if self._loop.time() < self._end:
            self._start_timer()
        else:
            self._on_expiry()
