"""G6: one number everywhere. Ledger, usage events, overview, request log, statement page and export agree
to the nano-dollar, per organization and local day, with credit, refunds, fees and re-rating in between.

Traffic is random with a seed that reproduces it, and lies close around both ends of the day.
"""

import csv
import io
import random
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import count
from zoneinfo import ZoneInfo

import pytest
import redis
from asgiref.sync import async_to_sync
from django.conf import settings
from django.db import connection
from django.urls import reverse

from accounts.context import TIME_ZONE_COOKIE
from analytics.rollups import roll_up
from billing.audit import audit_ledger
from billing.ingest import ingest_shard
from billing.ledger import AccountKind, Leg, TransferKind, post_transfer
from billing.models import EventAdjustment
from billing.price_book import load_price_book
from billing.price_facts import Numbers
from billing.price_services import state_price
from billing.pricing import cost_of
from billing.rerating import Selection, rerate
from billing.usage import TokenUsage
from billing.usage_stream import stream_key
from tests.billing.usage_events import ECHO_VERSION, append, event_of
from tests.people import Somebody

pytestmark = pytest.mark.guarantee

SEED = 1
EVENTS = 40
_FREE_SHARDS = count(9_500)

# The day of each zone that is hard: 23, 25 and 23.5 hours long, and the far ends of the calendar.
DAYS = [
    ("Europe/Berlin", date(2026, 3, 29), timedelta(hours=23)),
    ("Europe/Berlin", date(2026, 10, 25), timedelta(hours=25)),
    ("Australia/Lord_Howe", date(2026, 10, 4), timedelta(hours=23, minutes=30)),
    ("Pacific/Kiritimati", date(2026, 11, 1), timedelta(hours=24)),
    ("Etc/GMT-14", date(2026, 11, 2), timedelta(hours=24)),
    ("Etc/GMT+12", date(2026, 11, 3), timedelta(hours=24)),
    ("America/New_York", date(2026, 11, 1), timedelta(hours=25)),
    ("UTC", date(2026, 11, 4), timedelta(hours=24)),
]


def bounds(zone: str, day: date) -> tuple[datetime, datetime]:
    """The first instants of the day and of the next one, in UTC."""
    midnights = (datetime(each.year, each.month, each.day, tzinfo=ZoneInfo(zone)) for each in days_from(day))
    start, end = (midnight.astimezone(UTC) for midnight in midnights)
    return start, end


def days_from(day: date) -> tuple[date, date]:
    return day, day + timedelta(days=1)


def moments(dice: random.Random, start: datetime, end: datetime) -> Iterator[datetime]:
    """Both sides of both ends, and anywhere around."""
    smallest = timedelta(microseconds=1)
    yield from (start - smallest, start, end - smallest, end)
    while True:
        yield start + timedelta(seconds=dice.uniform(-7200, (end - start).total_seconds() + 7200))


def traffic(dice: random.Random, somebody: Somebody, at: datetime) -> dict[str, object]:
    kind = dice.choice(["paid", "paid", "paid", "own", "refused", "left"])
    if kind == "refused":
        changes = {"status": 402, "ending": "refused", "usage": {}, "cost_nano": 0, "charge_nano": 0}
        return event_of(somebody, at=at.isoformat(), **changes)
    usage = {"input": dice.randrange(1, 5000), "output": dice.randrange(0, 900)}
    cost_nano = cost_of(TokenUsage(**usage), load_price_book().price_of_version(ECHO_VERSION)).total_nano
    return event_of(
        somebody,
        at=at.isoformat(),
        usage=usage,
        cost_nano=cost_nano,
        charge_nano=0 if kind == "own" else cost_nano,
        own=kind == "own",
        ending="client_left" if kind == "left" else "completed",
        estimated=kind == "left",
    )


def credit(dice: random.Random, somebody: Somebody, at: datetime) -> None:
    """Something other than usage, at the same moment as usage: it must not be mistaken for it."""
    amount = Decimal(dice.randrange(1, 10**9)).scaleb(-9)
    source, kind, sign = dice.choice(
        [
            (AccountKind.PAYMENTS, TransferKind.TOP_UP, 1),
            (AccountKind.PROMOTION, TransferKind.PROMOTION, 1),
            (AccountKind.PAYMENTS, TransferKind.REFUND, -1),
            (AccountKind.ADJUSTMENT, TransferKind.ADJUSTMENT, 1),
            (AccountKind.FEES, TransferKind.FEE, -1),
        ]
    )
    legs = [Leg(source, -sign * amount), Leg(AccountKind.PREPAID_CREDIT, sign * amount)]
    post_transfer(organization_id=somebody.organization.pk, kind=kind, legs=legs, occurred_at=at)


def correct(dice: random.Random, somebody: Somebody, start: datetime, end: datetime) -> None:
    """Rate the requests of the span again, at a price that is known only since then."""
    rates = {name: Decimal(dice.randrange(1, 5_000_000)).scaleb(-6) for name in ("input", "output")}
    earlier = start - timedelta(days=3)
    numbers = Numbers(usd_per_million=rates)
    state_price(provider="fake", model="echo", valid_from=earlier.date(), numbers=numbers)
    selection = Selection(
        start=earlier, end=end, model="echo", provider="fake", organization=somebody.organization
    )
    rerated = rerate(selection=selection, book=load_price_book(), is_applied=True, note="random")
    assert rerated.posted > 0


@pytest.fixture
def client() -> Iterator["redis.Redis"]:
    with redis.Redis.from_url(settings.FAREBOX_REDIS_URL) as each:
        yield each


def play(
    dice: random.Random, client: "redis.Redis", somebody: Somebody, start: datetime, end: datetime
) -> None:
    """Random traffic, half of which the rollups have added up and half of which they have not."""
    shard, when = next(_FREE_SHARDS), moments(dice, start, end)
    for part in range(2):
        planned = [next(when) for _ in range(EVENTS // 2)]
        append(client, shard, *(traffic(dice, somebody, at) for at in planned))
        ingest_shard(client, shard)
        for at in planned[::5]:
            credit(dice, somebody, at)
        correct(dice, somebody, start, end if part == 0 else start + (end - start) / 2)
        if part == 0:
            roll_up()
    client.delete(stream_key(shard))


def of_events(somebody: Somebody, start: datetime, end: datetime) -> Decimal:
    tables = ("billing_usageevent", "billing_eventadjustment")
    return sum(
        (
            _sum(
                f"SELECT sum(charge_usd) FROM {table}"
                " WHERE organization_id = %s AND occurred_at >= %s AND occurred_at < %s",
                [somebody.organization.pk, start, end],
            )
            for table in tables
        ),
        Decimal(0),
    )


def of_ledger(somebody: Somebody, start: datetime, end: datetime) -> Decimal:
    return _sum(
        "SELECT -sum(e.amount_usd) FROM billing_ledgerentry e"
        " JOIN billing_ledgertransfer t ON t.id = e.transfer_id"
        "  AND (t.kind = 'charge' OR t.id IN (SELECT transfer_id FROM billing_eventadjustment))"
        " JOIN billing_ledgeraccount a ON a.id = e.account_id AND a.kind = 'prepaid_credit'"
        " WHERE a.organization_id = %s AND t.occurred_at >= %s AND t.occurred_at < %s",
        [somebody.organization.pk, start, end],
    )


def _sum(sql: str, parameters: list[object]) -> Decimal:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return cursor.fetchone()[0] or Decimal(0)


def page(somebody: Somebody, name: str, **query: str) -> str:
    address = reverse(name, args=[somebody.organization.slug])
    return somebody.browser.get(address, query).content.decode()


def of_overview(somebody: Somebody, day: date) -> Decimal:
    text = page(somebody, "overview", start=day.isoformat(), end=day.isoformat())
    found = re.search(r'>Spend</h2>\s*<p class="tile-value"><a [^>]*title="\$([0-9.,]+)"', text)
    assert found, "the overview has no spend"
    return Decimal(found[1].replace(",", ""))


def of_requests_page(somebody: Somebody, day: date) -> Decimal:
    text = page(somebody, "requests", start=day.isoformat(), end=day.isoformat())
    found = re.search(r'<p class="totals">.*<data value="([^"]+)"', text)
    assert found, "the request log has no total"
    return Decimal(found[1])


def of_statement_page(somebody: Somebody, day: date) -> Decimal:
    text = page(somebody, "ledger", day=day.isoformat())
    found = re.search(r'>Charged</div><div class="tile-value"><data value="([^"]+)"', text)
    assert found, "the ledger page has no charged tile"
    return Decimal(found[1])


def of_export(somebody: Somebody, day: date) -> Decimal:
    async def read(parts):  # type: ignore[no-untyped-def]
        return b"".join([part async for part in parts]).decode()

    address = reverse("ledger", args=[somebody.organization.slug])
    response = somebody.browser.get(address, {"day": day.isoformat(), "format": "csv"})
    rows = csv.DictReader(io.StringIO(async_to_sync(read)(response.streaming_content), newline=""))
    corrections = set(
        map(str, EventAdjustment.objects.filter(transfer__isnull=False).values_list("pk", flat=True))
    )
    of_usage = [row for row in rows if row["kind"] == "charge" or row["transfer"] in corrections]
    return sum(
        (Decimal(row["charge_usd"] or 0) - Decimal(row["credit_usd"] or 0) for row in of_usage), Decimal(0)
    )


@pytest.mark.parametrize(("zone", "day", "length"), DAYS, ids=[f"{zone} {day}" for zone, day, _ in DAYS])
def test_a_local_day_has_one_number(
    zone: str,
    day: date,
    length: timedelta,
    alice: Somebody,
    charlie: Somebody,
    client: "redis.Redis",
) -> None:
    dice = random.Random(f"{SEED} {zone} {day}")
    start, end = bounds(zone, day)
    assert end - start == length
    for somebody in (alice, charlie):
        somebody.browser.cookies[TIME_ZONE_COOKIE] = zone
        play(dice, client, somebody, start, end)

    for somebody in (alice, charlie):
        number = of_ledger(somebody, start, end)
        assert number > 0
        assert {
            "events": of_events(somebody, start, end),
            "overview": of_overview(somebody, day),
            "request log": of_requests_page(somebody, day),
            "statement page": of_statement_page(somebody, day),
            "export": of_export(somebody, day),
        } == dict.fromkeys(["events", "overview", "request log", "statement page", "export"], number)
    assert of_ledger(alice, start, end) != of_ledger(charlie, start, end)


def test_the_statement_of_the_months_is_the_ledger_entry_by_entry(
    alice: Somebody, client: "redis.Redis"
) -> None:
    dice = random.Random(7)
    zone = "Pacific/Kiritimati"
    alice.browser.cookies[TIME_ZONE_COOKIE] = zone
    start, end = bounds(zone, date(2026, 10, 31))
    play(dice, client, alice, start, end)
    before, after = datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)

    address = reverse("ledger_months", args=[alice.organization.slug])
    months = alice.browser.get(address).context["months"]

    charged = {month["name"]: month["charged_usd"] for month in months}
    assert charged["November 2026"] == of_ledger(alice, end, after)
    assert charged["October 2026"] == of_ledger(alice, before, end)
    assert sum(charged.values()) == of_events(alice, before, after)
    assert months[0]["closing_usd"] == _sum(
        "SELECT balance_usd FROM billing_ledgeraccount"
        " WHERE organization_id = %s AND kind = 'prepaid_credit'",
        [alice.organization.pk],
    )


def test_the_audit_finds_no_difference_in_it(alice: Somebody, client: "redis.Redis") -> None:
    start, end = bounds("Europe/Berlin", date(2026, 10, 25))
    play(random.Random(11), client, alice, start, end)

    audit = audit_ledger(load_price_book(), events_kept_since=datetime(2026, 1, 1, tzinfo=UTC))

    found = {
        finding.title: finding.by_organization[alice.organization.pk].examples
        for finding in audit.findings
        if alice.organization.pk in finding.by_organization
    }
    assert found == {}
