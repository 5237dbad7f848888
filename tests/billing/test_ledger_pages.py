"""The ledger's pages: who may see them, what they show, and what a spreadsheet gets."""

import csv
import io
import uuid
from decimal import Decimal

import pytest
from asgiref.sync import async_to_sync
from django.urls import reverse

from accounts.permissions import Role
from billing.ingest import ingest_shard
from billing.models import LedgerTransfer
from billing.services import top_up
from tests.billing.usage_events import append, event_of
from tests.people import teammate


@pytest.fixture
def charge(alice, redis_client, shard):
    """A top-up whose description is a formula, and a charge on 21 November."""
    top_up(organization=alice.organization, amount_usd=Decimal(10), description="=HYPERLINK(1)")
    event = event_of(alice, at="2026-11-21T12:00:00+00:00")
    append(redis_client, shard, event)
    ingest_shard(redis_client, shard)
    return uuid.UUID(event["id"])


def pages_of(somebody, transfer_id):
    slug = somebody.organization.slug
    return [
        reverse("ledger", args=[slug]),
        reverse("ledger", args=[slug]) + "?format=csv",
        reverse("ledger_months", args=[slug]),
        reverse("ledger_transfer", args=[slug, transfer_id]),
    ]


def ledger_of(somebody, query=""):
    return somebody.browser.get(reverse("ledger", args=[somebody.organization.slug]) + query)


def csv_of(somebody, query):
    async def read(parts):
        return b"".join([part async for part in parts]).decode()

    text = async_to_sync(read)(ledger_of(somebody, query).streaming_content)
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_a_stranger_gets_404(alice, charlie, charge):
    for page in pages_of(alice, charge):
        assert charlie.browser.get(page).status_code == 404


def test_a_stranger_gets_404_for_a_transfer_under_their_own_organization(alice, charlie, charge):
    page = reverse("ledger_transfer", args=[charlie.organization.slug, charge])

    assert charlie.browser.get(page).status_code == 404


@pytest.mark.parametrize(
    ("role", "status"),
    [(Role.ADMIN, 200), (Role.BILLING, 200), (Role.VIEWER, 200), (Role.DEVELOPER, 403)],
)
def test_only_roles_that_see_spend_see_the_ledger(alice, charge, role, status):
    colleague = teammate("colleague@example.com", of=alice, role=role)

    for page in pages_of(alice, charge):
        assert colleague.browser.get(page).status_code == status


def test_who_is_not_signed_in_is_asked_to(client, alice, charge):
    for page in pages_of(alice, charge):
        assert client.get(page).status_code == 302


def test_pages_only_answer_get(alice, charge):
    for page in pages_of(alice, charge):
        assert alice.browser.post(page).status_code == 405


def test_the_ledger_shows_entries_totals_and_links(alice, charge):
    page = ledger_of(alice).content.decode()

    assert reverse("ledger_transfer", args=[alice.organization.slug, charge]) in page
    assert 'title="$9.999973"' in page
    assert 'title="-$0.000027"' in page
    assert "all pages, all time" in page


def test_an_empty_ledger_says_what_will_be_here(alice):
    assert "The ledger is empty" in ledger_of(alice).content.decode()


@pytest.mark.parametrize(
    ("query", "entries"),
    [
        ("?day=2026-11-21&kind=charge", "all pages, from 21 Nov 2026 00:00 until 22 Nov 2026 00:00 (UTC)"),
        ("?start=2026-11-21T12:00:00%2B00:00&end=2026-11-21T12:00:01%2B00:00", "all pages, from"),
        ("?start=2026-11-21T12:00:00+00:00&kind=charge", "all pages, from"),
        ("?kind=charge&model=echo&key=", "all pages, all time"),
        ("?day=tomorrow&start=&end=x&kind=bribe&before=-1", "all pages, all time"),
    ],
)
def test_the_address_filters_the_ledger(alice, charge, query, entries):
    assert entries in ledger_of(alice, query).content.decode()


@pytest.mark.parametrize("query", ["?day=2026-11-20&kind=charge", "?model=none", "?kind=refund"])
def test_an_empty_filter_offers_the_way_back(alice, charge, query):
    assert "Nothing in this filter" in ledger_of(alice, query).content.decode()


@pytest.mark.parametrize(
    "query",
    [
        "?start=0001-01-01",
        "?end=9999-12-31",
        "?day=0001-01-01",
        "?day=9999-12-31",
        "?end=9999-12-31T23:59-12:00",
    ],
)
def test_the_ends_of_the_calendar_do_no_harm(alice, charge, query):
    assert ledger_of(alice, query).status_code == 200


def test_paging_goes_on_before_an_entry(alice, charge):
    newest = LedgerTransfer.objects.get(pk=charge).entries.get(account__kind="prepaid_credit")

    page = ledger_of(alice, f"?before={newest.pk}").content.decode()

    assert str(charge) not in page
    assert "Newest" in page


def test_the_csv_has_every_entry_of_the_filter_and_no_formula(alice, charge):
    rows = csv_of(alice, "?format=csv")

    assert [(row["kind"], row["credit_usd"], row["charge_usd"], row["balance_usd"]) for row in rows] == [
        ("charge", "", "0.000027000", "9.999973000"),
        ("top_up", "10.000000000", "", "10.000000000"),
    ]
    assert rows[1]["description"] == "'=HYPERLINK(1)"
    assert [row["kind"] for row in csv_of(alice, "?format=csv&kind=charge")] == ["charge"]


def test_a_transfer_shows_its_legs_exactly_and_its_request(alice, charge):
    page = alice.browser.get(
        reverse("ledger_transfer", args=[alice.organization.slug, charge])
    ).content.decode()

    assert "Owed to providers" in page
    assert "-$0.000027" in page
    assert "fake/echo@2026-01-01" in page


def test_months_link_to_their_entries(alice, charge):
    page = alice.browser.get(reverse("ledger_months", args=[alice.organization.slug])).content.decode()

    assert "November 2026" in page
    assert "start=2026-11-01&amp;end=2026-12-01" in page
