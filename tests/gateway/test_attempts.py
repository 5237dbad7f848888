"""Attempts: what one of them says of its target."""

import pytest
from msgspec import structs

from gateway.attempts import Attempts
from gateway.deadlines import Deadlines
from gateway.egress import EgressPolicy
from gateway.errors import GatewayError, ProviderError, RequestNotWritten
from gateway.health import Health
from gateway.pressure import Pressure
from gateway.routing.target import Target
from gateway.trace import Trace
from gateway.transport import PooledTransport
from gateway.upstream import Outbound
from tests.gateway.limits_bench import bench, settings
from tests.gateway.shelf import Shelf, chosen, connection, offer, request

SETTINGS = settings(breaker_failures=1, upstream_retries=0)
NOWHERE = "http://127.0.0.1:1/v1"


def target(**changes: str) -> Target:
    shelf = Shelf([offer("p", "m")], [connection("p")])
    return structs.replace(chosen(request("p/m"), shelf=shelf)[0], base_url=NOWHERE, **changes)


async def attempt(asked: Target, health: Health) -> GatewayError:
    """How the only target fails."""
    unguarded = EgressPolicy(is_guarded=False)
    transport = PooledTransport()
    outbound = Outbound(transport, {}, Pressure(), guarded=unguarded, unguarded=unguarded)
    attempts = Attempts(outbound, settings=SETTINGS, deadlines=Deadlines(), health=health)
    trace = Trace(route="/v1", client_request_id="", user_agent="", source="")
    trace.request = request("p/m")
    with pytest.raises(GatewayError) as failure:
        await attempts.first_answer((asked,), trace)
    await transport.aclose()
    return failure.value


async def test_a_request_that_cannot_be_written_says_nothing_of_the_provider() -> None:
    async with bench() as limits:
        health = Health(limits.redis, settings=SETTINGS)

        error = await attempt(target(credential="a\r\nb"), health)

        assert type(error) is RequestNotWritten
        assert not health.breakers.any_is_open
        assert type(await attempt(target(), health)) is ProviderError
        assert health.breakers.any_is_open


async def test_a_probe_that_could_not_be_written_leaves_the_next_one_its_turn() -> None:
    async with bench() as limits:
        probed_at_once = settings(breaker_failures=1, breaker_open_seconds=0.0)
        health = Health(limits.redis, settings=probed_at_once)
        await attempt(target(), health)

        await attempt(target(credential="a\r\nb"), health)

        assert health.breakers.any_is_open
        assert not health.is_open("p", "m", target().connection_id)
