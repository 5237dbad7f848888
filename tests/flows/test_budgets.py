"""Budgets of every scope as clients meet them: refusals, clamps, observers, lost counters, alerts."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from django.conf import settings

from billing.budget_services import BudgetTerms, create_budget
from billing.models import Budget
from billing.money import nano_to_usd
from gateway.alert_services import set_webhook
from gateway.policy import shard_of, shard_prefix
from tests.flows.calls import Reply, call, is_at_rest, soon
from tests.gateway.receiver import Receiver
from tests.house import House, Process, Team, apart, chat, eventually

# `hello` to fake/echo: at most 21 tokens of prompt at $1, 8 of answer at $2 a million; 5 and 8 are used.
PROMPT_BOUND_NANO, TOKEN_NANO, ANSWER = 21_000, 2_000, 8
BOUND_NANO = PROMPT_BOUND_NANO + ANSWER * TOKEN_NANO
COST_NANO = 5 * 1_000 + ANSWER * TOKEN_NANO

LABELS = {
    "tag": ({"subject": "nightly"}, {"tags": ["nightly"]}, {"tags": ["daily"]}),
    "each tag": ({"is_each": True}, {"tags": ["nightly"]}, {"tags": ["daily"]}),
    "end_user": ({"subject": "ann"}, {"user": "ann"}, {"user": "ben"}),
    "each end_user": ({"is_each": True}, {"user": "ann"}, {"user": "ben"}),
    "model": ({"subject": "ec*"}, {}, {"model": "ten-chunks@fake"}),
}


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


def make(team: Team, amount_nano: int = BOUND_NANO, **terms: Any) -> Budget:
    said = {"scope": "key", "window": "month", "amount_usd": nano_to_usd(amount_nano), **terms}
    if said["scope"] in ("key", "project"):
        somebody = team.somebody
        said["scope_id"] = (somebody.key_row if said["scope"] == "key" else somebody.project).pk
    return create_budget(organization=team.organization, terms=BudgetTerms(**said))


async def ask(gateway: Process, key: str, **changes: Any) -> Reply:
    """One call, and its settlement: the request itself does not wait for that."""
    parameters = {"max_tokens": ANSWER, **changes}
    reply = await call(gateway, key, chat(parameters.pop("model", "echo@fake"), **parameters))
    await soon(lambda: is_at_rest(gateway), "the settlement")
    return reply


@pytest.mark.contract("3.4 Out of money")
@pytest.mark.parametrize("scope", ["organization", "project", "key"])
@pytest.mark.parametrize("window", [{"window": "hour"}, {"window": "quarter"}, {"is_rolling": True}])
async def test_the_second_call_does_not_fit_any_more(
    gateway: Process, team: Team, scope: str, window: dict[str, Any]
) -> None:
    budget = await apart(make, team, scope=scope, name="Launch", **window)

    first = await ask(gateway, team.key)
    second = await ask(gateway, team.key)

    assert (first.status, second.status) == (200, 402)
    assert second.headers["x-should-retry"] == "false"
    assert "retry-after" not in second.headers
    error = second.error
    assert error["code"] == ("key_limit_exceeded" if scope == "key" else "budget_exceeded")
    assert error["message"].startswith(f'The budget "Launch" of the {scope} ($0.000037 ')
    assert "has $0.000016 left, and this request may cost up to $0.000037." in error["message"]
    details = error["details"]
    assert (details["budget_id"], details["budget_name"]) == (str(budget.pk), "Launch")
    assert (details["left_usd"], details["asked_usd"]) == ("0.000016000", "0.000037000")
    assert details["renews_at"] is not None


@pytest.mark.parametrize("kind", LABELS)
async def test_a_label_binds_the_requests_that_carry_it(gateway: Process, team: Team, kind: str) -> None:
    terms, bound, free = LABELS[kind]
    # What a `user` adds to the body may be read as prompt.
    await apart(make, team, BOUND_NANO + 10_000, scope=kind.removeprefix("each "), **terms)

    statuses = [(await ask(gateway, team.key, **labels)).status for labels in (bound, bound, free)]
    refused = (await ask(gateway, team.key, **bound)).error

    assert statuses == [200, 402, 200]
    assert refused["details"]["scope"] == kind.removeprefix("each ")
    assert refused["details"]["subject"] in ("nightly", "ann", "ec*")


async def test_a_clamped_request_gets_as_many_tokens_as_its_money_buys(
    gateway: Process, worker: Process, team: Team
) -> None:
    await apart(make, team, PROMPT_BOUND_NANO + 24 * TOKEN_NANO + 1_999)

    refused = await ask(gateway, team.key, max_tokens=1_000)
    shortened = await ask(gateway, team.key, max_tokens=1_000, budget_clamp=True)
    [_, event] = await apart(team.wait_for_events, 2)

    assert refused.status == 402
    assert shortened.status == 200
    assert shortened.headers["x-farebox-budget-clamped"] == "24"
    assert event.parameters["clamped_to"] == 24
    assert event.charge_usd == nano_to_usd(COST_NANO) or event.output_tokens <= 24


@pytest.mark.parametrize("model", ["ten-chunks@fake", "ten-chunks@fake?temperature=0.5"])
async def test_an_answer_is_cut_where_the_clamp_says(model: str, gateway: Process, team: Team) -> None:
    await apart(make, team, PROMPT_BOUND_NANO + 3 * TOKEN_NANO)

    reply = await ask(gateway, team.key, model=model, max_tokens=1_000, budget_clamp=True)

    assert reply.status == 200, reply.body
    assert reply.headers["x-farebox-budget-clamped"] == "3"
    assert reply.json["usage"]["completion_tokens"] == 3


async def test_a_request_is_clamped_to_a_budget_whose_counter_was_lost(gateway: Process, team: Team) -> None:
    await apart(make, team, PROMPT_BOUND_NANO + 24 * TOKEN_NANO + COST_NANO)
    tight = await apart(make, team, PROMPT_BOUND_NANO + 3 * TOKEN_NANO + COST_NANO, window="total")
    await ask(gateway, team.key)
    await apart(forget, team, tight)

    reply = await ask(gateway, team.key, model="ten-chunks@fake", max_tokens=1_000, budget_clamp=True)

    assert reply.status == 200, reply.body
    assert reply.headers["x-farebox-budget-clamped"] == "3"


async def test_a_request_without_a_cap_can_be_clamped_too(gateway: Process, team: Team) -> None:
    await apart(make, team, PROMPT_BOUND_NANO + 3 * TOKEN_NANO)

    reply = await call(gateway, team.key, chat("ten-chunks@fake", budget_clamp=True))

    assert reply.headers["x-farebox-budget-clamped"] == "3"


async def test_a_key_can_be_set_to_be_clamped_and_a_request_can_refuse_that(
    gateway: Process, team: Team
) -> None:
    row, key = await apart(team.new_key, is_budget_clamped=True)
    await apart(team.budget, row, amount_nano=PROMPT_BOUND_NANO + 3 * TOKEN_NANO, window="month")

    refused = await ask(gateway, key, budget_clamp=False)
    clamped = await ask(gateway, key)
    exhausted = await ask(gateway, key)

    assert (refused.status, clamped.status, exhausted.status) == (402, 200, 402)
    assert clamped.headers["x-farebox-budget-clamped"] == "3"


async def test_what_fits_is_not_clamped(gateway: Process, team: Team) -> None:
    await apart(make, team)

    reply = await ask(gateway, team.key, budget_clamp=True)

    assert reply.status == 200
    assert "x-farebox-budget-clamped" not in reply.headers


async def test_a_budget_clamp_that_is_no_boolean_is_refused(gateway: Process, team: Team) -> None:
    reply = await ask(gateway, team.key, budget_clamp="yes")

    assert reply.status == 400
    assert reply.error["param"] == "budget_clamp"


async def test_an_observer_refuses_nothing_and_its_events_say_what_it_would_have(
    gateway: Process, worker: Process, team: Team
) -> None:
    budget = await apart(make, team, is_observed=True)

    statuses = [(await ask(gateway, team.key)).status for _ in range(3)]
    events = await apart(team.wait_for_events, 3)

    assert statuses == [200, 200, 200]
    assert [event.would_refuse for event in events] == [[], [budget.pk], [budget.pk]]


@pytest.mark.parametrize("kind", [*LABELS, "rolling"])
async def test_a_lost_counter_of_any_kind_comes_back(
    gateway: Process, worker: Process, team: Team, kind: str
) -> None:
    terms, labels, free = LABELS.get(kind, ({"is_rolling": True}, {}, {}))
    scope = "key" if kind == "rolling" else kind.removeprefix("each ")
    budget = await apart(make, team, 10**9, scope=scope, **terms)
    for _ in range(2):
        await ask(gateway, team.key, **labels)
    if free:
        await ask(gateway, team.key, **free)
    await apart(team.wait_for_events, 2 + bool(free))

    forgotten = await apart(forget, team, budget)
    await ask(gateway, team.key, **labels)

    bound = [name for name in forgotten if spent_nano(name)]
    assert [spent_nano(name) for name in bound] == [3 * COST_NANO]


async def test_an_alert_is_told_once_by_mail_and_by_webhook(
    gateway: Process, worker: Process, house: House, team: Team, receiver: Receiver
) -> None:
    await apart(set_webhook, organization=team.organization, url=receiver.url)
    budget = await apart(make, team, 4 * COST_NANO, scope="organization", alert_percents=[25, 50])

    await ask(gateway, team.key)
    await apart(eventually, lambda: len(receiver.requests) == 1, "the first alert")
    await ask(gateway, team.key)
    await ask(gateway, team.key, max_tokens=1)
    await apart(eventually, lambda: len(receiver.requests) == 2, "the second alert")

    told = [json.loads(body)["data"] for _, body in receiver.requests]
    assert [(each["budget_id"], each["percent"]) for each in told] == [(str(budget.pk), p) for p in (25, 50)]
    log = "".join(path.read_text() for path in house.folder.glob("worker-*.log"))
    assert log.count(f"Subject: 25 % of the budget of {team.organization.name} is spent") == 1


def forget(team: Team, budget: Budget) -> list[bytes]:
    """Delete the budget's counters, and give their names."""
    prefix = shard_prefix(shard_of(team.organization.pk, settings.FAREBOX_SHARDS))
    with redis.Redis.from_url(settings.FAREBOX_REDIS_URL) as client:
        names: list[bytes] = list(client.scan_iter(match=f"{prefix}money:{budget.pk.hex}*", count=1_000))
        client.delete(*names)
        return names


def spent_nano(name: bytes) -> int:
    with redis.Redis.from_url(settings.FAREBOX_REDIS_URL) as client:
        return int(client.hget(name, "s") or 0)
