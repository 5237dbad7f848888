"""The ledger: balanced, append-only, once per id, with balances that follow from the entries."""

import threading
import uuid
from decimal import Decimal

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.transaction import TransactionManagementError
from django.utils import timezone

from billing.errors import UnbalancedTransfer
from billing.ledger import (
    AccountKind,
    Leg,
    Transfer,
    TransferKind,
    charge_legs,
    credit_legs,
    post_transfer,
    post_transfers,
)
from billing.models import LedgerAccount, LedgerEntry, LedgerTransfer
from billing.services import top_up
from tests.people import founder


def credit_of(somebody, amount="10"):
    return Transfer(
        organization_id=somebody.organization.pk,
        kind=TransferKind.TOP_UP,
        legs=credit_legs(source=AccountKind.PAYMENTS, amount_usd=Decimal(amount)),
        occurred_at=timezone.now(),
    )


def charge_of(somebody, amount="0.000027"):
    return Transfer(
        organization_id=somebody.organization.pk,
        kind=TransferKind.CHARGE,
        legs=charge_legs(charge_usd=Decimal(amount), cost_usd=Decimal(amount)),
        occurred_at=timezone.now(),
    )


def account_of(somebody, kind):
    return LedgerAccount.objects.get(organization=somebody.organization, kind=kind)


def check_constraints_now():
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")


def insert_transfer(organization, *legs):
    """Past the ledger's own code: a transfer with these legs of account and amount."""
    transfer = LedgerTransfer.objects.create(
        organization=organization, kind="adjustment", occurred_at=timezone.now()
    )
    for account, amount in legs:
        LedgerEntry.objects.create(
            transfer=transfer,
            account=account,
            occurred_at=transfer.occurred_at,
            amount_usd=Decimal(amount),
            balance_after_usd=Decimal(amount),
        )


def accounts_of(organization):
    """One account of each kind."""
    return [LedgerAccount.objects.create(organization=organization, kind=kind) for kind in AccountKind]


def test_a_top_up_and_a_charge_move_the_balances(alice):
    post_transfers([credit_of(alice), charge_of(alice)])

    prepaid = account_of(alice, AccountKind.PREPAID_CREDIT)
    assert prepaid.balance_usd == Decimal("9.999973")
    assert prepaid.charged_usd == Decimal("0.000027")
    assert account_of(alice, AccountKind.PLATFORM_REVENUE).balance_usd == Decimal("0.000027")
    assert account_of(alice, AccountKind.PROVIDER_PAYABLE).balance_usd == Decimal("0.000027")
    assert account_of(alice, AccountKind.PROVIDER_COST).balance_usd == Decimal("-0.000027")
    assert account_of(alice, AccountKind.PAYMENTS).balance_usd == Decimal("-10")


def test_each_entry_carries_the_balance_after_it(alice):
    post_transfers([credit_of(alice, "1"), charge_of(alice, "0.25"), charge_of(alice, "0.5")])

    entries = LedgerEntry.objects.filter(account=account_of(alice, AccountKind.PREPAID_CREDIT)).order_by("pk")
    assert [entry.balance_after_usd for entry in entries] == [Decimal("1"), Decimal("0.75"), Decimal("0.25")]


def test_a_transfer_is_posted_once_under_its_id(alice):
    charge = charge_of(alice)

    assert post_transfers([charge, charge]) == {charge.id}
    assert post_transfers([charge]) == frozenset()
    assert account_of(alice, AccountKind.PREPAID_CREDIT).balance_usd == Decimal("-0.000027")


def test_posting_one_says_whether_it_was_new(alice):
    arguments = {
        "organization_id": alice.organization.pk,
        "kind": TransferKind.ADJUSTMENT,
        "legs": credit_legs(source=AccountKind.ADJUSTMENT, amount_usd=Decimal(1)),
        "occurred_at": timezone.now(),
        "id": uuid.uuid4(),
    }

    assert post_transfer(**arguments) is True
    assert post_transfer(**arguments) is False


@pytest.mark.parametrize(
    "legs",
    [
        (),
        (Leg(AccountKind.PAYMENTS, Decimal(1)),),
        (Leg(AccountKind.PAYMENTS, Decimal(1)), Leg(AccountKind.PREPAID_CREDIT, Decimal("-0.999999999"))),
        (Leg(AccountKind.PAYMENTS, Decimal(1)), Leg(AccountKind.PAYMENTS, Decimal(-1))),
        (Leg(AccountKind.PAYMENTS, Decimal(0)), Leg(AccountKind.PREPAID_CREDIT, Decimal(0))),
    ],
)
def test_unbalanced_legs_are_refused_before_the_database_sees_them(alice, legs):
    with pytest.raises(UnbalancedTransfer):
        post_transfer(
            organization_id=alice.organization.pk,
            kind=TransferKind.ADJUSTMENT,
            legs=legs,
            occurred_at=timezone.now(),
        )


def test_an_amount_finer_than_a_nano_dollar_is_refused(alice):
    with pytest.raises(ValueError, match="at most nine decimals"):
        post_transfers([credit_of(alice, "0.0000000001")])


def test_posting_outside_of_a_transaction_is_refused(committed):
    with pytest.raises(TransactionManagementError):
        post_transfers([])


@pytest.mark.parametrize("table", ["billing_ledgerentry", "billing_ledgertransfer"])
@pytest.mark.parametrize(
    "statement", ["UPDATE {table} SET occurred_at = now()", "DELETE FROM {table}", "TRUNCATE {table} CASCADE"]
)
def test_the_database_refuses_to_change_the_ledger(alice, table, statement):
    post_transfers([credit_of(alice)])
    check_constraints_now()

    with (
        pytest.raises(IntegrityError, match="append-only"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement.format(table=table))


@pytest.mark.parametrize("amounts", [(), ("1",), ("1", "-0.999999999"), ("1", "1", "-1")])
def test_the_database_refuses_an_unbalanced_transfer(alice, amounts):
    insert_transfer(alice.organization, *zip(accounts_of(alice.organization), amounts, strict=False))

    with pytest.raises(IntegrityError, match="is unbalanced"):
        check_constraints_now()


def test_the_database_accepts_a_balanced_transfer(alice):
    one, two, three, *_ = accounts_of(alice.organization)

    insert_transfer(alice.organization, (one, "1"), (two, "-0.75"), (three, "-0.25"))

    check_constraints_now()


def test_an_unbalanced_transfer_fails_at_commit_and_leaves_nothing(committed):
    somebody = founder(f"{uuid.uuid4().hex}@example.com", organization_name="Unbalanced")
    one, two, *_ = accounts_of(somebody.organization)

    with pytest.raises(IntegrityError, match="is unbalanced"), transaction.atomic():
        insert_transfer(somebody.organization, (one, "1"), (two, "-0.5"))

    assert not LedgerTransfer.objects.filter(organization=somebody.organization).exists()


def test_the_database_refuses_entries_after_their_transfer_was_committed(committed):
    somebody = founder(f"{uuid.uuid4().hex}@example.com", organization_name="Sealed")
    top_up(organization=somebody.organization, amount_usd=Decimal(5))
    transfer = LedgerTransfer.objects.get(organization=somebody.organization)

    with pytest.raises(IntegrityError, match="does not fit its transfer"):
        LedgerEntry.objects.create(
            transfer=transfer,
            account=LedgerAccount.objects.create(organization=somebody.organization, kind="promotion"),
            occurred_at=transfer.occurred_at,
            amount_usd=Decimal(1),
            balance_after_usd=Decimal(1),
        )


def test_the_database_refuses_an_entry_in_an_account_of_another_organization(alice, charlie):
    foreign = LedgerAccount.objects.create(organization=charlie.organization, kind="payments")

    with pytest.raises(IntegrityError, match="does not fit its transfer"), transaction.atomic():
        insert_transfer(alice.organization, (foreign, "1"))


def test_concurrent_postings_leave_an_unbroken_chain_of_balances(committed):
    somebody = founder(f"{uuid.uuid4().hex}@example.com", organization_name="Chain")

    def post_ten():
        for _ in range(10):
            top_up(organization=somebody.organization, amount_usd=Decimal("0.1"))
        connection.close()

    threads = [threading.Thread(target=post_ten) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    entries = LedgerEntry.objects.filter(account=account_of(somebody, AccountKind.PREPAID_CREDIT)).order_by(
        "pk"
    )
    assert [entry.balance_after_usd for entry in entries] == [Decimal(n) / 10 for n in range(1, 41)]
    assert account_of(somebody, AccountKind.PREPAID_CREDIT).balance_usd == Decimal(4)
