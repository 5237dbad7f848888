"""How our servers speak HTTP: a head waits for its body, but never for longer than a turn of the loop.

Trailers are no headers and are bounded; a WebSocket is let through.
"""

import asyncio
from base64 import b64encode

import pytest
from uvicorn.config import Config
from uvicorn.server import ServerState

from config.serving import HeadHoldingTransport, HttpProtocol

HEAD, BODY = b"HTTP/1.1 200 OK\r\n\r\n", b"hello"


class Wire:
    """The transport below, which notes each call to the kernel."""

    def __init__(self) -> None:
        self.calls: list[bytes] = []
        self.is_closed = False
        self.protocol: object = None

    def write(self, data: bytes) -> None:
        self.calls.append(data)

    def close(self) -> None:
        self.is_closed = True

    def is_closing(self) -> bool:
        return self.is_closed

    def set_protocol(self, protocol: object) -> None:
        self.protocol = protocol

    def get_extra_info(self, name: str) -> object:
        return None

    def pause_reading(self) -> None:
        pass

    resume_reading = pause_reading

    def get_write_buffer_size(self) -> int:
        return 7


class Application:
    """Keeps the headers of each request, reads its body, and takes every socket."""

    def __init__(self) -> None:
        self.headers: list[dict[bytes, bytes]] = []

    async def __call__(self, scope, receive, send):
        self.headers.append(dict(scope["headers"]))
        if scope["type"] == "websocket":
            await send({"type": "websocket.accept"})
            return
        while (await receive()).get("more_body"):
            pass
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
        await send({"type": "http.response.body", "body": BODY})


def protocol_for(application: Application) -> HttpProtocol:
    config = Config(application, lifespan="off", ws="websockets-sansio", log_config=None)
    return HttpProtocol(config=config, server_state=ServerState(), app_state={})


async def test_a_head_leaves_together_with_the_body_behind_it():
    wire = Wire()
    transport = HeadHoldingTransport(wire)

    transport.write(HEAD)
    transport.write(BODY)
    transport.write(BODY)

    assert wire.calls == [HEAD + BODY, BODY]


async def test_a_head_alone_leaves_at_the_end_of_the_turn_and_once():
    wire = Wire()
    transport = HeadHoldingTransport(wire)

    transport.write(HEAD)
    before = list(wire.calls)
    await asyncio.sleep(0)
    await asyncio.sleep(0)

    assert before == []
    assert wire.calls == [HEAD]


async def test_an_interim_answer_and_the_final_head_keep_their_order():
    wire = Wire()
    transport = HeadHoldingTransport(wire)

    transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    transport.write(HEAD)
    transport.write(BODY)

    assert b"".join(wire.calls) == b"HTTP/1.1 100 Continue\r\n\r\n" + HEAD + BODY


async def test_closing_writes_what_is_held_first():
    wire = Wire()
    transport = HeadHoldingTransport(wire)

    transport.write(HEAD)
    transport.close()

    assert wire.calls == [HEAD]
    assert wire.is_closed


async def test_a_connection_that_changes_its_protocol_has_sent_everything():
    wire = Wire()
    transport = HeadHoldingTransport(wire)

    transport.write(HEAD)
    transport.set_protocol("websocket")

    assert (wire.calls, wire.protocol) == ([HEAD], "websocket")


async def test_everything_else_is_the_transport_below():
    assert HeadHoldingTransport(Wire()).get_write_buffer_size() == 7


@pytest.mark.parametrize("is_first", [True, False], ids=["new connection", "after a request"])
async def test_a_socket_is_opened(*, is_first: bool):
    application = Application()
    server = await asyncio.get_running_loop().create_server(lambda: protocol_for(application), "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())

    if not is_first:
        writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        assert (await reader.readuntil(b"hello")).startswith(b"HTTP/1.1 200 ")
    writer.write(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: Upgrade\r\nupgrade: websocket\r\n")
    writer.write(b"sec-websocket-version: 13\r\nsec-websocket-key: " + b64encode(bytes(16)) + b"\r\n\r\n")
    answer = await reader.readuntil(b"\r\n\r\n")

    writer.close()
    server.close()
    assert answer.startswith(b"HTTP/1.1 101 ")


CHUNKED = b"POST / HTTP/1.1\r\nhost: x\r\nx-forwarded-for: 192.0.2.1\r\ntransfer-encoding: chunked\r\n\r\n"
LAST_CHUNK = b"2\r\n{}\r\n0\r\n"


async def test_a_trailer_is_no_header_also_when_everything_comes_in_one_read():
    application, wire = Application(), Wire()
    protocol = protocol_for(application)
    protocol.connection_made(wire)

    protocol.data_received(CHUNKED + LAST_CHUNK + b"x-forwarded-for: 198.51.100.1\r\nx-more: 1\r\n\r\n")
    await asyncio.gather(*protocol.tasks)
    protocol.connection_lost(None)

    assert application.headers == [
        {b"host": b"x", b"x-forwarded-for": b"192.0.2.1", b"transfer-encoding": b"chunked"}
    ]
    assert wire.calls[0].startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("trailers", [b"x-many: aaaaaa\r\n" * 4_096, b"a" * 65_536], ids=["many", "one"])
async def test_a_megabyte_of_trailers_is_refused(trailers: bytes):
    application, wire = Application(), Wire()
    protocol = protocol_for(application)
    protocol.connection_made(wire)

    protocol.data_received(CHUNKED + LAST_CHUNK + b"x-first: ")
    for _ in range(16):
        if not wire.is_closed:
            protocol.data_received(trailers)
    protocol.connection_lost(None)

    assert wire.is_closed
    assert wire.calls[0].startswith(b"HTTP/1.1 431 ")


async def test_the_parts_of_a_long_body_are_no_trailers():
    application, wire = Application(), Wire()
    protocol = protocol_for(application)
    protocol.connection_made(wire)

    protocol.data_received(CHUNKED)
    for _ in range(16):
        protocol.data_received(b"10000\r\n" + b"a" * 65_536 + b"\r\n")
        await asyncio.sleep(0)
    protocol.data_received(b"0\r\n\r\n")
    await asyncio.gather(*protocol.tasks)
    protocol.connection_lost(None)

    assert wire.calls[0].startswith(b"HTTP/1.1 200 ")
