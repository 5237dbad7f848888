"""The pool: whose a connection is, and that no cancellation costs a slot."""

import asyncio
import random
from collections.abc import Sequence

import httpx
import pytest

from gateway.egress import EgressPolicy
from gateway.transport import PooledTransport, PoolOccupancy, TransportLimits
from tests.gateway.pooled_calls import (
    CHUNKED_HEAD,
    LAST_CHUNK,
    NOTHING_OPEN,
    body_of,
    call,
    pooled,
    post,
    resolving,
    until,
)
from tests.gateway.scripted_upstream import OK, Conversation, answering, scripted_upstream


async def test_a_connection_is_used_again() -> None:
    async with scripted_upstream(answering(OK)) as upstream, pooled() as transport:
        bodies = [await call(transport, upstream.url) for _ in range(20)]

        assert bodies == [b"ok"] * 20
        assert (upstream.opened, len(upstream.requests)) == (1, 20)
        assert transport.occupancy() == PoolOccupancy(connections=1, idle=1, waiting=0)


async def test_the_newest_idle_connection_is_used_first_so_that_the_others_can_expire() -> None:
    async def script(conversation: Conversation) -> None:
        while await conversation.request():
            await conversation.send(CHUNKED_HEAD)
            if len(upstream.requests) < 3:
                await endings[conversation.number].wait()
            await conversation.send(b"1\r\n%d\r\n" % conversation.number + LAST_CHUNK)

    endings = {1: asyncio.Event(), 2: asyncio.Event()}
    async with scripted_upstream(script) as upstream, pooled() as transport:
        first = await transport.handle_async_request(post(upstream.url))
        second = await transport.handle_async_request(post(upstream.url))
        endings[2].set()
        bodies = [await body_of(second)]
        endings[1].set()
        bodies.append(await body_of(first))

        assert bodies == [b"2", b"1"]
        assert [await call(transport, upstream.url) for _ in range(3)] == [b"1"] * 3


async def test_origins_do_not_share_connections() -> None:
    async with (
        scripted_upstream(answering(OK)) as one,
        scripted_upstream(answering(OK)) as other,
        pooled() as transport,
    ):
        await call(transport, one.url)
        await call(transport, other.url)
        await call(transport, one.url.replace("127.0.0.1", "localhost"))

        assert (one.opened, other.opened) == (2, 1)


async def test_there_are_never_more_connections_than_the_limit() -> None:
    limits = TransportLimits(connections=4)
    async with scripted_upstream(answering(OK)) as upstream, pooled(limits=limits) as transport:
        bodies = await asyncio.gather(*(call(transport, upstream.url) for _ in range(100)))

        assert bodies == [b"ok"] * 100
        assert upstream.most_open == 4
        assert transport.occupancy() == PoolOccupancy(connections=4, idle=4, waiting=0)


async def test_those_who_wait_are_served_in_their_order() -> None:
    served: list[int] = []
    async with (
        scripted_upstream(answering(OK)) as upstream,
        pooled(limits=TransportLimits(connections=1)) as transport,
    ):

        async def one(number: int) -> None:
            await call(transport, upstream.url)
            served.append(number)

        await asyncio.gather(*(one(number) for number in range(20)))

        assert served == list(range(20))


async def test_only_so_many_connections_stay_idle() -> None:
    limits = TransportLimits(idle_connections=2)
    async with scripted_upstream(answering(OK)) as upstream, pooled(limits=limits) as transport:
        responses = [await transport.handle_async_request(post(upstream.url)) for _ in range(5)]
        for response in responses:
            await response.aclose()

        assert transport.occupancy().idle == transport.occupancy().connections <= 2


async def test_an_idle_connection_expires_and_leaves_nothing_behind() -> None:
    limits = TransportLimits(idle_seconds=0.05)
    async with scripted_upstream(answering(OK)) as upstream, pooled(limits=limits) as transport:
        await call(transport, upstream.url)
        was_idle = transport.occupancy().idle

        await until(lambda: transport.occupancy().connections == 0 and upstream.open_now == 0)

        assert was_idle == 1
        assert transport._origins == {}


async def test_a_connection_that_the_server_closes_while_idle_leaves_the_pool() -> None:
    async def script(conversation: Conversation) -> None:
        await conversation.request()
        await conversation.send(OK)

    async with scripted_upstream(script) as upstream, pooled() as transport:
        await call(transport, upstream.url)

        await until(lambda: transport.occupancy().connections == 0)


async def test_a_connection_that_speaks_unasked_while_idle_is_closed() -> None:
    async def script(conversation: Conversation) -> None:
        await conversation.request()
        await conversation.send(OK, b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
        await conversation.gone()

    async with scripted_upstream(script) as upstream, pooled() as transport:
        first = await call(transport, upstream.url)
        await until(lambda: transport.occupancy().connections == 0)
        second = await call(transport, upstream.url)

        assert (first, second, upstream.opened) == (b"ok", b"ok", 2)


@pytest.mark.parametrize("leftover", [b"x", b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", b"HTTP/1"])
async def test_bytes_after_the_answer_are_never_the_next_answer(leftover: bytes) -> None:
    async with scripted_upstream(answering(OK + leftover)) as upstream, pooled() as transport:
        bodies = [await call(transport, upstream.url) for _ in range(5)]

        assert bodies == [b"ok"] * 5
        assert upstream.opened == 5


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
    ],
)
async def test_a_connection_is_not_used_again_if_the_server_says_so(answer: bytes) -> None:
    async with scripted_upstream(answering(answer)) as upstream, pooled() as transport:
        bodies = [await call(transport, upstream.url) for _ in range(3)]

        assert bodies == [b"ok"] * 3
        assert upstream.opened == 3
        assert transport.occupancy() == NOTHING_OPEN


async def test_an_answer_not_read_to_its_end_takes_its_connection_with_it() -> None:
    async def script(conversation: Conversation) -> None:
        await conversation.request()
        await conversation.send(CHUNKED_HEAD, b"1\r\na\r\n")
        await conversation.gone()

    async with scripted_upstream(script) as upstream, pooled() as transport:
        response = await transport.handle_async_request(post(upstream.url))
        chunks = aiter(response.stream)
        first = await anext(chunks)
        await response.aclose()
        await until(lambda: upstream.open_now == 0)

        assert first == b"a"
        assert transport.occupancy() == NOTHING_OPEN
        with pytest.raises(httpx.StreamClosed):
            await anext(chunks)


async def test_a_closed_answer_gives_nothing_more_although_it_had_arrived() -> None:
    async with scripted_upstream(answering(OK)) as upstream, pooled() as transport:
        response = await transport.handle_async_request(post(upstream.url))
        await response.aclose()

        with pytest.raises(httpx.StreamClosed):
            await anext(aiter(response.stream))
        assert transport.occupancy() == PoolOccupancy(connections=1, idle=1, waiting=0)


async def test_a_request_that_finds_no_free_connection_gives_up_and_harms_nobody() -> None:
    release = asyncio.Event()

    async def script(conversation: Conversation) -> None:
        while await conversation.request():
            await conversation.send(CHUNKED_HEAD)
            await release.wait()
            await conversation.send(LAST_CHUNK)

    async with (
        scripted_upstream(script) as upstream,
        pooled(limits=TransportLimits(connections=1)) as transport,
    ):
        first = await transport.handle_async_request(post(upstream.url))
        with pytest.raises(httpx.PoolTimeout):
            await call(transport, upstream.url, pool=0.05)
        waiting = asyncio.create_task(call(transport, upstream.url))
        await until(lambda: transport.occupancy().waiting == 1)
        release.set()

        assert (await body_of(first), await waiting) == (b"", b"")
        assert transport.occupancy() == PoolOccupancy(connections=1, idle=1, waiting=0)


async def test_a_waiter_cancelled_as_its_turn_comes_passes_it_on() -> None:
    async with (
        scripted_upstream(answering(OK)) as upstream,
        pooled(limits=TransportLimits(connections=1)) as transport,
    ):
        first = await transport.handle_async_request(post(upstream.url))
        origin = next(iter(transport._origins.values()))
        for ending in ("give_back", "close"):
            connection = await origin.acquire(1)
            cancelled = asyncio.create_task(call(transport, upstream.url))
            served = asyncio.create_task(call(transport, upstream.url))
            await until(lambda: transport.occupancy().waiting == 2)
            if ending == "give_back":
                origin.give_back(connection)
            else:
                connection.close()
            cancelled.cancel()

            assert await served == b"ok"
            with pytest.raises(asyncio.CancelledError):
                await cancelled
        assert await body_of(first) == b"ok"
        assert transport.occupancy() == PoolOccupancy(connections=1, idle=1, waiting=0)


async def test_closing_the_transport_ends_everything_that_is_in_flight() -> None:
    async def script(conversation: Conversation) -> None:
        await conversation.request()
        if conversation.number == 1:
            await conversation.send(CHUNKED_HEAD)
        await conversation.gone()

    async def stuck(host: str, port: int, *, policy: EgressPolicy, is_encrypted: bool) -> Sequence[str]:
        if host == "slow.example":
            await asyncio.Event().wait()
        return ["127.0.0.1"]

    async with (
        scripted_upstream(script) as upstream,
        pooled(limits=TransportLimits(connections=2), resolve=stuck) as transport,
    ):
        streaming = await transport.handle_async_request(post(upstream.url))
        heading = asyncio.create_task(call(transport, upstream.url))
        await until(lambda: len(upstream.requests) == 2)
        waiting = asyncio.create_task(call(transport, upstream.url))
        await until(lambda: transport.occupancy().waiting == 1)
        await transport.aclose()

        with pytest.raises(httpx.ReadError):
            await body_of(streaming)
        with pytest.raises(httpx.ReadError):
            await heading
        for late in (waiting, asyncio.create_task(call(transport, upstream.url))):
            with pytest.raises(httpx.ConnectError):
                await late
        await until(lambda: upstream.open_now == 0)
        assert transport.occupancy() == NOTHING_OPEN


async def test_a_connection_being_opened_as_the_transport_closes_is_closed_too() -> None:
    async def slow(host: str, port: int, *, policy: EgressPolicy, is_encrypted: bool) -> Sequence[str]:
        await has_closed.wait()
        return ["127.0.0.1"]

    has_closed = asyncio.Event()
    async with scripted_upstream(answering(OK)) as upstream, pooled(resolve=slow) as transport:
        opening = asyncio.create_task(call(transport, upstream.url))
        await until(lambda: transport.occupancy().connections == 1)
        await transport.aclose()
        has_closed.set()

        with pytest.raises(httpx.ConnectError):
            await opening
        assert transport.occupancy() == NOTHING_OPEN
        await until(lambda: (upstream.opened, upstream.open_now) == (1, 0))


async def moody(conversation: Conversation) -> None:
    """Answers at once, late, in pieces, without an end, or not at all."""
    mood = random.Random(conversation.number)
    while request := await conversation.request():
        if b"/good" in request:
            await conversation.send(OK)
            continue
        choice = mood.random()
        if choice < 0.05:
            return
        if choice < 0.1:
            await conversation.gone()
            return
        if choice < 0.5:
            await asyncio.sleep(mood.random() * 0.002)
            await conversation.send(OK)
        else:
            await conversation.send(CHUNKED_HEAD)
            for _ in range(mood.randrange(5)):
                await conversation.send(b"2\r\nhi\r\n")
                await asyncio.sleep(mood.random() * 0.001)
            await conversation.send(LAST_CHUNK)


async def test_the_pool_survives_ten_thousand_cancellations_at_random_points() -> None:
    chance = random.Random(20261121)
    cancelled = 0

    async def leave_early(transport: PooledTransport, url: str) -> None:
        nonlocal cancelled
        while cancelled < 10_000:
            task = asyncio.create_task(call(transport, url))
            # Counted in turns of the loop, which upstream and transport share: a slow machine has as many.
            for _ in range(round(chance.choice((6, 40)) * chance.random() ** 2)):
                await asyncio.sleep(0)
            task.cancel()
            outcome = (await asyncio.gather(task, return_exceptions=True))[0]
            cancelled += isinstance(outcome, asyncio.CancelledError)
            assert isinstance(outcome, bytes | asyncio.CancelledError | httpx.RemoteProtocolError)

    limits, resolve = TransportLimits(connections=10), resolving("127.0.0.1")
    async with (
        scripted_upstream(moody) as upstream,
        pooled(limits=limits, resolve=resolve) as transport,
    ):
        await asyncio.gather(*(leave_early(transport, upstream.url) for _ in range(30)))
        bodies = await asyncio.gather(*(call(transport, f"{upstream.url}/good") for _ in range(60)))
        after = transport.occupancy()

        assert bodies == [b"ok"] * 60
        assert after == PoolOccupancy(connections=after.idle, idle=after.idle, waiting=0)
        assert len(upstream.requests) > 2_000
        await until(lambda: upstream.open_now == after.idle)
