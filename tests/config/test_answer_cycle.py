"""The head of an answer is what uvicorn would write, byte for byte, or is written by uvicorn."""

import asyncio
import logging
from typing import Any

import pytest
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from config.answer_cycle import AnswerCycle

DATE = (b"date", b"Fri, 27 Nov 2026 12:00:00 GMT")
TEXT = (b"Content-Type", b"text/plain; charset=utf-8")
LENGTH = (b"content-length", b"5")
BODY = b"hello"


class Wire:
    """The transport below, which notes what is written."""

    def __init__(self) -> None:
        self.written = b""
        self.is_closed = False

    def write(self, data: bytes) -> None:
        self.written += data

    def close(self) -> None:
        self.is_closed = True


def cycle_of(kind: type[RequestResponseCycle], wire: Wire, *, method: str, keeps_alive: bool) -> Any:
    return kind(
        scope={"type": "http", "method": method},
        transport=wire,
        flow=FlowControl(wire),
        logger=logging.getLogger("uvicorn.error"),
        access_logger=logging.getLogger("uvicorn.access"),
        access_log=False,
        default_headers=[DATE],
        message_event=asyncio.Event(),
        expect_100_continue=False,
        keep_alive=keeps_alive,
        on_response=lambda: None,
    )


async def answer(
    kind: type[RequestResponseCycle],
    headers: list[tuple[bytes, bytes]],
    *,
    status: int = 200,
    method: str = "POST",
    keeps_alive: bool = True,
    pieces: tuple[bytes, ...] = (BODY,),
) -> tuple[bytes, bool, str]:
    """What went over the wire, whether it was closed, and the error if there was one."""
    wire = Wire()
    cycle = cycle_of(kind, wire, method=method, keeps_alive=keeps_alive)
    try:
        await cycle.send({"type": "http.response.start", "status": status, "headers": headers})
        for piece in pieces:
            await cycle.send({"type": "http.response.body", "body": piece, "more_body": True})
        await cycle.send({"type": "http.response.body", "body": b"", "more_body": False})
    except RuntimeError as error:
        return wire.written, wire.is_closed, str(error)
    return wire.written, wire.is_closed, ""


@pytest.mark.parametrize(
    "case",
    [
        {"headers": [TEXT, LENGTH]},
        {"headers": [TEXT]},
        {"headers": []},
        {"headers": [TEXT, LENGTH], "status": 404},
        {"headers": [TEXT, LENGTH], "status": 599},
        {"headers": [TEXT, LENGTH], "keeps_alive": False},
        {"headers": [TEXT, LENGTH, (b"connection", b"close")]},
        {"headers": [TEXT, (b"Connection", b"Keep-Alive, Close")]},
        {"headers": [TEXT, (b"transfer-encoding", b"chunked")]},
        {"headers": [TEXT, (b"Content-Length", b"5")]},
        {"headers": [TEXT, LENGTH], "method": "HEAD"},
        {"headers": [], "status": 204, "pieces": ()},
        {"headers": [(b"etag", b'"x"')], "status": 304, "pieces": ()},
        {"headers": [TEXT], "pieces": (b"a", b"", b"b" * 70_000)},
        {"headers": [TEXT, LENGTH], "pieces": (b"hel", b"lo")},
        {"headers": [TEXT, LENGTH], "pieces": (b"too long",)},
        {"headers": [TEXT, LENGTH], "pieces": (b"hi",)},
        {"headers": [(b"x-tab", b"a\tb"), (b"x-latin", b"\xe9\xff"), (b"x-empty", b""), LENGTH]},
        {"headers": [(b"x-injected", b"a\r\nset-cookie: b"), LENGTH]},
        {"headers": [(b"x-injected", b"a\nb"), LENGTH]},
        {"headers": [(b"x-injected", b"a\rb"), LENGTH]},
        {"headers": [(b"x-injected", b"a\0b"), LENGTH]},
        {"headers": [(b"x a", b"b"), LENGTH]},
        {"headers": [(b"x\r\ny", b"b"), LENGTH]},
        {"headers": [(b"x:", b"b"), LENGTH]},
    ],
    ids=str,
)
async def test_the_bytes_are_uvicorns(case: dict[str, Any]) -> None:
    theirs = await answer(RequestResponseCycle, **case)
    ours = await answer(AnswerCycle, **case)

    assert ours == theirs


async def test_an_ordinary_head_is_not_left_to_uvicorn(monkeypatch: pytest.MonkeyPatch) -> None:
    starts: list[str] = []

    async def send(cycle: Any, message: Any) -> None:
        starts.append(message["type"])

    monkeypatch.setattr(RequestResponseCycle, "send", send)
    await answer(AnswerCycle, [TEXT, LENGTH])

    assert starts == ["http.response.body", "http.response.body"]


async def test_an_answer_begins_once() -> None:
    cycle = cycle_of(AnswerCycle, Wire(), method="GET", keeps_alive=True)
    start = {"type": "http.response.start", "status": 200, "headers": [LENGTH]}
    await cycle.send(start)

    with pytest.raises(RuntimeError, match=r"Expected ASGI message 'http\.response\.body'"):
        await cycle.send(start)
