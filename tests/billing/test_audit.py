"""The audit: quiet on what is right, and it finds each thing that is planted."""

import io
from datetime import timedelta
from decimal import Decimal

import pytest
from django.core.management import call_command
from django.db import connection
from django.utils import timezone

from billing.audit import audit_ledger
from billing.audit_rules import GUARDS
from billing.ingest import ingest_shard
from billing.models import LedgerEntry
from billing.price_book import load_price_book
from billing.services import grant_promotion, top_up
from tests.billing.usage_events import ECHO_VERSION, append, event_of

LONG_AGO = timedelta(days=400)


def differences():
    """How many rows break each rule, by the rule's title."""
    audit = audit_ledger(load_price_book(), events_kept_since=timezone.now() - LONG_AGO)
    return {finding.title: finding.differences for finding in audit.findings}


def found_since(before):
    """The rules that more rows break than before."""
    return {title for title, count in differences().items() if count > before[title]}


def plant(*statements):
    """Change rows behind the triggers' back; the test's transaction is rolled back."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("SET LOCAL session_replication_role = replica")
        for statement in statements:
            cursor.execute(statement)
        cursor.execute("SET LOCAL session_replication_role = origin")


@pytest.fixture
def before(alice, redis_client, shard):
    """A sound ledger with credit, charges, an own credential and a refusal; the audit's counts of it."""
    counts = differences()
    top_up(organization=alice.organization, amount_usd=Decimal(10))
    grant_promotion(organization=alice.organization, amount_usd=Decimal(1), description="Welcome")
    append(
        redis_client,
        shard,
        *(event_of(alice) for _ in range(3)),
        event_of(alice, own=True, charge_nano=0),
        event_of(alice, price_version=f"{ECHO_VERSION} x0 +0", charge_nano=0),
        event_of(alice, status=429, ending="refused", usage={}, cost_nano=0, charge_nano=0),
        event_of(alice, price_version="declared:1", cost_nano=5, charge_nano=5),
    )
    ingest_shard(redis_client, shard)
    assert differences() == counts
    return counts


def the_entry(alice):
    """An entry of a charge of the prepaid credit."""
    return LedgerEntry.objects.filter(
        account__organization=alice.organization, account__kind="prepaid_credit", transfer__kind="charge"
    ).latest("pk")


def test_every_trigger_that_refuses_changes_is_watched(db):
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.relname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid"
            " WHERE t.tgname = 'append_only' AND c.relnamespace = current_schema()::regnamespace"
        )
        guarded = {name for (name,) in cursor.fetchall()}

    assert {table for table, trigger in GUARDS if trigger == "append_only"} == guarded


def test_a_sound_ledger_has_no_difference(before):
    assert differences() == before


@pytest.mark.parametrize(
    ("statement", "rules"),
    [
        (
            "UPDATE billing_ledgerentry SET amount_usd = amount_usd - 1 WHERE id = {entry}",
            {
                "Every transfer has two entries or more, which sum to zero",
                "Every account's balance is the sum of its entries",
                "Every entry's balance follows from the one before it",
                "Every event's charge and cost are in the ledger once, and only those",
            },
        ),
        (
            "DELETE FROM billing_ledgerentry WHERE transfer_id = '{transfer}'",
            {
                "Every transfer has two entries or more, which sum to zero",
                "Every account's balance is the sum of its entries",
                "Every event's charge and cost are in the ledger once, and only those",
            },
        ),
        (
            "UPDATE billing_ledgeraccount SET balance_usd = balance_usd + 0.000000001 WHERE id = {account}",
            {"Every account's balance is the sum of its entries"},
        ),
        (
            "UPDATE billing_ledgeraccount SET charged_usd = 0 WHERE id = {account}",
            {"Every account's balance is the sum of its entries"},
        ),
        (
            "UPDATE billing_ledgerentry SET balance_after_usd = 0 WHERE id = {entry}",
            {"Every entry's balance follows from the one before it"},
        ),
        (
            "UPDATE billing_ledgerentry SET occurred_at = now() WHERE id = {entry}",
            {"Every entry belongs to its transfer: one moment, one organization"},
        ),
        (
            "DELETE FROM billing_usageevent WHERE id = '{transfer}'",
            {"Every event's charge and cost are in the ledger once, and only those"},
        ),
        (
            "UPDATE billing_usageevent SET organization_id = gen_random_uuid() WHERE id = '{transfer}'",
            {
                "Every event's charge and cost are in the ledger once, and only those",
                "Every event belongs to the organization of its key and project",
            },
        ),
        (
            "UPDATE billing_usageevent SET charge_usd = cost_usd + 1 WHERE id = '{transfer}'",
            {
                "Every event's charge and cost are in the ledger once, and only those",
                "Every event's charge is its cost at its terms",
            },
        ),
        (
            "UPDATE billing_usageevent SET output_tokens = 11 WHERE organization_id = '{organization}'",
            {"Every event's cost is its usage at its price version"},
        ),
        (
            "INSERT INTO billing_usageevent"
            " SELECT (jsonb_populate_record(e, '{{\"occurred_at\": \"2026-11-01\"}}')).*"
            " FROM billing_usageevent e WHERE id = '{transfer}'",
            {"Every event is stored once"},
        ),
    ],
)  # fmt: skip
def test_a_planted_difference_is_found(alice, before, statement, rules):
    entry = the_entry(alice)

    plant(
        statement.format(
            entry=entry.pk,
            transfer=entry.transfer_id,
            account=entry.account_id,
            organization=alice.organization.pk,
        )
    )

    assert rules <= found_since(before)


@pytest.mark.parametrize(
    ("version", "charge_nano"),
    [
        (ECHO_VERSION, 27_000),
        (f"{ECHO_VERSION} x1.05 +0.002", 2_028_350),
        (f"{ECHO_VERSION} charged declared:fake/own@500000/3000000", 33_500),
        (f"{ECHO_VERSION} up to 0.000026999", 26_999),
        (f"{ECHO_VERSION} up to 0.000027001", 27_000),
        (f"{ECHO_VERSION} x1.05 +0.002 up to 0.001", 1_000_000),
    ],
)
def test_a_charge_is_recomputed_from_the_terms_that_the_version_names(
    alice, before, redis_client, shard, version, charge_nano
):
    append(redis_client, shard, event_of(alice, price_version=version, charge_nano=charge_nano))
    ingest_shard(redis_client, shard)
    assert differences() == before

    append(redis_client, shard, event_of(alice, price_version=version, charge_nano=charge_nano + 1))
    ingest_shard(redis_client, shard)

    assert found_since(before) == {"Every event's charge is its cost at its terms"}


def test_a_difference_comes_with_an_example(alice, before):
    entry = the_entry(alice)
    plant(f"UPDATE billing_ledgerentry SET balance_after_usd = 77 WHERE id = {entry.pk}")

    audit = audit_ledger(load_price_book(), events_kept_since=timezone.now() - LONG_AGO)

    examples = [example for finding in audit.findings for example in finding.examples]
    assert any(example.startswith(f"entry {entry.pk}: balance after it 77.000000000") for example in examples)
    assert not audit.is_clean


def test_charges_whose_events_retention_dropped_are_no_difference(alice, before):
    entry = the_entry(alice)
    plant(f"DELETE FROM billing_usageevent WHERE id = '{entry.transfer_id}'")

    audit = audit_ledger(load_price_book(), events_kept_since=timezone.now() + timedelta(days=1))

    counts = {finding.title: finding.differences for finding in audit.findings}
    assert counts["Every event's charge and cost are in the ledger once, and only those"] == 0


def test_the_command_exits_with_1_on_a_difference(alice, before):
    plant(f"UPDATE billing_ledgeraccount SET balance_usd = 0 WHERE id = {the_entry(alice).account_id}")
    out = io.StringIO()

    with pytest.raises(SystemExit) as exit_info:
        call_command("auditledger", stdout=out)

    assert exit_info.value.code == 1
    assert "DIFFER  L2  Every account's balance is the sum of its entries" in out.getvalue()


def test_the_command_reports_what_it_looked_at(before):
    out = io.StringIO()

    try:
        call_command("auditledger", stdout=out)
    except SystemExit:
        pytest.fail(out.getvalue())

    assert "ok  L10 Every event's cost is its usage at its price version" in out.getvalue()
    assert "priced again" in out.getvalue()
