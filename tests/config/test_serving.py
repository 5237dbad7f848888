"""How our servers speak HTTP: a head waits for its body, but never for longer than a turn of the loop."""

import asyncio

from config.serving import HeadHoldingTransport

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

    def get_write_buffer_size(self) -> int:
        return 7


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
