"""The upstream of the benchmark: the simulator's bytes, rendered once and then sent from memory.

So cheap that it is not what is measured, and with an invoice of its own, by bearer key. What an
answer says is decided by `gateway.simulator`. Run: `python -m bench.upstream PORT`.
"""

import asyncio
import gc
import os
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import cast

import httptools
import orjson
import uvloop

from bench.pacing import Pacer
from gateway.simulator.chat import FailureCounts, script_chat
from gateway.simulator.script import Script, Step

BACKLOG = 4096
MAX_REMEMBERED_BODIES = 256
INVOICE_PATH, LINES_PATH, HEALTH_PATH = b"/invoice", b"/invoice/lines", b"/healthz"
# In a prompt: send what has no pause in one write. The simulator takes these words for plain text.
IN_ONE_WRITE = b"[[in one write]]"
STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\ncache-control: no-cache\r\ntransfer-encoding: chunked\r\n\r\n"
)
TOKEN = b'"delta":{"content":"'


@dataclass(frozen=True, slots=True)
class Write:
    """Bytes for the wire, the pause before them, and the output tokens that they hand over."""

    body: bytes
    pause_seconds: float = 0.0
    tokens: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    writes: tuple[Write, ...]
    prompt_tokens: int = 0


class Upstream:
    """What all connections share: the answers rendered so far, and what each key owes."""

    def __init__(self) -> None:
        self._answers: dict[bytes, Answer] = {}
        self._invoice: dict[str, Counter[str]] = {}
        self._lines: dict[str, tuple[int, int]] = {}

    def answer(self, body: bytes) -> Answer:
        """The answer to a chat request. The same bytes are answered from memory."""
        answer = self._answers.get(body)
        if answer is None:
            # Who is asking does not change the answer, so keys are not checked here.
            script = script_chat(body, key="any", failures=FailureCounts()).script
            if len(self._answers) >= MAX_REMEMBERED_BODIES:
                del self._answers[next(iter(self._answers))]
            answer = self._answers[body] = render(script, is_split=IN_ONE_WRITE not in body)
        return answer

    def bill(
        self, key: str, request_id: str, outcome: str, *, prompt_tokens: int, completion_tokens: int
    ) -> None:
        """Note one call that has ended; `outcome` is `completed` or `cancelled`."""
        if request_id:
            self._lines[request_id] = (prompt_tokens, completion_tokens)
        line = self._invoice.setdefault(key, Counter())
        line[outcome] += 1
        line["prompt_tokens"] += prompt_tokens
        line["completion_tokens"] += completion_tokens

    def invoice(self) -> Mapping[str, Mapping[str, int]]:
        """Sums by key."""
        return self._invoice

    def lines(self) -> Mapping[str, tuple[int, int]]:
        """Prompt and completion tokens of each call that brought an id of its own."""
        return self._lines


class Connection(asyncio.Protocol):
    """One client; one request at a time. The callbacks `on_…` are the parser's."""

    def __init__(self, upstream: Upstream, pacer: Pacer) -> None:
        self._upstream, self._pacer = upstream, pacer
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpRequestParser(self)
        self._answer: Answer | None = None
        self._is_paused = False
        self._begin()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._descriptor = transport.get_extra_info("socket").fileno()

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answer is not None:
            self._bill("cancelled")
            self._answer = None

    def pause_writing(self) -> None:
        self._is_paused = True

    def resume_writing(self) -> None:
        self._is_paused = False
        if self._answer is not None:
            self._schedule()

    def on_message_begin(self) -> None:
        self._begin()

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if len(name) == 13 and name.lower() == b"authorization":
            self._key = value.decode("latin-1").removeprefix("Bearer ")
        elif len(name) == 20 and name.lower() == b"x-farebox-request-id":
            self._request_id = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        if self._url == INVOICE_PATH:
            self._transport.write(whole(orjson.dumps(self._upstream.invoice())))
        elif self._url == LINES_PATH:
            self._transport.write(whole(orjson.dumps(self._upstream.lines())))
        elif self._url == HEALTH_PATH:
            self._transport.write(whole(b'{"status":"ok"}'))
        else:
            self._start(self._upstream.answer(b"".join(self._body)))

    def _begin(self) -> None:
        self._url, self._key, self._request_id = b"", "", ""
        self._body: list[bytes] = []

    def _start(self, answer: Answer) -> None:
        self._answer, self._sent, self._tokens = answer, 0, 0
        self._due = self._loop.time()
        self._send_next()

    def _send_next(self) -> None:
        """One write a tick, as a provider that has each token at another moment."""
        answer = self._answer
        if answer is None or self._transport.is_closing():
            return
        write = answer.writes[self._sent]
        self._write(write.body)
        self._tokens += write.tokens
        self._sent += 1
        if self._sent == len(answer.writes):
            self._bill("completed")
            self._answer = None
        elif not self._is_paused:
            self._schedule()

    def _write(self, body: bytes) -> None:
        """To the kernel at once, not at the end of this turn; what does not fit is left to the transport."""
        sent = 0
        if not self._transport.get_write_buffer_size():
            try:
                sent = os.write(self._descriptor, body)
            except OSError:
                sent = 0
        if sent < len(body):
            self._transport.write(body[sent:])

    def _schedule(self) -> None:
        assert self._answer is not None
        pause_seconds = self._answer.writes[self._sent].pause_seconds
        if pause_seconds:
            # Kept against the clock, so that a late write does not slow the rest down.
            self._due += pause_seconds
            self._pacer.call_at(self._due, self._send_next)
        else:
            self._loop.call_soon(self._send_next)

    def _bill(self, outcome: str) -> None:
        assert self._answer is not None
        self._upstream.bill(
            self._key,
            self._request_id,
            outcome,
            prompt_tokens=self._answer.prompt_tokens,
            completion_tokens=self._tokens,
        )


def render(script: Script, *, is_split: bool) -> Answer:
    """The script as bytes of HTTP/1.1: whole and streamed answers without faults.

    With `is_split` each event is a write of its own, as from a model that has its tokens one by one.
    """
    if script.declared_bytes is not None:
        (step,) = script.steps
        answer = whole(step.body, status=script.status, content_type=script.content_type)
        return Answer((Write(answer, step.wait_seconds, step.output_tokens),), script.prompt_tokens)
    writes = [Write(STREAM_HEAD % script.content_type.encode())]
    for step in script.steps:
        as_one = Write(chunk(step.body), step.wait_seconds, step.output_tokens)
        writes.extend(split(step) if is_split else [as_one])
    writes[-1] = replace(writes[-1], body=writes[-1].body + b"0\r\n\r\n")
    return Answer(tuple(writes), script.prompt_tokens)


def split(step: Step) -> list[Write]:
    """One write for each event of a step; the first comes after the step's pause."""
    events = [event + b"\n\n" for event in step.body.split(b"\n\n")[:-1]]
    pauses = [step.wait_seconds] + [0.0] * (len(events) - 1)
    return [
        Write(chunk(event), pause_seconds, int(TOKEN in event))
        for event, pause_seconds in zip(events, pauses, strict=True)
    ]


def chunk(body: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(body), body)


def whole(body: bytes, *, status: int = 200, content_type: str = "application/json") -> bytes:
    """An answer with its length declared."""
    head = b"HTTP/1.1 %d Answer\r\ncontent-type: %b\r\ncontent-length: %d\r\n\r\n"
    return head % (status, content_type.encode(), len(body)) + body


async def serve(port: int) -> None:
    """Listen on 127.0.0.1 until this process is ended."""
    upstream, pacer = Upstream(), Pacer()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(upstream, pacer), "127.0.0.1", port, backlog=BACKLOG)
    gc.freeze()
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
