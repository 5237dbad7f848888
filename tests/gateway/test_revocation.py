"""Revocation: who reads nothing is cut, whatever the policies do meanwhile."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from gateway.meter import Meter
from gateway.policy import Policy
from gateway.policy_store import PolicyStore
from gateway.revocation import Revocation
from gateway.running import Running, RunningRequests
from gateway.settlement import Settler
from gateway.spool import Spool
from gateway.trace import Trace
from tests.gateway.limits_bench import bench, policy, settings

NOWHERE = "postgresql://nobody@127.0.0.1:1/nowhere"
LOOKS = 1_000
LONG_AGO_SECONDS = 3_600


@asynccontextmanager
async def stalled_stream(who: Policy, policies: PolicyStore, folder: Path) -> AsyncIterator[Running]:
    """A request of this key whose client reads nothing, in a process that looks after it."""
    async with bench() as limits:
        settler = Settler(limits.redis, settings=settings(), spool=Spool(folder))
        requests = RunningRequests(settler, limits.leases, on_end=lambda event: None)
        revocation = Revocation(policies, requests, settings=settings())
        hold = await limits.admit(who, nano=100)
        begun: asyncio.Future[Running] = asyncio.get_running_loop().create_future()

        async def serve() -> None:
            trace = Trace(route="/v1", client_request_id="", user_agent="", source="", policy=who)
            running = requests.start(trace, hold, Meter(prompt_tokens_estimate=1))
            running.sending_since = time.monotonic() - LONG_AGO_SECONDS
            begun.set_result(running)
            await asyncio.Event().wait()

        tasks = [asyncio.create_task(serve()), asyncio.create_task(revocation.run())]
        try:
            yield await begun
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)


async def cut(running: Running) -> str:
    """Why it was cut, once it was; nothing if that does not happen."""
    for _ in range(LOOKS):
        if running.cut_by is not None:
            return running.cut_by.code
        await asyncio.sleep(0.01)
    return ""


def nowhere() -> PolicyStore:
    """Policies of a process that cannot reach PostgreSQL."""
    return PolicyStore(replace(settings(policy_load_timeout_seconds=0.02), database_url=NOWHERE))


async def test_a_stalled_client_is_cut_while_changed_policies_cannot_be_read(tmp_path: Path) -> None:
    who, policies = policy(), nowhere()
    async with stalled_stream(who, policies, tmp_path) as running:
        policies._remember(who.secret_hmac, who)
        policies._hear(f"{who.organization_id}:{who.epoch + 1}".encode())

        assert await cut(running) == "request_timeout"


async def test_a_stalled_client_is_cut_while_policies_change_all_the_time(tmp_path: Path) -> None:
    who, policies = policy(), nowhere()

    async def change() -> None:
        newest = who
        while True:
            policies._remember(who.secret_hmac, newest)
            await asyncio.sleep(0.05)
            newest = replace(newest, epoch=newest.epoch + 1)
            policies._hear(f"{who.organization_id}:{newest.epoch}".encode())

    async with stalled_stream(who, policies, tmp_path) as running:
        changing = asyncio.create_task(change())
        try:
            assert await cut(running) == "request_timeout"
        finally:
            changing.cancel()
