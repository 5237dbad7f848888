"""The stage: gateways, worker and simulator over the stores, the faults that strike them, and the end.

After the load everything is healed and left alone until it has come to rest; only then are the
books opened (tests.prove.verdict).
"""

import asyncio
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import redis
from django.core.management import call_command
from django.db import connections

from billing.usage_stream import stream_key
from gateway.policy import shard_prefix
from tests.house import House, Process, Team, eventually, furnish, new_team
from tests.prove.faults import GATEWAYS, Fault
from tests.prove.load import Told, plans, send_all
from tests.prove.stores import Stores
from tests.prove.verdict import Verdict, judge

SHARDS = 16
REST_SECONDS = 120.0
GATEWAY_SETTINGS = {
    "FAREBOX_HOLD_LEASE_SECONDS": "3",
    "FAREBOX_HOLD_RENEW_SECONDS": "0.5",
    "FAREBOX_REDIS_CALL_TIMEOUT_MS": "500",
    "FAREBOX_SHARDS": str(SHARDS),
}


def prove(
    stores: Stores, folder: Path, *, requests: int, seed: int, faults: Sequence[Fault]
) -> tuple[str, bool]:
    """The report as Markdown, and whether the books agree."""
    began_at = time.monotonic()
    call_command("migrate", verbosity=0, interactive=False)
    house = furnish(folder)
    team = new_team(credit_usd="100000")
    stage = Stage(stores, house)
    try:
        told = asyncio.run(stage.play(team, requests=requests, seed=seed, faults=faults))
        stage.come_to_rest()
        page = house.start_gateway(application="config.asgi")
        verdict = judge(house, team, page, told)
    finally:
        stage.heal()
        house.stop()
    return render(verdict, told, requests, seed, faults, time.monotonic() - began_at), verdict.is_clean


class Stage:
    """What can be struck."""

    def __init__(self, stores: Stores, house: House) -> None:
        self._stores = stores
        self._house = house
        self._gateways = [house.start_gateway(**GATEWAY_SETTINGS) for _ in range(GATEWAYS)]
        self._worker = house.start_worker(**GATEWAY_SETTINGS)
        self._striking = asyncio.Lock()

    async def play(self, team: Team, *, requests: int, seed: int, faults: Sequence[Fault]) -> Told:
        """Send everything while the faults strike, one at a time, each while requests go on."""
        told, waiting, strikes = Told(), list(faults), asyncio.TaskGroup()

        async def strike(position: int) -> None:
            if position % max(1, requests // 20) == 0:
                print(f"{position} of {requests} requests", file=sys.stderr, flush=True)  # noqa: T201
            while waiting and waiting[0].position <= position:
                # The one before it must be over, or they would all come when the load has ended.
                async with self._striking:
                    pass
                if waiting and waiting[0].position <= position:
                    strikes.create_task(self._strike(waiting.pop(0)))
                    await asyncio.sleep(0)

        async with strikes:
            await send_all(
                plans(seed, requests, GATEWAYS), self._gateways, team.key, strike=strike, told=told
            )
        return told

    def heal(self) -> None:
        """Whatever is paused goes on."""
        for store in (self._stores.postgres, self._stores.redis):
            store.signal_all(signal.SIGCONT)
        for process in (*self._gateways, self._worker):
            if process.is_running:
                process.signal_group(signal.SIGCONT)

    def come_to_rest(self) -> None:
        """Return when no hold is open, and all that was recorded has been ingested and rolled up."""
        for connection in connections.all():
            connection.close()
            connection.close_pool()
        eventually(
            lambda: not self._unfinished(),
            lambda: f"everything to come to rest; still open: {self._unfinished()}",
            seconds=REST_SECONDS,
        )

    async def _strike(self, fault: Fault) -> None:
        async with self._striking:
            print(f"  {fault}", file=sys.stderr, flush=True)  # noqa: T201
            part, _, number = fault.part.partition(" ")
            if part == "gateway":
                await self._strike_gateway(int(number), fault)
            elif part == "worker":
                await self._strike_worker(fault)
            else:
                await self._strike_store(part, fault)

    async def _strike_gateway(self, number: int, fault: Fault) -> None:
        process = self._gateways[number]
        if fault.action == "pause":
            await _pause(process, fault.seconds)
            return
        process.kill()
        await asyncio.sleep(fault.seconds)
        self._gateways[number] = await asyncio.to_thread(self._house.start_gateway, **GATEWAY_SETTINGS)

    async def _strike_worker(self, fault: Fault) -> None:
        if fault.action == "pause":
            await _pause(self._worker, fault.seconds)
            return
        self._worker.kill()
        await asyncio.sleep(fault.seconds)
        self._worker = self._house.start_worker(**GATEWAY_SETTINGS)

    async def _strike_store(self, part: str, fault: Fault) -> None:
        store = self._stores.redis if part == "redis" else self._stores.postgres
        if fault.action == "pause":
            store.signal_all(signal.SIGSTOP)
            await asyncio.sleep(fault.seconds)
            store.signal_all(signal.SIGCONT)
            return
        store.kill()
        await asyncio.sleep(fault.seconds)
        await store.start_again()

    def _unfinished(self) -> dict[str, int]:
        """What is still open, by Redis key."""
        keys = [f"{shard_prefix(shard)}holds" for shard in range(SHARDS)]
        streams = [stream_key(shard) for shard in range(SHARDS)]
        with (
            redis.Redis.from_url(self._stores.redis.url) as client,
            client.pipeline(transaction=False) as pipe,
        ):
            for key in keys:
                pipe.zcard(key)
            for key in streams:
                pipe.xlen(key)
            answers = pipe.execute()
        return {key: count for key, count in zip([*keys, *streams], answers, strict=True) if count}


async def _pause(process: Process, seconds: float) -> None:
    process.signal_group(signal.SIGSTOP)
    await asyncio.sleep(seconds)
    process.signal_group(signal.SIGCONT)


def render(
    verdict: Verdict, told: Told, requests: int, seed: int, faults: Sequence[Fault], seconds: float
) -> str:
    """The whole report."""
    struck = "\n".join(f"- {fault}" for fault in faults)
    tries = ", ".join(f"{what} {count:,} times" for what, count in sorted(told.tries.items()))
    return f"""# {requests:,} requests under {len(faults)} faults, seed {seed}

{verdict.render()}

Callers read {len(told.whole):,} whole answers and {told.broken:,} that broke off, left {told.left:,}
themselves, and gave {told.given_up:,} up. Answers to all tries: {tries}. It took {seconds:.0f} s.

Faults, after so many requests:

{struck}
"""
