"""Fetching a provider's bill: pages, retries and refusals, against scripted answers."""

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import httpx
import pytest

from billing.reconciliation.shapes import ExportRefused
from gateway.bill_fetch import BillAddress, BillNotFetched, fetch_bill
from gateway.egress import EgressPolicy

DAY, NEXT = date(2026, 11, 24), date(2026, 11, 25)
KEY = "sk-admin-canary-0123456789"


def bucket(day, *results):
    start = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())
    return {"object": "bucket", "start_time": start, "end_time": start + 86_400, "results": list(results)}


def cost(value):
    amount = {"value": value, "currency": "usd"}
    return {"object": "organization.costs.result", "amount": amount, "line_item": "gpt-5.4, input"}


def page(*buckets, next_page=None):
    return httpx.Response(
        200, json={"data": list(buckets), "has_more": bool(next_page), "next_page": next_page}
    )


class Provider:
    """Answers each path from its list of answers, the last one for ever, and remembers what it was asked."""

    def __init__(self, **answers):
        self.answers = answers
        self.asked = []

    def __call__(self, request):
        self.asked.append(request)
        answers = self.answers["costs" if "cost" in request.url.path else "usage"]
        return answers.pop(0) if len(answers) > 1 else answers[0]


async def fetch(provider, dialect="openai"):
    address = BillAddress("https://api.example.com/v1", KEY, dialect, EgressPolicy())
    transport = httpx.MockTransport(provider)
    return await fetch_bill(
        address, since=DAY, until=DAY + timedelta(days=2), transport=transport, first_pause_seconds=0
    )


async def test_all_pages_of_both_reports_are_read():
    provider = Provider(
        costs=[page(bucket(DAY, cost(1)), next_page="p2"), page(bucket(NEXT, cost(0.5)))],
        usage=[page(bucket(DAY), bucket(NEXT))],
    )

    costs, usage = await fetch(provider)

    assert [(line.day, line.amount_usd) for line in costs.lines] == [
        (DAY, Decimal(1)),
        (NEXT, Decimal("0.5")),
    ]
    assert (usage.days, usage.lines) == ({DAY, NEXT}, ())
    first, second, third = provider.asked
    assert first.url.params["start_time"] == "1795478400"
    assert first.url.params["end_time"] == "1795651200"
    assert first.url.params["group_by"] == "line_item"
    assert second.url.params["page"] == "p2"
    assert third.url.params["group_by"] == "model"
    assert {request.headers["authorization"] for request in provider.asked} == {f"Bearer {KEY}"}


async def test_anthropic_is_asked_in_its_own_way():
    provider = Provider(costs=[page()], usage=[page()])

    await fetch(provider, "anthropic")

    asked = provider.asked
    assert [request.url.path for request in asked] == [
        "/v1/organizations/cost_report",
        "/v1/organizations/usage_report/messages",
    ]
    assert asked[0].headers["x-api-key"] == KEY
    assert asked[0].headers["anthropic-version"] == "2023-06-01"
    assert asked[0].url.params["starting_at"] == "2026-11-24T00:00:00Z"
    assert asked[0].url.params["ending_at"] == "2026-11-26T00:00:00Z"


@pytest.mark.parametrize("status", [429, 500, 503, 529])
async def test_a_busy_provider_is_asked_again(status):
    provider = Provider(
        costs=[httpx.Response(status), httpx.Response(status), page(bucket(DAY, cost(1)))],
        usage=[page(bucket(DAY))],
    )

    costs, _ = await fetch(provider)

    assert [line.amount_usd for line in costs.lines] == [Decimal(1)]
    assert len(provider.asked) == 4


async def test_a_provider_that_stays_away_is_given_up():
    provider = Provider(costs=[httpx.Response(503)])

    with pytest.raises(BillNotFetched, match=r"/organization/costs: the provider answered 503, 4 times\."):
        await fetch(provider)

    assert len(provider.asked) == 4


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (httpx.Response(401), "/organization/costs: the provider answered 401; it must be an admin key"),
        (httpx.Response(403), "/organization/costs: the provider answered 403; it must be an admin key"),
        (httpx.Response(404), "/organization/costs: the provider answered 404."),
        (
            httpx.Response(302, headers={"location": "https://evil.example"}),
            "/organization/costs: the provider answered 302.",
        ),
        (httpx.Response(200, content=b"\xff"), "/organization/costs: the answer is not UTF-8."),
        (
            httpx.Response(200, content=b" " * 16_777_217),
            "/organization/costs: a page is larger than 16,777,216 bytes.",
        ),
        (page(bucket(DAY, cost(1)), next_page="same"), "/organization/costs does not end after 2 pages."),
    ],
)  # fmt: skip
async def test_an_answer_that_cannot_be_used_is_refused_at_once_and_names_no_key(answer, message):
    provider = Provider(costs=[answer])

    with pytest.raises(BillNotFetched) as refused:
        await fetch(provider)

    assert str(refused.value).startswith(message)
    assert KEY not in str(refused.value)
    assert len(provider.asked) <= 2


@pytest.mark.parametrize("text", ['{"data": [', "[]", "<html>", json.dumps({"data": 1})])
async def test_an_answer_that_is_no_report_is_refused(text):
    with pytest.raises(ExportRefused, match="/organization/costs, page 1"):
        await fetch(Provider(costs=[httpx.Response(200, text=text)]))


def test_the_key_is_not_in_the_words_of_the_address():
    assert KEY not in repr(BillAddress("https://api.example.com/v1", KEY, "openai", EgressPolicy()))
