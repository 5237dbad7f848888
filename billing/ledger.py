"""Posting to the double-entry ledger: the only code that writes transfers and entries.

Everything here runs inside the caller's transaction and in batches. What a transfer must satisfy
(two legs or more, sum zero, one organization) is also held by the database at commit. Who posts
what and why is in `billing.services` (people) and `billing.ingest` (usage).
"""

import uuid
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

import orjson
from django.db import connection
from django.db.transaction import TransactionManagementError

from billing.errors import UnbalancedTransfer
from billing.models import LedgerAccount, LedgerTransfer
from billing.money import ZERO_USD, usd_to_nano

AccountKind = LedgerAccount.Kind
TransferKind = LedgerTransfer.Kind

# FOR UPDATE in the order of the ids: every poster takes the accounts in one order.
_LOCK_ACCOUNTS = """
SELECT a.id, a.organization_id, a.kind, a.balance_usd, a.charged_usd
  FROM billing_ledgeraccount a
  JOIN unnest(%s::uuid[], %s::text[]) AS wanted (organization_id, kind)
    ON a.organization_id = wanted.organization_id AND a.kind = wanted.kind
 ORDER BY a.id
   FOR UPDATE OF a
"""
_OPEN_ACCOUNTS = """
INSERT INTO billing_ledgeraccount (organization_id, kind, balance_usd, charged_usd)
SELECT organization_id, kind, 0, 0 FROM unnest(%s::uuid[], %s::text[]) AS wanted (organization_id, kind)
 ORDER BY organization_id, kind
    ON CONFLICT (organization_id, kind) DO NOTHING
"""
_INSERT_TRANSFERS = """
INSERT INTO billing_ledgertransfer (id, organization_id, kind, occurred_at, description)
SELECT id, organization_id, kind, occurred_at, description FROM json_to_recordset(%s::json)
    AS transfer (id uuid, organization_id uuid, kind text, occurred_at timestamptz, description text)
    ON CONFLICT (id) DO NOTHING
RETURNING id
"""
_INSERT_ENTRIES = """
INSERT INTO billing_ledgerentry (transfer_id, account_id, occurred_at, amount_usd, balance_after_usd)
SELECT t, a, at, u, b FROM json_to_recordset(%s::json)
    AS entry (place integer, t uuid, a bigint, at timestamptz, u numeric, b numeric)
 ORDER BY place
"""
_UPDATE_ACCOUNTS = """
UPDATE billing_ledgeraccount a SET balance_usd = moved.balance_usd, charged_usd = moved.charged_usd
  FROM unnest(%s::bigint[], %s::numeric[], %s::numeric[]) AS moved (id, balance_usd, charged_usd)
 WHERE a.id = moved.id
"""


@dataclass(frozen=True, slots=True)
class Leg:
    """One side of a transfer; a positive amount adds to the account."""

    account: AccountKind
    amount_usd: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """A fact about money, to be posted once under its id."""

    organization_id: uuid.UUID
    kind: TransferKind
    legs: tuple[Leg, ...]
    occurred_at: datetime
    id: uuid.UUID = field(default_factory=uuid.uuid4)
    description: str = ""


def post_transfer(
    *,
    organization_id: uuid.UUID,
    kind: TransferKind,
    legs: Sequence[Leg],
    occurred_at: datetime,
    id: uuid.UUID | None = None,
    description: str = "",
) -> bool:
    """Post one transfer; see `post_transfers`. False when its id was posted before."""
    transfer = Transfer(
        organization_id=organization_id,
        kind=kind,
        legs=tuple(legs),
        occurred_at=occurred_at,
        id=id or uuid.uuid4(),
        description=description,
    )
    return transfer.id in post_transfers([transfer])


def post_transfers(transfers: Sequence[Transfer]) -> frozenset[uuid.UUID]:
    """Post all transfers whose id is not in the ledger yet, and give the ids that were posted.

    Must be called inside a transaction, whose end releases the accounts. Legs of nothing are
    left out. Raises UnbalancedTransfer, ValueError for an amount finer than a nano-dollar, and
    TransactionManagementError outside a transaction.
    """
    if not connection.in_atomic_block:
        raise TransactionManagementError("transfers are posted inside a transaction")
    unique: dict[uuid.UUID, Transfer] = {}
    for transfer in transfers:
        unique.setdefault(transfer.id, _checked(transfer))
    if not unique:
        return frozenset()
    accounts = _locked_accounts(
        {(each.organization_id, leg.account) for each in unique.values() for leg in each.legs}
    )
    inserted = _insert_transfers(list(unique.values()))
    _insert_entries([each for each in unique.values() if each.id in inserted], accounts)
    return inserted


def charge_legs(*, charge_usd: Decimal, cost_usd: Decimal) -> tuple[Leg, ...]:
    """The legs of a request: what its organization pays, and what the operator owes the provider."""
    return _moved(AccountKind.PREPAID_CREDIT, AccountKind.PLATFORM_REVENUE, charge_usd) + _moved(
        AccountKind.PROVIDER_COST, AccountKind.PROVIDER_PAYABLE, cost_usd
    )


def credit_legs(*, source: AccountKind, amount_usd: Decimal) -> tuple[Leg, ...]:
    """The legs of credit given to an organization out of `source`."""
    return _moved(source, AccountKind.PREPAID_CREDIT, amount_usd)


def _moved(source: AccountKind, target: AccountKind, amount_usd: Decimal) -> tuple[Leg, ...]:
    return (Leg(source, -amount_usd), Leg(target, amount_usd)) if amount_usd else ()


def _checked(transfer: Transfer) -> Transfer:
    """The transfer with one leg per account and none of nothing."""
    amounts: defaultdict[AccountKind, Decimal] = defaultdict(lambda: ZERO_USD)
    for leg in transfer.legs:
        usd_to_nano(leg.amount_usd)
        amounts[leg.account] += leg.amount_usd
    legs = tuple(Leg(account, amount_usd) for account, amount_usd in amounts.items() if amount_usd)
    difference_usd = sum((leg.amount_usd for leg in legs), ZERO_USD)
    if difference_usd or len(legs) < 2:
        raise UnbalancedTransfer(
            f"The legs of transfer {transfer.id} must be two or more and sum to zero;"
            f" {len(legs)} legs sum to {difference_usd}."
        )
    return replace(transfer, legs=legs)


@dataclass(slots=True)
class _Balance:
    """An account that this transaction has locked, as it moves."""

    account_id: int
    balance_usd: Decimal
    charged_usd: Decimal


_Accounts = Mapping[tuple[uuid.UUID, str], _Balance]


def _locked_accounts(wanted: set[tuple[uuid.UUID, AccountKind]]) -> _Accounts:
    columns: list[Any] = [
        [organization_id for organization_id, _ in wanted],
        [str(kind) for _, kind in wanted],
    ]
    accounts = _select_accounts(columns)
    if len(accounts) < len(wanted):
        with connection.cursor() as cursor:
            cursor.execute(_OPEN_ACCOUNTS, columns)
        accounts = _select_accounts(columns)
    return accounts


def _select_accounts(columns: list[Any]) -> _Accounts:
    with connection.cursor() as cursor:
        cursor.execute(_LOCK_ACCOUNTS, columns)
        return {(row[1], row[2]): _Balance(row[0], row[3], row[4]) for row in cursor.fetchall()}


def _insert_transfers(transfers: Sequence[Transfer]) -> frozenset[uuid.UUID]:
    rows = [
        {
            "id": each.id,
            "organization_id": each.organization_id,
            "kind": each.kind.value,
            "occurred_at": each.occurred_at,
            "description": each.description,
        }
        for each in transfers
    ]
    with connection.cursor() as cursor:
        cursor.execute(_INSERT_TRANSFERS, [_document(rows)])
        return frozenset(row[0] for row in cursor.fetchall())


def _document(rows: Sequence[Mapping[str, Any]]) -> str:
    """The rows as one JSON document: the cheapest way there, amounts as text so that none becomes a float."""
    return orjson.dumps(rows).decode()


def _insert_entries(transfers: Sequence[Transfer], accounts: _Accounts) -> None:
    """Write the legs in order, each with its account's balance after it, and move the balances."""
    rows: list[dict[str, Any]] = []
    for transfer in transfers:
        for leg in transfer.legs:
            account = accounts[transfer.organization_id, leg.account]
            account.balance_usd += leg.amount_usd
            if transfer.kind == TransferKind.CHARGE:
                account.charged_usd -= leg.amount_usd
            rows.append(
                {
                    "place": len(rows),
                    "t": transfer.id,
                    "a": account.account_id,
                    "at": transfer.occurred_at,
                    "u": str(leg.amount_usd),
                    "b": str(account.balance_usd),
                }
            )
    if not rows:
        return
    touched = list(accounts.values())
    with connection.cursor() as cursor:
        cursor.execute(_INSERT_ENTRIES, [_document(rows)])
        cursor.execute(
            _UPDATE_ACCOUNTS,
            [
                [account.account_id for account in touched],
                [account.balance_usd for account in touched],
                [account.charged_usd for account in touched],
            ],
        )
