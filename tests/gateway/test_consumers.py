"""Consumers: a client that leaves is noticed, and one that has its whole answer has not left."""

import asyncio
from typing import Any

import pytest

from gateway.consumers import HttpConsumer
from gateway.errors import GatewayError
from gateway.plane import Plane
from tests.gateway.limits_bench import settings

SCOPE: Any = {"type": "http", "headers": []}


class Lingering(HttpConsumer):
    """Answers, and is still busy when the server says that the connection is done with."""

    def __init__(self, plane: Plane, server: "Server", *, is_complete: bool) -> None:
        super().__init__(plane)
        self.has_finished = False
        self._server = server
        self._is_complete = is_complete

    async def handle(self, body: bytes) -> None:
        await self.send_headers(status=200, headers=[])
        await self.send_body(b"part", more_body=True)
        if self._is_complete:
            await self.send_body(b"last")
        await self._server.has_told.wait()
        for _ in range(3):
            await asyncio.sleep(0)
        self.has_finished = True

    async def refuse(self, error: GatewayError) -> None:
        raise AssertionError(error)


class Server:
    """What uvicorn does: once the request was read, whoever waits is told that it is over."""

    def __init__(self) -> None:
        self.has_told = asyncio.Event()
        self._has_read = False

    async def receive(self) -> Any:
        if not self._has_read:
            self._has_read = True
            return {"type": "http.request", "body": b"", "more_body": False}
        self.has_told.set()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None: ...


@pytest.mark.parametrize("is_complete", [True, False])
async def test_only_who_goes_before_the_last_byte_has_left(is_complete: bool) -> None:
    plane, server = Plane(settings()), Server()
    consumer = Lingering(plane, server, is_complete=is_complete)

    await consumer(SCOPE, server.receive, server.send)

    assert (consumer.has_client_left, consumer.has_finished) == (not is_complete, is_complete)
    await plane.redis.close()
