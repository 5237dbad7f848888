"""Consumers: how requests of the data plane enter, and how their answers leave.

`HttpConsumer` has the face of Channels' `AsyncHttpConsumer` but costs a fraction of it: no
thread hop at the end of each request, and it sees the client leave while it works. What a
request means is decided in `gateway.completion` and `gateway.listing`.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, ClassVar, cast

from asgiref.typing import ASGIReceiveCallable, ASGISendCallable, HTTPScope

from gateway.answer_headers import timing_headers
from gateway.errors import (
    GatewayError,
    InvalidValue,
    MethodNotAllowed,
    NotFound,
    RequestTimeout,
    RequestTooLarge,
    UnsupportedMediaType,
)
from gateway.exchange import HeaderPairs, Incoming
from gateway.idempotency import IDEMPOTENCY_HEADER
from gateway.idempotency_errors import malformed_key
from gateway.management_paths import NO_WEB_PROCESS
from gateway.plane import Plane
from gateway.trace import Trace
from gateway.wire.dialect import DIALECTS, Dialect, dialect_of
from gateway.wire.failure import render_failure
from gateway.wire.labels import source_of, special_of

MAX_REQUEST_ID_CHARACTERS = 128
DRAIN_SECONDS = 5.0
# A task that waits for the client's leaving costs as much as parsing its request.
WATCHED_AFTER_SECONDS = 0.05
SINGLE_HEADERS = (b"authorization", b"host", b"content-type", b"content-length")
JSON_TYPES = (b"application/json", b"")


class ClientLeft(Exception):
    """The client closed its connection before the answer was complete."""


class HttpConsumer:
    """One request: reads the body under a limit, runs `handle`, and cancels it when the client leaves."""

    body_limit_bytes: ClassVar[int] = 1024

    def __init__(self, plane: Plane) -> None:
        self.plane = plane
        self.headers: dict[bytes, bytes] = {}
        self.has_client_left = False
        self._is_answered = False

    @classmethod
    def as_asgi(cls, plane: Callable[[], Plane], **options: Any) -> Callable[..., Awaitable[None]]:
        """The ASGI application that makes one consumer a request."""

        async def application(scope: HTTPScope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
            await cls(plane(), **options)(scope, receive, send)

        return application

    async def __call__(self, scope: HTTPScope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        self.scope, self._receive, self._send = scope, receive, send
        self.headers = dict(scope["headers"])
        try:
            self._check_headers()
            body = await self._read_body()
        except GatewayError as error:
            await self.refuse(error)
            await self._discard_rest()
            return
        except ClientLeft:
            return
        await self._handle_watched(body)

    async def handle(self, body: bytes) -> None:
        """Answer the request with `send_headers` and `send_body`."""
        raise NotImplementedError

    async def _handle_watched(self, body: bytes) -> None:
        """Run `handle`, and cancel it when the client leaves; who is answered before is not watched."""
        handler = asyncio.current_task()
        assert handler is not None, "requests run in tasks"
        watchers: list[asyncio.Task[None]] = []
        reminder = self.plane.deadlines.remind(
            WATCHED_AFTER_SECONDS, lambda: watchers.append(asyncio.create_task(self._watch(handler)))
        )
        try:
            await self.handle(body)
        except asyncio.CancelledError:
            if not self.has_client_left:
                raise
            handler.uncancel()
        finally:
            reminder.call_off()
            for watcher in watchers:
                watcher.cancel()

    @property
    def client_request_id(self) -> str:
        """The client's own id if it is fit to be repeated in a header, else nothing."""
        text = _text(self.headers.get(b"x-request-id", b""))
        return text if 0 < len(text) <= MAX_REQUEST_ID_CHARACTERS else ""

    @property
    def peer(self) -> str:
        """The address at the other end of the connection; "" if the server does not say."""
        client = self.scope.get("client")
        return client[0] if client else ""

    async def refuse(self, error: GatewayError) -> None:
        """Answer a request that cannot even be read; the body may still be on its way."""
        raise NotImplementedError

    async def send_headers(self, *, status: int, headers: HeaderPairs) -> None:
        await self._send(
            {"type": "http.response.start", "status": status, "headers": headers, "trailers": False}
        )

    async def send_body(self, body: bytes, *, more_body: bool = False) -> None:
        await self._send({"type": "http.response.body", "body": body, "more_body": more_body})
        self._is_answered = not more_body

    def _check_headers(self) -> None:
        sent = list(self.scope["headers"])
        if len(sent) == len(self.headers):
            return
        names = [name for name, _ in sent]
        for name in SINGLE_HEADERS:
            if names.count(name) > 1:
                raise InvalidValue(f"The header {name.decode()} may be sent once.", param=name.decode())

    async def _read_body(self) -> bytes:
        limit_bytes = self.plane.settings.body_limit_bytes
        announced = self.headers.get(b"content-length", b"0")
        if announced.isdigit() and int(announced) > limit_bytes:
            raise RequestTooLarge(f"The body may have at most {limit_bytes} bytes, got {int(announced)}.")
        message: Any = await self._receive_in_time()
        if not message.get("more_body"):
            return _within(cast(bytes, message.get("body", b"")), limit_bytes)
        pieces, size = [message["body"]], len(message["body"])
        deadline = asyncio.get_running_loop().time() + self.plane.settings.body_timeout_seconds
        while message.get("more_body"):
            message = await self._receive_in_time(deadline)
            size += len(message.get("body", b""))
            if size > limit_bytes:
                raise RequestTooLarge(f"The body may have at most {limit_bytes} bytes.")
            pieces.append(message.get("body", b""))
        return b"".join(pieces)

    async def _receive_in_time(self, deadline: float | None = None) -> Any:
        loop = asyncio.get_running_loop()
        seconds = self.plane.settings.body_timeout_seconds
        try:
            with self.plane.deadlines.at(deadline or loop.time() + seconds):
                message = await self._receive()
        except TimeoutError as exc:
            raise RequestTimeout(f"The whole body must arrive within {seconds:g} seconds.") from exc
        if message["type"] == "http.disconnect":
            raise ClientLeft
        return message

    async def _watch(self, handler: "asyncio.Task[Any]") -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        # The server says so as well when the answer is complete; then nobody has left too early.
        if not self._is_answered:
            self.has_client_left = True
            handler.cancel()

    async def _discard_rest(self) -> None:
        """Let a client that is still sending finish, so that it reads our answer instead of a reset."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + DRAIN_SECONDS
        size, limit_bytes = 0, self.plane.settings.body_limit_bytes * 8
        try:
            while size < limit_bytes:
                message: Any = await self._receive_in_time(deadline)
                size += len(message.get("body", b""))
                if not message.get("more_body"):
                    break
        except (GatewayError, ClientLeft):
            pass
        await self.send_body(b"")


def _within(body: bytes, limit_bytes: int) -> bytes:
    if len(body) > limit_bytes:
        raise RequestTooLarge(f"The body may have at most {limit_bytes} bytes, got {len(body)}.")
    return body


class ChatCompletionConsumer(HttpConsumer):
    """`POST <mount>/chat/completions`."""

    def __init__(self, plane: Plane, *, mount: str) -> None:
        super().__init__(plane)
        self._dialect: Dialect = DIALECTS[mount]
        self._route = f"{mount}/chat/completions"
        self._trace: Trace | None = None

    async def handle(self, body: bytes) -> None:
        incoming = Incoming(
            self._dialect, self.headers, body, self.trace, special_of(self.headers), self.peer
        )
        answering = self.plane.once_only if IDEMPOTENCY_HEADER in self.headers else self.plane.completions
        await answering.answer(incoming, self)

    async def refuse(self, error: GatewayError) -> None:
        trace = self.trace
        failure = render_failure(
            error, dialect=self._dialect, event_id=str(trace.request_id), request_id=trace.shown_id
        )
        headers = [(name.encode(), value.encode()) for name, value in failure.headers.items()]
        length = str(len(failure.body)).encode()
        headers += [*timing_headers(trace), (b"content-length", length), (b"connection", b"close")]
        await self.send_headers(status=failure.status, headers=headers)
        await self.send_body(failure.body, more_body=True)

    @property
    def trace(self) -> Trace:
        if self._trace is None:
            self._trace = Trace(
                route=self._route,
                client_request_id=self.client_request_id,
                user_agent=_text(self.headers.get(b"user-agent", b"")),
                source=source_of(self.headers),
                arrived_at=self.plane.clock.now(),
            )
        return self._trace

    def _check_headers(self) -> None:
        super()._check_headers()
        content_type = self.headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
        if content_type not in JSON_TYPES:
            raise UnsupportedMediaType("Content-Type must be application/json.")
        if IDEMPOTENCY_HEADER in self.headers:
            names = [name for name, _ in self.scope["headers"]]
            if names.count(IDEMPOTENCY_HEADER) > 1:
                raise malformed_key()


def _text(value: bytes) -> str:
    return value.decode("ascii", "ignore") if value.isascii() and value.decode().isprintable() else ""


class NotFoundConsumer(ChatCompletionConsumer):
    """A path below our mounts that does not exist here, or another method than it has."""

    def __init__(self, plane: Plane, *, is_known_path: bool = False, is_management: bool = False) -> None:
        super().__init__(plane, mount="/v1")
        self._is_known_path = is_known_path
        self._is_management = is_management

    async def handle(self, body: bytes) -> None:
        self._dialect = dialect_of(self.scope["path"])
        call = f"{self.scope['method']} {self.scope['path'][:200]}"
        if self._is_known_path:
            await self.refuse(MethodNotAllowed(f"There is no {call}; this path has another method."))
        elif self._is_management:
            await self.refuse(NotFound(NO_WEB_PROCESS.format(call=call)))
        else:
            await self.refuse(NotFound(f"There is no {call}."))
        await self.send_body(b"")

    def _check_headers(self) -> None:
        pass
