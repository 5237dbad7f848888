"""A Redis that is there but cannot serve is taken for away; other errors stay what they are."""

import asyncio

import hiredis
import pytest

from gateway.redis_pipeline import RedisAway, RedisPipeline

SERVER = b"$15\r\nrun_id:0badcafe\r\n"


async def ask(reply: bytes, info: bytes = SERVER) -> str:
    """One call of a server that greets as Redis does and then answers this; how it calls itself."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"PING\r\n")
        writer.write(b"+PONG\r\n")
        await reader.readuntil(b"server\r\n")
        writer.write(info)
        await reader.readuntil(b"GET\r\n")
        writer.write(reply)
        await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    pipeline = RedisPipeline(f"redis://127.0.0.1:{port}/0", call_timeout_seconds=5, queue_limit=10)
    try:
        await pipeline.call("GET", "a")
        return pipeline.server_id
    finally:
        await pipeline.close()
        server.close()


@pytest.mark.parametrize(
    "reply",
    [
        b"-LOADING Valkey is loading the dataset in memory\r\n",
        b"-READONLY You can't write against a read only replica.\r\n",
        b"-OOM command not allowed when used memory > 'maxmemory'.\r\n",
    ],
)
async def test_a_redis_that_cannot_serve_is_away(reply: bytes) -> None:
    with pytest.raises(RedisAway, match=reply[1:8].decode()):
        await ask(reply)


@pytest.mark.parametrize("is_greeting", [False, True])
async def test_what_is_no_redis_is_away(is_greeting: bool, caplog: pytest.LogCaptureFixture) -> None:
    http = b"HTTP/1.1 400 Bad Request\r\n\r\n"

    with pytest.raises(RedisAway):
        await (ask(b"", info=http) if is_greeting else ask(http))

    assert "Traceback" not in caplog.text


async def test_an_error_of_the_command_is_not_an_absence() -> None:
    with pytest.raises(hiredis.ReplyError):
        await ask(b"-WRONGTYPE Operation against a key holding the wrong kind of value\r\n")


@pytest.mark.parametrize(
    ("info", "server_id"), [(SERVER, "0badcafe"), (b"-NOPERM no permissions to run 'info'\r\n", "")]
)
async def test_a_server_is_known_by_its_start_if_it_says_so(info: bytes, server_id: str) -> None:
    assert await ask(b"$1\r\nb\r\n", info) == server_id


async def test_who_asks_as_the_connection_goes_waits_for_no_new_one() -> None:
    connections = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        if connections == 1:
            await reader.readuntil(b"PING\r\n")
            writer.write(b"+PONG\r\n")
            await reader.readuntil(b"server\r\n")
            writer.write(SERVER)
            await reader.readuntil(b"GET\r\n")
            writer.write(b"$1\r\nb\r\n")
        await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    pipeline = RedisPipeline(f"redis://127.0.0.1:{port}/0", call_timeout_seconds=0.05, queue_limit=10)
    await pipeline.call("GET", "a")
    # The first call's own deadline passes, which would end the next one's waiting as well.
    await asyncio.sleep(0.1)

    asked = pipeline.submit(("GET", "a"))
    pipeline.lost("connection lost")
    async with asyncio.timeout(20):
        with pytest.raises(RedisAway):
            await asked
    connecting = pipeline._connecting

    assert connecting is not None
    await pipeline.close()
    server.close()
