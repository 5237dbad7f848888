"""Rows to policies: what PostgreSQL knows of a key, read over a native async pool.

Hand-written SQL, because Django's async ORM hops to a thread. The epoch is read first: a change
that comes in between is found by the next poll of `gateway.policy_store`.
"""

import logging
from collections import defaultdict
from collections.abc import Iterable
from decimal import Decimal
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection, AsyncCursor
from psycopg.rows import DictRow, dict_row

from accounts.vault import DataKey, Vault
from billing.counted import CREDIT_GRANTED_SQL
from billing.families import is_matchable
from billing.money import usd_to_nano
from billing.price_list import Layer, PriceList, layer_of, markups_of
from gateway.endpoint_rows import (
    OPENAI_COMPATIBLE,
    PICO_PER_MILLIONTH_USD,
    connection_secret_context,
    declared_price,
    load_endpoints,
    with_endpoints,
)
from gateway.policy import (
    WALLET_WINDOW,
    BudgetRule,
    Ceiling,
    EmbeddingEndpoint,
    Policy,
    Reach,
    ReuseRule,
    Scope,
    shard_of,
)
from gateway.routing.target import Connection, Offer

logger = logging.getLogger(__name__)

LABELS = frozenset({"tag", "end_user", "model"})
DECLARED_MODEL_CAPABILITIES = frozenset({"tools", "vision", "json_mode", "json_schema"})

# A rolled key is found by its former secret as well, which ends at its own time.
KEY_SQL = """
SELECT e.epoch, k.id, %(secret_hmac)s AS secret_hmac, k.project_id, k.organization_id,
       CASE WHEN k.secret_hmac = %(secret_hmac)s THEN k.expires_at
            ELSE LEAST(k.expires_at, k.previous_secret_ends_at) END AS expires_at,
       o.name AS organization_name, o.created_at, k.revoked_at, o.is_active,
       k.allowed_models, k.allowed_networks, k.default_tags, k.is_budget_clamped, p.mode,
       c.input_usd_per_million, c.output_usd_per_million,
       EXISTS (SELECT FROM billing_pricefact f WHERE f.organization_id = o.id) AS has_prices,
       EXISTS (SELECT FROM gateway_customendpoint n WHERE n.organization_id = o.id) AS has_endpoints,
       o.is_body_logging_on AND p.is_body_logging_on AS is_body_logging_on,
       o.is_stream_cut_on_revocation, o.encrypted_data_key,
       k.requests_per_minute AS key_requests, k.tokens_per_minute AS key_tokens,
       k.concurrent_requests AS key_running,
       p.requests_per_minute AS project_requests, p.tokens_per_minute AS project_tokens,
       p.concurrent_requests AS project_running,
       o.requests_per_minute AS organization_requests, o.tokens_per_minute AS organization_tokens,
       o.concurrent_requests AS organization_running,
       COALESCE(w.redis_away_usd, 0) AS redis_away_usd,
       CASE WHEN p.is_caching_on THEN p.cache_ttl_seconds ELSE 0 END AS cache_ttl_seconds,
       COALESCE(r.model_aliases, '{}') AS model_aliases,
       COALESCE(r.default_fallbacks, '[]') AS default_fallbacks,
       COALESCE(u.deduplication_seconds, 0) AS deduplication_seconds,
       u.embedding_connection_id, u.embedding_model, u.embedding_usd_per_million
  FROM accounts_apikey k
  JOIN accounts_project p ON p.id = k.project_id
  JOIN accounts_organization o ON o.id = k.organization_id
  JOIN accounts_organizationepoch e ON e.organization_id = o.id
  LEFT JOIN billing_priceceiling c ON c.organization_id = o.id
  LEFT JOIN gateway_outagepolicy w ON w.organization_id = o.id
  LEFT JOIN gateway_routingpolicy r ON r.organization_id = o.id
  LEFT JOIN gateway_reusepolicy u ON u.organization_id = o.id
 WHERE k.secret_hmac = %(secret_hmac)s OR k.previous_secret_hmac = %(secret_hmac)s
"""
BUDGET_SQL = """
SELECT id, scope, scope_id, subject, is_each, amount_usd, "window", is_rolling, time_zone, name, is_observed,
       created_at
  FROM billing_budget WHERE organization_id = %s AND scope_id = ANY(%s) ORDER BY created_at
"""
CONNECTION_SQL = """
SELECT c.id, c.organization_id, c.provider, c.base_url, c.encrypted_api_key, c.region,
       m.model, m.upstream_name, m.context_window_tokens, m.max_output_tokens,
       m.input_usd_per_million, m.output_usd_per_million
  FROM gateway_providerconnection c LEFT JOIN gateway_custommodel m ON m.connection_id = c.id
 WHERE c.is_active AND c.organization_id IS NOT DISTINCT FROM %s
 ORDER BY c.provider, m.model
"""
PRICE_SQL = """
SELECT id, provider, model, region, tier, valid_from, valid_until, version, facts FROM billing_pricefact
 WHERE source <> 'shipped' AND organization_id IS NOT DISTINCT FROM %s
"""
MARKUP_SQL = "SELECT id, provider, multiplier_ppm, fee_pico, valid_from FROM billing_markup"


async def load_policy(
    connection: AsyncConnection[Any], *, secret_hmac: bytes, vault: Vault, shards: int
) -> Policy | None:
    """The policy of the key with this HMAC, or None when there is no such key."""
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(KEY_SQL, {"secret_hmac": secret_hmac})
        key = await cursor.fetchone()
        if key is None:
            return None
        organization_id = key["organization_id"]
        await cursor.execute(BUDGET_SQL, (organization_id, [key["id"], key["project_id"], organization_id]))
        budgets = await cursor.fetchall()
        await cursor.execute(CREDIT_GRANTED_SQL, {"organization_id": organization_id})
        credit = await cursor.fetchone()
        await cursor.execute(CONNECTION_SQL, (organization_id,))
        connections = await cursor.fetchall()
        own_prices = await _layer(cursor, organization_id) if key["has_prices"] else Layer()
        endpoints = await load_endpoints(cursor, organization_id) if key["has_endpoints"] else []
    wallet = _wallet(key, credit["granted_usd"] if credit else Decimal(0))
    scopes = _scopes(key, [row for row in budgets if row["scope"] not in LABELS], wallet)
    labels = tuple(_label_scope(row) for row in budgets if row["scope"] in LABELS and _can_bind(row))
    return _policy(
        key,
        scopes,
        connections,
        endpoints=endpoints,
        label_scopes=labels,
        own_prices=own_prices,
        vault=vault,
        shards=shards,
    )


async def load_operator_reach(connection: AsyncConnection[Any], vault: Vault) -> Reach:
    """The operator's own connections, which every organization may use."""
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(CONNECTION_SQL, (None,))
        return _reach(await cursor.fetchall(), vault=vault, wrapped_data_key=None)


async def load_operator_prices(connection: AsyncConnection[Any]) -> PriceList:
    """The operator's prices and markups, which bind every organization."""
    async with connection.cursor(row_factory=dict_row) as cursor:
        layer = await _layer(cursor, None)
        await cursor.execute(MARKUP_SQL)
        return PriceList(operator=layer, markups=markups_of(await cursor.fetchall()))


async def _layer(cursor: AsyncCursor[DictRow], organization_id: UUID | None) -> Layer:
    await cursor.execute(PRICE_SQL, (organization_id,))
    return layer_of(await cursor.fetchall())


def _policy(
    key: DictRow,
    scopes: tuple[Scope, ...],
    connections: list[DictRow],
    *,
    endpoints: list[DictRow],
    label_scopes: tuple[Scope, ...],
    own_prices: Layer,
    vault: Vault,
    shards: int,
) -> Policy:
    organization_id = key["organization_id"]
    wrapped = bytes(key["encrypted_data_key"]) if key["encrypted_data_key"] else None
    own_reach = with_endpoints(
        _reach(connections, vault=vault, wrapped_data_key=wrapped),
        endpoints,
        data_key=_data_key(organization_id, vault, wrapped) if endpoints else None,
    )
    return Policy(
        secret_hmac=bytes(key["secret_hmac"]),
        key_id=key["id"],
        project_id=key["project_id"],
        organization_id=organization_id,
        organization_name=key["organization_name"],
        epoch=key["epoch"],
        shard=shard_of(organization_id, shards),
        expires_at=key["expires_at"],
        revoked_at=key["revoked_at"],
        is_organization_active=key["is_active"],
        allowed_models=tuple(key["allowed_models"]) if key["allowed_models"] is not None else None,
        allowed_networks=tuple(key["allowed_networks"]) if key["allowed_networks"] is not None else None,
        default_tags=tuple(key["default_tags"]),
        project_mode=key["mode"],
        is_body_logging_on=key["is_body_logging_on"],
        is_stream_cut_on_revocation=key["is_stream_cut_on_revocation"],
        scopes=scopes,
        own_reach=own_reach,
        wrapped_data_key=wrapped,
        label_scopes=label_scopes,
        is_budget_clamped=key["is_budget_clamped"],
        redis_away_nano=usd_to_nano(key["redis_away_usd"]),
        own_prices=own_prices,
        ceiling=_ceiling(key),
        model_aliases=key["model_aliases"],
        default_fallbacks=tuple(key["default_fallbacks"]),
        reuse=_reuse(key, own_reach),
    )


def _reuse(key: DictRow, own_reach: Reach) -> ReuseRule | None:
    rule = ReuseRule(
        cache_ttl_seconds=key["cache_ttl_seconds"],
        deduplication_seconds=key["deduplication_seconds"],
        embedding=_embedding(key, own_reach),
    )
    return rule if rule != ReuseRule() else None


def _embedding(key: DictRow, own_reach: Reach) -> EmbeddingEndpoint | None:
    for connection in own_reach.connections:
        if connection.id == key["embedding_connection_id"] and key["embedding_model"]:
            pico = int(key["embedding_usd_per_million"] * PICO_PER_MILLIONTH_USD)
            return EmbeddingEndpoint(connection, key["embedding_model"], pico)
    return None


def _ceiling(key: DictRow) -> Ceiling | None:
    if key["input_usd_per_million"] is None:
        return None
    return Ceiling(
        input_usd_per_million=key["input_usd_per_million"],
        output_usd_per_million=key["output_usd_per_million"],
    )


def _wallet(key: DictRow, granted_usd: Decimal) -> BudgetRule:
    return BudgetRule(
        id=key["organization_id"],
        amount_nano=usd_to_nano(granted_usd),
        window=WALLET_WINDOW,
        time_zone="UTC",
        created_at=key["created_at"],
    )


def _scopes(key: DictRow, budgets: Iterable[DictRow], wallet: BudgetRule) -> tuple[Scope, ...]:
    rules: defaultdict[UUID, list[BudgetRule]] = defaultdict(list)
    for row in budgets:
        rules[row["scope_id"]].append(_rule(row))
    rules[key["organization_id"]].append(wallet)
    levels = (
        ("key", key["id"]),
        ("project", key["project_id"]),
        ("organization", key["organization_id"]),
    )
    return tuple(
        Scope(
            kind=kind,
            id=scope_id,
            requests_per_minute=key[f"{kind}_requests"],
            tokens_per_minute=key[f"{kind}_tokens"],
            concurrent_requests=key[f"{kind}_running"],
            budgets=tuple(rules[scope_id]),
        )
        for kind, scope_id in levels
    )


def _rule(row: DictRow) -> BudgetRule:
    return BudgetRule(
        id=row["id"],
        amount_nano=usd_to_nano(row["amount_usd"]),
        window=row["window"],
        time_zone=row["time_zone"],
        created_at=row["created_at"],
        name=row["name"],
        subject=row["subject"],
        is_each=row["is_each"],
        is_rolling=row["is_rolling"],
        is_observed=row["is_observed"],
    )


def _can_bind(row: DictRow) -> bool:
    """Whether a label's budget can be held against requests: one stored with too many `*` is left out."""
    if row["scope"] != "model" or is_matchable(row["subject"]):
        return True
    logger.warning("budget of a model family left out", extra={"budget": row["id"].hex})
    return False


def _label_scope(row: DictRow) -> Scope:
    return Scope(kind=row["scope"], id=row["scope_id"], budgets=(_rule(row),))


def _reach(rows: Iterable[DictRow], *, vault: Vault, wrapped_data_key: bytes | None) -> Reach:
    connections: dict[UUID, Connection] = {}
    offers: dict[tuple[str, str], Offer] = {}
    for row in rows:
        if row["id"] not in connections:
            connections[row["id"]] = Connection(
                id=row["id"],
                provider=row["provider"],
                kind=OPENAI_COMPATIBLE,
                base_url=row["base_url"],
                credential=_open_secret(row, vault, wrapped_data_key),
                is_own=row["organization_id"] is not None,
                is_guarded=row["organization_id"] is not None,
                region=row["region"],
            )
        if row["model"] is not None:
            offers[row["provider"], row["model"]] = _offer(row)
    return Reach(tuple(connections.values()), offers)


def _open_secret(row: DictRow, vault: Vault, wrapped_data_key: bytes | None) -> str:
    data_key = _data_key(row["organization_id"], vault, wrapped_data_key)
    sealed = bytes(row["encrypted_api_key"])
    return data_key.decrypt(sealed, context=connection_secret_context(row["id"])).decode()


def _data_key(organization_id: UUID | None, vault: Vault, wrapped_data_key: bytes | None) -> DataKey:
    if organization_id is None or wrapped_data_key is None:
        return vault.operator_key()
    return vault.unwrap(wrapped_data_key, organization_id)


def _offer(row: DictRow) -> Offer:
    return Offer(
        provider=row["provider"],
        model=row["model"],
        upstream_name=row["upstream_name"],
        price=declared_price(row),
        context_window_tokens=row["context_window_tokens"],
        max_output_tokens=row["max_output_tokens"],
        capabilities=DECLARED_MODEL_CAPABILITIES,
    )
