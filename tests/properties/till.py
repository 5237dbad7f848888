"""The till: what admits, renews and settles in one gateway process, over a Valkey that may forget all.

The scripts and the Python around them are the real ones; only HTTP and PostgreSQL are left out.
Time passes by moving every lease nearer to its end, and periods begin by the clock given.
"""

import asyncio
import uuid
from collections.abc import Coroutine, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import orjson
import redis

from billing.counted import Counted
from billing.usage_stream import later_id, read_entries, settle_entries
from config.embedded import RunningServer, start_valkey
from gateway.admission import Admission
from gateway.extension import Extender
from gateway.leases import LeaseKeeper
from gateway.limits import Hold, MoneyCounter, Need
from gateway.policy import Policy, shard_prefix
from gateway.rebuild import Rebuilder
from gateway.redis_pipeline import RedisPipeline
from gateway.settings import GatewaySettings
from gateway.settlement import Settler, settlement_of, void
from gateway.spool import Spool

LEASE_SECONDS = 1_000_000
SHARDS = 1
_Result = TypeVar("_Result")

# Every lease ends so much earlier, as if so much time had passed.
_PASS_TIME = """
for _, key in ipairs(KEYS) do
  for _, member in ipairs(redis.call('ZRANGE', key, 0, -1)) do
    redis.call('ZINCRBY', key, -ARGV[1], member)
  end
end
"""


def own_valkey(folder: Path) -> RunningServer:
    """A Valkey that keeps nothing on disk: it is emptied before each example."""
    server = start_valkey(
        folder / "valkey", password="own", log_path=folder / "valkey.log", settings={"appendonly": "no"}
    )
    server.wait_until_ready()
    return server


@dataclass
class Ledger:
    """What ingestion has stored: every event once by its id, and how far the stream has been read."""

    events: dict[str, dict[str, Any]] = field(default_factory=dict)
    cursor: str = "0-0"

    def knows(self, counter: MoneyCounter) -> Counted:
        """What `billing.counted` asks PostgreSQL: charges of all time, or what a scope spent in a period."""
        if counter.rule.is_wallet:
            amount_nano = sum(event["charge_nano"] for event in self.events.values())
        else:
            begin = counter.period.starts_at if counter.period else None
            amount_nano = sum(
                max(event["charge_nano"], event["cost_nano"]) if event["own"] else event["charge_nano"]
                for event in self.events.values()
                if event[counter.scope.kind] == counter.scope.id.hex
                and (begin is None or datetime.fromisoformat(event["at"]) >= begin)
            )
        return Counted(amount_nano, self.cursor)


class FromLedger(Rebuilder):
    """The real rebuilding, asking a ledger that lies in memory."""

    def __init__(self, pipeline: RedisPipeline, ledger: Ledger, settings: GatewaySettings) -> None:
        super().__init__(pipeline, policies=None, settings=settings)  # type: ignore[arg-type]  # never asked
        self._ledger = ledger

    async def _ledger_knows(self, counter: MoneyCounter) -> Counted:
        return self._ledger.knows(counter)


class Process:
    """One gateway process' share of the money."""

    def __init__(self, pipeline: RedisPipeline, settings: GatewaySettings, till: "Till") -> None:
        self.leases = LeaseKeeper(pipeline, settings=settings)
        self.settler = Settler(pipeline, settings=settings, spool=Spool(Path(settings.spool_dir)))
        self.admission = Admission(
            pipeline,
            settings=settings,
            rebuild=FromLedger(pipeline, till.ledger, settings).rebuild,
            release=lambda hold: self.settler.hand_over(void(hold)),
            clock=lambda: till.now,
        )


class Till:
    """Two processes, one Redis, one ledger, and a clock that only moves when told to."""

    def __init__(self, url: str, folder: Path) -> None:
        self._loop = asyncio.new_event_loop()
        self._settings = _settings(url, folder)
        self._client = redis.Redis.from_url(url)
        self._client.flushall()
        self.now = datetime.now(UTC)
        self.ledger = Ledger()
        self._on_top: dict[uuid.UUID, tuple[int, int]] = {}
        self._pipeline = self.run(_pipeline(self._settings))
        self._extender = Extender(self._pipeline, current_policy=_nobody)
        self.processes = [self._new_process(), self._new_process()]

    def close(self) -> None:
        self.run(self._pipeline.close())
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()
        self._client.close()

    def run(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        return self._loop.run_until_complete(work)

    def admit(self, process: int, who: Policy, need: Need, event: dict[str, Any]) -> Hold:
        request_id = uuid.UUID(event["id"])
        admission = self.processes[process].admission
        hold = self.run(admission.admit(who, request_id=request_id, need=need, event=event))
        self._on_top[request_id] = (0, 0)
        leases = self.processes[process].leases
        leases.watch(hold, lambda: event, on_top=lambda: self._on_top[request_id])
        return hold

    def settle(self, process: int, hold: Hold, event: dict[str, Any] | None) -> None:
        """Hand over how a request ended (None: nothing happened) and wait until Redis has it."""
        settler = self.processes[process].settler
        self.processes[process].leases.forget(hold)
        settler.hand_over(settlement_of(hold, event) if event else void(hold))
        self.run(settler.drain(timeout_seconds=5))

    def extend(self, hold: Hold, limits_nano: dict[str, int], *, wanted_nano: int, takes_wallet: bool) -> int:
        """The nano-dollars that a running request came to hold more of every counter."""
        asking = self._extender._ask(
            hold, limits_nano=limits_nano, wanted_nano=wanted_nano, takes_wallet=takes_wallet
        )
        granted_nano = self.run(asking)
        budgets_nano, wallet_nano = self._on_top[hold.request_id]
        more_nano = max(0, granted_nano)
        self._on_top[hold.request_id] = (budgets_nano + more_nano, wallet_nano + more_nano * takes_wallet)
        return granted_nano

    def renew(self, process: int) -> None:
        self.run(self.processes[process].leases.renew())

    def replace_process(self, process: int) -> None:
        """The process is killed; a fresh one takes its place and knows nothing of its requests."""
        self.processes[process] = self._new_process()

    def pass_time(self, *, leases: float) -> None:
        prefix = shard_prefix(0)
        keys = [f"{prefix}holds", *self._client.keys(f"{prefix}*:running")]
        self._client.eval(_PASS_TIME, len(keys), *keys, round(leases * LEASE_SECONDS * 1000) + 1)  # type: ignore[no-untyped-call]

    def reap(self, process: int) -> None:
        self.run(self.processes[process].leases.reap())

    def lose_memory(self) -> None:
        """Redis starts again with nothing; by the till's clock, its memory begins at this moment."""
        self._client.flushall()
        self._client.script_flush()
        self._client.set(f"{shard_prefix(0)}since", int(self.now.timestamp() * 1000))

    def ingest(self, *, max_entries: int, is_cut_short: bool) -> None:
        """Store the oldest entries; cut short, they are stored but not acknowledged."""
        entries = read_entries(self._client, 0, max_entries=max_entries)
        for entry in entries:
            event = orjson.loads(entry.content)
            self.ledger.events.setdefault(event["id"], event)
            self.ledger.cursor = later_id(self.ledger.cursor, entry.stream_id)
        if entries and not is_cut_short:
            settle_entries(self._client, 0, entries, ())

    def begin_next_day(self) -> None:
        self.now += timedelta(days=1)

    def read(
        self, counters: Iterable[str], scopes: Iterable[tuple[str, uuid.UUID]]
    ) -> tuple[dict[str, tuple[int, int] | None], list[int]]:
        """Spent and held by counter (None where Redis holds none), and the places taken in each scope."""
        names, prefix = list(counters), shard_prefix(0)
        with self._client.pipeline(transaction=False) as pipe:
            for name in names:
                pipe.hmget(f"{prefix}money:{name}", "s", "h")
            for scope, scope_id in scopes:
                pipe.zcount(f"{prefix}{scope}:{scope_id.hex}:running", _now_ms(), "+inf")
            answers = pipe.execute()
        money = {
            name: None if spent is None else (int(spent), int(held or 0))
            for name, (spent, held) in zip(names, answers[: len(names)], strict=True)
        }
        return money, answers[len(names) :]

    def open_holds(self) -> int:
        return int(self._client.zcard(f"{shard_prefix(0)}holds"))

    def _new_process(self) -> Process:
        return Process(self._pipeline, self._settings, self)


async def _nobody(_secret_hmac: bytes) -> Policy | None:
    """Limits are told by the machine."""
    return None


async def _pipeline(settings: GatewaySettings) -> RedisPipeline:
    return RedisPipeline(
        settings.redis_url,
        call_timeout_seconds=settings.redis_call_timeout_ms / 1000,
        queue_limit=settings.redis_queue_limit,
    )


def _now_ms() -> str:
    return f"({int(datetime.now(UTC).timestamp() * 1000)}"


def _settings(url: str, folder: Path) -> GatewaySettings:
    return GatewaySettings(
        database_url="postgresql://nobody@127.0.0.1:1/nowhere",
        redis_url=url,
        key_pepper=b"p" * 16,
        master_key=bytes(32),
        shards=SHARDS,
        redis_call_timeout_ms=5000.0,
        hold_lease_seconds=LEASE_SECONDS,
        # Nobody waits for holds to be restored: the machine says when that happens.
        hold_renew_seconds=0.0,
        spool_dir=str(folder / "spool"),
    )
