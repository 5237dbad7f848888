"""A provider's bill fetched over HTTP and laid beside our books: gateway, worker, simulator, all real.

The simulator bills from its own invoice. Each test has a provider of its own, so that no other
test's calls are on its bill.
"""

import asyncio
import os
import subprocess
import sys
import uuid
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest
from django.conf import settings
from django.test import override_settings

from billing.models import ProviderDay, ProviderStatement
from billing.reconciliation.matching import ModelDay, match_day, model_day_of
from billing.reconciliation.our_side import Account
from gateway.bill_services import fetch_source, set_bill_source
from gateway.models import BillSource
from gateway.services import connect_provider, declare_model
from tests.house import ROOT, House, Process, Team, apart, chat, database_url, eventually
from tests.stream_client import raw_request

TODAY = datetime.now(UTC).date()


@dataclass(frozen=True)
class Lab:
    """An operator's provider whose calls are on a bill of their own."""

    provider: str
    key: str
    source: BillSource

    @property
    def account(self) -> Account:
        return Account(self.provider)

    def fetch(self) -> ProviderDay:
        """Ask for the bill, and the day as it was matched."""
        assert fetch_source(BillSource.objects.get(pk=self.source.pk), now=datetime.now(UTC))
        return ProviderDay.objects.get(provider=self.provider, day=TODAY)


def new_lab(house: House, dialect: str = "openai", *, output_usd: str = "2") -> Lab:
    name = "lab-" + "".join(chr(ord("a") + byte % 26) for byte in uuid.uuid4().bytes)
    key = f"key-of-{name}"
    connection = connect_provider(
        organization=None, provider=name, base_url=f"{house.simulator_url}/v1", api_key=key
    )
    for model in ("echo", "ten-chunks", "slow"):
        declare_model(
            connection=connection,
            model=model,
            upstream_name="",
            context_window_tokens=128_000,
            max_output_tokens=4_096,
            input_usd_per_million=Decimal(1),
            output_usd_per_million=Decimal(output_usd),
        )
    source = set_bill_source(
        provider=name, dialect=dialect, base_url=f"{house.simulator_url}/v1", admin_key=f"admin-{key}"
    )
    return Lab(name, key, source)


async def known_lab(
    gateway: Process, team: Team, house: House, dialect: str = "openai", **prices: str
) -> Lab:
    """A lab that the gateway has heard of: it asks for the operator's changes every half second."""
    lab = await apart(new_lab, house, dialect, **prices)
    headers = {"authorization": f"Bearer {team.key}"}

    def is_known() -> bool:
        listed = httpx.get(f"{gateway.url}/v0/endpoints", headers=headers, timeout=30).text
        return f"slow@{lab.provider}" in listed

    await asyncio.to_thread(eventually, is_known, f"the gateway to know {lab.provider}", seconds=10)
    return lab


async def complete(gateway: Process, team: Team, body: dict[str, Any]) -> int:
    async with raw_request(gateway.url, body, key=team.key) as stream:
        status: int = await stream.read_head()
        await stream.read_rest()
        return status


async def leave_after(gateway: Process, team: Team, body: dict[str, Any], *, chunks: int) -> None:
    async with raw_request(gateway.url, body, key=team.key) as stream:
        assert await stream.read_head() == 200
        await stream.read_events(chunks)


def models_of(day: ProviderDay) -> dict[str, ModelDay]:
    return {each.model: each for each in map(model_day_of, day.models_matched)}


def wait_for_invoice(house: House, lab: Lab, calls: int) -> None:
    """Until the simulator has closed the books on this many calls."""
    ended = lambda: [line for line in house.invoice(key=lab.key) if line["outcome"] != "running"]  # noqa: E731
    eventually(lambda: len(ended()) >= calls, f"{calls} calls of {lab.provider} to end")


@pytest.mark.parametrize("dialect", ["openai", "anthropic"])
async def test_the_providers_bill_equals_our_cost(
    dialect: str, house: House, gateway: Process, worker: Process, team: Team
) -> None:
    lab = await known_lab(gateway, team, house, dialect)
    bodies = [
        chat(f"{model}@{lab.provider}", f"[[tokens {count}]] [[pace 1]]", stream=count % 2 == 0)
        for model in ("echo", "ten-chunks")
        for count in range(1, 9)
    ]

    statuses = await asyncio.gather(*(complete(gateway, team, body) for body in bodies))
    await apart(team.wait_for_events, 16)
    day = await apart(lab.fetch)

    assert statuses == [200] * 16
    assert day.theirs_usd == day.ours_usd == await apart(team.charged_usd)
    assert day.drift_usd == 0
    assert {name: each.causes for name, each in models_of(day).items()} == {"echo": (), "ten-chunks": ()}
    requests = {name: each.theirs.requests for name, each in models_of(day).items()}
    assert requests == ({"echo": 8, "ten-chunks": 8} if dialect == "openai" else dict.fromkeys(requests))


async def test_a_billed_answer_that_never_came_is_a_failed_attempt(
    house: House, gateway: Process, worker: Process, team: Team
) -> None:
    lab = await known_lab(gateway, team, house)
    await complete(gateway, team, chat(f"echo@{lab.provider}", "[[tokens 5]]"))
    status = await complete(gateway, team, chat(f"echo@{lab.provider}", "[[bill and drop]] [[tokens 40]]"))
    await apart(team.wait_for_events, 2)
    await apart(wait_for_invoice, house, lab, 2)

    day = await apart(lab.fetch)

    only = models_of(day)["echo"]
    assert status == 502
    assert only.difference_usd > Decimal("0.00008")
    assert only.causes == ("failed_attempts",)
    assert only.doubts["failed_attempts"][0] == 1
    assert await apart(team.charged_usd) == only.ours_usd


async def test_the_tail_of_a_stream_that_was_left_is_named(
    house: House, gateway: Process, worker: Process, team: Team
) -> None:
    lab = await known_lab(gateway, team, house)
    body = chat(f"ten-chunks@{lab.provider}", "[[tokens 50]] [[pace 20]] [[after cancel]]", stream=True)
    await leave_after(gateway, team, body, chunks=3)
    await apart(team.wait_for_events, 1)
    await apart(wait_for_invoice, house, lab, 1)

    day = await apart(lab.fetch)

    only = models_of(day)["ten-chunks"]
    assert only.causes == ("cancelled",)
    assert only.difference_usd > 0
    assert only.theirs.output_tokens == 50


async def test_usage_that_nobody_reported_is_named_an_estimate(
    house: House, gateway: Process, worker: Process, team: Team
) -> None:
    lab = await known_lab(gateway, team, house)
    body = chat(f"echo@{lab.provider}", "[[no usage]] [[tokens 9]]", stream=True)
    await complete(gateway, team, body)
    event = (await apart(team.wait_for_events, 1))[0]

    day = await apart(lab.fetch)

    only = models_of(day)["echo"]
    assert event.is_estimated
    assert "estimated" in only.doubts
    assert only.causes == (("estimated",) if only.difference_usd else ())


async def test_a_wrong_price_of_ours_is_named_a_price(
    house: House, gateway: Process, worker: Process, team: Team
) -> None:
    lab = await known_lab(gateway, team, house, output_usd="1.9")
    await complete(gateway, team, chat(f"echo@{lab.provider}", "[[tokens 100]]"))
    await apart(team.wait_for_events, 1)

    day = await apart(lab.fetch)
    tomorrow = await apart(match_day, lab.account, TODAY, now=datetime.now(UTC) + timedelta(days=1))

    only = models_of(day)["echo"]
    assert only.causes == ("price",)
    assert only.difference_usd == Decimal("0.00001")
    assert not day.is_drifting
    assert tomorrow.is_drifting


async def test_asking_again_changes_nothing_and_later_calls_supersede(
    house: House, gateway: Process, worker: Process, team: Team
) -> None:
    lab = await known_lab(gateway, team, house)
    await complete(gateway, team, chat(f"echo@{lab.provider}"))
    await apart(team.wait_for_events, 1)

    first = await apart(lab.fetch)
    again = await apart(lab.fetch)
    counted = await apart(statements, lab)
    await complete(gateway, team, chat(f"echo@{lab.provider}"))
    await apart(team.wait_for_events, 2)
    later = await apart(lab.fetch)

    assert first.theirs_usd == again.theirs_usd > 0
    assert counted == {"cost": 1, "usage": 1}
    assert later.theirs_usd == 2 * first.theirs_usd
    assert await apart(statements, lab) == {"cost": 2, "usage": 2}


def statements(lab: Lab) -> dict[str, int]:
    rows = ProviderStatement.objects.filter(provider=lab.provider, day=TODAY)
    return {kind: rows.filter(kind=kind).count() for kind in ("cost", "usage")}


async def test_a_refused_key_is_kept_as_the_failure_and_stores_nothing(house: House, committed: None) -> None:
    lab = await apart(new_lab, house)
    source = await apart(
        set_bill_source,
        provider=lab.provider,
        dialect="openai",
        base_url=f"{house.simulator_url}/v1",
        admin_key="sk-ordinary-key-1234567890",
    )

    is_fetched = await apart(fetch_source, source, now=datetime.now(UTC))

    kept = await apart(BillSource.objects.get, pk=source.pk)
    assert not is_fetched
    assert kept.failure == (
        "/organization/costs: the provider answered 401; it must be an admin key of the account."
    )
    assert kept.fetched_at is not None
    assert await apart(statements, lab) == {"cost": 0, "usage": 0}


async def test_a_private_address_that_nobody_opened_is_not_asked(house: House, committed: None) -> None:
    lab = await apart(new_lab, house)
    closed = replace(settings.FAREBOX_GATEWAY, allowed_upstream_networks=())

    with override_settings(FAREBOX_GATEWAY=closed):
        is_fetched = await apart(fetch_source, lab.source, now=datetime.now(UTC))

    kept = await apart(BillSource.objects.get, pk=lab.source.pk)
    assert not is_fetched
    assert kept.failure.startswith("/organization/costs: ")
    assert "127.0.0.1" not in kept.failure.partition(": ")[2]


async def test_the_worker_asks_by_itself(house: House, gateway: Process, worker: Process, team: Team) -> None:
    lab = await known_lab(gateway, team, house)
    await complete(gateway, team, chat(f"echo@{lab.provider}"))
    await apart(team.wait_for_events, 1)

    await apart(send_task)

    await apart(
        eventually, lambda: statements(lab) == {"cost": 1, "usage": 1}, "the worker to fetch the bill"
    )


def send_task() -> None:
    """As beat would: through the broker, to whichever worker listens on the queue."""
    code = "from config.celery import app; app.send_task('gateway.tasks.fetch_bills', queue='audit')"
    environment = {**os.environ, "DATABASE_URL": database_url()}
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, check=True, timeout=60)
