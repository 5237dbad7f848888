"""The request log made ready for its template: its lines and its filter chips. Values only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.urls import reverse

from analytics.request_filters import NAMES, address
from billing.event_filters import GOOD_ENDINGS
from billing.external_events import is_external
from billing.models import EventAdjustment, UsageEvent
from billing.money import ZERO_USD

FIRST_SERVER_ERROR = 500
ESTIMATED = "The provider told no usage, so we counted the tokens"
RECOVERED = "Settled from the last reading after a process was lost"
NO_NAME = "deleted key"
RERATED = "Re-rated: a better price became known later"
FROM_CACHE = "Out of the cache; nothing was charged"
EXTERNAL = "Made elsewhere and reported to us; nothing was charged"
OWN_KEY = "Paid with your own provider key; nothing was charged"


@dataclass(frozen=True, slots=True)
class RequestRow:
    id: UUID
    href: str
    occurred_at: datetime
    status: int
    tone: str
    ending: str
    model: str
    provider: str
    is_stream: bool
    prompt_tokens: int
    completion_tokens: int
    charge_usd: Decimal
    mark: str
    first_token_ms: float | None
    duration_ms: float | None
    key_name: str


@dataclass(frozen=True, slots=True)
class Chip:
    """One active filter, and the address without it."""

    label: str
    value: str
    href: str


def request_row(
    event: UsageEvent,
    *,
    slug: str,
    key_names: Mapping[str, str],
    corrections: Sequence[EventAdjustment] = (),
) -> RequestRow:
    """The event's line, with what it comes to after its corrections."""
    return RequestRow(
        id=event.id,
        href=reverse("request", args=[slug, event.id]),
        occurred_at=event.occurred_at,
        status=event.status,
        tone=tone_of(event),
        ending=event.get_ending_display(),
        model=event.model or event.requested_model,
        provider=event.provider,
        is_stream=event.is_stream,
        prompt_tokens=prompt_tokens(event),
        completion_tokens=completion_tokens(event),
        charge_usd=event.charge_usd + sum((each.charge_usd for each in corrections), ZERO_USD),
        mark=RERATED if corrections else mark_of(event),
        first_token_ms=event.first_token_ms,
        duration_ms=event.duration_ms,
        key_name=key_names.get(str(event.key_id), NO_NAME),
    )


def tone_of(event: UsageEvent) -> str:
    """The colour of an ending: green when all went well, red when somebody's server failed, amber else."""
    if event.ending in (UsageEvent.Ending.COMPLETED, UsageEvent.Ending.REPLAYED):
        return "good"
    if event.ending in GOOD_ENDINGS:
        return "muted"
    is_refusal = event.ending == UsageEvent.Ending.REFUSED and event.status < FIRST_SERVER_ERROR
    return "warn" if is_refusal else "bad"


def mark_of(event: UsageEvent) -> str:
    """Why the cost deserves a second look; empty if it does not."""
    if event.ending == UsageEvent.Ending.RECOVERED:
        return RECOVERED
    if event.cache_hit:
        return FROM_CACHE
    if is_external(event):
        return EXTERNAL
    if event.is_own_credential:
        return OWN_KEY
    return ESTIMATED if event.is_estimated else ""


def prompt_tokens(event: UsageEvent) -> int:
    return (
        event.input_tokens
        + event.cached_input_tokens
        + event.cache_write_tokens
        + event.cache_write_1h_tokens
        + event.audio_input_tokens
        + event.image_input_tokens
    )


def completion_tokens(event: UsageEvent) -> int:
    return event.output_tokens + event.reasoning_tokens + event.audio_output_tokens


def chips(parameters: Mapping[str, str], *, path: str, names: Mapping[str, str]) -> tuple[Chip, ...]:
    """The active filters; `names` gives keys and projects their names."""
    given = {name: value for name, value in parameters.items() if value and name != "older"}
    return tuple(
        Chip(
            label=label,
            value=names.get(given[name], given[name]),
            href=address(path, {other: value for other, value in given.items() if other != name}),
        )
        for name, label in NAMES.items()
        if name in given
    )
