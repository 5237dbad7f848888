"""What one key may do, as an immutable value that the hot path reads from memory.

Pure: `gateway.policy_store` loads policies from PostgreSQL and drops them when they change.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from billing.price_list import Layer
from gateway.routing.target import Connection, Offer

WALLET_WINDOW = "wallet"


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetRule:
    """An amount per window of time. The wallet is the budget whose amount is the credit granted.

    `subject`: the tag, end user or model family that it binds; with `is_each`, every one for itself.
    """

    id: UUID
    amount_nano: int
    window: str
    time_zone: str
    created_at: datetime
    name: str = ""
    subject: str = ""
    is_each: bool = False
    is_rolling: bool = False
    is_observed: bool = False

    @property
    def is_wallet(self) -> bool:
        return self.window == WALLET_WINDOW


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """One level that binds a request: its key, project or organization. None means unlimited.

    A tag, an end user or a model family is a scope of the organization's with one budget.
    """

    kind: str
    id: UUID
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    concurrent_requests: int | None = None
    budgets: tuple[BudgetRule, ...] = ()


@dataclass(frozen=True, slots=True)
class Reach:
    """The providers that somebody connected, and the models they declared for them with a price."""

    connections: tuple[Connection, ...] = ()
    offers: Mapping[tuple[str, str], Offer] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ceiling:
    """The most that an owner lets a model without a price cost."""

    input_usd_per_million: Decimal
    output_usd_per_million: Decimal


@dataclass(frozen=True, slots=True)
class EmbeddingEndpoint:
    """Who tells how alike two questions are, and at what price: a connection of the organization's own."""

    connection: Connection
    model: str
    pico_per_token: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReuseRule:
    """What a project and its organization want of answers that were given before. 0 and None: nothing."""

    cache_ttl_seconds: int = 0
    deduplication_seconds: int = 0
    embedding: EmbeddingEndpoint | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Everything the data plane knows of a key. `scopes` goes from the narrowest to the widest.

    Which of the `label_scopes` bind a request is told by its tags, its end user and its model.
    """

    secret_hmac: bytes
    key_id: UUID
    project_id: UUID
    organization_id: UUID
    organization_name: str
    epoch: int
    shard: int
    expires_at: datetime | None
    revoked_at: datetime | None
    is_organization_active: bool
    allowed_models: tuple[str, ...] | None
    default_tags: tuple[str, ...]
    project_mode: str
    is_body_logging_on: bool
    is_stream_cut_on_revocation: bool
    scopes: tuple[Scope, ...]
    own_reach: Reach
    own_prices: Layer = field(default_factory=Layer)
    ceiling: Ceiling | None = None
    wrapped_data_key: bytes | None
    """The data key that seals stored bodies, still wrapped."""
    label_scopes: tuple[Scope, ...] = ()
    allowed_networks: tuple[str, ...] | None = None
    """Where the key may be used from; None: anywhere."""
    is_budget_clamped: bool = False
    """Whether a request that its money does not cover gets a shorter answer instead of a refusal."""
    model_aliases: Mapping[str, str] = field(default_factory=dict)
    """Names that the organization gave to selectors."""
    default_fallbacks: tuple[str, ...] = ()
    """Models that are tried after those of a request that names no fallbacks itself."""
    reuse: ReuseRule | None = None
    """None: neither a cache nor anything else that concerns answers given before."""
    redis_away_nano: int = 0
    """What the organization lets through, over all processes, while Redis is away."""

    def __repr__(self) -> str:
        return f"Policy(key={self.key_id})"


def shard_of(organization_id: UUID, shards: int) -> int:
    """The shard that holds an organization's counters and usage stream."""
    return organization_id.int % shards


def shard_prefix(shard: int) -> str:
    """What every Redis key of a shard starts with; the braces keep it in one cluster slot."""
    return f"fb:{{s{shard:02d}}}:"
