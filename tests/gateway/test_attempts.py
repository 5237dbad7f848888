"""Attempts against an upstream on 127.0.0.1: their targets' breakers, and the time that they have."""

from typing import Any

import pytest
from msgspec import structs

from gateway.attempts import Attempts
from gateway.deadlines import Deadlines
from gateway.errors import GatewayError, UnsupportedParameter, UpstreamTimeout
from gateway.health import Health
from gateway.pressure import Pressure
from gateway.redis_pipeline import RedisPipeline
from gateway.router import need_of
from gateway.routing.target import Target
from gateway.trace import Trace
from gateway.transport import PooledTransport
from gateway.upstream import Outbound
from tests.gateway.limits_bench import policy, settings
from tests.gateway.pooled_calls import PATIENT, UNGUARDED, pooled
from tests.gateway.scripted_upstream import Conversation, answering, scripted_upstream
from tests.gateway.shelf import Shelf, chosen, connection, offer, request

# One failure opens a breaker, and the next attempt is a probe.
WARY = {"breaker_failures": 1, "breaker_open_seconds": 0.0, "upstream_retries": 0}
LEG = {"is_race_leg": True, "ttft_timeout_seconds": 0.01}


def target(provider: str, url: str, **fields: Any) -> Target:
    shelf = Shelf([offer(provider, "m")], [connection(provider)])
    (found,) = chosen(request(f"{provider}/m"), shelf=shelf)
    return structs.replace(found, base_url=url, **fields)


def health() -> Health:
    """Health whose figures nobody shares."""
    redis = RedisPipeline(settings().redis_url, call_timeout_seconds=5.0, queue_limit=100)
    return Health(redis, settings=settings(**WARY))


async def failure(
    transport: PooledTransport,
    known: Health,
    targets: list[Target],
    *,
    total_seconds: float = 180.0,
    **asked: Any,
) -> GatewayError:
    """What a request to these targets ends in, the first of which has failed before."""
    outbound = Outbound(transport, PATIENT, Pressure(), UNGUARDED, UNGUARDED)
    rules = settings(**WARY, upstream_total_timeout_seconds=total_seconds)
    attempts = Attempts(outbound, settings=rules, deadlines=Deadlines(), health=known)
    trace = Trace(route="/v1", client_request_id="", user_agent="", source="", policy=policy())
    trace.request = request("m", **asked)
    trace.need = need_of(trace.request, tuple(targets))
    known.note_failure(targets[0])
    with pytest.raises(GatewayError) as caught:
        await attempts.first_answer(targets, trace)
    return caught.value


async def silent(conversation: Conversation) -> None:
    await conversation.request()
    await conversation.gone()


def is_open(known: Health, one: Target) -> bool:
    return known.is_open(one.provider, one.model, one.connection_id)


async def test_a_probe_that_is_never_sent_leaves_the_next_one_to_others() -> None:
    known, one = health(), target("p", "http://127.0.0.1:1")
    async with pooled() as transport:
        error = await failure(transport, known, [one], region="nowhere", drop_params=False)

    assert isinstance(error, UnsupportedParameter)
    assert (known.breakers.any_is_open, is_open(known, one)) == (True, False)


async def test_a_probe_that_is_given_up_in_a_race_leaves_the_next_one_to_others() -> None:
    known = health()
    async with scripted_upstream(silent) as upstream, pooled() as transport:
        legs = [target(provider, upstream.url, **LEG) for provider in ("p", "q")]
        error = await failure(transport, known, legs, stream=True)

    assert isinstance(error, UpstreamTimeout)
    assert (known.breakers.any_is_open, is_open(known, legs[0])) == (True, False)


@pytest.mark.parametrize(("status", "remains"), [(b"400 Bad Request", False), (b"500 Oh No", True)])
async def test_what_answers_a_probe_says_whether_its_target_works(status: bytes, *, remains: bool) -> None:
    known = health()
    script = answering(b"HTTP/1.1 %b\r\nContent-Length: 2\r\n\r\n{}" % status)
    async with scripted_upstream(script) as upstream, pooled() as transport:
        one = target("p", upstream.url)
        await failure(transport, known, [one])

    assert known.breakers.any_is_open is remains


async def test_a_leg_that_waits_is_not_begun_when_the_time_for_the_request_is_over() -> None:
    async with scripted_upstream(silent) as upstream, pooled() as transport:
        first = target("p", upstream.url, is_race_leg=True, handicap_seconds=10.0)
        legs = [first, target("q", upstream.url, is_race_leg=True)]
        error = await failure(transport, health(), legs, total_seconds=0.2, stream=True)

    assert isinstance(error, UpstreamTimeout)
    assert len(upstream.requests) == 1
