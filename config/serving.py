"""How our servers speak HTTP: uvicorn's own protocol, with fewer calls to the kernel and bounds for heads.

Named on the command line: `uvicorn … --http config.serving:HttpProtocol`.
"""

import asyncio
import uuid
from http import HTTPStatus
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from config.answer_cycle import AnswerCycle
from config.env import gateway_settings, or_exit
from gateway.errors import GatewayError, HeadTooLarge, InvalidHttp, RequestTimeout
from gateway.wire.dialect import DIALECTS
from gateway.wire.failure import render_failure

_HEAD = b"HTTP/1."
# A client that is still sending when it is refused reads a reset instead of why, unless it is let finish.
LINGER_SECONDS = 2.0
LINGER_BYTES = 16 * 1024 * 1024

Header = tuple[bytes, bytes]

_settings = or_exit(gateway_settings)


class HttpProtocol(HttpToolsProtocol):
    """uvicorn, which bounds neither a request's head nor its trailers, nor the time that a head takes.

    A head that arrives whole costs a few attributes here. What cannot be read as HTTP is refused in
    the envelope of all errors. The head of an answer and its body leave together.
    """

    head_limit_bytes = _settings.head_limit_bytes
    head_timeout_seconds = _settings.head_timeout_seconds
    _read_head: Any = None
    """The scope of the last head that has come whole; another one is still on its way."""
    _head_bytes = 0
    _read_bytes = 0
    _trailer_bytes = 0
    """Read since a head, or a part of a body, has come: trailers, and what frames the body."""
    _is_too_large = False
    _patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn
        super().connection_made(cast(asyncio.Transport, HeadHoldingTransport(transport)))
        self._patience = self.loop.call_later(self.head_timeout_seconds, self._give_up)

    def connection_lost(self, exc: Exception | None) -> None:
        self._lose_patience()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._read_bytes = len(data)
        super().data_received(data)
        if self.scope is not self._read_head:
            if not self.transport.is_closing():
                self._wait_for_the_rest()
            return
        self._trailer_bytes += len(data)
        if self._trailer_bytes > self.head_limit_bytes:
            self._refuse_trailers()

    def on_headers_complete(self) -> None:
        if self._head_bytes + self._read_bytes > self.head_limit_bytes:
            self._check_size()
        super().on_headers_complete()
        # Made just now, its task has not begun; a connection that becomes a WebSocket has none.
        if self.cycle is not None:
            self.cycle.__class__ = AnswerCycle
        self._read_head = self.scope
        self.headers = FullHead(self.headers)
        self._head_bytes = 0
        self._trailer_bytes = -self._read_bytes
        if self._patience is not None:
            self._lose_patience()

    def on_body(self, body: bytes) -> None:
        self._trailer_bytes = -self._read_bytes
        super().on_body(body)

    def send_400_response(self, msg: str) -> None:
        self._refuse(HeadTooLarge(self.head_limit_bytes) if self._is_too_large else InvalidHttp())

    def _wait_for_the_rest(self) -> None:
        self._head_bytes += self._read_bytes
        if self._head_bytes > self.head_limit_bytes:
            self._refuse(HeadTooLarge(self.head_limit_bytes))
        elif self._patience is None:
            self._patience = self.loop.call_later(self.head_timeout_seconds, self._give_up)

    def _refuse_trailers(self) -> None:
        if self.transport.is_closing():
            return
        cycle: Any = self.cycle
        if cycle is not None and cycle.response_started:
            self.transport.close()
        else:
            self._refuse(HeadTooLarge(self.head_limit_bytes))

    def _check_size(self) -> None:
        """Much was read at once, perhaps of the body: count. The parser makes a 400 of any exception."""
        size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
        if size > self.head_limit_bytes:
            self._is_too_large = True
            raise ValueError

    def _give_up(self) -> None:
        """The client has taken too long; who has not begun to speak is not told why."""
        if self.scope is None:
            self.transport.close()
        else:
            within = f"within {self.head_timeout_seconds:g} seconds"
            self._refuse(RequestTimeout(f"The whole head of a request must arrive {within}."))

    def _lose_patience(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _refuse(self, error: GatewayError) -> None:
        event_id = str(uuid.uuid4())
        failure = render_failure(error, dialect=DIALECTS["/v1"], event_id=event_id, request_id=event_id)
        fields = {**failure.headers, "content-length": str(len(failure.body)), "connection": "close"}
        head = f"HTTP/1.1 {failure.status} {HTTPStatus(failure.status).phrase}\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        self.transport.write(head.encode("ascii") + b"\r\n" + failure.body)
        cycle: Any = self.cycle
        if cycle is None or cycle.response_complete:
            self._lose_patience()
            self.connections.discard(self)
            self.transport.set_protocol(Farewell(self.transport))
        else:
            self.transport.close()


class FullHead(list[Header]):
    """The headers of a head that is complete: the parser's trailers are dropped.

    They come behind whatever a proxy has checked or set, and would stand beside it or in its place.
    https://www.rfc-editor.org/rfc/rfc9110#section-6.5.1 (checked 2026-11-27)
    """

    def append(self, header: Header, /) -> None:
        pass


class Farewell(asyncio.Protocol):
    """Takes what a client that has been refused goes on to send, up to a bound, and closes then."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._left_bytes = LINGER_BYTES
        self._end = asyncio.get_running_loop().call_later(LINGER_SECONDS, transport.close)
        if transport.can_write_eof():
            transport.write_eof()

    def data_received(self, data: bytes) -> None:
        self._left_bytes -= len(data)
        if self._left_bytes < 0:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end.cancel()


class HeadHoldingTransport:
    """A transport that keeps a head back until more is written, but not beyond this turn of the loop."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._write, self.is_closing = transport.write, transport.is_closing
        self._head = b""

    def write(self, data: bytes) -> None:
        if self._head:
            head, self._head = self._head, b""
            self._write(head + data)
        elif data.startswith(_HEAD):
            self._head = data
            asyncio.get_running_loop().call_soon(self._release)
        else:
            self._write(data)

    def close(self) -> None:
        self._release()
        self._transport.close()

    def write_eof(self) -> None:
        self._release()
        self._transport.write_eof()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._release()
        self._transport.set_protocol(protocol)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def _release(self) -> None:
        if self._head:
            head, self._head = self._head, b""
            self._write(head)
