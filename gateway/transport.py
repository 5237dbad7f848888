"""Upstream connections: a pooled HTTP/1.1 transport under httpx's interface.

Which connection serves which request, and how one is opened. What may be connected to is decided by
gateway.egress; a single connection is gateway.upstream_connection; what an answer means is for
gateway.upstream; proxies and HTTP/2 are for gateway.outer_transport. Redirects are never followed.
"""

import asyncio
import ssl
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, Protocol, cast

import httpx

from gateway.egress import EgressPolicy, resolve_allowed
from gateway.http1 import AnswerLimits, encode, encode_request, start_of
from gateway.upstream_connection import TimeoutSeconds, UpstreamAnswer, UpstreamConnection

OriginKey = tuple[str, bytes, int, EgressPolicy | None]

DEFAULT_TIMEOUT_SECONDS: Final[TimeoutSeconds] = {"connect": 5.0, "read": 600.0, "write": 30.0, "pool": 2.0}
MAX_ADDRESSES_TRIED: Final = 4
REMEMBERED_ADDRESSES: Final = 4_096

_GUARDED: Final = EgressPolicy()
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_CONNECTION_ENDED: Final = (httpx.ReadError, httpx.RemoteProtocolError)


class Resolver(Protocol):
    """Answers with the addresses to which a connection may be made, or raises EgressRefused or OSError."""

    async def __call__(
        self, host: str, port: int, *, policy: EgressPolicy, is_encrypted: bool
    ) -> Sequence[str]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class TransportLimits:
    """Bounds of each origin's pool and of each answer."""

    connections: int = 8_000
    idle_connections: int = 256
    idle_seconds: float = 30.0
    answer: AnswerLimits = field(default_factory=AnswerLimits)


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolOccupancy:
    """How many connections there are, how many of them are idle, and how many requests wait for one."""

    connections: int
    idle: int
    waiting: int


@dataclass(frozen=True, slots=True)
class Address:
    """Where a request goes: scheme, host and port of its origin, and the first lines of its head."""

    origin: tuple[str, bytes, int]
    start: bytes

    @classmethod
    def of(cls, url: httpx.URL, *, method: str) -> "Address":
        """Raises httpx.UnsupportedProtocol, or httpx.LocalProtocolError for what is no method."""
        if url.scheme not in _DEFAULT_PORTS:
            raise httpx.UnsupportedProtocol(f"cannot speak {url.scheme!r}")
        port = url.port or _DEFAULT_PORTS[url.scheme]
        return cls((url.scheme, url.raw_host, port), start_of(method, url))


class PooledTransport(httpx.AsyncBaseTransport):
    """Sends each request over a kept-alive connection to its origin or, if none is idle, over another one.

    Reads `extensions["timeout"]` (httpx's four phases in seconds; `read` is the time between two reads) and
    `extensions["egress"]` (an EgressPolicy; the strictest, if there is none). Raises httpx's transport errors
    and EgressRefused. The answer's stream yields what each read of the socket brought; it must be read to its
    end or closed, which closes the connection.

    A request is sent a second time only if a reused connection ended before a byte of the answer came: the
    server had closed it while it was idle.
    """

    def __init__(
        self,
        limits: TransportLimits | None = None,
        *,
        resolve: Resolver = resolve_allowed,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        self._limits = limits or TransportLimits()
        self._resolve = resolve
        self._ssl_context = ssl_context or _default_ssl_context()
        self._origins: dict[OriginKey, _Origin] = {}
        self._is_closed = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        message = encode_request(request, await _body_of(request))
        address = Address.of(request.url, method=request.method)
        policy = cast(EgressPolicy, request.extensions.get("egress", _GUARDED))
        timeout = request.extensions.get("timeout") or DEFAULT_TIMEOUT_SECONDS
        is_bodyless = request.method == "HEAD"
        answer = await self._exchange(address, message, policy, timeout, is_bodyless=is_bodyless)
        return httpx.Response(answer.status, headers=answer.headers, stream=answer, request=request)

    async def post(
        self,
        url: str,
        headers: Iterable[tuple[bytes, bytes]],
        body: bytes,
        *,
        policy: EgressPolicy,
        timeout: TimeoutSeconds,
    ) -> UpstreamAnswer:
        """`handle_async_request` without httpx's objects, which cost as much as the call itself."""
        address = _post_address(url)
        return await self._exchange(address, encode(address.start, headers, body), policy, timeout)

    async def _exchange(
        self,
        address: Address,
        message: bytes,
        policy: EgressPolicy,
        timeout: TimeoutSeconds,
        *,
        is_bodyless: bool = False,
    ) -> UpstreamAnswer:
        origin = self._origin_of(address, policy)
        try:
            connection = await origin.acquire(timeout.get("pool"))
        except TimeoutError as exc:
            raise httpx.PoolTimeout("no connection became free in time") from exc
        while True:  # At most twice: a connection that is replaced is replaced by a fresh one.
            is_fresh = connection.is_fresh
            if is_fresh:
                await self._open(connection, address, policy, timeout.get("connect"))
            answer = connection.send(message, timeout, is_bodyless=is_bodyless)
            try:
                await answer.head()
            except BaseException as exc:
                if is_fresh or answer.has_bytes or not isinstance(exc, _CONNECTION_ENDED):
                    answer.abandon()
                    raise
                connection = origin.replace(connection)
            else:
                return answer

    async def aclose(self) -> None:
        self._is_closed = True
        for origin in list(self._origins.values()):
            origin.close()

    def occupancy(self) -> PoolOccupancy:
        origins = self._origins.values()
        return PoolOccupancy(
            connections=sum(len(origin.connections) for origin in origins),
            idle=sum(len(origin.idle) for origin in origins),
            waiting=sum(len(origin.waiters) for origin in origins),
        )

    def _origin_of(self, address: Address, policy: EgressPolicy) -> "_Origin":
        # A connection checked under one policy, or not at all, never serves a request under another.
        key = (*address.origin, policy if policy.is_guarded else None)
        origin = self._origins.get(key)
        if origin is None:
            origin = _Origin(self._limits, on_empty=lambda: self._origins.pop(key, None))
            self._origins[key] = origin
        return origin

    async def _open(
        self,
        connection: UpstreamConnection,
        address: Address,
        policy: EgressPolicy,
        connect_seconds: float | None,
    ) -> None:
        try:
            async with asyncio.timeout(connect_seconds) as clock:
                await self._connect(connection, address, policy, end=clock.when())
        except TimeoutError as exc:
            connection.close()
            raise httpx.ConnectTimeout("connecting took too long") from exc
        except OSError as exc:  # Its text may name the address, which is not the customer's to know.
            connection.close()
            raise httpx.ConnectError(f"cannot connect ({type(exc).__name__})") from exc
        except BaseException:
            connection.close()
            raise

    async def _connect(
        self, connection: UpstreamConnection, address: Address, policy: EgressPolicy, *, end: float | None
    ) -> None:
        """Try each address in turn, with an equal share of the time left: some swallow packets."""
        if self._is_closed:
            raise ConnectionAbortedError("the transport is closed")
        scheme, raw_host, port = address.origin
        host, is_encrypted = raw_host.decode("ascii"), scheme == "https"
        found = await self._resolve(host, port, policy=policy, is_encrypted=is_encrypted)
        numeric = found[:MAX_ADDRESSES_TRIED]
        loop = asyncio.get_running_loop()
        for index, ip_address in enumerate(numeric):
            left, now = len(numeric) - index, loop.time()
            try:
                async with asyncio.timeout_at(None if end is None else now + (end - now) / left):
                    await loop.create_connection(
                        lambda: connection,
                        ip_address,
                        port,
                        ssl=self._ssl_context if is_encrypted else None,
                        server_hostname=host.removesuffix(".") if is_encrypted else None,
                    )
                break
            except OSError:
                if left == 1 or not connection.is_fresh:
                    raise
        if connection.is_closed or connection.is_fresh:
            raise ConnectionAbortedError("closed while it was opened, or the name has no address")


class _Origin:
    """The connections to one origin, and the requests that wait for one.

    A slot is membership in `connections`: taken when a connection is made, given up when it is closed. A
    waiter is handed a connection that it then owns; if it is cancelled at that moment, it gives it back.
    """

    def __init__(self, limits: TransportLimits, *, on_empty: Callable[[], object]) -> None:
        self.connections: set[UpstreamConnection] = set()
        self.idle: dict[UpstreamConnection, None] = {}
        self.waiters: dict[asyncio.Future[UpstreamConnection], None] = {}
        self._limits = limits
        self._on_empty = on_empty

    async def acquire(self, pool_seconds: float | None) -> UpstreamConnection:
        """A connection of which the caller is the owner, open or fresh. Raises TimeoutError."""
        while self.idle:
            connection, _ = self.idle.popitem()
            if connection.is_open:
                return connection
            connection.close()
        if len(self.connections) < self._limits.connections:
            return self._add()
        async with asyncio.timeout(pool_seconds):
            while (connection := await self._next_free()).is_closed:
                pass  # It died on its way here, and so has left its slot to someone else.
            return connection

    def replace(self, connection: UpstreamConnection) -> UpstreamConnection:
        """A fresh connection in the slot of a dead one."""
        self.connections.discard(connection)
        connection.close()
        return self._add()

    def give_back(self, connection: UpstreamConnection) -> None:
        """Called by the owner of a connection on which nothing is in flight."""
        if connection.is_closed:
            return
        waiter = self._next_waiter()
        if waiter is not None:
            waiter.set_result(connection)
        elif connection.is_open and len(self.idle) < self._limits.idle_connections:
            self.idle[connection] = None
            connection.expire_after(self._limits.idle_seconds)
        else:
            connection.close()

    def forget(self, connection: UpstreamConnection) -> None:
        """The connection is closed: its slot goes to the request that has waited longest."""
        self.idle.pop(connection, None)
        if connection not in self.connections:
            return
        self.connections.discard(connection)
        waiter = self._next_waiter()
        if waiter is not None:
            waiter.set_result(self._add())
        elif not self.connections:
            self._on_empty()

    def close(self) -> None:
        while (waiter := self._next_waiter()) is not None:
            waiter.set_exception(httpx.ConnectError("the transport is closed"))
        for connection in list(self.connections):
            connection.fail(httpx.ReadError("the transport is closed"))
            connection.close()

    def _add(self) -> UpstreamConnection:
        connection = UpstreamConnection(self._limits.answer, on_free=self.give_back, on_closed=self.forget)
        self.connections.add(connection)
        return connection

    async def _next_free(self) -> UpstreamConnection:
        waiter: asyncio.Future[UpstreamConnection] = asyncio.get_running_loop().create_future()
        self.waiters[waiter] = None
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self.give_back(waiter.result())
            raise
        finally:
            self.waiters.pop(waiter, None)

    def _next_waiter(self) -> asyncio.Future[UpstreamConnection] | None:
        while self.waiters:
            waiter = next(iter(self.waiters))
            del self.waiters[waiter]
            if not waiter.done():
                return waiter
        return None


@lru_cache(maxsize=REMEMBERED_ADDRESSES)
def _post_address(url: str) -> Address:
    """Parsing costs as much as sending, and there are only as many addresses as connections."""
    return Address.of(httpx.URL(url), method="POST")


async def _body_of(request: httpx.Request) -> bytes:
    if type(request.stream) is httpx.ByteStream:
        return b"".join(request.stream)
    return await request.aread()


def _default_ssl_context() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context
