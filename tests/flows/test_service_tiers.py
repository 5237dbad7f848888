"""Service tiers: the tier that served a request decides its cost, the dearest that may serve it the hold."""

from decimal import Decimal
from typing import Any

import pytest

from tests.flows.calls import call
from tests.house import Process, Team, apart, chat

# Five tokens in and eight out of fake/tiered, at the default's rates.
DEFAULT_USD = Decimal("0.000021")


@pytest.mark.contract("3.2 service_tier")
@pytest.mark.parametrize("is_stream", [False, True])
@pytest.mark.parametrize(
    ("asked", "text", "version", "cost_usd"),
    [
        (None, "hello", "fake/tiered@2026-01-01.", DEFAULT_USD),
        ("auto", "hello", "fake/tiered@2026-01-01.", DEFAULT_USD),
        ("flex", "hello", "fake/tiered~flex@2026-01-01.", DEFAULT_USD / 2),
        ("priority", "hello", "fake/tiered~priority@2026-01-01.", DEFAULT_USD * 2),
    ],
)
async def test_the_tier_that_served_is_billed(
    *,
    asked: str | None,
    text: str,
    version: str,
    cost_usd: Decimal,
    is_stream: bool,
    gateway: Process,
    worker: Process,
    team: Team,
) -> None:
    parameters: dict[str, Any] = {"service_tier": asked} if asked else {}
    answer = await call(gateway, team.key, chat("fake/tiered", text, stream=is_stream, **parameters))

    usage = answer.chunks[-1]["usage"] if is_stream else answer.json["usage"]
    event = await apart(team.only_event)
    assert (answer.status, event.cost_usd, event.charge_usd) == (200, cost_usd, cost_usd)
    assert event.price_version.startswith(version)
    assert Decimal(str(usage["cost_usd_total"])) == cost_usd
    assert await apart(team.charged_usd) == cost_usd


@pytest.mark.parametrize("is_stream", [False, True])
async def test_a_dearer_tier_that_was_not_had_is_not_billed(
    *, is_stream: bool, gateway: Process, worker: Process, team: Team
) -> None:
    body = chat("fake/tiered", "hello [[tier default]]", stream=is_stream, service_tier="priority")
    served = await call(gateway, team.key, body)

    event = await apart(team.only_event)
    assert (served.status, event.price_version[:23]) == (200, "fake/tiered@2026-01-01.")
    assert event.cost_usd == Decimal(event.input_tokens + 2 * event.output_tokens) / 1_000_000


async def test_a_tier_without_a_price_is_refused_unless_it_may_be_dropped(
    gateway: Process, team: Team
) -> None:
    body = chat("fake/echo", service_tier="priority")

    refused = await call(gateway, team.key, body | {"drop_params": False})
    dropped = await call(gateway, team.key, body)

    assert (refused.status, refused.error["param"]) == (400, "service_tier")
    assert dropped.status == 200
    assert dropped.json["extra_fields"]["dropped_params"] == ["service_tier"]


async def test_the_hold_is_for_the_dearest_tier_that_may_serve(gateway: Process, team: Team) -> None:
    """A thousand tokens out cost $0.001 at flex, $0.002 by default and $0.004 with priority."""
    statuses = {}
    for asked, budget_usd in (
        ("flex", "0.0025"),
        ("default", "0.0025"),
        ("priority", "0.0025"),
        ("auto", "0.0025"),
    ):
        _, secret = await apart(team.new_key, budget_usd=budget_usd)
        body = chat("fake/tiered", max_tokens=1_000, service_tier=asked)
        statuses[asked] = (await call(gateway, secret, body)).status

    assert statuses == {"flex": 200, "default": 200, "priority": 402, "auto": 402}
