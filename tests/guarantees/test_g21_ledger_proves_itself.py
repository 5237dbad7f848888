"""G21: the ledger proves itself. Whatever is altered behind its back is found by the rule that names it.

Alterations go through the superuser's connection with the triggers switched off, in a transaction that
is rolled back; one is committed, to see what `manage.py auditledger` exits with, and taken back.
"""

import io
import os
import subprocess
import sys
import uuid
from datetime import UTC, datetime
from decimal import Decimal
from itertools import count

import pytest
import redis
from django.conf import settings
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction
from django.db.utils import DatabaseError

from analytics.rollups import roll_up
from billing.audit_rules import rules
from billing.credit_audit_rules import CREDIT_RULES
from billing.ingest import ingest_shard
from billing.ledger import Leg, post_transfer
from billing.models import LedgerAccount, LedgerEntry, LedgerTransfer
from billing.services import grant_promotion, top_up
from billing.usage_stream import stream_key
from tests.billing.test_credit_audit import TAMPERINGS as CREDIT_TAMPERINGS
from tests.billing.usage_events import append, event_of
from tests.house import ROOT, Team, database_url
from tests.people import Somebody

pytestmark = pytest.mark.guarantee

# Shards that no organization belongs to.
_FREE_SHARDS = count(9_000)

BALANCED = "L1  Every transfer has two entries or more, which sum to zero"
SUMS = "L1  Each organization's balances sum to zero, and so does the whole ledger"
BALANCE = "L2  Every account's balance is the sum of its entries"
CHAIN = "L2  Every entry's balance follows from the one before it"
ONCE = "L5  Every event's charge and cost are in the ledger once, and only those"
CORRECTED = "L5  Every adjustment of an event is in the ledger as it says; none where an own key paid"
OF_AN_EVENT = "L5  Every adjustment is of an event there is, and no other one moves what usage moves"
ASKED = "L7  Nothing is charged for a request that no provider was asked for"
GUARDED = "L9  The triggers that refuse changes and unbalanced transfers stand and are enabled"
OWN_IS_FREE = "L10 Nothing is charged or costs less than zero, nor is an own credential charged"
PRICED = "L10 Every event's cost is its usage at its price version"
CHARGED = "L10 Every event's charge is its cost at its terms"
OVERVIEW = "L15 Every hour of the overview is the sum of its events"
DIRECTION = "L17 Money moves only between the accounts of its kind, and in its direction"
BELONGS = "L20 Every entry belongs to its transfer: one moment, one organization"
RERATED = "L10 Every re-rated event comes to its usage at the version of its last adjustment"
TENANT = "L20 Every event belongs to the organization of its key and project"
FREE = "L23 A refused request has used, cost and charged nothing"
STORED_ONCE = "L24 Every event is stored once"

EVENT = "UPDATE billing_usageevent SET {change} WHERE id = '{{transfer}}'"
TAMPERINGS = {
    "an entry's amount is changed": (
        "UPDATE billing_ledgerentry SET amount_usd = amount_usd - 1 WHERE id = {entry}",
        {BALANCED, BALANCE, CHAIN, ONCE},
    ),
    "an entry is changed by a nano-dollar": (
        "UPDATE billing_ledgerentry SET amount_usd = amount_usd - 0.000000001 WHERE id = {entry}",
        {BALANCED, BALANCE, CHAIN, ONCE},
    ),
    "a leg is missing": ("DELETE FROM billing_ledgerentry WHERE id = {entry}", {BALANCED, BALANCE, ONCE}),
    "all legs are missing": (
        "DELETE FROM billing_ledgerentry WHERE transfer_id = '{transfer}'",
        {BALANCED, BALANCE, ONCE},
    ),
    "the transfer is missing under its legs": (
        "DELETE FROM billing_ledgertransfer WHERE id = '{transfer}'",
        {BELONGS, ONCE},
    ),
    "a balance after an entry is wrong": (
        "UPDATE billing_ledgerentry SET balance_after_usd = 0 WHERE id = {entry}",
        {CHAIN},
    ),
    "an account's balance is wrong": (
        "UPDATE billing_ledgeraccount SET balance_usd = balance_usd + 0.000000001 WHERE id = {account}",
        {SUMS, BALANCE},
    ),
    "what an account was charged is wrong": (
        "UPDATE billing_ledgeraccount SET charged_usd = 0 WHERE id = {account}",
        {BALANCE},
    ),
    "an adjustment was never posted": (
        "INSERT INTO billing_eventadjustment (id, event_id, occurred_at, organization_id, ordinal,"
        " price_version, cost_usd, charge_usd, note)"
        " SELECT '{other}', id, occurred_at, organization_id, 1, price_version, 1, 1, ''"
        " FROM billing_usageevent WHERE id = '{transfer}'",
        {CORRECTED, RERATED},
    ),
    "an adjustment is of no event": (
        "INSERT INTO billing_eventadjustment (id, event_id, occurred_at, organization_id, ordinal,"
        " price_version, cost_usd, charge_usd, note)"
        " SELECT '{other}', '{other}', occurred_at, organization_id, 1, price_version, 1, 0, ''"
        " FROM billing_usageevent WHERE id = '{transfer}'",
        {OF_AN_EVENT},
    ),
    "a charge is renamed to an adjustment": (
        "UPDATE billing_ledgertransfer SET kind = 'adjustment' WHERE id = '{transfer}'",
        {OF_AN_EVENT, BALANCE, ONCE},
    ),
    "a charge has no event": ("DELETE FROM billing_usageevent WHERE id = '{transfer}'", {ONCE}),
    "an event has no charge": (
        "DELETE FROM billing_ledgerentry WHERE transfer_id = '{transfer}';"
        "DELETE FROM billing_ledgertransfer WHERE id = '{transfer}'",
        {ONCE, BALANCE},
    ),
    "a charge is posted a second time, every balance in order": (
        "INSERT INTO billing_ledgertransfer (id, organization_id, kind, occurred_at, description)"
        " SELECT '{other}', organization_id, kind, occurred_at, '' FROM billing_ledgertransfer"
        "  WHERE id = '{transfer}';"
        "INSERT INTO billing_ledgerentry"
        " (transfer_id, account_id, occurred_at, amount_usd, balance_after_usd)"
        " SELECT '{other}', e.account_id, e.occurred_at, e.amount_usd, a.balance_usd + e.amount_usd"
        "   FROM billing_ledgerentry e JOIN billing_ledgeraccount a ON a.id = e.account_id"
        "  WHERE e.transfer_id = '{transfer}';"
        "UPDATE billing_ledgeraccount a SET balance_usd = balance_usd + e.amount_usd,"
        "       charged_usd = charged_usd - e.amount_usd"
        "  FROM billing_ledgerentry e WHERE e.account_id = a.id AND e.transfer_id = '{other}'",
        {ONCE},
    ),
    "an entry lies on another organization's account": (
        "UPDATE billing_ledgerentry SET account_id = {foreign_account} WHERE id = {entry}",
        {BELONGS, BALANCE, CHAIN},
    ),
    "an entry is of another moment": (
        "UPDATE billing_ledgerentry SET occurred_at = now() - interval '1 hour' WHERE id = {entry}",
        {BELONGS},
    ),
    "a charge is renamed to a promotion": (
        "UPDATE billing_ledgertransfer SET kind = 'promotion' WHERE id = '{transfer}'",
        {DIRECTION, BALANCE, ONCE},
    ),
    "a charge gives instead of takes": (
        "UPDATE billing_ledgerentry SET amount_usd = -amount_usd WHERE transfer_id = '{transfer}'",
        {DIRECTION, BALANCE, CHAIN, ONCE},
    ),
    "an append-only trigger is switched off": (
        "ALTER TABLE billing_ledgerentry DISABLE TRIGGER append_only",
        {GUARDED},
    ),
    "the balance trigger is gone": ("DROP TRIGGER balanced ON billing_ledgertransfer", {GUARDED}),
    "a cost is not its price": (
        EVENT.format(change="cost_usd = cost_usd * 2, charge_usd = charge_usd * 2"),
        {PRICED, CHARGED, ONCE},
    ),
    "a cost is a nano-dollar off its price": (
        EVENT.format(change="cost_usd = cost_usd + 0.000000001"),
        {PRICED, ONCE},
    ),
    "usage is changed after the fact": (EVENT.format(change="output_tokens = 11"), {PRICED, CHARGED}),
    "usage is negative": (EVENT.format(change="input_tokens = -7"), {PRICED, CHARGED}),
    "more is charged than it cost": (EVENT.format(change="charge_usd = cost_usd + 1"), {CHARGED, ONCE}),
    "an own credential is charged": (
        EVENT.format(change="is_own_credential = true"),
        {OWN_IS_FREE, CHARGED, ONCE},
    ),
    "a cost is negative": (EVENT.format(change="cost_usd = -cost_usd"), {OWN_IS_FREE, PRICED, ONCE}),
    "a markup is written into the version": (
        EVENT.format(change="price_version = price_version || ' x1.05 +0'"),
        {CHARGED},
    ),
    "an event is given to another organization": (
        EVENT.format(change="organization_id = '{foreign}'"),
        {TENANT, ONCE},
    ),
    "a refused request is charged": (EVENT.format(change="ending = 'refused'"), {FREE}),
    "a request is charged that nobody answered": (EVENT.format(change="provider = ''"), {ASKED}),
    "an event is stored twice": (
        "INSERT INTO billing_usageevent"
        " SELECT (jsonb_populate_record(e, '{{\"occurred_at\": \"2026-11-01\"}}')).*"
        " FROM billing_usageevent e WHERE id = '{transfer}'",
        {STORED_ONCE},
    ),
    "an hour of the overview is changed": (
        "UPDATE analytics_usagehour SET charge_usd = charge_usd + 0.000000001"
        " WHERE dimension = 'organization' AND organization_id = '{organization}'",
        {OVERVIEW},
    ),
    "an hour of the overview is missing": (
        "DELETE FROM analytics_usagehour WHERE organization_id = '{organization}'",
        {OVERVIEW},
    ),
}  # fmt: skip


@pytest.fixture
def books(alice: Somebody, charlie: Somebody) -> dict[str, object]:
    """A sound ledger with credit, charges, an own credential and a refusal; the ids of one charge in it."""
    shard = next(_FREE_SHARDS)
    for somebody in (alice, charlie):
        top_up(organization=somebody.organization, amount_usd=Decimal(10))
    grant_promotion(organization=alice.organization, amount_usd=Decimal(1), description="Welcome")
    with redis.Redis.from_url(settings.FAREBOX_REDIS_URL) as client:
        append(
            client,
            shard,
            *(event_of(alice) for _ in range(3)),
            event_of(alice, own=True, charge_nano=0),
            event_of(alice, status=429, ending="refused", usage={}, cost_nano=0, charge_nano=0),
            event_of(charlie),
        )
        ingest_shard(client, shard)
        client.delete(stream_key(shard))
    roll_up()
    entry = LedgerEntry.objects.filter(
        account__organization=alice.organization, account__kind="prepaid_credit", transfer__kind="charge"
    ).latest("pk")
    foreign = LedgerAccount.objects.get(organization=charlie.organization, kind="prepaid_credit")
    return {
        "entry": entry.pk,
        "transfer": entry.transfer_id,
        "account": entry.account_id,
        "organization": alice.organization.pk,
        "foreign": charlie.organization.pk,
        "foreign_account": foreign.pk,
        "other": uuid.uuid4(),
    }


def audited() -> tuple[int, set[str]]:
    """What `manage.py auditledger` exits with, and the rules that it says are broken."""
    out = io.StringIO()
    code = 0
    try:
        call_command("auditledger", stdout=out)
    except SystemExit as exit_info:
        code = int(exit_info.code or 0)
    lines = out.getvalue().splitlines()
    return code, {line.partition("DIFFER  ")[2] for line in lines if "DIFFER" in line}


def tamper(statements: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(statements)
        cursor.execute("SET LOCAL session_replication_role = origin")


def test_sound_books_pass(books: dict[str, object]) -> None:
    assert audited() == (0, set())


@pytest.mark.parametrize("name", TAMPERINGS)
def test_what_is_altered_is_found_by_its_rule(name: str, books: dict[str, object]) -> None:
    statements, broken = TAMPERINGS[name]

    tamper(statements.format(**books))
    code, found = audited()

    assert code == 1
    assert broken <= found
    assert found <= broken | CONSEQUENCES.get(name, set())


# What an alteration breaks besides, because the rules overlap; everything else must stay silent.
CONSEQUENCES: dict[str, set[str]] = {
    "a leg is missing": {CHAIN, SUMS},
    "all legs are missing": {CHAIN},
    "an event has no charge": {CHAIN},
    "the transfer is missing under its legs": {BALANCE},
    "an event is given to another organization": {OVERVIEW},
    "a charge has no event": {OVERVIEW},
    "a cost is not its price": {OVERVIEW},
    "a cost is a nano-dollar off its price": {OVERVIEW},
    "more is charged than it cost": {OVERVIEW},
    "a cost is negative": {OVERVIEW},
    "an event is stored twice": {OVERVIEW, ONCE},
}


def test_every_rule_has_an_alteration_that_breaks_it() -> None:
    broken = {title for _, titles in TAMPERINGS.values() for title in titles}
    of_credit = {title for _, titles in CREDIT_TAMPERINGS.values() for title in titles}
    known = {f"{rule.number:<4}{rule.title}" for rule in rules() if rule not in CREDIT_RULES}

    assert broken == known | {PRICED, CHARGED, RERATED}
    assert of_credit == {rule.title for rule in CREDIT_RULES}


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE billing_ledgerentry SET amount_usd = amount_usd WHERE id = {entry}",
        "DELETE FROM billing_ledgerentry WHERE id = {entry}",
        "TRUNCATE billing_ledgerentry",
        "UPDATE billing_ledgertransfer SET description = '' WHERE id = '{transfer}'",
        "DELETE FROM billing_ledgertransfer WHERE id = '{transfer}'",
        "TRUNCATE billing_ledgertransfer CASCADE",
        "UPDATE billing_ledgeraudit SET differences = 0",
        "DELETE FROM billing_ledgeraudit",
        "DELETE FROM billing_ledgerauditfinding",
    ],
)
def test_changing_a_row_fails_in_sql(statement: str, books: dict[str, object]) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        with pytest.raises(DatabaseError, match="append-only"):
            cursor.execute(statement.format(**books))


def test_an_unbalanced_transfer_fails_at_commit(team: Team) -> None:
    transfer_id = uuid.uuid4()

    with pytest.raises(IntegrityError, match="unbalanced: 1 legs sum to 1"):
        commit_one_leg(team, transfer_id)

    assert not LedgerTransfer.objects.filter(pk=transfer_id).exists()


@transaction.atomic
def commit_one_leg(team: Team, transfer_id: uuid.UUID) -> None:
    now = datetime.now(UTC)
    LedgerTransfer.objects.create(
        id=transfer_id, organization=team.organization, kind="top_up", occurred_at=now
    )
    LedgerEntry.objects.create(
        transfer_id=transfer_id,
        account=LedgerAccount.objects.get(organization=team.organization, kind="prepaid_credit"),
        occurred_at=now,
        amount_usd=Decimal(1),
        balance_after_usd=Decimal(101),
    )
    # Up to here nothing has refused it: only the commit does.
    assert LedgerEntry.objects.filter(transfer_id=transfer_id).exists()


def test_a_leg_that_comes_after_the_commit_is_refused(team: Team) -> None:
    transfer_id = top_up(organization=team.organization, amount_usd=Decimal(1))
    legs = [
        LedgerEntry(
            transfer_id=transfer_id,
            account=LedgerAccount.objects.get_or_create(organization=team.organization, kind=kind)[0],
            occurred_at=LedgerTransfer.objects.get(pk=transfer_id).occurred_at,
            amount_usd=Decimal(amount),
            balance_after_usd=0,
        )
        for kind, amount in (("promotion", -1), ("adjustment", 1))
    ]

    with pytest.raises(DatabaseError, match="does not fit its transfer"), transaction.atomic():
        LedgerEntry.objects.bulk_create(legs)


def test_the_command_exits_with_1_for_what_is_committed(team: Team) -> None:
    account = LedgerAccount.objects.get(organization=team.organization, kind="prepaid_credit")

    try:
        _move_behind_the_triggers(account, "+ 0.000000001")
        found = run_command()
    finally:
        _move_behind_the_triggers(account, "- 0.000000001")

    assert found.returncode == 1
    assert f"account {account.pk}: balance 100.000000001, entries 100.000000000" in found.stdout


def test_the_command_exits_with_0_while_a_transfer_is_being_posted(team: Team) -> None:
    with transaction.atomic():
        post_transfer(
            organization_id=team.organization.pk,
            kind=LedgerTransfer.Kind.TOP_UP,
            legs=[
                Leg(LedgerAccount.Kind.PAYMENTS, Decimal(-1)),
                Leg(LedgerAccount.Kind.PREPAID_CREDIT, Decimal(1)),
            ],
            occurred_at=datetime.now(UTC),
        )
        found = run_command()  # Another process, while the transfer is posted and not committed.

    assert (found.returncode, found.stderr) == (0, "")


def _move_behind_the_triggers(account: LedgerAccount, change: str) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(
            f"UPDATE billing_ledgeraccount SET balance_usd = balance_usd {change} WHERE id = %s", [account.pk]
        )


def run_command() -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "manage.py", "auditledger"],
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": database_url()},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
