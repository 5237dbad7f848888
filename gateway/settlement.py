"""Settlement: replace a request's hold by what it cost, and record what happened.

The request's task hands its reading over with a plain call and never waits for it: servers
abandon clean-up code at shutdown. What Redis does not take is tried again until it does, and
lies on disk meanwhile (`gateway.spool`). Admission is in `gateway.admission`.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files
from typing import Any
from uuid import UUID

import hiredis
import orjson
from msgspec import Struct
from msgspec.structs import astuple, replace

from billing.families import is_of_family
from gateway.admission import hold_key, observed
from gateway.claims import Keepsake
from gateway.limits import HeldCheck, Hold, UsageRecord
from gateway.policy import shard_prefix
from gateway.redis_pipeline import Argument, RedisAway, RedisPipeline, Script
from gateway.settings import GatewaySettings
from gateway.spool import Spool

logger = logging.getLogger(__name__)

SETTLED_MARK_MS = 120_000
# Its process may live, cut off or paused, and must not take the hold for lost when it comes back.
REAPED_MARK_MS = 24 * 3_600_000
MILLISECOND_US = 1_000
RESENDS_PER_ROUND = 500
# With so many waiting, refusals are no longer kept: while Redis is away every call is one.
FORGIVEN_FROM = 10_000

Identity = tuple[UUID, str]

settlement_script = Script(files("gateway").joinpath("settlement.lua").read_text())
release_script = Script(
    "if redis.call('HGET', KEYS[1], 'o') == ARGV[1] and redis.call('HEXISTS', KEYS[1], 'a') == 0 "
    "then return redis.call('DEL', KEYS[1]) end return 0"
)


class Settlement(Struct, frozen=True):
    """One request's end: the event to record (empty: nothing happened) and what to give back.

    `checks` is None for a request that was not admitted: whether it holds anything is not known here,
    so its event is recorded, or its idempotency key let go, beside any hold.
    """

    request_id: UUID
    shard: int
    checks: tuple[HeldCheck, ...] | None
    event: bytes
    counted_nano: int
    charge_nano: int
    tokens: int
    keepsake: Keepsake | None = None
    legs: tuple[bytes, ...] = ()
    """The events of a race's other legs, recorded in the same step."""

    @property
    def is_owed(self) -> bool:
        """Whether a provider may have been asked; what was only turned away costs nobody anything."""
        return self.checks is not None and self.event != b""

    @property
    def identity(self) -> Identity:
        """A request may have several: the event of its refusal, the end of what it may hold, its key's."""
        beside = "key" if self.keepsake else "event"
        return self.request_id, "hold" if self.checks is not None else beside

    def call(self, *, is_whole: bool = False) -> tuple[Argument, ...]:
        """The Redis command that carries it out; `is_whole` for a Redis that does not know the script."""
        if self.checks is None and self.keepsake is None:
            return ("XADD", usage_stream(self.shard), "*", "e", self.event)
        script = release_script if self.checks is None else settlement_script
        script_call = script.whole_call if is_whole else script.call
        return script_call(*self.command())

    def command(self, mode: str = "settle") -> tuple[list[str], list[Argument]]:
        """Keys and arguments of settlement.lua, or of the release of a key."""
        if self.checks is None and self.keepsake is not None:
            return [self.keepsake.record_key], [self.request_id.hex]
        checks = self.checks or ()
        prefix = shard_prefix(self.shard)
        keys = [f"{prefix}holds", hold_key(self.shard, self.request_id), usage_stream(self.shard)]
        keys.extend(check.key for check in checks)
        mark_ms = REAPED_MARK_MS if mode == "reap" else SETTLED_MARK_MS
        arguments: list[Argument] = [self.request_id.hex, self.event, mark_ms, mode, 0]
        for check in checks:
            arguments.extend(self._share(check))
        for leg in self.legs:
            keys.append(usage_stream(self.shard))
            arguments.extend(("e", leg, 0, 0))
        if kept := self.keepsake:
            keys.append(kept.record_key)
            arguments.extend(("i", kept.answer, kept.life_ms, kept.fingerprint))
        return keys, arguments

    def to_line(self) -> bytes:
        """This settlement as one line of JSON, for the spool."""
        return orjson.dumps(
            {
                "request_id": self.request_id.hex,
                "shard": self.shard,
                "checks": None if self.checks is None else [astuple(check) for check in self.checks],
                "event": self.event.decode(),
                "counted_nano": self.counted_nano,
                "charge_nano": self.charge_nano,
                "tokens": self.tokens,
                "keepsake": self.keepsake.to_json() if self.keepsake else None,
                "legs": [leg.decode() for leg in self.legs],
            }
        )

    @classmethod
    def from_line(cls, line: bytes) -> "Settlement":
        content: dict[str, Any] = orjson.loads(line)
        return cls(
            request_id=UUID(content["request_id"]),
            shard=content["shard"],
            checks=None if content["checks"] is None else tuple(HeldCheck(*c) for c in content["checks"]),
            event=content["event"].encode(),
            counted_nano=content["counted_nano"],
            charge_nano=content["charge_nano"],
            tokens=content["tokens"],
            keepsake=Keepsake.from_json(content["keepsake"]) if content.get("keepsake") else None,
            legs=tuple(leg.encode() for leg in content.get("legs", ())),
        )

    def _share(self, check: HeldCheck) -> tuple[Argument, ...]:
        if check.kind == "t":
            return ("t", repr(check.interval_us), check.amount, self.tokens)
        if check.kind == "c":
            return ("c", 0, 0, 0)
        if check.is_wallet:
            return ("b", check.amount, self.charge_nano, 1)
        bucket_ms = round(check.interval_us / MILLISECOND_US)
        counted_nano = self.counted_nano if check.counted_nano < 0 else check.counted_nano
        return (check.kind, check.amount, counted_nano if check.is_counted else 0, bucket_ms)


def usage_stream(shard: int) -> str:
    """The stream that billing ingests."""
    return f"{shard_prefix(shard)}usage"


def settlement_of(hold: Hold, event: UsageRecord, keepsake: Keepsake | None = None) -> Settlement:
    """How a hold ends with this event, and what is kept of the answer."""
    return _settlement(hold.request_id, hold.shard, hold.checks, observed(hold, event), keepsake)


def settlement_of_record(shard: int, request_id: UUID, record: bytes) -> Settlement:
    """How the hold of a process that died ends: with the last reading it left in Redis."""
    content: dict[str, Any] = orjson.loads(record[record.index(b"{") :])
    checks = tuple(HeldCheck(*check) for check in content["checks"])
    return _settlement(request_id, shard, checks, content["event"])


def refusal_settlement(shard: int, request_id: UUID, event: UsageRecord) -> Settlement:
    """The event of a request that was turned away, or got an answer that was given before."""
    return _settlement(request_id, shard, None, event)


def let_go(shard: int, request_id: UUID, keepsake: Keepsake) -> Settlement:
    """The end of an idempotency key's claim by a request that was not admitted."""
    return Settlement(request_id, shard, None, b"", 0, 0, 0, keepsake)


def void(hold: Hold) -> Settlement:
    """The end of a hold of which it is not even known whether Redis has it."""
    return Settlement(hold.request_id, hold.shard, hold.checks, b"", 0, 0, 0)


def events_in(event: UsageRecord) -> list[UsageRecord]:
    """The event and those of the legs of its race that did not answer, each as it is recorded."""
    legs = event.get("legs")
    if not legs:
        return [event]
    return [{name: value for name, value in event.items() if name != "legs"}, *legs]


def _settlement(
    request_id: UUID,
    shard: int,
    checks: tuple[HeldCheck, ...] | None,
    event: UsageRecord,
    keepsake: Keepsake | None = None,
) -> Settlement:
    events = events_in(event)
    if checks is not None and any(check.family for check in checks):
        checks = tuple(_as_served(check, events) for check in checks)
    return Settlement(
        request_id=request_id,
        shard=shard,
        checks=checks,
        event=orjson.dumps(events[0]),
        counted_nano=sum(map(_counted_nano, events)),
        charge_nano=sum(each["charge_nano"] for each in events),
        tokens=sum(map(_tokens, events)),
        keepsake=keepsake,
        legs=tuple(map(orjson.dumps, events[1:])),
    )


def _counted_nano(event: UsageRecord) -> int:
    # An own provider key is charged less than its cost or nothing, and its cost counts towards budgets.
    charge_nano: int = event["charge_nano"]
    cost_nano: int = event["cost_nano"]
    return max(charge_nano, cost_nano) if event.get("own") else charge_nano


def _tokens(event: UsageRecord) -> int:
    usage: Mapping[str, int] = event["usage"]
    return sum(usage.values()) - usage.get("searches", 0)


def _as_served(check: HeldCheck, events: Sequence[UsageRecord]) -> HeldCheck:
    """The check of a model family counts only what models of the family did."""
    if not check.family:
        return check
    of_family = [
        event
        for event in events
        if is_of_family(check.family, provider=event.get("provider", ""), model=event.get("model", ""))
    ]
    if len(events) == 1:
        return replace(check, is_counted=bool(of_family))
    return replace(check, counted_nano=sum(map(_counted_nano, of_family)))


class Settler:
    """Delivers settlements: at once when Redis is there, again and again when it is not."""

    def __init__(self, redis: RedisPipeline, *, settings: GatewaySettings, spool: Spool) -> None:
        self.on_confirmed: Callable[[Settlement], None] | None = None
        self._redis = redis
        self._retry_seconds = settings.settle_retry_seconds
        self._spool = spool
        self._under_way: dict[Identity, Settlement] = {}
        self._undelivered: dict[Identity, Settlement] = {}
        self._on_disk: set[Identity] = set()
        self._all_delivered = asyncio.Event()
        self._all_delivered.set()

    def hand_over(self, settlement: Settlement) -> None:
        """Take a settlement over. Returns at once; nothing is lost from here on."""
        self._send(settlement, settlement.call())
        self._under_way[settlement.identity] = settlement
        self._all_delivered.clear()

    async def run(self) -> None:
        """Adopt what dead processes left on disk, then send again what could not be delivered. For ever."""
        for line in self._spool.adopt():
            self._adopt(line)
        while True:
            await asyncio.sleep(self._retry_seconds)
            for identity in list(self._undelivered)[:RESENDS_PER_ROUND]:
                self.hand_over(self._undelivered.pop(identity))

    def _adopt(self, line: bytes) -> None:
        """Deliver a line of the spool; one that cannot be read keeps no other from it."""
        try:
            self.hand_over(Settlement.from_line(line))
        except Exception:
            logger.exception("settlement on disk not read")
            self._spool.set_aside(line)

    async def drain(self, *, timeout_seconds: float) -> None:
        """Wait until all is delivered; what is not after that time stays on disk for the next process."""
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._all_delivered.wait()
        except TimeoutError:
            waiting = [*self._under_way.values(), *self._undelivered.values()]
            self._spool.keep(settlement.to_line() for settlement in waiting)
            logger.warning("settlements left on disk", extra={"settlements": len(waiting)})

    @property
    def waiting(self) -> int:
        """Settlements that Redis has not confirmed."""
        return len(self._under_way) + len(self._undelivered)

    def _send(self, settlement: Settlement, command: tuple[Argument, ...]) -> None:
        reply = self._redis.submit(command)
        reply.add_done_callback(lambda done: self._confirm(settlement, done))

    def _confirm(self, settlement: Settlement, reply: "asyncio.Future[int]") -> None:
        failure = reply.exception()
        if isinstance(failure, hiredis.ReplyError) and str(failure).startswith("NOSCRIPT"):
            self._send(settlement, settlement.call(is_whole=True))
            return
        self._under_way.pop(settlement.identity, None)
        if failure is not None:
            self._keep_for_later(settlement, failure)
        elif self.on_confirmed is not None:
            self.on_confirmed(settlement)
        if not self._under_way and not self._undelivered:
            self._all_delivered.set()
            self._spool.forget()
            self._on_disk.clear()

    def _keep_for_later(self, settlement: Settlement, failure: BaseException) -> None:
        if not isinstance(failure, RedisAway):
            logger.error("settlement refused by redis", extra={"reason": str(failure)[:200]})
        if not settlement.is_owed and len(self._undelivered) >= FORGIVEN_FROM:
            return
        self._undelivered[settlement.identity] = settlement
        if settlement.is_owed and settlement.identity not in self._on_disk:
            self._on_disk.add(settlement.identity)
            self._spool.keep([settlement.to_line()])
