"""Pressure: streams rest while their process is behind its work, and nothing of them is lost."""

import asyncio

from gateway.pressure import (
    LATE_SECONDS,
    LONGEST_REST_SECONDS,
    STEP_SECONDS,
    TICK_SECONDS,
    Pressure,
    next_rest,
)
from gateway.upstream_connection import UpstreamAnswer
from tests.gateway.pooled_calls import pooled, post
from tests.gateway.scripted_upstream import Conversation, scripted_upstream

HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def test_a_loop_that_keeps_up_lets_nothing_rest():
    assert next_rest(0.0, late_seconds=LATE_SECONDS) == 0.0


def test_a_late_loop_lets_streams_rest_ever_longer_up_to_a_bound():
    rest, rests = 0.0, []

    for _ in range(40):
        rest = next_rest(rest, late_seconds=LATE_SECONDS + 0.001)
        rests.append(rest)

    assert rests[0] == STEP_SECONDS
    assert rests == sorted(rests)
    assert rests[-1] == LONGEST_REST_SECONDS


def test_rest_ends_by_itself_once_the_loop_keeps_up():
    rest, rounds = LONGEST_REST_SECONDS, 0

    while rest:
        rest = next_rest(rest, late_seconds=0.0)
        rounds += 1

    assert 10 < rounds < 200


async def test_a_loop_that_is_held_up_is_noticed():
    pressure = Pressure()
    measuring = asyncio.create_task(pressure.run())
    await asyncio.sleep(0)

    while not pressure.rest_seconds:
        # What a process with too many streams does in one turn of its loop.
        begun = asyncio.get_running_loop().time()
        while asyncio.get_running_loop().time() < begun + TICK_SECONDS + 2 * LATE_SECONDS:
            pass
        await asyncio.sleep(0)

    measuring.cancel()
    assert pressure.rest_seconds >= STEP_SECONDS


async def test_what_arrives_while_a_stream_rests_comes_in_one_read_and_whole() -> None:
    is_resting = asyncio.Event()

    async def in_pieces(conversation: Conversation) -> None:
        await conversation.request()
        await conversation.send(HEAD, b"1\r\na\r\n")
        await is_resting.wait()
        await conversation.send(*[b"1\r\nb\r\n"] * 50, b"0\r\n\r\n")

    async with scripted_upstream(in_pieces) as upstream, pooled() as transport:
        response = await transport.handle_async_request(post(upstream.url))
        stream = response.stream
        assert isinstance(stream, UpstreamAnswer)
        first = await anext(stream)
        stream.rest(0.2)
        is_resting.set()
        reads = [read async for read in stream]

    assert first == b"a"
    assert b"".join(reads) == b"b" * 50
    assert len(reads) == 1


async def test_a_stream_that_is_left_while_it_rests_gives_its_connection_up() -> None:
    async def endless(conversation: Conversation) -> None:
        await conversation.request()
        await conversation.send(HEAD, b"1\r\na\r\n")
        await conversation.gone()

    async with scripted_upstream(endless) as upstream, pooled() as transport:
        response = await transport.handle_async_request(post(upstream.url))
        stream = response.stream
        assert isinstance(stream, UpstreamAnswer)
        await anext(stream)
        stream.rest(30.0)
        await stream.aclose()

        assert transport.occupancy().connections == 0
