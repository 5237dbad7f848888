"""Reuse: a request whose answer is known need not be asked again, and its double is refused.

Nearly no request comes through here: only one that asks for a cache or for healing, or whose project
or organization does. A hit is admitted like any request, so that keys, models and rates bind it, but
it holds no money and is charged nothing. What a request's doubles are is told within
seconds; a request that did not complete has none.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from gateway.answer_cache import AnswerCache, entry_key, scope_digest
from gateway.errors import DuplicateRequest
from gateway.exchange import told_to_provider
from gateway.likeness import Likeness
from gateway.limits import Need
from gateway.policy import Policy, shard_prefix
from gateway.redis_pipeline import RedisAway, RedisPipeline, Script
from gateway.router import Route
from gateway.routing.target import Target
from gateway.settings import GatewaySettings
from gateway.trace import Trace
from gateway.treatment import DIRECT_HIT, SEMANTIC_HIT, Ticket, Treatment
from gateway.wire.cache_wish import KEY_HEADER, CacheWish, read_cache_wish
from gateway.wire.chat_request import ChatRequest
from gateway.wire.kept_answer import KeptAnswer, is_worth_keeping
from gateway.wire.sameness import Asked, conversation_digest, fingerprint, kinship
from gateway.wire.shapes import Reading

SECOND_MS = 1_000
# Bifrost's, for who names a scope but no time: CONTRACT 1.2.8.
DEFAULT_TTL_SECONDS = 300
NOTHING = Need(0, 0, 0)
COMPLETED = "completed"

Headers = Mapping[bytes, bytes]

unmark_script = Script(
    "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"
)


class Reuse:
    """Decides what is done with a request's answer beside passing it on, and sees to it at its end."""

    def __init__(self, redis: RedisPipeline, *, settings: GatewaySettings) -> None:
        self._redis = redis
        self.cache = AnswerCache(redis, settings=settings)
        self.likeness: Likeness | None = None
        """Finds what means the same; without it nothing is looked for but the same."""
        self._answer_limit_bytes = settings.cache_answer_limit_bytes
        self._longest_ttl_seconds = settings.cache_ttl_limit_seconds

    def concerns(self, policy: Policy, request: ChatRequest, headers: Headers) -> bool:
        """Whether anything is to be done: nearly never, so it is asked before anything is made."""
        return policy.reuse is not None or request.plugins != () or KEY_HEADER in headers

    async def applied(self, route: Route, trace: Trace, headers: Headers) -> Route:
        """The route, with the answer if it is known; what is to be done is noted in the trace.

        Raises InvalidValue for headers that cannot be read, and DuplicateRequest (429).
        """
        policy, request = trace.policy, trace.request
        assert policy is not None, "who asks is known"
        assert request is not None, "what is asked is known"
        wish = read_cache_wish(headers, longest_ttl_seconds=self._longest_ttl_seconds)
        treatment = trace.treatment = Treatment(
            wants_healing=request.wants_healing,
            limit_bytes=self._answer_limit_bytes,
            told_headers=tuple(sorted(told_to_provider(headers))),
        )
        treatment.ticket = _ticket(policy, request, route, wish, treatment=treatment)
        marked = self._mark(policy, request, trace, treatment)
        try:
            route = await self._with_the_same(route, trace, treatment)
            if marked is not None and not await self._is_first(marked) and route.known is None:
                raise await self._duplicate(policy, treatment)
            return await self._with_one_alike(route, trace, treatment, wish)
        except asyncio.CancelledError:
            self._unmark(trace, treatment)
            raise

    def end(self, trace: Trace, *, ending: str, reading: Reading | None = None) -> None:
        """Keep the answer of a request that completed; let go what else it has marked. Returns at once."""
        treatment, policy = trace.treatment, trace.policy
        if treatment is None or policy is None:
            return
        if ending != COMPLETED:
            self._unmark(trace, treatment)
            return
        ticket, answer, target = treatment.ticket, treatment.answer, trace.target
        if ticket is None or answer is None or target is None or reading is None:
            return
        # A clamped answer is shorter than the one that was asked for.
        if not ticket.may_store or trace.clamped_tokens is not None or not is_worth_keeping(answer):
            return
        kept = KeptAnswer(
            target.provider,
            target.model,
            answer.choices,
            answer.created,
            answer.extras,
            reading,
            trace.dropped_params,
            treatment.healing,
        )
        self.cache.keep(policy, ticket, kept)
        if self.likeness is not None:
            self.likeness.remember(policy, treatment, ticket)

    async def _with_the_same(self, route: Route, trace: Trace, treatment: Treatment) -> Route:
        ticket, policy = treatment.ticket, trace.policy
        if ticket is None or policy is None:
            return route
        kept = await self.cache.find(policy, ticket.entry_key)
        if kept is not None and (target := _target_of(kept, route)) is not None:
            treatment.hit_type = DIRECT_HIT
            return _hit(route, trace, kept, target)
        return route

    async def _with_one_alike(
        self, route: Route, trace: Trace, treatment: Treatment, wish: CacheWish
    ) -> Route:
        ticket = treatment.ticket
        if ticket is None or route.known is not None:
            return route
        if not wish.is_semantic or self.likeness is None:
            return route
        kin = self._kinship(route, trace, treatment, wish)
        for like, cache_id, similarity in await self.likeness.find(trace, treatment, kin, wish.threshold):
            if (target := _target_of(like, route)) is not None:
                treatment.hit_type = SEMANTIC_HIT
                treatment.search = {**treatment.search, "similarity": round(similarity, 6)}
                treatment.ticket = replace(ticket, cache_id=cache_id)
                return _hit(route, trace, like, target)
        return route

    def _kinship(self, route: Route, trace: Trace, treatment: Treatment, wish: CacheWish) -> bytes:
        policy, first = trace.policy, route.targets[0]
        assert policy is not None, "who asks is known"
        asked = first.request or trace.request
        assert asked is not None, "what is asked is known"
        endpoint = policy.reuse.embedding if policy.reuse is not None else None
        embedded_by = f"{endpoint.connection.id.hex}/{endpoint.model}" if endpoint else ""
        scope = f"{_scope(policy, wish)} {embedded_by}"
        asked_of = _address(first, treatment)
        return kinship(asked, asked_of=asked_of, scope=scope, is_healed=treatment.wants_healing)

    def _mark(
        self, policy: Policy, request: ChatRequest, trace: Trace, treatment: Treatment
    ) -> "asyncio.Future[Any] | None":
        """Say that this request was made, unless its double did; both are one step of Redis."""
        seconds = policy.reuse.deduplication_seconds if policy.reuse is not None else 0
        if not seconds:
            return None
        digest = conversation_digest(request, caller=policy.key_id.hex, headers=treatment.told_headers)
        treatment.mark_key = f"{shard_prefix(policy.shard)}asked:{policy.organization_id.hex}:{digest}"
        life_ms = seconds * SECOND_MS
        return self._redis.submit(("SET", treatment.mark_key, trace.request_id.hex, "NX", "PX", life_ms))

    async def _is_first(self, marked: "asyncio.Future[Any]") -> bool:
        try:
            return await marked is not None
        except RedisAway:
            return True

    async def _duplicate(self, policy: Policy, treatment: Treatment) -> DuplicateRequest:
        """The refusal. The mark is its first request's, so it stays."""
        key, treatment.mark_key = treatment.mark_key, ""
        assert policy.reuse is not None, "who marks requests has a rule"
        seconds = policy.reuse.deduplication_seconds
        try:
            left_ms = int(await self._redis.call("PTTL", key))
        except RedisAway:
            left_ms = seconds * SECOND_MS
        return DuplicateRequest(seconds=seconds, retry_after_seconds=max(1, left_ms) / SECOND_MS)

    def _unmark(self, trace: Trace, treatment: Treatment) -> None:
        if treatment.mark_key:
            call = unmark_script.whole_call([treatment.mark_key], (trace.request_id.hex,))
            self._redis.submit(call).add_done_callback(_retrieve)


def scope_of_key(key: str) -> str:
    """The name of the scope that an `x-bf-cache-key` stands for."""
    return f"key:{key}"


def _scope(policy: Policy, wish: CacheWish) -> str:
    return scope_of_key(wish.key) if wish.key else f"project:{policy.project_id.hex}"


def _hit(route: Route, trace: Trace, kept: KeptAnswer, target: Target) -> Route:
    """The route to an answer that is known: nothing need be held for it."""
    assert trace.treatment is not None, "who has a hit has asked for one"
    trace.treatment.hit, trace.treatment.healing = kept, kept.healing
    trace.target, trace.dropped_params = target, kept.dropped_params
    return replace(route, known=kept, need=NOTHING)


def _ticket(
    policy: Policy, request: ChatRequest, route: Route, wish: CacheWish, *, treatment: Treatment
) -> Ticket | None:
    project_seconds = policy.reuse.cache_ttl_seconds if policy.reuse is not None else 0
    if wish.is_bypassed or not (wish.key or project_seconds):
        return None
    if any(target.is_thinker for target in route.targets):
        # What a thinker says must be said anew: its session goes on from it.
        return None
    scope = _scope(policy, wish)
    first = route.targets[0]
    cache_id = fingerprint(
        first.request or request,
        asked_of=_address(first, treatment),
        scope=scope,
        is_healed=treatment.wants_healing,
    )
    seconds = wish.ttl_seconds or project_seconds or DEFAULT_TTL_SECONDS
    return Ticket(
        cache_id, entry_key(policy, cache_id), scope_digest(scope), seconds * SECOND_MS, wish.may_store
    )


def _address(target: Target, treatment: Treatment) -> Asked:
    return Asked(target.provider, target.model, target.region, treatment.told_headers)


def _target_of(kept: KeptAnswer, route: Route) -> Target | None:
    """The target that gave the answer, if this request may go there as well."""
    return next(
        (each for each in route.targets if (each.provider, each.model) == (kept.provider, kept.model)), None
    )


def _retrieve(reply: "asyncio.Future[Any]") -> None:
    """A mark that could not be taken back ends by itself."""
    if not reply.cancelled():
        reply.exception()
