"""The outer transport: the operator's calls take the proxy or HTTP/2, an organization's never do."""

import asyncio
import random
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import h2.config
import h2.connection
import h2.events
import httpx
import pytest

from gateway.egress import EgressPolicy, EgressRefused
from gateway.outer_transport import OuterTransport
from gateway.transport import PooledTransport
from tests.gateway.scripted_upstream import OK, Conversation, Upstream, scripted_upstream
from tests.gateway.test_transport_connect import Certificates

OPERATORS = EgressPolicy(is_guarded=False)
PATIENCE = {"connect": 5.0, "read": 5.0, "write": 5.0, "pool": 5.0}


@asynccontextmanager
async def outer(
    *, proxy_url: str = "", is_http2: bool = False, tls: ssl.SSLContext | None = None
) -> AsyncGenerator[OuterTransport]:
    transport = OuterTransport(
        PooledTransport(),
        proxy_url=proxy_url,
        is_http2=is_http2,
        connections=10,
        idle_seconds=30.0,
        ssl_context=tls,
    )
    try:
        yield transport
    finally:
        await transport.aclose()


async def read(
    transport: OuterTransport, url: str, *, policy: EgressPolicy = OPERATORS, **timeout: float
) -> bytes:
    answer = await transport.post(url, [], b"{}", policy=policy, timeout=PATIENCE | timeout)
    assert answer.status == 200
    try:
        return b"".join([part async for part in answer])
    finally:
        await answer.aclose()


async def always_ok(conversation: Conversation) -> None:
    while await conversation.request():
        await conversation.send(OK)


async def test_the_operators_calls_go_to_the_proxy() -> None:
    async with scripted_upstream(always_ok) as proxy, outer(proxy_url=proxy.url) as transport:
        body = await read(transport, "http://api.provider.example/v1/chat/completions")

        assert body == b"ok"
        assert proxy.requests[0].startswith(b"POST http://api.provider.example/v1/chat/completions HTTP/1.1")


async def test_the_proxy_gets_the_name_and_the_password_of_its_url() -> None:
    async def always_refuse(conversation: Conversation) -> None:
        await conversation.request()
        await conversation.send(b"HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n")

    async with scripted_upstream(always_ok) as proxy, scripted_upstream(always_refuse) as tunnel:
        async with outer(proxy_url=f"http://me:p%40ss@127.0.0.1:{proxy.port}") as transport:
            await read(transport, "http://api.provider.example/v1")
        async with outer(proxy_url=f"http://me:p%40ss@127.0.0.1:{tunnel.port}") as transport:
            with pytest.raises(httpx.ProxyError) as refused:
                await read(transport, "https://api.provider.example/v1")

    # me:p@ss
    login = b"\r\nProxy-Authorization: Basic bWU6cEBzcw==\r\n"
    assert login in proxy.requests[0]
    assert tunnel.requests[0].startswith(b"CONNECT api.provider.example:443 ")
    assert login in tunnel.requests[0]
    assert "p@ss" not in str(refused.value)


async def test_a_proxy_without_a_password_gets_none() -> None:
    async with scripted_upstream(always_ok) as proxy, outer(proxy_url=proxy.url) as transport:
        await read(transport, "http://api.provider.example/v1")

    assert b"proxy-authorization" not in proxy.requests[0].lower()


async def test_an_organizations_calls_do_not_and_are_guarded_as_ever() -> None:
    async with (
        scripted_upstream(always_ok) as proxy,
        scripted_upstream(always_ok) as inside,
        outer(proxy_url=proxy.url) as transport,
    ):
        with pytest.raises(EgressRefused):
            await read(transport, inside.url, policy=EgressPolicy())

        assert (proxy.requests, inside.requests) == ([], [])


@pytest.mark.parametrize(
    ("script", "timeout", "error"),
    [
        ("closes", {}, httpx.RemoteProtocolError),
        ("garbage", {}, httpx.RemoteProtocolError),
        ("silence", {"read": 0.05}, httpx.ReadTimeout),
    ],
)
async def test_failures_have_the_names_that_httpx_gives_them(script, timeout, error) -> None:
    async def misbehave(conversation: Conversation) -> None:
        await conversation.request()
        if script == "garbage":
            await conversation.send(b"nonsense\r\n\r\n")
        elif script == "silence":
            await conversation.gone()

    async with scripted_upstream(misbehave) as upstream, outer() as transport:
        with pytest.raises(error):
            await read(transport, upstream.url, **timeout)


async def test_an_address_that_refuses_is_a_connect_error_without_the_address() -> None:
    async with scripted_upstream(always_ok) as upstream:
        url = upstream.url

    async with outer() as transport:
        with pytest.raises(httpx.ConnectError) as refused:
            await read(transport, url)

    assert "127.0.0.1" not in str(refused.value)


async def test_the_pool_survives_cancelled_requests() -> None:
    chance = random.Random(20261127)

    async def slowly(conversation: Conversation) -> None:
        while await conversation.request():
            await asyncio.sleep(chance.random() * 0.002)
            await conversation.send(OK)

    async with scripted_upstream(slowly) as upstream, outer() as transport:
        for _ in range(300):
            task = asyncio.create_task(read(transport, upstream.url))
            for _ in range(chance.randrange(30)):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        bodies = await asyncio.gather(*(read(transport, upstream.url) for _ in range(30)))

    assert bodies == [b"ok"] * 30


class Http2Server(asyncio.Protocol):
    """Answers each request by HTTP/2 with `ok`."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self._connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._upstream.opened += 1
        self._connection.initiate_connection()
        transport.write(self._connection.data_to_send())

    def data_received(self, data: bytes) -> None:
        for event in self._connection.receive_data(data):
            if isinstance(event, h2.events.StreamEnded):
                self._upstream.requests.append(b"HTTP/2")
                self._connection.send_headers(event.stream_id, [(":status", "200")])
                self._connection.send_data(event.stream_id, b"ok", end_stream=True)
        self._transport.write(self._connection.data_to_send())


async def test_requests_of_one_moment_share_a_connection_by_http2(tmp_path: Path) -> None:
    certificates, upstream = Certificates(tmp_path), Upstream()
    theirs = certificates.server_context([])
    theirs.set_alpn_protocols(["h2"])
    ours = certificates.client_context
    ours.check_hostname = False
    server = await asyncio.get_running_loop().create_server(
        lambda: Http2Server(upstream), "127.0.0.1", 0, ssl=theirs
    )
    url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"

    async with server, outer(is_http2=True, tls=ours) as transport:
        first = await read(transport, url)
        bodies = await asyncio.gather(*(read(transport, url) for _ in range(8)))

    assert (first, bodies) == (b"ok", [b"ok"] * 8)
    assert (upstream.opened, upstream.requests) == (1, [b"HTTP/2"] * 9)
