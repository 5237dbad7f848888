"""One connection: how long anything may take, and how much may pile up."""

import asyncio
import random
from collections.abc import AsyncGenerator
from hashlib import sha256

import httpx
import pytest

from gateway.http1 import AnswerLimits
from gateway.transport import TransportLimits
from tests.gateway.pooled_calls import (
    CHUNKED_HEAD,
    LAST_CHUNK,
    NOTHING_OPEN,
    UNGUARDED,
    body_of,
    call,
    pooled,
    post,
    until,
)
from tests.gateway.scripted_upstream import OK, Conversation, answering, scripted_upstream


async def test_each_read_has_its_own_time() -> None:
    async def script(conversation: Conversation) -> None:
        await conversation.request()
        for piece in (CHUNKED_HEAD[:9], CHUNKED_HEAD[9:20], CHUNKED_HEAD[20:]):
            await asyncio.sleep(0.15)
            await conversation.send(piece)
        for _ in range(10):
            await asyncio.sleep(0.05)
            await conversation.send(b"1\r\na\r\n")
        await conversation.gone()

    async with scripted_upstream(script) as upstream, pooled() as transport:
        response = await transport.handle_async_request(post(upstream.url, read=0.3))
        chunks = aiter(response.stream)
        first_ten = [await anext(chunks) for _ in range(10)]
        with pytest.raises(httpx.ReadTimeout):
            await anext(chunks)

        assert first_ten == [b"a"] * 10
        assert transport.occupancy() == NOTHING_OPEN


async def test_a_reader_who_takes_his_time_is_not_timed_out() -> None:
    async def script(conversation: Conversation) -> None:
        await conversation.request()
        await conversation.send(CHUNKED_HEAD + b"1\r\na\r\n")
        await may_end.wait()
        await conversation.send(LAST_CHUNK)

    may_end = asyncio.Event()
    async with scripted_upstream(script) as upstream, pooled() as transport:
        response = await transport.handle_async_request(post(upstream.url, read=0.05))
        await asyncio.sleep(0.15)
        may_end.set()

        assert await body_of(response) == b"a"


async def test_a_server_that_does_not_take_the_request_is_given_up() -> None:
    async def script(conversation: Conversation) -> None:
        conversation.writer.transport.pause_reading()
        await asyncio.Event().wait()

    async with scripted_upstream(script) as upstream, pooled() as transport:
        with pytest.raises(httpx.WriteTimeout):
            async with asyncio.timeout(10):
                await call(transport, upstream.url, content=bytes(20_000_000), write=0.1, read=None)

        assert transport.occupancy() == NOTHING_OPEN


async def test_a_large_request_arrives_whole_although_the_server_reads_slowly() -> None:
    content = random.Random(7).randbytes(8_000_000)

    async def script(conversation: Conversation) -> None:
        while request := await conversation.request():
            digest = sha256(request.partition(b"\r\n\r\n")[2]).hexdigest().encode()
            await conversation.send(b"HTTP/1.1 200 OK\r\nContent-Length: 64\r\n\r\n" + digest)

    async with scripted_upstream(script) as upstream, pooled() as transport:
        digests = [await call(transport, upstream.url, content=content) for _ in range(2)]

        assert digests == [sha256(content).hexdigest().encode()] * 2
        assert upstream.opened == 1


async def test_an_answer_that_comes_before_the_request_has_gone_is_taken_and_the_connection_is_not() -> None:
    async def script(conversation: Conversation) -> None:
        conversation.writer.transport.pause_reading()
        await conversation.send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
        await asyncio.Event().wait()

    async with scripted_upstream(script) as upstream, pooled() as transport:
        response = await transport.handle_async_request(post(upstream.url, content=bytes(20_000_000)))

        assert (response.status_code, await body_of(response)) == (413, b"no")
        assert transport.occupancy() == NOTHING_OPEN


async def test_a_body_that_is_a_stream_is_sent_with_its_length() -> None:
    async def pieces() -> AsyncGenerator[bytes]:
        yield b"one "
        yield b"two"

    async with scripted_upstream(answering(OK)) as upstream, pooled() as transport:
        request = httpx.Request("POST", upstream.url, content=pieces(), extensions={"egress": UNGUARDED})
        await body_of(await transport.handle_async_request(request))

        head, _, body = upstream.requests[0].partition(b"\r\n\r\n")
        assert b"Content-Length: 7" in head
        assert b"ransfer-" not in head
        assert body == b"one two"


async def test_a_stalled_reader_costs_a_bounded_amount_of_memory_and_loses_nothing() -> None:
    chunk = random.Random(9).randbytes(65_536)
    rounds = 50_000_000 // len(chunk)
    expected = sha256(chunk * rounds).hexdigest()

    async def script(conversation: Conversation) -> None:
        if b"/small" in await conversation.request():
            await conversation.send(OK)
            return
        await conversation.send(CHUNKED_HEAD)
        for _ in range(rounds):
            conversation.writer.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
            await conversation.writer.drain()
        await conversation.send(LAST_CHUNK)

    limits = TransportLimits(answer=AnswerLimits(buffered_bytes=100_000))
    async with scripted_upstream(script) as upstream, pooled(limits=limits) as transport:
        response = await transport.handle_async_request(post(upstream.url))
        await until(lambda: response.stream.unread_bytes > 100_000)
        for _ in range(50):
            assert await call(transport, f"{upstream.url}/small") == b"ok"
        most_unread = response.stream.unread_bytes
        digest, total = sha256(), 0
        async for piece in response.stream:
            most_unread = max(most_unread, response.stream.unread_bytes)
            total += len(piece)
            digest.update(piece)

        assert most_unread <= 100_000 + 256 * 1024
        assert (total, digest.hexdigest()) == (rounds * len(chunk), expected)


async def test_a_connection_that_was_held_back_is_used_again() -> None:
    limits = TransportLimits(answer=AnswerLimits(buffered_bytes=10))
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"
    async with (
        scripted_upstream(answering(answer, b"a" * 999, b"b")) as upstream,
        pooled(limits=limits) as transport,
    ):
        for _ in range(3):
            response = await transport.handle_async_request(post(upstream.url))
            await until(lambda response=response: response.stream.unread_bytes == 999)
            assert await body_of(response) == b"a" * 999 + b"b"

        assert upstream.opened == 1


async def test_what_arrives_in_one_read_is_given_in_one_piece() -> None:
    event = b"5\r\nabcd\n\r\n"
    async with (
        scripted_upstream(answering(CHUNKED_HEAD + event, event * 3, event + LAST_CHUNK)) as upstream,
        pooled() as transport,
    ):
        response = await transport.handle_async_request(post(upstream.url))

        assert [piece async for piece in response.stream] == [b"abcd\n", b"abcd\n" * 3, b"abcd\n"]


async def test_a_stream_has_one_reader() -> None:
    async def script(conversation: Conversation) -> None:
        await conversation.request()
        await conversation.send(CHUNKED_HEAD)
        await conversation.gone()

    async with scripted_upstream(script) as upstream, pooled() as transport:
        response = await transport.handle_async_request(post(upstream.url))
        first = asyncio.ensure_future(anext(aiter(response.stream)))
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError):
            await anext(aiter(response.stream))
        await response.aclose()

        with pytest.raises(httpx.StreamClosed):
            await first
