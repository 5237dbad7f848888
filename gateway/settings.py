"""The data plane's settings: every limit, time-out and size, with its unit in its name.

`config.env` fills this from `FAREBOX_<NAME>` variables; nothing here reads the environment.
"""

from dataclasses import dataclass, field
from typing import Any


def _setting(default: Any, description: str, **rules: Any) -> Any:
    return field(default=default, metadata={"description": description, **rules})


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewaySettings:
    """What one gateway process is told at its start. All values are immutable."""

    database_url: str = field(metadata={"description": "PostgreSQL, for policies.", "env": "DATABASE_URL"})
    redis_url: str = field(metadata={"description": "Redis or Valkey, for admission.", "env": "REDIS_URL"})
    key_pepper: bytes = field(repr=False, metadata={"description": "Secret of the key HMAC, ≥ 16 bytes."})
    master_key: bytes = field(repr=False, metadata={"description": "Wraps data keys: 32 bytes, base64."})

    log_level: str = _setting(
        "INFO", "Least severe log line that is written.", choices=("DEBUG", "INFO", "WARNING", "ERROR")
    )
    shards: int = _setting(16, "Shards that organizations are spread over; never change it on live data.")

    head_limit_bytes: int = _setting(65_536, "Largest path and headers of a request; then 431.")
    head_timeout_seconds: float = _setting(30.0, "Time a client has to send them; then 408.")
    trusted_proxies: tuple[str, ...] = _setting(
        (), "Networks (CIDR, comma-separated) of proxies whose `X-Forwarded-For` says who called."
    )
    body_limit_bytes: int = _setting(10 * 1024 * 1024, "Largest request body.")
    body_timeout_seconds: float = _setting(30.0, "Time a client has to send its whole body.")
    json_depth_limit: int = _setting(64, "Deepest nesting of a request body.")
    choices_limit: int = _setting(8, "Largest `n`.")
    metadata_pairs_limit: int = _setting(32, "Pairs of metadata of one request, headers and body together.")
    metadata_value_limit_characters: int = _setting(512, "Longest value of metadata in a header.")
    write_stall_timeout_seconds: float = _setting(60.0, "A client that reads nothing this long is cut.")

    upstream_connect_timeout_seconds: float = _setting(5.0, "Opening a connection to a provider.")
    upstream_pool_timeout_seconds: float = _setting(5.0, "Waiting for a free connection to a provider.")
    upstream_write_timeout_seconds: float = _setting(30.0, "Sending the request to a provider.")
    upstream_total_timeout_seconds: float = _setting(180.0, "A whole answer, retries included; then 504.")
    stream_gap_timeout_seconds: float = _setting(180.0, "First byte of a stream, and between its events.")
    stream_keep_alive_seconds: float = _setting(
        8.0, "Silence in a stream, or before a race's first output, after which a comment is sent; 0: never."
    )
    stream_head_after_seconds: float = _setting(
        30.0,
        "Silence before any other stream's first event after which its head goes out with a comment: an error"
        " is an event then and has no status; 0: never.",
    )
    stream_total_timeout_seconds: float = _setting(1200.0, "A whole stream.")
    targets_limit: int = _setting(5, "Targets of one request; each request of a list body has its own.")
    list_requests_limit: int = _setting(5, "Requests of a list body that are tried; the rest is left out.")
    session_minutes: float = _setting(60.0, "How long a session's state outlives its last request.")
    thought_limit_characters: int = _setting(16_000, "Of what a session's thinker said this much is kept.")
    upstream_attempts_limit: int = _setting(8, "Upstream calls of one request, fallbacks and retries.")
    upstream_retries: int = _setting(
        1, "Further calls of the last target that is left, while its breaker is closed.", minimum=0
    )
    upstream_retry_pause_seconds: float = _setting(0.5, "First pause before a retry; doubled each time.")
    upstream_retry_longest_pause_seconds: float = _setting(5.0, "Longest pause of our own choice.")
    upstream_retry_after_limit_seconds: float = _setting(
        30.0, "Longest `Retry-After` of a provider that is waited for when no other target is left."
    )
    breaker_failures: int = _setting(
        5, "Failures in a window that open a target's breaker; 0: never.", minimum=0
    )
    breaker_failure_share: float = _setting(0.5, "They must be this share of its attempts.", maximum=1)
    breaker_window_seconds: float = _setting(60.0, "What is older counts half, then nothing.")
    breaker_open_seconds: float = _setting(30.0, "An open target is tried again after this.")
    routing_price_weight: float = _setting(0.6, "How much a bare model's price matters.")
    routing_uptime_weight: float = _setting(0.5, "How much the share of answered calls matters.")
    routing_throughput_weight: float = _setting(0.05, "How much output tokens a second matter.")
    routing_latency_weight: float = _setting(0.025, "How much the time to a stream's first token matters.")
    routing_cache_weight: float = _setting(0.2, "How much cached reading matters, from 5,000 tokens on.")
    routing_session_margin: float = _setting(0.15, "A session stays with what is this near to the best.")
    routing_exploration_share: float = _setting(
        0.01, "Requests without a session that try another than the best provider first.", maximum=1
    )
    health_share_seconds: float = _setting(5.0, "How often processes share what they have measured.")
    upstream_connections_per_origin: int = _setting(2000, "Open connections to one provider.")
    upstream_idle_connections_per_origin: int = _setting(200, "Idle connections kept to one provider.")
    upstream_idle_expiry_seconds: float = _setting(30.0, "An idle connection is closed after this.")
    upstream_proxy_url: str = field(
        default="",
        repr=False,
        metadata={
            "description": "Proxy (`http://…`, maybe with a password) of the operator's providers; "
            "endpoints of organizations never take it."
        },
    )
    upstream_http2: bool = _setting(False, "Whether the operator's providers are asked for HTTP/2.")
    upstream_answer_limit_bytes: int = _setting(32 * 1024 * 1024, "Largest buffered answer.")
    upstream_event_limit_bytes: int = _setting(4 * 1024 * 1024, "Largest single stream event.")
    allowed_upstream_networks: tuple[str, ...] = _setting(
        (), "Networks (CIDR, comma-separated) that custom endpoints may be in although they are private."
    )

    redis_call_timeout_ms: float = _setting(50.0, "One Redis exchange on the hot path; then 503.")
    redis_queue_limit: int = _setting(10_000, "Redis calls of a process that may wait at once.")
    hold_lease_seconds: float = _setting(30.0, "A hold that nobody renewed this long is settled.")
    hold_renew_seconds: float = _setting(5.0, "How often running requests renew their holds.")
    rate_burst_seconds: float = _setting(60.0, "Seconds' worth of a rate limit that may be used at once.")
    redis_away_limit_usd: int = _setting(
        10, "Most that an owner may let through while Redis is away, in whole dollars.", minimum=0
    )
    redis_away_processes: int = _setting(1, "Gateway processes that share it; any further one refuses.")
    redis_away_minutes: float = _setting(60.0, "After this time without Redis a process refuses as well.")
    idempotency_hours: float = _setting(24.0, "How long an Idempotency-Key gives its answer again.")
    idempotency_answer_limit_bytes: int = _setting(1_048_576, "Larger answers are not kept for that.")
    cache_answer_limit_bytes: int = _setting(1_048_576, "Larger answers are neither cached nor healed.")
    cache_organization_limit_bytes: int = _setting(
        67_108_864, "Room of one organization's cached answers in Redis; what expires first makes way."
    )
    cache_ttl_limit_seconds: int = _setting(31_536_000, "Longest that an answer may be cached.")
    semantic_cache_threshold: float = _setting(
        0.8, "Least likeness (0 to 1) of two questions with one answer."
    )
    semantic_cache_messages_limit: int = _setting(3, "Longer conversations are not compared.")
    semantic_cache_questions_limit: int = _setting(10_000, "Questions that one organization has compared.")
    embedding_timeout_seconds: float = _setting(10.0, "One embedding; then the request goes on without.")
    settle_retry_seconds: float = _setting(0.5, "Pause before an undelivered settlement is sent again.")
    resend_seconds: float = _setting(
        5.0, "What was settled this recently is sent again to a Redis that has forgotten it."
    )
    resend_limit_bytes: int = _setting(32 * 1024 * 1024, "Most that a process keeps for that.")
    spool_dir: str = _setting("var/spool", "Where settlements wait on disk while Redis is away.")

    policy_cache_entries: int = _setting(10_000, "Keys whose policy one process remembers.")
    unknown_key_cache_entries: int = _setting(10_000, "Unknown keys one process remembers.")
    unknown_key_cache_seconds: float = _setting(5.0, "How long an unknown key is remembered as unknown.")
    epoch_poll_seconds: float = _setting(0.5, "How often a process asks for changed organizations.")
    policy_load_timeout_seconds: float = _setting(2.0, "Loading one key's policy from PostgreSQL; then 503.")
    database_pool_connections: int = _setting(4, "PostgreSQL connections of one gateway process.")

    unpriced_floor_usd_per_million: int = _setting(
        0,
        "Least ceiling of an owner, on each side, at which the operator's keys serve a model without a price;"
        " 0: ceilings bind own provider keys alone.",
    )

    logged_body_limit_bytes: int = _setting(65_536, "Larger prompts and answers are not stored.")
    drain_timeout_seconds: float = _setting(120.0, "Time running streams get after SIGTERM.")
