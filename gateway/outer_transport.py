"""Upstream calls through a proxy, or by HTTP/2: a kept library's pool with the face of gateway.transport.

For operators who set FAREBOX_UPSTREAM_PROXY_URL or FAREBOX_UPSTREAM_HTTP2; everyone else is served by
gateway.transport alone, which costs a fraction. The library is httpcore2 because its pool, unlike
that of httpx, survives cancelled requests. Endpoints of organizations never come this way: behind a
proxy nobody could check the address that is connected to.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import httpcore2
import httpx

from gateway.egress import EgressPolicy
from gateway.transport import PooledTransport
from gateway.upstream_connection import TimeoutSeconds, UpstreamAnswer

# The library's errors by the names that httpx gives them; the first that fits is taken.
_ERRORS: Final[tuple[tuple[type[Exception], type[httpx.TransportError]], ...]] = (
    (httpcore2.ConnectTimeout, httpx.ConnectTimeout),
    (httpcore2.ReadTimeout, httpx.ReadTimeout),
    (httpcore2.WriteTimeout, httpx.WriteTimeout),
    (httpcore2.PoolTimeout, httpx.PoolTimeout),
    (httpcore2.ConnectError, httpx.ConnectError),
    (httpcore2.ProxyError, httpx.ProxyError),
    (httpcore2.ReadError, httpx.ReadError),
    (httpcore2.WriteError, httpx.WriteError),
    (httpcore2.LocalProtocolError, httpx.LocalProtocolError),
    (httpcore2.UnsupportedProtocol, httpx.UnsupportedProtocol),
    (httpcore2.RemoteProtocolError, httpx.RemoteProtocolError),
)


class OuterTransport:
    """Takes what may go through the proxy or by HTTP/2; what is guarded goes to `guarded`.

    Raises httpx's transport errors. `proxy_url` "" means none.
    """

    def __init__(
        self,
        guarded: PooledTransport,
        *,
        proxy_url: str,
        is_http2: bool,
        connections: int,
        idle_seconds: float,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        self._guarded = guarded
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=ssl_context or ssl.create_default_context(),
            proxy=_proxy(proxy_url) if proxy_url else None,
            max_connections=connections,
            keepalive_expiry=idle_seconds,
            http2=is_http2,
        )

    async def post(
        self,
        url: str,
        headers: Sequence[tuple[bytes, bytes]],
        body: bytes,
        *,
        policy: EgressPolicy,
        timeout: TimeoutSeconds,
    ) -> "UpstreamAnswer | OuterAnswer":
        """As `PooledTransport.post`."""
        if policy.is_guarded:
            return await self._guarded.post(url, headers, body, policy=policy, timeout=timeout)
        place = httpx.URL(url)
        length = (b"content-length", b"%d" % len(body))
        request = httpcore2.Request(
            method="POST",
            url=httpcore2.URL(
                scheme=place.raw_scheme, host=place.raw_host, port=place.port, target=place.raw_path
            ),
            headers=[(b"host", place.netloc), *headers, length],
            content=body,
            extensions={"timeout": dict(timeout)},
        )
        with _translated():
            return OuterAnswer(await self._pool.handle_async_request(request))

    async def aclose(self) -> None:
        await self._pool.aclose()
        await self._guarded.aclose()


class OuterAnswer:
    """An answer's head, and its body as a stream.

    Its connection goes back to the pool when it is read to its end or closed.
    """

    def __init__(self, answer: httpcore2.Response) -> None:
        self.status = answer.status
        self.headers = answer.headers
        self._answer = answer

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _translated():
            async for part in self._answer.aiter_stream():
                yield part

    async def aclose(self) -> None:
        # Shielded: a request that is cancelled must still give its connection back.
        await asyncio.shield(self._answer.aclose())


def _proxy(url: str) -> httpcore2.Proxy:
    """The proxy, with the name and password of its URL, which the library does not look for there."""
    address = httpx.URL(url)
    login = (address.username.encode(), address.password.encode()) if address.userinfo else None
    return httpcore2.Proxy(str(address.copy_with(username=None, password=None)), auth=login)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except Exception as exc:
        for theirs, ours in _ERRORS:
            if isinstance(exc, theirs):
                # Its text may name an address, which is not the customer's to know.
                raise ours(f"the upstream failed ({type(exc).__name__})") from exc
        raise
