"""Usage events as they come off the stream: JSON to checked values and table rows. No I/O.

The data plane writes them (`gateway.settlement`); `billing.ingest` stores them. What cannot be a
usage event raises MalformedEvent and never reaches the database.
"""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

from billing.errors import MalformedEvent
from billing.models import UsageEvent
from billing.money import nano_to_usd
from billing.usage import TokenUsage

MAX_BIGINT = 2**63 - 1
MAX_INTEGER = 2**31 - 1
MAX_SMALLINT = 2**15 - 1
MAX_TAGS = 100
MAX_BUDGETS = 1_000
YEARS = range(2000, 2200)

Count = Annotated[int, Meta(ge=0, le=MAX_BIGINT)]
Moment = Annotated[datetime, Meta(tz=True)]

_TEXT_COLUMNS = (
    "request_id", "route", "requested_model", "model", "provider", "ending", "error_code", "error_message",
    "finish_reason", "price_version", "end_user", "session_id", "agent", "source",
    "cache_hit", "signature",
)  # fmt: skip
_PLAIN_COLUMNS = (
    "status", "cost_parts", "duration_ms", "first_token_ms", "overhead_ms", "timeline", "attempts", "limits",
    "parameters", "metadata",
)  # fmt: skip
_MAX_CHARACTERS = {
    field.name: field.max_length or 0 for field in UsageEvent._meta.fields if field.name in _TEXT_COLUMNS
}
_MAX_TAG_CHARACTERS = 64
_NUL, _ESCAPED_NUL, _REPLACEMENT = "\x00", b"\\u0000", "\N{REPLACEMENT CHARACTER}"


class ArrivedUsage(msgspec.Struct, frozen=True):
    """The disjoint counts of `billing.usage.TokenUsage`."""

    input: Count = 0
    cached_input: Count = 0
    cache_write: Count = 0
    output: Count = 0
    reasoning: Count = 0
    audio_input: Count = 0
    audio_output: Count = 0
    image_input: Count = 0
    cache_write_1h: Count = 0
    searches: Annotated[int, Meta(ge=0, le=MAX_INTEGER)] = 0


class Arrival(msgspec.Struct, frozen=True):
    """One event of the stream. Fields that a later version adds are ignored."""

    v: Literal[1]
    id: UUID
    at: Moment
    organization: UUID
    project: UUID
    key: UUID
    status: Annotated[int, Meta(ge=0, le=MAX_SMALLINT)]
    ending: str
    usage: ArrivedUsage
    cost_nano: Count
    charge_nano: Count
    request_id: str = ""
    route: str = ""
    requested_model: str = ""
    model: str = ""
    provider: str = ""
    own: bool = False
    stream: bool = False
    error_code: str = ""
    error_message: str = ""
    finish_reason: str | None = ""
    estimated: bool = False
    price_version: str = ""
    cost_parts: dict[str, str] = {}
    duration_ms: float | None = None
    first_token_ms: float | None = None
    overhead_ms: float | None = None
    timeline: list[Any] = []
    attempts: list[Any] = []
    limits: dict[str, Any] = {}
    parameters: dict[str, Any] = {}
    tags: Annotated[list[str], Meta(max_length=MAX_TAGS)] = []
    end_user: str = ""
    session_id: str = ""
    agent: str = ""
    source: str = ""
    signature: str = ""
    metadata: dict[str, str] = {}
    cache_hit: str = ""
    would_refuse: Annotated[list[UUID], Meta(max_length=MAX_BUDGETS)] = []
    request_body: bytes | None = None
    response_body: bytes | None = None

    @property
    def token_usage(self) -> TokenUsage:
        return TokenUsage(**msgspec.structs.asdict(self.usage))

    @property
    def charge_usd(self) -> Decimal:
        return nano_to_usd(self.charge_nano)

    @property
    def cost_usd(self) -> Decimal:
        return nano_to_usd(self.cost_nano)


_decoder = msgspec.json.Decoder(Arrival)


def parse_arrival(content: bytes) -> Arrival:
    """The event. Raises MalformedEvent saying what is wrong and where."""
    try:
        arrival = _decoded(content)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
        raise MalformedEvent(str(exc)) from exc
    if arrival.at.year not in YEARS:
        raise MalformedEvent(f"The year {arrival.at.year} is out of range - at `$.at`")
    return arrival


def row_of(arrival: Arrival) -> dict[str, Any]:
    """The event as a row of `billing_usageevent`, for JSON; texts are cut to their columns' widths."""
    row: dict[str, Any] = {
        "id": arrival.id.hex,
        "occurred_at": arrival.at.isoformat(),
        "organization_id": arrival.organization.hex,
        "project_id": arrival.project.hex,
        "key_id": arrival.key.hex,
        "is_own_credential": arrival.own,
        "is_stream": arrival.stream,
        "is_estimated": arrival.estimated,
        "cost_usd": format(arrival.cost_usd, "f"),
        "charge_usd": format(arrival.charge_usd, "f"),
        "tags": [tag[:_MAX_TAG_CHARACTERS] for tag in arrival.tags],
        "searches": arrival.usage.searches,
        "would_refuse": [budget_id.hex for budget_id in arrival.would_refuse],
    }
    for name in ArrivedUsage.__struct_fields__[:-1]:
        row[f"{name}_tokens"] = getattr(arrival.usage, name)
    for name in _PLAIN_COLUMNS:
        row[name] = getattr(arrival, name)
    for name in _TEXT_COLUMNS:
        row[name] = (getattr(arrival, name) or "")[: _MAX_CHARACTERS[name]]
    return row


def _decoded(content: bytes) -> Arrival:
    if _ESCAPED_NUL in content:
        # PostgreSQL stores no NUL, neither in text nor in jsonb.
        return msgspec.convert(_without_nul(msgspec.json.decode(content)), Arrival)
    return _decoder.decode(content)


def _without_nul(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace(_NUL, _REPLACEMENT)
    if isinstance(value, list):
        return [_without_nul(item) for item in value]
    if isinstance(value, dict):
        return {_without_nul(name): _without_nul(item) for name, item in value.items()}
    return value
