"""What the ledger knows of a spending counter that Redis has lost, as SQL for the data plane.

Plain text and a dataclass, without Django: `gateway` runs it over its own psycopg pool. One
statement is one snapshot, so the sums and the cursor belong together: events up to the cursor
are in the sums, events behind it are still in the shard's stream.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from billing.money import usd_to_nano

# A budget counts what was charged, which is never more than was held, and for an own provider key
# what it cost: that is money too.
_COUNTED_SQL = """
SELECT COALESCE((SELECT SUM(CASE WHEN is_own_credential THEN GREATEST(charge_usd, cost_usd)
                                 ELSE charge_usd END) FROM billing_usageevent
                  WHERE organization_id = %(organization_id)s {scope}
                    AND occurred_at >= %(since)s), 0) AS counted_usd,
       COALESCE((SELECT stream_id FROM billing_ingestcursor WHERE shard = %(shard)s), '0-0') AS stream_id
"""
COUNTED_SQL_OF_SCOPE = {
    "organization": _COUNTED_SQL.format(scope=""),
    "project": _COUNTED_SQL.format(scope="AND project_id = %(scope_id)s"),
    "key": _COUNTED_SQL.format(scope="AND key_id = %(scope_id)s"),
}

# The wallet counts charges only, of all time, which the prepaid account carries as a figure.
CHARGED_SQL = """
SELECT COALESCE((SELECT charged_usd FROM billing_ledgeraccount
                  WHERE organization_id = %(organization_id)s AND kind = 'prepaid_credit'), 0) AS counted_usd,
       COALESCE((SELECT stream_id FROM billing_ingestcursor WHERE shard = %(shard)s), '0-0') AS stream_id
"""

# All that was ever credited: the wallet's limit. Parameter: organization_id.
CREDIT_GRANTED_SQL = """
SELECT COALESCE(SUM(balance_usd + charged_usd), 0) AS granted_usd FROM billing_ledgeraccount
 WHERE organization_id = %(organization_id)s AND kind = 'prepaid_credit'
"""

EPOCH_START = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


@dataclass(frozen=True, slots=True)
class Counted:
    """What the tables hold for a counter, and the last stream entry that they hold."""

    amount_nano: int
    stream_id: str


def counted_since(
    *, shard: int, organization_id: UUID, scope: str, scope_id: UUID, since: datetime | None
) -> tuple[str, dict[str, Any]]:
    """The statement and its parameters for a budget of this scope; `since` None counts from the start.

    Its one row goes to `counted_of`. `scope` is "organization", "project" or "key".
    """
    parameters = {
        "shard": shard,
        "organization_id": organization_id,
        "scope_id": scope_id,
        "since": since or EPOCH_START,
    }
    return COUNTED_SQL_OF_SCOPE[scope], parameters


def charged_ever(*, shard: int, organization_id: UUID) -> tuple[str, dict[str, Any]]:
    """The statement and its parameters for the organization's wallet; its one row goes to `counted_of`."""
    return CHARGED_SQL, {"shard": shard, "organization_id": organization_id}


def counted_of(row: tuple[Decimal, str]) -> Counted:
    """The row of either statement, in nano-dollars."""
    amount_usd, stream_id = row
    return Counted(usd_to_nano(amount_usd), stream_id)
