"""Plays a script to one client over ASGI, and sees at once when the client leaves.

What is played is decided in script.py; what was handed over is noted on the call's line of the invoice.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager, suppress
from typing import Any

from gateway.simulator.dialect.openai import fill_holes
from gateway.simulator.invoice import Call, Outcome
from gateway.simulator.script import Ending, Script, Slicing, Step, slice_body

MAX_STALL_SECONDS = 600.0
MAX_CLOSE_SECONDS = 5.0
SLICE_PAUSE_SECONDS = 0.001

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class ClientLeft(Exception):
    """The client closed its connection before the answer was complete."""


async def play(script: Script, call: Call, *, receive: Receive, send: Send) -> Outcome:
    """Gives the outcome and fills the call's token counts. Raises ClientLeft.

    An answer that does not end as it should leaves its connection open: see break_connection.
    """
    if not script.is_immediate:
        return await _play_watched(script, call, receive, send)
    step = script.steps[0]
    _bill_prompt(call, script)
    await send(_start_message(script, call))
    await send(_body_message(_filled(step.body, call), more=False))
    _bill_output(call, step)
    return script.outcome


async def break_connection(*, receive: Receive, send: Send) -> None:
    """Close the client's connection in the middle of things, for which ASGI has no message.

    uvicorn's `send` is a method of an object that holds the transport (uvicorn 0.54, both HTTP
    implementations). Under another server the call just returns unfinished, which closes it as well.
    """
    transport = getattr(getattr(send, "__self__", None), "transport", None)
    if transport is not None:
        transport.close()
        with suppress(TimeoutError):
            await asyncio.wait_for(_until_disconnect(receive), MAX_CLOSE_SECONDS)


async def _play_watched(script: Script, call: Call, receive: Receive, send: Send) -> Outcome:
    remaining = deque(script.steps)
    async with _watch(receive) as gone:
        try:
            _bill_prompt(call, script)
            await _wait(gone, script.header_delay_seconds)
            if script.starts:
                await send(_start_message(script, call))
                await _play_steps(remaining, script, call, gone, send)
        except ClientLeft:
            if script.ignores_cancel:
                _bill_all(call, remaining)
            raise
        _bill_all(call, remaining)
        return await _end(script, gone, send)


async def _play_steps(
    remaining: deque[Step], script: Script, call: Call, gone: asyncio.Task[None], send: Send
) -> None:
    """Waits are kept against the clock, so that a slow write does not slow down the whole stream."""
    clock = asyncio.get_running_loop().time
    due = clock()
    while remaining:
        step = remaining[0]
        due += step.wait_seconds
        await _wait(gone, due - clock())
        await _send_body(_filled(step.body, call), script.slicing, gone, send)
        _bill_output(call, remaining.popleft())


async def _send_body(body: bytes, slicing: Slicing, gone: asyncio.Task[None], send: Send) -> None:
    if slicing is Slicing.WHOLE:
        await send(_body_message(body, more=True))
        return
    pause_seconds = SLICE_PAUSE_SECONDS if slicing is Slicing.INSIDE_CHARACTERS else 0.0
    for piece in slice_body(body, slicing):
        await send(_body_message(piece, more=True))
        await _wait(gone, pause_seconds)


async def _end(script: Script, gone: asyncio.Task[None], send: Send) -> Outcome:
    if script.ending is Ending.COMPLETE:
        await send(_body_message(b"", more=False))
        return script.outcome
    if script.ending is Ending.STALL:
        await _wait(gone, MAX_STALL_SECONDS)
    return script.outcome


async def _wait(gone: asyncio.Task[None], seconds: float) -> None:
    """Wait, but not a moment longer than the client does; at least let the loop see what has arrived."""
    if seconds > 0:
        await asyncio.wait({gone}, timeout=seconds)
    else:
        await asyncio.sleep(0)
    if gone.done():
        raise ClientLeft


@asynccontextmanager
async def _watch(receive: Receive) -> AsyncIterator[asyncio.Task[None]]:
    gone = asyncio.create_task(_until_disconnect(receive))
    try:
        yield gone
    finally:
        gone.cancel()


async def _until_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _start_message(script: Script, call: Call) -> Message:
    headers = [(b"content-type", script.content_type.encode()), (b"x-request-id", call.id.encode())]
    if script.declared_bytes is not None:
        headers.append((b"content-length", b"%d" % script.declared_bytes))
    else:
        headers.append((b"cache-control", b"no-cache"))
    headers += [(name.encode(), value.encode()) for name, value in script.headers]
    return {"type": "http.response.start", "status": script.status, "headers": headers}


def _body_message(body: bytes, *, more: bool) -> Message:
    return {"type": "http.response.body", "body": body, "more_body": more}


def _filled(body: bytes, call: Call) -> bytes:
    return fill_holes(body, response_id=call.id, created=int(call.started_at))


def _bill_prompt(call: Call, script: Script) -> None:
    call.status = script.status if script.starts else 0
    call.prompt_tokens, call.cached_tokens = script.prompt_tokens, script.cached_tokens


def _bill_output(call: Call, step: Step) -> None:
    call.completion_tokens += step.output_tokens
    call.reasoning_tokens += step.reasoning_tokens


def _bill_all(call: Call, steps: deque[Step]) -> None:
    for step in steps:
        _bill_output(call, step)
