"""A kept-alive connection that has died: when a request is sent again, and when it must not be."""

import asyncio
from collections.abc import Callable

import httpx
import pytest

from gateway.transport import TransportLimits
from tests.gateway.pooled_calls import (
    NOTHING_OPEN,
    call,
    pooled,
)
from tests.gateway.scripted_upstream import OK, Conversation, Script, scripted_upstream


def closing_after(answers: int, how: Callable[[Conversation], None]) -> Script:
    """Each connection answers so many requests and, on the next one, ends without a byte."""

    async def script(conversation: Conversation) -> None:
        for _ in range(answers):
            if not await conversation.request():
                return
            await conversation.send(OK)
        if await conversation.request():
            how(conversation)

    return script


@pytest.mark.parametrize("how", [Conversation.close, Conversation.reset])
async def test_a_request_on_a_stale_connection_is_sent_again_on_a_fresh_one(
    how: Callable[[Conversation], None],
) -> None:
    async with scripted_upstream(closing_after(1, how)) as upstream, pooled() as transport:
        bodies = [await call(transport, upstream.url, content=b"%d" % number) for number in range(4)]

        assert bodies == [b"ok"] * 4
        assert [request[-1:] for request in upstream.requests] == [b"0", b"1", b"1", b"2", b"2", b"3", b"3"]
        assert upstream.opened == 4


async def test_a_stale_connection_is_replaced_in_its_own_slot() -> None:
    limits = TransportLimits(connections=1)
    async with (
        scripted_upstream(closing_after(1, Conversation.close)) as upstream,
        pooled(limits=limits) as transport,
    ):
        bodies = await asyncio.gather(*(call(transport, upstream.url) for _ in range(20)))

        assert bodies == [b"ok"] * 20
        assert transport.occupancy().connections == 1


@pytest.mark.parametrize("how", [Conversation.close, Conversation.reset])
async def test_a_request_on_a_fresh_connection_is_sent_once(how: Callable[[Conversation], None]) -> None:
    async with scripted_upstream(closing_after(0, how)) as upstream, pooled() as transport:
        with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
            await call(transport, upstream.url)

        assert len(upstream.requests) == 1
        assert transport.occupancy() == NOTHING_OPEN


async def test_a_request_is_sent_a_second_time_but_not_a_third() -> None:
    async def script(conversation: Conversation) -> None:
        await conversation.request()
        if conversation.number == 1:
            await conversation.send(OK)
            await conversation.request()

    async with scripted_upstream(script) as upstream, pooled() as transport:
        await call(transport, upstream.url)
        with pytest.raises(httpx.RemoteProtocolError):
            await call(transport, upstream.url)

        assert len(upstream.requests) == 1 + 2


@pytest.mark.parametrize("beginning", [b"H", b"\r", b"HTTP/1.1 100 Continue\r\n\r\n"])
async def test_a_request_of_whose_answer_a_byte_has_come_is_not_sent_again(beginning: bytes) -> None:
    async def script(conversation: Conversation) -> None:
        await conversation.request()
        await conversation.send(OK)
        await conversation.request()
        await conversation.send(beginning)

    async with scripted_upstream(script) as upstream, pooled() as transport:
        await call(transport, upstream.url)
        with pytest.raises(httpx.RemoteProtocolError):
            await call(transport, upstream.url)

        assert len(upstream.requests) == 2


async def test_a_request_that_timed_out_on_a_reused_connection_is_not_sent_again() -> None:
    async def script(conversation: Conversation) -> None:
        await conversation.request()
        await conversation.send(OK)
        await conversation.gone()

    async with scripted_upstream(script) as upstream, pooled() as transport:
        await call(transport, upstream.url)
        with pytest.raises(httpx.ReadTimeout):
            await call(transport, upstream.url, read=0.05)

        assert upstream.opened == 1
        assert transport.occupancy() == NOTHING_OPEN
