"""How our servers speak HTTP: uvicorn's own protocol, with fewer calls to the kernel.

Named on the command line: `uvicorn … --http config.serving:HttpProtocol`.
"""

import asyncio
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_HEAD = b"HTTP/1."


class HttpProtocol(HttpToolsProtocol):
    """uvicorn writes the head of an answer and its body apart; here they leave together."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn
        super().connection_made(cast(asyncio.Transport, HeadHoldingTransport(transport)))


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

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._release()
        self._transport.set_protocol(protocol)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def _release(self) -> None:
        if self._head:
            head, self._head = self._head, b""
            self._write(head)
