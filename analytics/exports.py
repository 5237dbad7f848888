"""The request log as CSV: every request that passes the filters, with all that the log can be filtered by."""

import json
from collections.abc import AsyncIterator, Mapping, Sequence

from asgiref.sync import sync_to_async

from accounts.models import Organization
from analytics.request_filters import RequestFilters
from analytics.request_rows import completion_tokens, prompt_tokens
from billing.csv_export import csv_text
from billing.models import EventAdjustment, UsageEvent
from billing.money import ZERO_USD
from billing.selectors import adjustments_of, events

EVENTS_PER_READ = 500
HEADER = (
    "occurred_at", "id", "request_id", "status", "ending", "error_code", "finish_reason", "requested_model",
    "model", "provider", "route", "is_stream", "prompt_tokens", "cached_tokens", "completion_tokens",
    "cost_usd", "charge_usd", "is_estimated", "first_token_ms", "duration_ms", "key", "project", "tags",
    "user", "session", "agent", "source", "signature", "metadata",
)  # fmt: skip


async def csv_of_requests(
    organization: Organization, *, filters: RequestFilters, names: Mapping[str, str]
) -> AsyncIterator[str]:
    """Read and given page by page, newest first; amounts are exact and include corrections."""
    yield csv_text([HEADER])
    older = ""
    while True:
        rows, older = await sync_to_async(_rows)(organization, filters, names, older)
        yield csv_text(rows)
        if not older:
            return


def _rows(
    organization: Organization, filters: RequestFilters, names: Mapping[str, str], older: str
) -> tuple[list[tuple[str, ...]], str]:
    page = events(organization, filters=filters, older=older, limit=EVENTS_PER_READ)
    corrections = adjustments_of(organization, [event.id for event in page.events])
    return [_row(event, names, corrections.get(event.id, ())) for event in page.events], page.older


def _row(
    event: UsageEvent, names: Mapping[str, str], corrections: Sequence[EventAdjustment]
) -> tuple[str, ...]:
    cost_usd = event.cost_usd + sum((each.cost_usd for each in corrections), ZERO_USD)
    charge_usd = event.charge_usd + sum((each.charge_usd for each in corrections), ZERO_USD)
    return (
        event.occurred_at.isoformat(),
        str(event.id),
        event.request_id,
        str(event.status),
        event.ending,
        event.error_code,
        event.finish_reason,
        event.requested_model,
        event.model,
        event.provider,
        event.route,
        "yes" if event.is_stream else "no",
        str(prompt_tokens(event)),
        str(event.cached_input_tokens),
        str(completion_tokens(event)),
        format(cost_usd, "f"),
        format(charge_usd, "f"),
        "yes" if event.is_estimated else "no",
        _number(event.first_token_ms),
        _number(event.duration_ms),
        names.get(str(event.key_id), str(event.key_id)),
        names.get(str(event.project_id), str(event.project_id)),
        ",".join(event.tags),
        event.end_user,
        event.session_id,
        event.agent,
        event.source,
        event.signature,
        json.dumps(event.metadata, ensure_ascii=False) if event.metadata else "",
    )


def _number(milliseconds: float | None) -> str:
    return "" if milliseconds is None else format(milliseconds, ".3f")
