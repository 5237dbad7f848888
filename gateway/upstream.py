"""Upstream: one attempt at one provider, and what its answer becomes.

Calls the pooled transport itself, never an HTTP client: that would cost a tenth of a request. Which
target is tried next is decided in `gateway.attempts`; what bytes mean in `gateway.providers`.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import httpx

from gateway.egress import EgressPolicy, EgressRefused
from gateway.errors import (
    GatewayError,
    InvalidProviderResponse,
    ProviderError,
    RequestNotWritten,
    UpstreamTimeout,
)
from gateway.outer_transport import OuterTransport
from gateway.pressure import Pressure
from gateway.providers.base import Provider, UpstreamCall
from gateway.routing.target import Target
from gateway.sse import Event, EventParser
from gateway.transport import PooledTransport
from gateway.upstream_connection import UpstreamAnswer
from gateway.wire.raw import RawExchange
from gateway.wire.shapes import ChatAnswer, ChatChunk, Done
from gateway.wire.text_run import EVENT_END, TextRun, run_of

FAILURE_BODY_LIMIT_BYTES = 65_536
# The first event of a stream says who speaks, the second has some text.
EVENTS_TO_LEARN_FROM = 2
# What a provider may say before its first choice, such as what its filters found.
SILENT_CHUNKS_LIMIT = 64

Transport = PooledTransport | OuterTransport


class Answer(Protocol):
    """What both transports answer with: the head, and the body as it arrives, one item a read."""

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> Sequence[tuple[bytes, bytes]]: ...

    def __aiter__(self) -> AsyncIterator[bytes]: ...

    async def aclose(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Outbound:
    """How to reach any provider: the transport, its time-outs and what it may connect to.

    `timeouts` are httpx's four phases in seconds; `read` is the time between two reads.
    """

    transport: Transport
    timeouts: Mapping[str, float]
    pressure: Pressure
    guarded: EgressPolicy
    unguarded: EgressPolicy

    async def send(self, call: UpstreamCall, *, target: Target) -> Answer:
        """Send one request and give the answer's head.

        Raises ProviderError, UpstreamTimeout or RequestNotWritten.
        """
        headers = [(name.encode(), value.encode()) for name, value in call.headers]
        policy = self.guarded if target.is_guarded else self.unguarded
        try:
            return await self.transport.post(
                call.url, headers, call.body, policy=policy, timeout=self.timeouts
            )
        except (httpx.TransportError, EgressRefused) as exc:
            raise translate(exc, provider=target.provider) from exc


def translate(failure: Exception, *, provider: str) -> GatewayError:
    """Ours for what the transport raises. No address or credential is repeated."""
    if isinstance(failure, httpx.TimeoutException):
        return UpstreamTimeout(f"The provider {provider} did not answer in time.")
    if isinstance(failure, EgressRefused):
        return ProviderError(f"The endpoint of {provider} may not be connected to: {failure}")
    if isinstance(failure, httpx.LocalProtocolError):
        return RequestNotWritten(f"The request to {provider} cannot be written as HTTP.")
    if isinstance(failure, httpx.ConnectError):
        return ProviderError(f"The provider {provider} cannot be reached.")
    return ProviderError(f"The connection to {provider} broke off.")


async def read_body(response: Answer, *, limit_bytes: int, provider: str) -> bytes:
    """The whole body, and the connection given back. Raises InvalidProviderResponse beyond the limit."""
    pieces, size = [], 0
    try:
        async for piece in response:
            size += len(piece)
            if size > limit_bytes:
                raise InvalidProviderResponse(f"The answer of {provider} is larger than {limit_bytes} bytes.")
            pieces.append(piece)
    except httpx.TransportError as exc:
        raise translate(exc, provider=provider) from exc
    finally:
        await response.aclose()
    return b"".join(pieces)


async def read_answer(
    response: Answer,
    provider: Provider,
    *,
    limit_bytes: int,
    name: str,
    raw: RawExchange | None = None,
) -> ChatAnswer:
    """A buffered answer, read whole. Raises what the provider's file makes of it."""
    body = await read_body(response, limit_bytes=limit_bytes, provider=name)
    if raw is not None:
        raw.note_answer(body)
    return provider.read_answer(response.status, body)


async def read_failure(response: Answer, provider: Provider, *, name: str) -> GatewayError:
    """The error that a non-2xx response stands for."""
    body = await read_body(response, limit_bytes=FAILURE_BODY_LIMIT_BYTES, provider=name)
    # As httpx joins what is sent more than once.
    headers = dict(httpx.Headers(list(response.headers)).items())
    return provider.read_failure(response.status, headers, body)


class UpstreamStream:
    """A provider's stream, as lists of chunks: one list for everything that arrived in one read."""

    def __init__(
        self,
        response: Answer,
        provider: Provider,
        *,
        name: str,
        event_limit_bytes: int,
        pressure: Pressure | None = None,
        raw: RawExchange | None = None,
    ) -> None:
        self._provider = provider
        self._name = name
        self._parser = EventParser(limit_bytes=event_limit_bytes)
        self._stream = response
        self._pressure = pressure
        self._raw = raw
        self._reads = aiter(self._stream)
        self._waiting: list[ChatChunk] = []
        self._run: TextRun | None = None
        self.has_ended = False
        """Whether the provider's end mark was seen."""

    async def wait_for_first(self) -> None:
        """Await the first chunk that has a choice. Raises GatewayError if none can come."""
        while not self._has_spoken and not self.has_ended:
            if not await self._read():
                if self._waiting:
                    break
                raise InvalidProviderResponse(f"The provider {self._name} sent an empty stream.")
        if not self._has_spoken:
            raise InvalidProviderResponse(f"The provider {self._name} ended its stream without any choice.")

    @property
    def _has_spoken(self) -> bool:
        """Whether a choice has come; who sends ever more without one is taken at their word."""
        waiting = self._waiting
        return len(waiting) > SILENT_CHUNKS_LIMIT or any(
            chunk.plain is not None or chunk.choices for chunk in waiting
        )

    @property
    def waiting(self) -> list[ChatChunk]:
        """What has been read and not been taken by `chunks`."""
        return self._waiting

    async def wait_for_more(self, seen: int) -> bool:
        """Await more than the first `seen` chunks that wait. Gives False if nothing comes after them."""
        is_open = not self.has_ended
        while is_open and len(self._waiting) <= seen:
            is_open = await self._read() and not self.has_ended
        return is_open

    async def chunks(self) -> AsyncIterator[list[ChatChunk]]:
        """Everything up to the end mark or the end of the connection.

        Raises GatewayError when it breaks, after all that had come before the break.
        """
        is_open, failure = True, None
        while True:
            if self._waiting:
                batch, self._waiting = self._waiting, []
                yield batch
            if failure is not None:
                raise failure
            if self.has_ended or not is_open:
                return
            self._rest()
            try:
                is_open = await self._read()
            except GatewayError as exc:
                failure = exc

    async def aclose(self) -> None:
        """Give the connection up; the provider sees us leave if it was still sending."""
        await self._stream.aclose()

    def _rest(self) -> None:
        """Read on a little later while this process is behind its work."""
        if self._pressure is not None and self._pressure.rest_seconds:
            stream = self._stream
            if isinstance(stream, UpstreamAnswer):
                stream.rest(self._pressure.rest_seconds)

    async def _read(self) -> bool:
        try:
            data = await anext(self._reads)
        except StopAsyncIteration:
            self._take(self._parser.close())
            return False
        except httpx.TransportError as exc:
            raise translate(exc, provider=self._name) from exc
        self._feed(data)
        return True

    def _feed(self, data: bytes) -> None:
        """Text that looks like what came before is taken as a run, anything else event by event."""
        for _ in range(EVENTS_TO_LEARN_FROM):
            if self._run is not None:
                break
            event, end, data = data.partition(EVENT_END)
            self._take(self._parser.feed(event + end))
        if self._run is not None and self._parser.is_between_events:
            data, texts, rest = self._run.split(data)
            self._take(self._parser.feed(data) if data else [])
            if texts is None or self.has_ended:
                return
            self._waiting.append(texts)
            data = rest
        self._take(self._parser.feed(data) if data else [])

    def _take(self, events: list[Event]) -> None:
        for event in events:
            if self.has_ended:
                return
            if self._raw is not None:
                self._raw.note_event(event.data)
            chunk = self._provider.read_event(event)
            if isinstance(chunk, Done):
                self.has_ended = True
            elif chunk is not None:
                self._waiting.append(chunk)
                if chunk.plain is not None and self._raw is None:
                    self._run = run_of(event.data, chunk)
