"""G18: a corrected price posts adjusting entries. Original and adjustment sum to the right price, statements
stay reproducible as they were published, twice is once, and every figure follows to the nano-dollar.
"""

import csv
import io
import random
import re
import uuid
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any

import pytest
import redis
from asgiref.sync import async_to_sync
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection
from django.urls import reverse
from django.utils import timezone

from analytics.rollups import rebuild, roll_up
from billing.audit import audit_ledger
from billing.ingest import ingest_shard
from billing.models import EventAdjustment, LedgerTransfer, UsageEvent
from billing.money import nano_to_usd
from billing.price_book import load_price_book
from billing.price_facts import Numbers
from billing.price_services import set_markup, state_price, take_price_back
from billing.price_versions import PriceVersions
from billing.pricing import cost_of
from billing.rerating import NO_PRICE, Rerating, Selection, rerate
from billing.selectors import balance_usd, spend_by_key, spend_by_project
from billing.services import top_up
from billing.statements import LedgerFilters, ledger_totals, months
from billing.usage import TokenUsage
from billing.usage_stream import stream_key
from gateway.services import connect_provider
from tests.billing.usage_events import append, event_of
from tests.flows.calls import call, get, soon
from tests.house import House, Process, Team, apart, chat, eventually, new_team
from tests.people import Somebody

pytestmark = pytest.mark.guarantee

PROVIDER = "wrongly-priced"
DAY = date(2026, 11, 4)
NOON = datetime(2026, 11, 4, 12, tzinfo=UTC)
WEEK = (NOON - timedelta(days=3), NOON + timedelta(days=3))
_FREE_SHARDS = count(9_700)


def rates(input_usd: str, output_usd: str) -> Numbers:
    return Numbers(usd_per_million={"input": Decimal(input_usd), "output": Decimal(output_usd)})


def state(input_usd: str, output_usd: str, **changes: Any) -> Any:
    place = {"provider": PROVIDER, "model": "echo", "valid_from": date(2026, 11, 1)}
    return state_price(**place | {"numbers": rates(input_usd, output_usd)} | changes)


def rerated(*, is_applied: bool = True, **changes: Any) -> Rerating:
    selection = Selection(
        **{"start": WEEK[0], "end": WEEK[1], "model": "echo", "provider": PROVIDER} | changes
    )
    return rerate(selection=selection, book=load_price_book(), is_applied=is_applied, note="wrong by mistake")


@pytest.fixture
def shard() -> Iterator[int]:
    with redis.Redis.from_url(settings.FAREBOX_REDIS_URL) as client:
        number = next(_FREE_SHARDS)
        yield number
        client.delete(stream_key(number))


def bill(somebody: Somebody, shard: int, version: str, *usages: dict[str, int], **changes: Any) -> None:
    """Events at a version's price as the data plane would have billed them, some minutes around noon."""
    price = PriceVersions(load_price_book()).price(version)
    events = []
    for minute, usage in enumerate(usages):
        cost_nano = cost_of(TokenUsage(**usage), price).total_nano
        own = bool(changes.get("own"))
        money = {"cost_nano": cost_nano, "charge_nano": 0 if own else cost_nano}
        at = (NOON + timedelta(minutes=minute)).isoformat()
        place = {"provider": PROVIDER, "price_version": version, "usage": usage, "at": at}
        events.append(event_of(somebody, **place | money | changes))
    with redis.Redis.from_url(settings.FAREBOX_REDIS_URL) as client:
        append(client, shard, *events)
        while ingest_shard(client, shard):
            pass


def effective(somebody: Somebody) -> list[tuple[Decimal, Decimal]]:
    """Cost and charge of each event with its adjustments, in the order of arrival."""
    events = UsageEvent.objects.filter(organization_id=somebody.organization.pk).order_by("occurred_at")
    result = []
    for event in events:
        own = EventAdjustment.objects.filter(event_id=event.id)
        result.append(
            (
                event.cost_usd + sum(each.cost_usd for each in own),
                event.charge_usd + sum(each.charge_usd for each in own),
            )
        )
    return result


def prepaid(somebody: Somebody, sql: str) -> Decimal:
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT -sum(e.amount_usd) FROM billing_ledgerentry e"
            f" JOIN billing_ledgertransfer t ON t.id = e.transfer_id"
            f" JOIN billing_ledgeraccount a ON a.id = e.account_id AND a.kind = 'prepaid_credit'"
            f" WHERE a.organization_id = %s AND {sql}",
            [somebody.organization.pk],
        )
        return cursor.fetchone()[0] or Decimal(0)


def differences(*organizations: Any) -> dict[str, Any]:
    """What the audit finds in the books of these organizations."""
    audit = audit_ledger(load_price_book(), events_kept_since=datetime(2026, 1, 1, tzinfo=UTC))
    return {
        finding.title: finding.by_organization[each.pk].examples
        for finding in audit.findings
        for each in organizations
        if each.pk in finding.by_organization
    }


THREE = ({"input": 7, "output": 10}, {"input": 1_000}, {"input": 3, "output": 500})


def test_original_and_adjustment_are_the_right_price_for_each_request(alice: Somebody, shard: int) -> None:
    wrong = state("1", "2")
    bill(alice, shard, wrong.version, *THREE)
    right = state("2", "1.5")

    found = rerated()

    assert effective(alice) == [
        (Decimal("0.000029"), Decimal("0.000029")),
        (Decimal("0.002"), Decimal("0.002")),
        (Decimal("0.000756"), Decimal("0.000756")),
    ]
    assert (found.looked_at, found.changed, found.posted) == (3, 3, 3)
    share = found.shares[alice.organization.pk]
    assert (share.events, share.charge_usd, share.cost_usd) == (3, Decimal("0.000755"), Decimal("0.000755"))
    assert found.versions == {(wrong.version, right.version): 3}
    originals = UsageEvent.objects.filter(organization_id=alice.organization.pk)
    assert {event.price_version for event in originals} == {wrong.version}
    assert prepaid(alice, "t.kind = 'charge'") == Decimal("0.002030")
    assert prepaid(alice, "t.kind = 'adjustment'") == Decimal("0.000755")
    assert differences(alice.organization) == {}


def test_a_dry_run_posts_nothing_and_tells_the_same(alice: Somebody, shard: int) -> None:
    bill(alice, shard, state("1", "2").version, *THREE)
    state("2", "1.5")

    dry = rerated(is_applied=False)

    assert (dry.changed, dry.posted) == (3, 0)
    assert not EventAdjustment.objects.exists()
    assert dry.shares[alice.organization.pk].charge_usd == Decimal("0.000755")


def test_twice_is_once_and_each_correction_starts_where_the_last_one_ended(
    alice: Somebody, shard: int
) -> None:
    first = state("1", "2")
    bill(alice, shard, first.version, {"input": 1_000})
    state("2", "2")
    assert (rerated().posted, rerated().posted) == (1, 0)
    third = state("3", "2")
    assert (rerated().posted, rerated().posted) == (1, 0)
    take_price_back(fact=third)
    state("1", "2")
    assert (rerated().posted, rerated().posted) == (1, 0)
    state("3", "2")
    assert (rerated().posted, rerated().posted) == (1, 0)

    adjustments = EventAdjustment.objects.order_by("ordinal")
    assert [each.charge_usd for each in adjustments] == [
        Decimal("0.001"), Decimal("0.001"), Decimal("-0.002"), Decimal("0.002"),
    ]  # fmt: skip
    assert [each.pk for each in adjustments] == [
        uuid.uuid5(each.event_id, f"{each.ordinal}:{each.price_version}") for each in adjustments
    ]
    assert effective(alice) == [(Decimal("0.003"), Decimal("0.003"))]
    assert differences(alice.organization) == {}


def test_an_earlier_statement_is_reproduced_as_it_was_published(alice: Somebody, shard: int) -> None:
    top_up(organization=alice.organization, amount_usd=Decimal(10))
    bill(alice, shard, state("1", "2").version, *THREE)
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        published_at = cursor.fetchone()[0]
    zone = timezone.get_fixed_timezone(0)
    published = months(alice.organization, zone=zone)
    state("2", "1.5")
    # Inside one transaction every posting has its moment; a later one is what production has.
    rerated()
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(
            "UPDATE billing_ledgertransfer SET posted_at = %s WHERE kind = 'adjustment'",
            [published_at + timedelta(seconds=1)],
        )
        cursor.execute("SET LOCAL session_replication_role = origin")

    assert months(alice.organization, zone=zone, known_at=published_at) == published
    then = LedgerFilters(known_at=published_at)
    assert ledger_totals(alice.organization, filters=then).charged_usd == Decimal("0.002030")
    assert ledger_totals(alice.organization, filters=LedgerFilters()).charged_usd == Decimal("0.002785")
    page = alice.browser.get(
        reverse("ledger", args=[alice.organization.slug]), {"known_at": published_at.isoformat()}
    ).content.decode()
    assert "As it stood on" in page
    assert "Re-rated" not in page


def test_who_paid_a_markup_an_own_price_or_with_an_own_key_gets_the_same_terms(
    alice: Somebody, charlie: Somebody, bob: Somebody, shard: int
) -> None:
    wrong = state("1", "2")
    bill(alice, shard, wrong.version, {"input": 1_000})
    bill(alice, shard, wrong.version, {"input": 2_000}, own=True)
    bill(charlie, shard, wrong.version, {"input": 1_000})
    state("2", "2")
    own = state("0.5", "1", organization=charlie.organization)
    set_markup(
        provider=PROVIDER, multiplier=Decimal("1.5"), fee_usd=Decimal("0.01"), valid_from=date(2026, 11, 1)
    )

    rerated()

    assert sorted(effective(alice)) == [
        (Decimal("0.002"), Decimal("0.013")),
        (Decimal("0.004"), Decimal("0")),
    ]
    assert effective(charlie) == [(Decimal("0.002"), Decimal("0.0005"))]
    versions = set(EventAdjustment.objects.values_list("price_version", flat=True))
    assert {version.split(" ", 1)[-1] for version in versions} >= {"x1.5 +0.01", f"charged {own.version}"}
    own_key = EventAdjustment.objects.get(charge_usd=0)
    assert (own_key.transfer_id, own_key.cost_usd) == (None, Decimal("0.002"))
    assert differences(alice.organization, charlie.organization) == {}


def test_what_was_forgiven_stays_forgiven(alice: Somebody, shard: int) -> None:
    wrong = state("1", "2")
    bill(alice, shard, wrong.version, {"input": 1_000}, charge_nano=400_000)
    bill(alice, shard, wrong.version, {"input": 1_000}, charge_nano=0)
    state("2", "2")
    rerated()
    assert sorted(effective(alice)) == [(Decimal("0.002"), Decimal(0)), (Decimal("0.002"), Decimal("0.0004"))]

    state("0.1", "2")
    rerated()
    assert sorted(effective(alice)) == [
        (Decimal("0.0001"), Decimal(0)),
        (Decimal("0.0001"), Decimal("0.0001")),
    ]


def test_each_request_is_rerated_at_its_own_tier_and_day(alice: Somebody, shard: int) -> None:
    wrong = state("1", "2")
    flex = state("0.5", "1", tier="flex")
    bill(alice, shard, wrong.version, {"input": 1_000})
    bill(alice, shard, flex.version, {"input": 1_000})
    state("0.25", "1", tier="flex")
    state("9", "9", valid_from=date(2026, 11, 5))

    found = rerated()

    assert (found.unchanged, found.changed) == (1, 1)
    assert sorted(effective(alice)) == [
        (Decimal("0.00025"), Decimal("0.00025")),
        (Decimal("0.001"), Decimal("0.001")),
    ]


def test_a_price_that_became_known_replaces_the_ceiling(alice: Somebody, shard: int) -> None:
    ceiling = f"ceiling:{PROVIDER}/echo@10000000/20000000"
    bill(alice, shard, ceiling, {"input": 1_000}, estimated=True)
    assert rerated().skipped == {NO_PRICE: 1}

    state("1", "2")
    rerated()

    assert effective(alice) == [(Decimal("0.001"), Decimal("0.001"))]


def test_only_what_is_selected_is_rerated(alice: Somebody, charlie: Somebody, shard: int) -> None:
    wrong = state("1", "2")
    bill(alice, shard, wrong.version, *THREE)
    bill(charlie, shard, wrong.version, *THREE)
    bill(alice, shard, wrong.version, {"input": 5}, ending="replayed")
    state("2", "2")

    assert rerated(model="other").looked_at == 0
    assert rerated(provider="fake").looked_at == 0
    assert rerated(organization=charlie.organization).posted == 3
    assert rerated(start=NOON + timedelta(minutes=1), end=NOON + timedelta(minutes=2)).posted == 1
    assert rerated().posted == 2


SPEND = r'>Spend</h2>\s*<p class="tile-value"><a [^>]*title="\$([0-9.,]+)"'
TOTAL = r'<p class="totals">.*<data value="([^"]+)"'
CHARGED = r'>Charged</div><div class="tile-value"><data value="([^"]+)"'


def surfaces(somebody: Somebody) -> dict[str, Decimal]:
    """What every page and export says that this organization was charged on the day."""

    def page(name: str, **query: str) -> str:
        address = reverse(name, args=[somebody.organization.slug])
        return somebody.browser.get(address, query).content.decode()

    async def read(parts: Any) -> str:
        return b"".join([part async for part in parts]).decode()

    day = DAY.isoformat()
    export = somebody.browser.get(
        reverse("ledger", args=[somebody.organization.slug]), {"day": day, "kind": "charge", "format": "csv"}
    )
    rows = list(csv.DictReader(io.StringIO(async_to_sync(read)(export.streaming_content), newline="")))
    found = {
        "overview": re.search(SPEND, page("overview", start=day, end=day)),
        "requests": re.search(TOTAL, page("requests", start=day, end=day)),
        "of a model": re.search(TOTAL, page("requests", start=day, end=day, model="echo")),
        "of a user": re.search(TOTAL, page("requests", start=day, end=day, end_user="user-1")),
        "statement": re.search(CHARGED, page("ledger", day=day)),
        "usage entries": re.search(CHARGED, page("ledger", day=day, kind="charge")),
    }
    start, end = NOON - timedelta(hours=12), NOON + timedelta(hours=12)
    return {
        **{name: Decimal(match[1].replace(",", "")) for name, match in found.items() if match},
        "export": sum(
            (Decimal(row["charge_usd"] or 0) - Decimal(row["credit_usd"] or 0) for row in rows), Decimal(0)
        ),
        "keys": sum(spend_by_key(somebody.organization, since=start).values()),
        "projects": sum(spend_by_project(somebody.organization, start=start, end=end).values()),
        "ledger": prepaid(somebody, "t.kind IN ('charge', 'adjustment')"),
    }


def test_every_page_and_export_says_the_corrected_number(alice: Somebody, shard: int) -> None:
    dice = random.Random(18)
    top_up(organization=alice.organization, amount_usd=Decimal(10))
    wrong = state("1", "2")
    usages = [{"input": dice.randrange(1, 5_000), "output": dice.randrange(900)} for _ in range(30)]
    bill(alice, shard, wrong.version, *usages)
    roll_up()
    state("0.7", "3.1")
    right_usd = sum(nano_to_usd(usage["input"] * 700 + usage["output"] * 3_100) for usage in usages)

    rerated()
    fresh = surfaces(alice)
    roll_up()
    rolled_up = surfaces(alice)
    rebuild(since=NOON - timedelta(hours=12), until=NOON + timedelta(hours=12))
    rebuilt = surfaces(alice)

    names = (
        "overview", "requests", "of a model", "of a user", "statement", "usage entries", "export", "keys",
        "projects", "ledger",
    )  # fmt: skip
    assert fresh == dict.fromkeys(names, right_usd)
    assert rolled_up == rebuilt == fresh
    assert balance_usd(alice.organization) == 10 - right_usd
    assert differences(alice.organization) == {}


def test_the_requests_page_shows_the_correction_and_leads_to_its_entry(alice: Somebody, shard: int) -> None:
    bill(alice, shard, state("1", "2").version, {"input": 1_000})
    right = state("2", "2")
    rerated()
    event = UsageEvent.objects.get(organization_id=alice.organization.pk)
    adjustment = EventAdjustment.objects.get()

    page = alice.browser.get(reverse("request", args=[alice.organization.slug, event.id])).content.decode()
    listed = alice.browser.get(
        reverse("requests", args=[alice.organization.slug]), {"start": "2026-11-04", "end": "2026-11-04"}
    ).content.decode()
    entry = reverse("ledger_transfer", args=[alice.organization.slug, adjustment.transfer_id])
    transfer = alice.browser.get(entry).content.decode()

    assert entry in page
    assert all(text in page for text in ("Charged, re-rated", right.version, "wrong by mistake", "$0.002"))
    assert "a better price became known later" in page
    assert "a better price became known later" in listed
    assert all(text in transfer for text in ("Correction", right.version, event.request_id))


def test_the_command_shows_who_gains_and_loses_before_it_posts(
    alice: Somebody, charlie: Somebody, shard: int
) -> None:
    bill(alice, shard, state("1", "2").version, {"input": 1_000_000})
    bill(charlie, shard, state("1", "2").version, {"output": 1_000_000})
    state("3", "0.5")
    arguments = ["--from", "2026-11-04", "--to", "2026-11-05", "--model", "echo", "--provider", PROVIDER]

    def say(*more: str) -> str:
        out = io.StringIO()
        call_command("rerate", *arguments, *more, stdout=out)
        return out.getvalue()

    dry, applied, again = say(), say("--apply"), say("--apply")

    assert "2 requests: 2 change, 0 stay as they are, 0 are left alone." in dry
    assert re.search(rf"{alice.organization.slug} +1 +\+\$2.00 +\+\$2.00", dry)
    assert re.search(rf"{charlie.organization.slug} +1 +-\$1.50 +-\$1.50", dry)
    assert re.search(r"together +2 +\+\$0.50", dry)
    assert "Nothing was posted." in dry
    assert "2 adjustments were posted." in applied
    assert "0 adjustments were posted." in again
    assert LedgerTransfer.objects.filter(kind="adjustment").count() == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--from", "yesterday", "--to", "2026-11-05"], "--from must be a day such as 2026-01-31"),
        (["--from", "2026-11-05", "--to", "2026-11-05"], "--to must come after --from"),
        (
            ["--from", "2026-11-04", "--to", "2026-11-05", "--organization", "nobody"],
            "no organization with the",
        ),
    ],
)
@pytest.mark.django_db
def test_the_command_refuses_what_it_cannot_mean(arguments: list[str], message: str) -> None:
    with pytest.raises(CommandError, match=message):
        call_command("rerate", *arguments, "--model", "echo")


def connect(house: House) -> None:
    connect_provider(
        organization=None, provider=PROVIDER, base_url=f"{house.simulator_url}/v1", api_key="simulator"
    )


async def test_real_requests_are_rerated_and_the_wallet_sees_it_at_once(
    house: House, gateway: Process, worker: Process, team: Team
) -> None:
    """Five tokens in and eight out each; two teams, one of which has a negotiated price."""
    other = await apart(new_team)
    today = datetime.now(UTC).date()
    await apart(connect, house)
    wrong = await apart(state, "1000", "1000", valid_from=today)
    await apart(state, "500", "500", valid_from=today, organization=other.organization)

    async def is_known() -> bool:
        return (await call(gateway, team.key, chat(f"{PROVIDER}/echo", max_tokens=100))).status == 200

    await soon(is_known, "the wrong price")
    for number in range(3):
        await call(gateway, team.key, chat(f"{PROVIDER}/echo", stream=bool(number % 2), max_tokens=100))
        await call(gateway, other.key, chat(f"{PROVIDER}/echo", stream=bool(number % 2), max_tokens=100))
    served = [each for each in await apart(lambda: _settled_events(team, 4)) if each.status == 200]
    assert await apart(lambda: len(_settled_events(other, 3))) == 3
    before = (await get(gateway, team.key, "/v0/credits")).json["credits"]

    right = await apart(state, "1", "2", valid_from=today)
    now = datetime.now(UTC)
    selection = {"start": now - timedelta(hours=1), "end": now + timedelta(hours=1)}
    found = await apart(lambda: rerated(**selection))
    again = await apart(lambda: rerated(**selection))

    right_usd = Decimal("0.000021")
    assert {event.charge_usd for event in served} == {Decimal("0.013")}
    assert (found.posted, again.posted) == (len(served) + 3, 0)
    assert await apart(lambda: set(effective(team.somebody)) - {(0, 0)}) == {(right_usd, right_usd)}
    assert await apart(lambda: set(effective(other.somebody))) == {(right_usd, Decimal("0.0065"))}
    assert {right.version, wrong.version} >= {event.price_version for event in served}

    async def is_given_back() -> bool:
        after = (await get(gateway, team.key, "/v0/credits")).json["credits"]
        return round(after - before, 9) == round(len(served) * (0.013 - 0.000021), 9)

    await soon(is_given_back, "the wallet")
    assert await apart(differences, team.organization, other.organization) == {}


def _settled_events(team: Team, least: int) -> list[UsageEvent]:
    """The team's served events once there are at least this many."""

    def served() -> list[UsageEvent]:
        return [event for event in team.events() if event.status == 200]

    eventually(lambda: len(served()) >= least, f"{least} served events")
    return served()
