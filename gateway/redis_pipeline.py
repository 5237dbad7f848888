"""Redis on the hot path: all calls of one loop tick leave in one write, on one connection.

A caller that is cancelled leaves its reply to be read and dropped by the pipeline, so a
reply can never reach somebody else. One shared deadline: a reply that is late breaks the
connection and everyone on it hears `RedisAway`. What is stored in Redis is in
`gateway.admission` and `gateway.settlement`.
"""

import asyncio
import hashlib
import logging
import re
import ssl
from collections import deque
from collections.abc import Sequence
from typing import Any, cast

import hiredis
from redis.asyncio.connection import parse_url

logger = logging.getLogger(__name__)

CONNECT_TIMEOUT_SECONDS = 2.0
RECONNECT_PAUSE_SECONDS = 0.1
# A deadline that fires this late says that our own loop was busy, not that Redis was.
LOOP_LAG_SECONDS = 0.01

# What a server says that is there but cannot serve: it reads its data after a restart, has lost its
# primary or became a replica, is full, cannot write to its disk, or is held up by a script.
# https://redis.io/docs/latest/develop/reference/protocol-spec/#simple-errors (checked 2026-11-27)
NOT_SERVING = frozenset(
    ("LOADING", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "READONLY", "NOREPLICAS", "OOM", "MISCONF", "BUSY")
)

RUN_ID = re.compile(rb"run_id:(\w+)")

Argument = bytes | str | int | float


class RedisAway(Exception):
    """Redis did not answer in time, cannot serve, or cannot be reached. What was asked may have happened."""


class RedisPipeline:
    """One connection shared by all tasks of the loop it was made in."""

    def __init__(self, url: str, *, call_timeout_seconds: float, queue_limit: int) -> None:
        self._options = cast(dict[str, Any], parse_url(url))
        self._call_timeout_seconds = call_timeout_seconds
        self._queue_limit = queue_limit
        self._loop = asyncio.get_running_loop()
        self._protocol: _Replies | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._refuse_until = 0.0
        self._packed: list[bytes] = []
        self._queued: list[asyncio.Future[Any]] = []
        self._in_flight: deque[tuple[asyncio.Future[Any], float]] = deque()
        self._deadline: asyncio.TimerHandle | None = None
        self._is_closed = False
        self.server_id = ""
        """Of the server that was connected to last, another one after each start; "" if it does not say."""

    async def call(self, *command: Argument) -> Any:
        """Send one command and give its reply. Raises RedisAway, or hiredis.ReplyError."""
        return await self.submit(command)

    def submit(self, command: Sequence[Argument]) -> "asyncio.Future[Any]":
        """Queue one command for this tick; the future gives its reply."""
        future: asyncio.Future[Any] = self._loop.create_future()
        if self._is_closed or self._loop.time() < self._refuse_until:
            future.set_exception(RedisAway("no connection to Redis"))
            return future
        if len(self._queued) + len(self._in_flight) >= self._queue_limit:
            future.set_exception(RedisAway("too many Redis calls are waiting"))
            return future
        if not self._queued:
            self._loop.call_soon(self._flush)
        self._packed.append(_packed(command))
        self._queued.append(future)
        return future

    async def close(self) -> None:
        self._is_closed = True
        if self._connecting:
            self._connecting.cancel()
        self._lose_connection("closing")

    def _flush(self) -> None:
        if not self._queued:
            return
        if self._protocol is None:
            self._loop.call_later(self._call_timeout_seconds, self._expire_queue)
            if self._connecting is None:
                self._connecting = self._loop.create_task(self._connect())
            return
        expires_at = self._loop.time() + self._call_timeout_seconds
        self._in_flight.extend((future, expires_at) for future in self._queued)
        self._protocol.transport.write(b"".join(self._packed))
        self._packed, self._queued = [], []
        if self._deadline is None:
            self._deadline = self._loop.call_at(expires_at, self._check_deadline, expires_at)

    def _check_deadline(self, expected_at: float) -> None:
        self._deadline = None
        if not self._in_flight:
            return
        now = self._loop.time()
        oldest_at = self._in_flight[0][1]
        if now >= oldest_at and now - expected_at < LOOP_LAG_SECONDS:
            self._lose_connection("no reply in time")
            return
        again_at = max(oldest_at, now + LOOP_LAG_SECONDS / 2)
        self._deadline = self._loop.call_at(again_at, self._check_deadline, again_at)

    def _expire_queue(self) -> None:
        if self._protocol is None and self._queued:
            self._fail(self._queued, "Redis cannot be reached")
            self._packed, self._queued = [], []

    def receive(self, replies: list[Any]) -> None:
        """Hand each reply to the oldest waiting caller."""
        for reply in replies:
            if not self._in_flight:
                self._lose_connection("a reply that nobody asked for")
                return
            future, _ = self._in_flight.popleft()
            if future.done():
                continue
            if isinstance(reply, hiredis.ReplyError):
                future.set_exception(_failure(reply))
            else:
                future.set_result(reply)

    def lost(self, reason: str) -> None:
        """The transport is gone: everyone who waits hears of it."""
        self._lose_connection(reason)

    async def _connect(self) -> None:
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_SECONDS):
                protocol = await self._open()
        except (OSError, TimeoutError, hiredis.HiredisError, RedisAway) as exc:
            logger.warning("redis cannot be reached", extra={"reason": type(exc).__name__})
            self._refuse_until = self._loop.time() + RECONNECT_PAUSE_SECONDS
            self._fail(self._queued, "Redis cannot be reached")
            self._packed, self._queued = [], []
        else:
            self._protocol = protocol
            self._flush()
        finally:
            self._connecting = None

    async def _open(self) -> "_Replies":
        options = self._options
        if path := options.get("path"):
            _, protocol = await self._loop.create_unix_connection(lambda: _Replies(self), path)
        else:
            is_tls = "SSL" in options.get("connection_class", type(None)).__name__
            _, protocol = await self._loop.create_connection(
                lambda: _Replies(self),
                options.get("host", "localhost"),
                int(options.get("port", 6379)),
                ssl=ssl.create_default_context() if is_tls else None,
            )
        for command in _greeting(options):
            reply = await protocol.exchange(_packed(command))
            if isinstance(reply, hiredis.ReplyError):
                protocol.transport.abort()
                raise RedisAway(f"Redis refused {command[0]}")
        self.server_id = _server_id(await protocol.exchange(_packed(("INFO", "server"))))
        protocol.is_greeted = True
        return protocol

    def _lose_connection(self, reason: str) -> None:
        protocol, self._protocol = self._protocol, None
        if protocol is not None:
            logger.warning("redis connection given up", extra={"reason": reason})
            protocol.transport.abort()
        waiting = [future for future, _ in self._in_flight]
        self._in_flight.clear()
        if self._deadline:
            self._deadline.cancel()
            self._deadline = None
        self._fail(waiting, reason)

    def _fail(self, futures: list[asyncio.Future[Any]], reason: str) -> None:
        for future in futures:
            if not future.done():
                future.set_exception(RedisAway(reason))


class _Replies(asyncio.Protocol):
    """Parses what Redis sends and passes it on at once, without a task in between."""

    transport: asyncio.Transport

    def __init__(self, pipeline: RedisPipeline) -> None:
        self._pipeline = pipeline
        self._reader = hiredis.Reader(notEnoughData=...)
        self._greeting: asyncio.Future[Any] | None = None
        self.is_greeted = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        replies = []
        try:
            self._reader.feed(data)
            while (reply := self._reader.gets()) is not ...:
                replies.append(reply)
        except hiredis.ProtocolError:
            # Whatever listens at that address by now, it is no Redis.
            self.transport.abort()
            return
        if self.is_greeted:
            self._pipeline.receive(replies)
        elif replies and self._greeting and not self._greeting.done():
            self._greeting.set_result(replies[0])

    def connection_lost(self, exc: Exception | None) -> None:
        if self._greeting and not self._greeting.done():
            self._greeting.set_exception(RedisAway("connection lost"))
        if self.is_greeted:
            self._pipeline.lost("connection lost")

    async def exchange(self, packed: bytes) -> Any:
        self._greeting = asyncio.get_running_loop().create_future()
        self.transport.write(packed)
        return await self._greeting


class Script:
    """A Lua script called by its digest; sent whole once when Redis does not know it yet."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._digest = hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()

    def call(self, keys: Sequence[str], arguments: Sequence[Argument]) -> tuple[Argument, ...]:
        """The command that runs it by its digest; Redis answers NOSCRIPT if it does not know it."""
        return ("EVALSHA", self._digest, len(keys), *keys, *arguments)

    def whole_call(self, keys: Sequence[str], arguments: Sequence[Argument]) -> tuple[Argument, ...]:
        """The command that runs it and makes it known."""
        return ("EVAL", self._source, len(keys), *keys, *arguments)

    async def run(self, redis: RedisPipeline, keys: Sequence[str], arguments: Sequence[Argument]) -> Any:
        """Run it atomically. Raises RedisAway."""
        try:
            return await redis.submit(self.call(keys, arguments))
        except hiredis.ReplyError as exc:
            if not str(exc).startswith("NOSCRIPT"):
                raise
        return await redis.submit(self.whole_call(keys, arguments))


def _failure(reply: hiredis.ReplyError) -> Exception:
    code = str(reply).partition(" ")[0]
    return RedisAway(str(reply)) if code in NOT_SERVING else reply


def _packed(command: Sequence[Argument]) -> bytes:
    # The stub says that a command is a tuple of one; any length is meant.
    return cast(bytes, hiredis.pack_command(cast("tuple[Argument]", tuple(command))))


def _server_id(reply: Any) -> str:
    """https://valkey.io/commands/info/ (checked 2026-11-27)"""
    found = RUN_ID.search(reply) if isinstance(reply, bytes) else None
    return found[1].decode() if found else ""


def _greeting(options: dict[str, Any]) -> list[tuple[str | int, ...]]:
    commands: list[tuple[str | int, ...]] = []
    if password := options.get("password"):
        user = options.get("username")
        commands.append(("AUTH", user, password) if user else ("AUTH", password))
    if database := options.get("db"):
        commands.append(("SELECT", int(database)))
    return commands or [("PING",)]
