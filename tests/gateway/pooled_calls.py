"""How the transport's tests call: unguarded and patiently, unless they say otherwise."""

import asyncio
import ssl
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager

import httpx

from gateway.egress import EgressPolicy
from gateway.transport import PooledTransport, PoolOccupancy, Resolver

TLS = ssl.create_default_context()
UNGUARDED = EgressPolicy(is_guarded=False)
NOTHING_OPEN = PoolOccupancy(connections=0, idle=0, waiting=0)
PATIENT = {"connect": 10.0, "read": 10.0, "write": 10.0, "pool": 10.0}
CHUNKED_HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"


@asynccontextmanager
async def pooled(**options: object) -> AsyncGenerator[PooledTransport]:
    transport = PooledTransport(**{"ssl_context": TLS, **options})
    try:
        yield transport
    finally:
        await transport.aclose()


def post(
    url: str, *, content: bytes = b"{}", egress: EgressPolicy = UNGUARDED, **timeout: float
) -> httpx.Request:
    extensions = {"egress": egress, "timeout": {**PATIENT, **timeout}}
    return httpx.Request("POST", url, content=content, extensions=extensions)


async def body_of(response: httpx.Response) -> bytes:
    try:
        return b"".join([chunk async for chunk in response.aiter_raw()])
    finally:
        await response.aclose()


async def call(
    transport: PooledTransport,
    url: str,
    *,
    content: bytes = b"{}",
    egress: EgressPolicy = UNGUARDED,
    **timeout: float,
) -> bytes:
    """Through the door that the gateway takes; the others go through httpx's interface."""
    answer = await transport.post(url, [], content, policy=egress, timeout={**PATIENT, **timeout})
    try:
        return b"".join([chunk async for chunk in answer])
    finally:
        await answer.aclose()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - what is awaited sets no event
            await asyncio.sleep(0.001)


def resolving(*addresses: str) -> Resolver:
    async def resolve(host: str, port: int, *, policy: EgressPolicy, is_encrypted: bool) -> Sequence[str]:
        return addresses

    return resolve
