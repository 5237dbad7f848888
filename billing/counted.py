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

from billing.families import is_with_provider, sql_pattern
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
# In a rolling window an event counts from its end on: until then it was held. One that was recovered
# ended when its hold was settled. No request lasts longer than a day.
_COUNTED_BY_BUCKET_SQL = """
SELECT COALESCE((SELECT json_object_agg(bucket, amount_usd::text) FROM (
          SELECT floor(extract(epoch FROM ended_at) / %(bucket_seconds)s)::bigint AS bucket,
                 SUM(amount_usd) AS amount_usd
            FROM (SELECT CASE WHEN is_own_credential THEN GREATEST(charge_usd, cost_usd)
                              ELSE charge_usd END AS amount_usd,
                         CASE WHEN ending = 'recovered' THEN ingested_at
                              ELSE occurred_at + COALESCE(duration_ms, 0) * interval '1 millisecond'
                         END AS ended_at
                    FROM billing_usageevent
                   WHERE organization_id = %(organization_id)s {scope}
                     AND occurred_at >= %(since)s - interval '1 day') AS event
           WHERE ended_at >= %(since)s GROUP BY 1) AS bucket), '{{}}') AS counted_usd,
       COALESCE((SELECT stream_id FROM billing_ingestcursor WHERE shard = %(shard)s), '0-0') AS stream_id
"""
_CONDITION_OF_SCOPE = {
    "organization": "",
    "project": "AND project_id = %(scope_id)s",
    "key": "AND key_id = %(scope_id)s",
    "tag": "AND tags @> ARRAY[%(subject)s]::varchar[]",
    "end_user": "AND end_user = %(subject)s AND end_user <> ''",
    "model": "AND model ~ %(pattern)s",
    "model of provider": "AND provider || '/' || model ~ %(pattern)s",
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
    """What the tables hold for a counter, and the last stream entry that they hold.

    For a rolling window the amount is 0, and `buckets` has the number and the amount of each bucket.
    """

    amount_nano: int
    stream_id: str
    buckets: tuple[tuple[int, int], ...] = ()


def counted_since(
    *,
    shard: int,
    organization_id: UUID,
    scope: str,
    scope_id: UUID,
    since: datetime | None,
    subject: str = "",
    bucket_seconds: int | None = None,
) -> tuple[str, dict[str, Any]]:
    """The statement and its parameters for a budget of this scope; `since` None counts from the start.

    Its one row goes to `counted_of`. `scope` is one of `billing.models.Budget.Scope`; `subject` the tag,
    end user or model family; `bucket_seconds` that of a rolling window.
    """
    statement = _COUNTED_SQL if bucket_seconds is None else _COUNTED_BY_BUCKET_SQL
    is_family = scope == "model"
    parameters = {
        "shard": shard,
        "organization_id": organization_id,
        "scope_id": scope_id,
        "subject": subject,
        "pattern": sql_pattern(subject) if is_family else "",
        "since": since or EPOCH_START,
        "bucket_seconds": bucket_seconds,
    }
    condition = "model of provider" if is_family and is_with_provider(subject) else scope
    return statement.format(scope=_CONDITION_OF_SCOPE[condition]), parameters


def charged_ever(*, shard: int, organization_id: UUID) -> tuple[str, dict[str, Any]]:
    """The statement and its parameters for the organization's wallet; its one row goes to `counted_of`."""
    return CHARGED_SQL, {"shard": shard, "organization_id": organization_id}


def counted_of(row: tuple[Decimal | dict[str, str], str]) -> Counted:
    """The row of any of these statements, in nano-dollars."""
    amount, stream_id = row
    if isinstance(amount, dict):
        buckets = sorted((int(bucket), usd_to_nano(Decimal(usd))) for bucket, usd in amount.items())
        return Counted(0, stream_id, tuple(pair for pair in buckets if pair[1]))
    return Counted(usd_to_nano(amount), stream_id)
