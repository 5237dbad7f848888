"""Idempotency: a request that is sent again under its Idempotency-Key gets the answer it got before.

Only requests with the header come through here. One Redis call claims the key; the answer is
kept with the request's settlement (`gateway.claims`), sealed with the organization's data key.
A claimed request runs to its end although its client left: whoever comes back is to find it.
"""

import asyncio
import hashlib
import zlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any
from uuid import UUID

import orjson

from accounts.vault import SealBroken, Vault
from gateway.admission import hold_key
from gateway.answer_headers import EVENT_ID_HEADER
from gateway.bodies import REMEMBERED_DATA_KEYS
from gateway.caller import Callers
from gateway.claims import Claim
from gateway.completion import Completions
from gateway.delivery import Delivery
from gateway.errors import GatewayError, TemporarilyUnavailable
from gateway.exchange import HeaderPairs, Incoming, Reply
from gateway.faults import known_error
from gateway.idempotency_errors import (
    MAX_KEY_CHARACTERS,
    IdempotencyInProgress,
    IdempotencyKeyReused,
    IdempotentAnswerNotKept,
    malformed_key,
)
from gateway.policy import Policy, shard_prefix
from gateway.redis_pipeline import RedisAway, RedisPipeline, Script
from gateway.running import RunningRequests
from gateway.settings import GatewaySettings
from gateway.settlement import Settler, let_go

IDEMPOTENCY_HEADER = b"idempotency-key"
# Stripe's name: https://docs.stripe.com/api/idempotent_requests (checked 2026-11-27)
REPLAYED_HEADER = b"idempotent-replayed"
ORIGINAL_HEADER = b"x-farebox-original-event-id"
KEPT_HEADERS = (b"content-type", b"cache-control", b"x-accel-buffering")
VISIBLE = range(0x21, 0x7F)
HOURS_MS = 3_600_000
NOT_KEPT = b"-"
QUICKEST = 1

RUNNING, CLAIMED, ANSWERED, OTHER_BODY = 0, 1, 2, 3

idempotency_script = Script(files("gateway").joinpath("idempotency.lua").read_text())


@dataclass(frozen=True, slots=True)
class _Stored:
    """An answer that was given before, and the request that it was given to."""

    event_id: UUID
    headers: HeaderPairs
    body: bytes


class RecordingReply:
    """Passes an answer on to its client while that is there, and keeps a copy up to a limit."""

    # Whatever the client does, the request goes on: whoever sends it again is to find its answer.
    has_client_left = False

    def __init__(self, reply: Reply, *, limit_bytes: int) -> None:
        self._reply = reply
        self._room_bytes = limit_bytes
        self._pieces: list[bytes] = []
        self.headers: HeaderPairs = ()

    async def send_headers(self, *, status: int, headers: HeaderPairs) -> None:
        self.headers = headers
        if not self._reply.has_client_left:
            await self._reply.send_headers(status=status, headers=headers)

    async def send_body(self, body: bytes, *, more_body: bool = False) -> None:
        self._room_bytes -= len(body)
        if self._room_bytes >= 0:
            self._pieces.append(body)
        else:
            self._pieces.clear()
        if not self._reply.has_client_left:
            await self._reply.send_body(body, more_body=more_body)

    def recorded(self) -> bytes | None:
        """What was sent; None when it was too much to keep."""
        return b"".join(self._pieces) if self._room_bytes >= 0 else None


class OnceOnly:
    """Answers completions that carry an Idempotency-Key."""

    def __init__(
        self,
        redis: RedisPipeline,
        *,
        settings: GatewaySettings,
        callers: Callers,
        completions: Completions,
        running: RunningRequests,
        settler: Settler,
    ) -> None:
        self._redis = redis
        self._callers = callers
        self._completions = completions
        self._running = running
        self._settler = settler
        self._data_key = lru_cache(maxsize=REMEMBERED_DATA_KEYS)(Vault(settings.master_key).unwrap)
        self._lease_ms = round(settings.hold_lease_seconds * 1000)
        self._life_ms = round(settings.idempotency_hours * HOURS_MS)
        self._limit_bytes = settings.idempotency_answer_limit_bytes
        self._drain_timeout_seconds = settings.drain_timeout_seconds
        self._tasks: set[asyncio.Task[None]] = set()

    async def answer(self, incoming: Incoming, reply: Reply) -> None:
        """Serve one request to its end, or give the answer that it had before."""
        recording = RecordingReply(reply, limit_bytes=self._limit_bytes)
        task = asyncio.create_task(self._answer(incoming, recording))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            if not reply.has_client_left:
                # The server stops: the request is cut as any other, and tells its client.
                task.cancel()
                await asyncio.wait({task})
            raise

    async def finish(self) -> None:
        """Give requests whose clients have left their time to end; cut what outlasts the drain."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=self._drain_timeout_seconds)
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _answer(self, incoming: Incoming, reply: RecordingReply) -> None:
        try:
            policy = await self._callers.identify(incoming.headers, peer=incoming.peer)
        except GatewayError:
            await self._completions.answer(incoming, reply)
            return
        try:
            claim = await self._claim(policy, incoming, reply)
        except Exception as exc:  # noqa: BLE001  # whatever it is, the client gets an answer
            await self._refuse(policy, incoming, reply, exc)
            return
        if isinstance(claim, _Stored):
            await self._replay(policy, incoming, reply, claim)
            return
        incoming.trace.claim = claim
        try:
            await self._completions.answer(incoming, reply)
        finally:
            if not claim.is_handed_over:
                self._let_go(policy, incoming.trace.request_id, claim)

    async def _claim(self, policy: Policy, incoming: Incoming, reply: RecordingReply) -> Claim | _Stored:
        key = _checked_key(incoming.headers[IDEMPOTENCY_HEADER])
        record_key, request_id = _record_key(policy, key), incoming.trace.request_id
        claim = Claim(
            key,
            record_key=record_key,
            fingerprint=_fingerprint(incoming),
            pack=lambda: self._pack(policy, record_key, reply),
            life_ms=self._life_ms,
        )
        holds = hold_key(policy.shard, request_id).removesuffix(request_id.hex)
        arguments = (claim.fingerprint, request_id.hex, self._lease_ms, self._life_ms, holds, 0)
        try:
            answer = await idempotency_script.run(self._redis, [record_key], arguments)
        except (RedisAway, asyncio.CancelledError) as exc:
            # It may have been carried out all the same.
            self._let_go(policy, request_id, claim)
            if isinstance(exc, RedisAway):
                raise TemporarilyUnavailable(reason="limits_unavailable") from exc
            raise
        if answer[0] == CLAIMED:
            return claim
        return self._earlier(policy, record_key, answer)

    def _earlier(self, policy: Policy, record_key: str, answer: Sequence[Any]) -> _Stored:
        """The answer of the request that has the key; raises the refusal if there is none to give."""
        owner = UUID(answer[1].decode())
        if answer[0] == RUNNING:
            raise IdempotencyInProgress(event_id=str(owner))
        if answer[0] == OTHER_BODY:
            raise IdempotencyKeyReused(event_id=str(owner))
        if answer[2] == NOT_KEPT or policy.wrapped_data_key is None:
            raise IdempotentAnswerNotKept(event_id=str(owner))
        data_key = self._data_key(policy.wrapped_data_key, policy.organization_id)
        try:
            plain = zlib.decompress(data_key.decrypt(answer[2], context=_seal_context(record_key)))
        except SealBroken as exc:
            raise IdempotentAnswerNotKept(event_id=str(owner)) from exc
        head, _, body = plain.partition(b"\n")
        headers = [(name.encode(), value.encode()) for name, value in orjson.loads(head)]
        return _Stored(owner, headers, body)

    def _pack(self, policy: Policy, record_key: str, reply: RecordingReply) -> bytes:
        body = reply.recorded()
        if body is None or policy.wrapped_data_key is None:
            return NOT_KEPT
        kept = [(name.decode(), value.decode()) for name, value in reply.headers if name in KEPT_HEADERS]
        data_key = self._data_key(policy.wrapped_data_key, policy.organization_id)
        plain = zlib.compress(orjson.dumps(kept) + b"\n" + body, QUICKEST)
        return data_key.encrypt(plain, context=_seal_context(record_key))

    async def _replay(self, policy: Policy, incoming: Incoming, reply: Reply, stored: _Stored) -> None:
        trace = incoming.trace
        self._note(policy, incoming)
        trace.note_head()
        headers = [
            *stored.headers,
            (b"x-request-id", trace.shown_id.encode()),
            (EVENT_ID_HEADER, str(trace.request_id).encode()),
            (ORIGINAL_HEADER, str(stored.event_id).encode()),
            (REPLAYED_HEADER, b"true"),
            (b"openai-processing-ms", str(round(trace.now_ms)).encode()),
            (b"content-length", str(len(stored.body)).encode()),
        ]
        key = incoming.headers[IDEMPOTENCY_HEADER].decode()
        self._running.replay(trace, {"idempotency_key": key, "replay_of": str(stored.event_id)})
        await reply.send_headers(status=200, headers=headers)
        await reply.send_body(stored.body)

    async def _refuse(self, policy: Policy, incoming: Incoming, reply: Reply, exc: Exception) -> None:
        self._note(policy, incoming)
        error = known_error(exc, incoming.trace)
        self._running.refuse(incoming.trace, error)
        await Delivery(incoming, reply).refuse(error, incoming.trace)

    def _note(self, policy: Policy, incoming: Incoming) -> None:
        """Who asked for what, for the request log."""
        incoming.trace.policy = policy
        with suppress(GatewayError):
            incoming.trace.request = incoming.chat_request(self._completions.limits)

    def _let_go(self, policy: Policy, request_id: UUID, claim: Claim) -> None:
        self._settler.hand_over(let_go(policy.shard, request_id, claim.keepsake(ending="")))


def _checked_key(value: bytes) -> str:
    if not 1 <= len(value) <= MAX_KEY_CHARACTERS or any(byte not in VISIBLE for byte in value):
        raise malformed_key()
    return value.decode("ascii")


def _record_key(policy: Policy, key: str) -> str:
    """The key's place: its shard, its organization, its API key, and a digest of what the client sent."""
    digest = hashlib.sha256(key.encode()).hexdigest()
    owner = f"{policy.organization_id.hex}:{policy.key_id.hex}"
    return f"{shard_prefix(policy.shard)}once:{owner}:{digest}"


def _fingerprint(incoming: Incoming) -> str:
    """What tells one request from another: its dialect and its JSON, whatever its spaces and order."""
    try:
        content = orjson.dumps(orjson.loads(incoming.body), option=orjson.OPT_SORT_KEYS)
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        content = incoming.body
    return hashlib.sha256(incoming.dialect.prefix.encode() + b"\n" + content).hexdigest()


def _seal_context(record_key: str) -> str:
    return f"idempotent-answer:{record_key}"
