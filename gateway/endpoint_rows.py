"""Rows of custom endpoints to what the data plane calls: each an offer that brings its own connection.

A key of a provider's own opens for that provider's address alone; an endpoint whose key is gone, or
whose provider was moved elsewhere, is left out.
"""

from typing import Any
from uuid import UUID

from psycopg import AsyncCursor
from psycopg.rows import DictRow

from accounts.vault import DataKey
from billing.pricing import Price
from gateway.policy import Reach
from gateway.routing.target import Connection, Offer

OPENAI_COMPATIBLE = "openai-compatible"
PICO_PER_MILLIONTH_USD = 1_000_000
ENDPOINT_SQL = """
SELECT n.id, n.provider, n.model, n.base_url, n.upstream_name,
       n.input_usd_per_million, n.output_usd_per_million,
       k.id AS key_id, k.encrypted_value, c.id AS connection_id, c.encrypted_api_key
  FROM gateway_customendpoint n
  LEFT JOIN gateway_providerkey k ON k.organization_id = n.organization_id AND k.name = n.key_name
  LEFT JOIN gateway_providerconnection c ON c.organization_id = n.organization_id AND c.provider = n.key_name
                                         AND c.base_url = n.base_url AND c.is_active
 WHERE n.organization_id = %s ORDER BY n.provider, n.model
"""


async def load_endpoints(cursor: AsyncCursor[DictRow], organization_id: UUID) -> list[DictRow]:
    """The organization's custom endpoints with their sealed keys."""
    await cursor.execute(ENDPOINT_SQL, (organization_id,))
    return await cursor.fetchall()


def with_endpoints(reach: Reach, rows: list[DictRow], *, data_key: DataKey | None) -> Reach:
    """The reach and these endpoints; raises SealBroken."""
    if data_key is None:
        return reach
    found = [_offer(row, connection) for row in rows if (connection := _connection(row, data_key))]
    offers = {(offer.provider, offer.model): offer for offer in found}
    return Reach(reach.connections, {**reach.offers, **offers})


def declared_price(row: DictRow) -> Price:
    """The price that an owner has stated; its version says it, so that it can be told again."""
    input_pico = int(row["input_usd_per_million"] * PICO_PER_MILLIONTH_USD)
    output_pico = int(row["output_usd_per_million"] * PICO_PER_MILLIONTH_USD)
    version = f"declared:{row['provider']}/{row['model']}@{input_pico}/{output_pico}"
    return Price(version=version, input=input_pico, output=output_pico)


def connection_secret_context(connection_id: UUID) -> str:
    """What a connection's secret is bound to, so that it opens in no other row."""
    return f"provider-connection:{connection_id}"


def provider_key_context(key_id: UUID) -> str:
    """What a stored key is bound to."""
    return f"provider-key:{key_id}"


def _offer(row: DictRow, connection: Connection) -> Offer:
    is_priced = row["input_usd_per_million"] is not None and row["output_usd_per_million"] is not None
    return Offer(
        provider=row["provider"],
        model=row["model"],
        upstream_name=row["upstream_name"],
        price=declared_price(row) if is_priced else None,
        connection=connection,
    )


def _connection(row: DictRow, data_key: DataKey) -> Connection | None:
    sealed, context = _sealed_key(row)
    if sealed is None:
        return None
    return Connection(
        id=row["id"],
        provider=row["provider"],
        kind=OPENAI_COMPATIBLE,
        base_url=row["base_url"],
        credential=data_key.decrypt(bytes(sealed), context=context).decode(),
        is_own=True,
        is_guarded=True,
    )


def _sealed_key(row: DictRow) -> tuple[Any, str]:
    if row["key_id"] is not None:
        return row["encrypted_value"], provider_key_context(row["key_id"])
    if row["connection_id"] is not None:
        return row["encrypted_api_key"], connection_secret_context(row["connection_id"])
    return None, ""
