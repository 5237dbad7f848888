"""Likeness: the answer to a question that means the same, found by the nearest embedding.

Only where a request asks for it (`x-bf-cache-type: semantic`), and only after the very same question was not
found. What keeps it from being looked for is told as `cache_debug.reason`, and the request goes on as a miss.
"""

import asyncio
import logging

from gateway.answer_cache import AnswerCache, entry_key
from gateway.embedder import Embedder, is_configured
from gateway.errors import GatewayError, UpstreamError
from gateway.policy import Policy
from gateway.settings import GatewaySettings
from gateway.trace import Trace
from gateway.treatment import Ticket, Treatment
from gateway.vectors import Vectors, VectorsAway
from gateway.wire.chat_request import ChatRequest
from gateway.wire.kept_answer import KeptAnswer
from gateway.wire.sameness import asked_text

logger = logging.getLogger(__name__)

NO_ENDPOINT = "no embeddings endpoint is configured"
NO_VECTORS = "the database has no pgvector"
NO_DATABASE = "the database does not answer"
HAS_TOOLS = "requests with tools are not compared"
HAS_OTHER_PARTS = "only text is compared"
NO_EMBEDDING = "the embeddings endpoint failed"


class Likeness:
    """Finds and remembers questions by what they mean."""

    def __init__(
        self, cache: AnswerCache, embedder: Embedder, vectors: Vectors, *, settings: GatewaySettings
    ) -> None:
        self._cache = cache
        self._embedder = embedder
        self._vectors = vectors
        self._threshold = settings.semantic_cache_threshold
        self._messages_limit = settings.semantic_cache_messages_limit
        self._remembering: set[asyncio.Task[None]] = set()

    async def find(
        self, trace: Trace, treatment: Treatment, kinship: bytes, threshold: float | None
    ) -> list[tuple[KeptAnswer, str, float]]:
        """Answers to questions that are alike, the most alike first; what came of it is noted."""
        policy, request = trace.policy, trace.request
        assert policy is not None, "who asks is known"
        assert request is not None, "what is asked is known"
        try:
            text = await self._text(policy, request)
            embedding = await self._embedder.embed(text, trace)
            least = self._threshold if threshold is None else threshold
            treatment.search = _told(policy, embedding.tokens, least)
            treatment.kinship, treatment.vector = kinship, embedding.vector
            near = await self._vectors.nearest(policy.organization_id, kinship, embedding.vector)
        except _NotCompared as reason:
            treatment.search = {"reason": str(reason)}
            return []
        except VectorsAway:
            treatment.search = {**treatment.search, "reason": NO_DATABASE}
            return []
        except GatewayError as error:
            # Our own limits bind the embedding too; the endpoint's are its failure.
            if error.status in (402, 429) and not isinstance(error, UpstreamError):
                raise
            treatment.search = {"reason": NO_EMBEDDING}
            return []
        return await self._answers(policy, [each for each in near if each[1] >= least])

    def remember(self, policy: Policy, treatment: Treatment, ticket: Ticket) -> None:
        """Keep the question of an answer that is kept. Returns at once."""
        if treatment.vector:
            task = asyncio.create_task(self._remember(policy, treatment, ticket))
            self._remembering.add(task)
            task.add_done_callback(self._remembering.discard)

    async def finish(self) -> None:
        """Wait for what is being remembered; each has its own time-out."""
        if self._remembering:
            await asyncio.wait(self._remembering)

    async def _remember(self, policy: Policy, treatment: Treatment, ticket: Ticket) -> None:
        try:
            await self._vectors.keep(
                policy.organization_id,
                treatment.kinship,
                treatment.vector,
                cache_id=ticket.cache_id,
                life_ms=ticket.ttl_ms,
            )
        except VectorsAway as exc:
            logger.warning("question not kept", extra={"reason": str(exc)})

    async def _text(self, policy: Policy, request: ChatRequest) -> str:
        """What is to be compared; raises _NotCompared, before anything is paid for."""
        if request.has_tools:
            raise _NotCompared(HAS_TOOLS)
        if len(request.forwarded["messages"]) > self._messages_limit:
            raise _NotCompared(f"conversations of more than {self._messages_limit} messages are not compared")
        text = asked_text(request)
        if not text:
            raise _NotCompared(HAS_OTHER_PARTS)
        if not is_configured(policy):
            raise _NotCompared(NO_ENDPOINT)
        if not await self._vectors.are_there():
            raise _NotCompared(NO_VECTORS)
        return text

    async def _answers(
        self, policy: Policy, near: list[tuple[str, float]]
    ) -> list[tuple[KeptAnswer, str, float]]:
        found = []
        for cache_id, similarity in near:
            kept = await self._cache.find(policy, entry_key(policy, cache_id))
            if kept is not None:
                found.append((kept, cache_id, similarity))
        return found


class _NotCompared(Exception):
    """The request is not one that is compared; `str()` of it says why."""


def _told(policy: Policy, tokens: int | None, threshold: float) -> dict[str, str | int | float | None]:
    endpoint = policy.reuse.embedding if policy.reuse is not None else None
    assert endpoint is not None, "somebody embedded it"
    return {
        "provider_used": endpoint.connection.provider,
        "model_used": endpoint.model,
        "input_tokens": tokens,
        "threshold": threshold,
    }
