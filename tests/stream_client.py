"""A client on a bare socket: it can leave at any byte, read slowly, or send what no library would."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import orjson

READ_SECONDS = 60.0


@dataclass
class RawStream:
    """The answer to one request, read piece by piece."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    async def read_head(self) -> int:
        head = await self._bounded(self.reader.readuntil(b"\r\n\r\n"))
        first, *lines = head.decode("latin-1").split("\r\n")
        self.status = int(first.split()[1])
        pairs = (line.partition(":") for line in lines if line)
        self.headers = {name.lower(): value.strip() for name, _, value in pairs}
        return self.status

    async def read_events(self, count: int) -> list[dict[str, Any]]:
        """Read until at least `count` data events have come."""
        while len(self.events()) < count and await self._read_more():
            pass
        return self.events()[:count]

    async def read_until(self, marker: bytes) -> None:
        while marker not in self.body and await self._read_more():
            pass

    async def read_rest(self) -> bytes:
        """Everything up to the end of the connection."""
        while await self._read_more():
            pass
        return self.body

    def events(self) -> list[dict[str, Any]]:
        """The complete JSON events so far."""
        lines = [line for line in self.body.split(b"\n")[:-1] if line.startswith(b"data: {")]
        found = []
        for line in lines:
            with suppress(orjson.JSONDecodeError):
                found.append(orjson.loads(line.removeprefix(b"data: ")))
        return found

    @property
    def text(self) -> str:
        """The content that the events so far make up."""
        deltas = (choice["delta"] for event in self.events() for choice in event.get("choices", ()))
        return "".join(delta.get("content") or "" for delta in deltas)

    async def leave(self) -> None:
        """Close the connection, whatever is still on its way."""
        self.writer.close()
        with suppress(OSError):
            await self.writer.wait_closed()

    async def _read_more(self) -> bool:
        data = await self._bounded(self.reader.read(65_536))
        self.body += data
        return bool(data)

    async def _bounded(self, reading: Any) -> bytes:
        async with asyncio.timeout(READ_SECONDS):
            data: bytes = await reading
        return data


@asynccontextmanager
async def raw_request(
    url: str,
    body: bytes | dict[str, Any],
    *,
    key: str = "",
    path: str = "/v0/chat/completions",
    **headers: str,
) -> AsyncIterator[RawStream]:
    """Send one POST and leave when the block ends. The connection asks to be closed after the answer."""
    payload = body if isinstance(body, bytes) else orjson.dumps(body)
    fields = {
        "host": urlsplit(url).netloc,
        "content-type": "application/json",
        "content-length": str(len(payload)),
        "connection": "close",
        **({"authorization": f"Bearer {key}"} if key else {}),
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    async with raw_connection(url) as stream:
        stream.writer.write(f"POST {path} HTTP/1.1\r\n{head}\r\n".encode() + payload)
        yield stream


@asynccontextmanager
async def raw_connection(url: str) -> AsyncIterator[RawStream]:
    """A connection on which nothing has been sent."""
    address = urlsplit(url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port, limit=1 << 24)
    stream = RawStream(reader, writer)
    try:
        yield stream
    finally:
        await stream.leave()
