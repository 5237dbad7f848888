"""An upstream on 127.0.0.1 that answers with the bytes a test tells it to, however wrong they are."""

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

Script = Callable[["Conversation"], Awaitable[None]]

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Upstream:
    """What the server has seen so far."""

    def __init__(self) -> None:
        self.port = 0
        self.requests: list[bytes] = []
        self.server_names: list[str | None] = []
        self.opened = self.open_now = self.most_open = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


class Conversation:
    """One connection, from the server's side. `number` counts connections, from 1."""

    def __init__(
        self, upstream: Upstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.number = upstream.opened
        self.writer = writer
        self._upstream = upstream
        self._reader = reader

    async def request(self) -> bytes:
        """The next request, or b"" when the client has gone."""
        try:
            head = await self._reader.readuntil(b"\r\n\r\n")
            fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:-2])
            body = await self._reader.readexactly(int(fields.get(b"content-length", 0)))
        except (asyncio.IncompleteReadError, ConnectionError):
            return b""
        self._upstream.requests.append(head + body)
        return head + body

    async def send(self, *pieces: bytes) -> None:
        """Each piece in a write of its own, after the loop has had time to deliver the one before."""
        for piece in pieces:
            self.writer.write(piece)
            await self.writer.drain()
            for _ in range(3):
                await asyncio.sleep(0)

    async def gone(self) -> None:
        """Return when the client has closed the connection."""
        try:
            await self._reader.read()
        except ConnectionError:
            pass

    def close(self) -> None:
        self.writer.close()

    def reset(self) -> None:
        linger = struct.pack("ii", 1, 0)
        self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.writer.transport.abort()


def answering(*pieces: bytes) -> Script:
    """Every request on every connection is answered with the same pieces."""

    async def script(conversation: Conversation) -> None:
        while await conversation.request():
            await conversation.send(*pieces)

    return script


@asynccontextmanager
async def scripted_upstream(script: Script, *, tls: ssl.SSLContext | None = None) -> AsyncGenerator[Upstream]:
    upstream = Upstream()
    running: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        running.add(task)
        upstream.opened += 1
        upstream.open_now += 1
        upstream.most_open = max(upstream.most_open, upstream.open_now)
        try:
            await script(Conversation(upstream, reader, writer))
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            running.discard(task)
            upstream.open_now -= 1
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    upstream.port = server.sockets[0].getsockname()[1]
    try:
        yield upstream
    finally:
        server.close()
        for task in list(running):
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
