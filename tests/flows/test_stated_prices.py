"""Prices that people state, in the data plane: within a second, held, billed and named in the event."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from billing.models import UsageEvent
from billing.price_book import load_price_book
from billing.price_facts import Numbers
from billing.price_services import set_ceiling, set_markup, state_price, take_price_back
from billing.price_versions import PriceVersions
from billing.terms import bill_of
from billing.usage import TokenUsage
from gateway.services import connect_provider, place_connection
from tests.flows.calls import Reply, call, soon
from tests.house import House, Process, Team, apart, chat

# The operator's provider of this file alone: what is stated about it touches no other test.
PROVIDER = "stated-prices"
USAGE = TokenUsage(input=5, output=8)


def today() -> Any:
    return datetime.now(UTC).date()


def rates(input_usd: str, output_usd: str) -> Numbers:
    return Numbers(usd_per_million={"input": Decimal(input_usd), "output": Decimal(output_usd)})


def connect(house: House) -> None:
    connect_provider(
        organization=None, provider=PROVIDER, base_url=f"{house.simulator_url}/v1", api_key="simulator"
    )


async def answered(
    gateway: Process, team: Team, model: str, *, status: int = 200, **parameters: Any
) -> Reply:
    """The answer, once it has this status: what was stated is there within a second."""
    replies: list[Reply] = []

    async def has_status() -> bool:
        replies.append(await call(gateway, team.key, chat(model, **parameters)))
        return replies[-1].status == status

    await soon(has_status, f"status {status} from {model}")
    return replies[-1]


def newest(team: Team, count: int) -> UsageEvent:
    return [event for event in team.wait_for_events(count) if event.status == 200][-1]


def is_priced_by_its_version(event: UsageEvent) -> bool:
    bill = bill_of(USAGE, PriceVersions(load_price_book()).terms(event.price_version))
    return (bill.cost.total_nano, bill.charge.total_nano) == (
        event.cost_usd * 10**9,
        event.charge_usd * 10**9,
    )


async def test_a_stated_price_and_its_markup_are_billed_and_named(
    house: House, gateway: Process, worker: Process, team: Team
) -> None:
    await apart(connect, house)
    refused = await answered(gateway, team, f"{PROVIDER}/echo", status=404)
    fact = await apart(
        state_price, provider=PROVIDER, model="echo", valid_from=today(), numbers=rates("1", "2")
    )
    plain = await answered(gateway, team, f"{PROVIDER}/echo")
    await apart(
        set_markup, provider=PROVIDER, multiplier=Decimal("1.5"), fee_usd=Decimal("0.001"), valid_from=today()
    )

    async def is_marked_up() -> bool:
        answer = await call(gateway, team.key, chat(f"{PROVIDER}/echo"))
        return bool(answer.json["usage"]["cost_usd_total"] == 0.0010315)

    await soon(is_marked_up, "the markup")
    await soon(lambda: apart(lambda: any(" x1.5 " in e.price_version for e in team.events())), "its event")

    events = await apart(team.events)
    marked_up = next(e for e in events if " x1.5 " in e.price_version)
    first = next(e for e in events if e.status == 200)
    assert (refused.error["code"], plain.json["usage"]["cost_usd_total"]) == ("model_not_found", 0.000021)
    assert (first.cost_usd, first.charge_usd) == (Decimal("0.000021"), Decimal("0.000021"))
    assert first.price_version == fact.version
    assert (marked_up.cost_usd, marked_up.charge_usd) == (Decimal("0.000021"), Decimal("0.0010315"))
    assert marked_up.price_version == f"{fact.version} x1.5 +0.001"
    assert await apart(is_priced_by_its_version, marked_up)
    assert await apart(is_priced_by_its_version, first)


@pytest.mark.parametrize("is_stream", [False, True])
async def test_an_organizations_own_price_is_charged_and_others_pay_the_book(
    *, is_stream: bool, gateway: Process, worker: Process, team: Team
) -> None:
    own = await apart(
        state_price,
        organization=team.organization,
        provider="fake",
        model="echo",
        valid_from=today(),
        numbers=rates("0.5", "3"),
    )

    answer = await call(gateway, team.key, chat("echo@fake", stream=is_stream))

    usage = answer.chunks[-1]["usage"] if is_stream else answer.json["usage"]
    event = await apart(team.only_event)
    assert usage["cost_usd_total"] == 0.0000265
    assert (event.cost_usd, event.charge_usd) == (Decimal("0.000021"), Decimal("0.0000265"))
    assert event.price_version == f"fake/echo@2026-01-01.a88dfb09 charged {own.version}"
    assert await apart(team.charged_usd) == Decimal("0.0000265")
    assert await apart(is_priced_by_its_version, event)

    await apart(take_price_back, fact=own)
    back = await answered(gateway, team, "echo@fake")
    assert back.json["usage"]["cost_usd_total"] == 0.000021


async def test_a_hold_covers_what_is_charged_not_only_what_it_costs(gateway: Process, team: Team) -> None:
    """A thousand tokens out cost $0.002 and are charged $0.02 here."""
    await apart(
        state_price,
        organization=team.organization,
        provider="fake",
        model="echo",
        valid_from=today(),
        numbers=rates("1", "20"),
    )
    _, poor = await apart(team.new_key, budget_usd="0.019")
    _, rich = await apart(team.new_key, budget_usd="0.021")

    body = chat("fake/echo", max_tokens=1_000)
    assert (await call(gateway, poor, body)).status == 402
    assert (await call(gateway, rich, body)).status == 200


async def test_a_model_without_a_price_costs_its_owners_ceiling_or_is_refused(
    house: House, gateway: Process, worker: Process, team: Team
) -> None:
    await apart(
        connect_provider,
        organization=team.organization,
        provider="fake",
        base_url=f"{house.simulator_url}/v1",
        api_key="sk-own-0123456789-of-this-team",
    )
    before = await call(gateway, team.key, chat("fake/unpriced"))
    await apart(
        set_ceiling,
        organization=team.organization,
        input_usd_per_million=Decimal(10),
        output_usd_per_million=Decimal(20),
    )
    served = await call(gateway, team.key, chat("fake/unpriced"))
    held = await call(
        gateway, (await apart(team.new_key, budget_usd="0.0199"))[1], chat("fake/unpriced", max_tokens=1_000)
    )
    platform = await call(gateway, team.key, chat("fake/unpriced", use_custom_keys=False))
    events = await apart(team.wait_for_events, 4)
    await apart(
        set_ceiling, organization=team.organization, input_usd_per_million=None, output_usd_per_million=None
    )
    after = await call(gateway, team.key, chat("fake/unpriced"))

    assert (before.status, after.status) == (404, 404)
    assert (served.status, held.status, platform.status) == (200, 402, 400)
    assert platform.error["code"] == "model_price_unavailable"
    event = next(event for event in events if event.status == 200)
    assert (event.cost_usd, event.charge_usd, event.is_own_credential) == (Decimal("0.00021"), 0, True)
    assert (event.is_estimated, event.price_version) == (True, "ceiling:fake/unpriced@10000000/20000000")


async def test_the_operators_keys_serve_unpriced_models_from_the_floor_on(
    house: House, worker: Process, team: Team
) -> None:
    gateway = house.start_gateway(FAREBOX_UNPRICED_FLOOR_USD_PER_MILLION="50")
    below, at = Decimal("49.999999"), Decimal(50)
    replies = []
    for ceiling_usd in (below, at):
        await apart(
            set_ceiling,
            organization=team.organization,
            input_usd_per_million=ceiling_usd,
            output_usd_per_million=Decimal(60),
        )
        replies.append(await call(gateway, team.key, chat("fake/unpriced")))

    assert [reply.status for reply in replies] == [400, 200]
    event = await apart(newest, team, 2)
    assert (event.charge_usd, event.cost_usd, event.is_estimated) == (
        Decimal("0.00073"), Decimal("0.00073"), True,
    )  # fmt: skip
    assert replies[1].json["usage"]["cost_usd_total"] == 0.00073


async def test_an_endpoint_in_a_region_is_billed_at_the_regions_price(
    house: House, gateway: Process, worker: Process, team: Team
) -> None:
    connection = await apart(
        connect_provider,
        organization=team.organization,
        provider="fake",
        base_url=f"{house.simulator_url}/v1",
        api_key="sk-own-0123456789-of-this-team",
    )
    await apart(place_connection, connection=connection, region="eu-test")
    fact = await apart(
        state_price,
        provider="fake",
        model="echo",
        region="eu-test",
        valid_from=today(),
        numbers=rates("10", "10"),
    )

    async def is_regional() -> bool:
        await call(gateway, team.key, chat("fake/echo"))
        return await apart(lambda: any(event.price_version == fact.version for event in team.events()))

    await soon(is_regional, "the region's price")
    events = await apart(team.events)
    assert next(e.cost_usd for e in events if e.price_version == fact.version) == Decimal("0.00013")
