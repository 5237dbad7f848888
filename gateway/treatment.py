"""Treatment: what is done with one answer beside passing it on. Nearly no request has one.

An answer may be healed before its client reads it, kept for who asks the same, or be one that was
kept. What is decided when a request comes in, and what came of it, is noted here for the steps that
follow; the caches themselves are in `gateway.reuse`.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from billing.pricing import Cost
from gateway.errors import GatewayError
from gateway.wire.healing import UNHEALED, Healing, healed_message
from gateway.wire.joining import AnswerJoiner, as_chunks
from gateway.wire.kept_answer import KeptAnswer
from gateway.wire.shapes import Attempt, ChatAnswer, ChatChunk, JsonObject, Reading, Served
from gateway.wire.stream import StreamRewriter

DIRECT_HIT, SEMANTIC_HIT = "direct", "semantic"
# Shorter texts are read faster than they are handed to a thread.
HEALED_AT_ONCE_CHARACTERS = 1_024


class Ticket(Struct, frozen=True):
    """The place of one answer in the cache: which answer, whose scope, and how long it may stay there."""

    cache_id: str
    entry_key: str
    scope_digest: str
    ttl_ms: int
    may_store: bool


@dataclass(slots=True)
class Treatment:
    """`wants_healing` is about what was asked for, `healing` about what was done."""

    wants_healing: bool = False
    healing: Healing | None = None
    ticket: Ticket | None = None
    hit: KeptAnswer | None = None
    hit_type: str = ""
    search: JsonObject = field(default_factory=dict)
    """What `cache_debug` tells of a search by meaning."""
    answer: ChatAnswer | None = None
    """What the client got, once it has got it whole."""
    kinship: bytes = b""
    vector: tuple[float, ...] = ()
    """The question's embedding, if one was made, among those that it may be compared with."""
    limit_bytes: int = 0
    """The most of an answer that is held back or kept."""
    mark_key: str = ""
    """Where Redis remembers this request, so that its double is refused."""
    told_headers: tuple[tuple[str, str], ...] = ()
    """The client's headers that the provider gets and may answer by, in the order of their names."""

    @property
    def cache_debug(self) -> JsonObject | None:
        """What `extra_fields.cache_debug` says; None when no cache was asked for."""
        if self.ticket is None:
            return None
        told: JsonObject = {"cache_hit": self.hit is not None, "cache_id": self.ticket.cache_id}
        if self.hit is not None:
            told["hit_type"] = self.hit_type
        return told | self.search

    @property
    def healing_object(self) -> JsonObject | None:
        """What `metadata.healing` says; None when healing was not asked for."""
        return (self.healing or UNHEALED).as_json() if self.wants_healing else None

    def noted(self, event: dict[str, Any]) -> dict[str, Any]:
        """The usage event, with what was done."""
        notes: JsonObject = {}
        if self.healing is not None and self.healing.method is not None:
            notes["healing"] = str(self.healing.method)
        if self.ticket is not None:
            notes["cache_id"] = self.ticket.cache_id
        event = {**event, "parameters": {**event.get("parameters", {}), **notes}} if notes else event
        return {**event, "cache_hit": self.hit_type} if self.hit is not None else event

    async def treated(self, answer: ChatAnswer) -> ChatAnswer:
        """The answer as the client is to read it."""
        if self.wants_healing and len(answer.choices) == 1:
            choice = answer.choices[0]
            message, self.healing = await _healed(choice["message"])
            answer = replace(answer, choices=[{**choice, "message": message}])
        self.answer = answer
        return answer


class TreatedStream:
    """A stream's rewriter that joins the answer on the way, and holds it back while it is to be healed.

    An answer that cannot be joined goes on as it came, unhealed, from that moment on.
    """

    def __init__(self, rewriter: StreamRewriter, treatment: Treatment) -> None:
        self._rewriter = rewriter
        self._treatment = treatment
        self._joiner = AnswerJoiner(limit_bytes=treatment.limit_bytes)
        self._held: list[ChatChunk] = []
        # What was kept has been healed already.
        self.is_holding = treatment.wants_healing and treatment.hit is None
        self.answer: ChatAnswer | None = None
        """What the client got, once it has all of it."""

    @property
    def has_finish(self) -> bool:
        return self._joiner.has_finish if self.is_holding else self._rewriter.has_finish

    @property
    def finish_reason(self) -> str:
        return self._rewriter.finish_reason

    def feed(self, chunk: ChatChunk) -> bytes:
        """What may be sent now."""
        self._joiner.observe(chunk)
        if not self.is_holding:
            return self._rewriter.feed(chunk)
        self._held.append(chunk)
        return b"" if self._joiner.is_joinable else self._release()

    async def rest(self) -> bytes:
        """What is still to be sent at the stream's end: one chunk of text, and how it ended."""
        answer = self._joiner.answer()
        if not self.is_holding or answer is None:
            self._treatment.answer = self.answer = answer
            return self._release()
        self.answer = await self._treatment.treated(answer)
        self.is_holding = False
        return b"".join(map(self._rewriter.feed, as_chunks(self.answer)))

    def tell_of(self, served: Served) -> None:
        self._rewriter.tell_of(served)

    def finish(
        self, *, reading: Reading, cost: Cost | None, routing: Sequence[Attempt], latency_ms: int
    ) -> bytes:
        return self._rewriter.finish(reading=reading, cost=cost, routing=routing, latency_ms=latency_ms)

    def fail(self, error: GatewayError, *, event_id: str) -> bytes:
        """What was held back, as it came, and the error."""
        return self._release() + self._rewriter.fail(error, event_id=event_id)

    def _release(self) -> bytes:
        held, self._held, self.is_holding = self._held, [], False
        return b"".join(map(self._rewriter.feed, held))


async def _healed(message: JsonObject) -> tuple[JsonObject, Healing]:
    content = message.get("content")
    if type(content) is str and len(content) > HEALED_AT_ONCE_CHARACTERS:
        return await asyncio.to_thread(healed_message, message)
    return healed_message(message)
