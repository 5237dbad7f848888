"""Completion: what is let go when a request ends before it was admitted."""

import asyncio
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from gateway.admission import Admission
from gateway.completion import Completions
from gateway.exchange import Incoming
from gateway.limits import MoneyCounter, Need
from gateway.policy import Policy, ReuseRule
from gateway.reuse import Reuse
from gateway.router import Route
from gateway.trace import Trace
from gateway.wire.chat import DEFAULT_LIMITS
from gateway.wire.dialect import V1
from tests.gateway.chat_bodies import body
from tests.gateway.limits_bench import Bench, bench, policy, settings
from tests.gateway.shelf import Shelf, chosen, connection, offer, request


class NeverCounted:
    """Stands for a database that does not answer: a request that needs a counter from it waits."""

    def __init__(self) -> None:
        self.is_asked = asyncio.Event()

    async def __call__(self, counter: MoneyCounter) -> None:
        self.is_asked.set()
        await asyncio.Event().wait()


def completions(limits: Bench, who: Policy, rebuild: NeverCounted) -> Completions:
    """Those parts alone that a request meets before it is admitted."""

    async def identify(headers: Any, *, peer: str) -> Policy:
        return who

    shelf = Shelf([offer("p", "m")], [connection("p")])
    route = Route(tuple(chosen(request("p/m"), shelf=shelf)), Need(1, 1, 1), None)
    absent: Any = None
    callers: Any = SimpleNamespace(identify=identify)
    router: Any = SimpleNamespace(route=lambda *_, **__: route)
    return Completions(
        limits=DEFAULT_LIMITS,
        callers=callers,
        router=router,
        admission=Admission(limits.redis, settings=settings(), rebuild=rebuild, release=lambda _: None),
        attempts=absent,
        running=absent,
        reuse=Reuse(limits.redis, settings=settings()),
        relay=absent,
        bodies=absent,
        sessions=absent,
    )


async def test_a_client_that_leaves_before_it_was_admitted_may_come_back_at_once() -> None:
    async with bench() as limits:
        who = replace(policy(), reuse=ReuseRule(deduplication_seconds=60))
        rebuild = NeverCounted()
        trace = Trace(route="/v1", client_request_id="", user_agent="", source="")
        incoming = Incoming(V1, {}, body(model="p/m"), trace, {})
        reply: Any = SimpleNamespace(has_client_left=True)
        answering = asyncio.create_task(completions(limits, who, rebuild).answer(incoming, reply))
        await asyncio.wait_for(rebuild.is_asked.wait(), 30)
        assert trace.treatment is not None
        mark_key = trace.treatment.mark_key
        assert await limits.redis.call("GET", mark_key) is not None

        answering.cancel()

        with pytest.raises(asyncio.CancelledError):
            await answering
        assert await limits.redis.call("GET", mark_key) is None
