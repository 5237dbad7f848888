"""One request made ready for its page: what happened when, what it used, what that cost, what bound it.

Values only. The messages come from `analytics.conversation`.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any
from uuid import UUID

from analytics import figures
from analytics.request_filters import address
from billing.models import EventAdjustment, UsageEvent
from billing.money import format_usd, nano_to_usd

TOKEN_FIELDS = (
    ("Input", "input_tokens"),
    ("Cached input", "cached_input_tokens"),
    ("Cache write", "cache_write_tokens"),
    ("Cache write, 1 hour", "cache_write_1h_tokens"),
    ("Audio input", "audio_input_tokens"),
    ("Image input", "image_input_tokens"),
    ("Output", "output_tokens"),
    ("Reasoning", "reasoning_tokens"),
    ("Audio output", "audio_output_tokens"),
    ("Web searches", "searches"),
)
COST_PARTS = (
    ("input", "Input"),
    ("cached_input", "Cached input"),
    ("output", "Output"),
    ("request", "Per request and search"),
)
LABELS = (
    ("User", "end_user"),
    ("Agent", "agent"),
    ("Source", "source"),
    ("Signature", "signature"),
)
UNITS_OF_WINDOW = {
    "hour": " an hour",
    "day": " a day",
    "week": " a week",
    "month": " a month",
    "quarter": " a quarter",
    "wallet": " of credit",
}
UNITS = {"requests": "requests a minute", "tokens": "tokens a minute", "concurrency": "at once"}
BAR_WIDTH = 1000
MAX_STEPS = 50


@dataclass(frozen=True, slots=True)
class Step:
    """A line of the timeline; `offset` and `width` are in thousandths of the whole."""

    name: str
    offset: float
    width: float
    series: int
    start: str
    duration: str


@dataclass(frozen=True, slots=True)
class LimitRow:
    name: str
    limit: str
    left: str
    resets: str


@dataclass(frozen=True, slots=True)
class LabelRow:
    """What the client said of the request, and where requests are that say the same."""

    name: str
    value: str
    href: str


@dataclass(frozen=True, slots=True)
class CorrectionRow:
    posted_at: datetime
    cost_usd: Decimal
    charge_usd: Decimal
    version: str
    note: str
    href: str


@dataclass(frozen=True, slots=True)
class AttemptRow:
    number: int
    provider: str
    model: str
    status: str
    tone: str
    reason: str
    duration: str


def timeline(event: UsageEvent) -> tuple[Step, ...]:
    """The steps of the request with their place in time; the first token stands among them."""
    steps = [(str(name), float(start_ms), float(end_ms)) for name, start_ms, end_ms in _steps(event.timeline)]
    if event.first_token_ms is not None:
        steps.append(("first token", event.first_token_ms, event.first_token_ms))
    whole_ms = max([event.duration_ms or 0, *(end_ms for _, _, end_ms in steps), 0.001])
    return tuple(
        Step(
            name=name[:1].upper() + name[1:],
            offset=round(start_ms / whole_ms * BAR_WIDTH, 1),
            width=round(max((end_ms - start_ms) / whole_ms * BAR_WIDTH, 4), 1),
            series=_series(name),
            start=figures.milliseconds(start_ms),
            duration=figures.milliseconds(end_ms - start_ms if end_ms > start_ms else start_ms),
        )
        for name, start_ms, end_ms in sorted(steps, key=lambda step: (step[1], step[2]))[:MAX_STEPS]
    )


def tokens(event: UsageEvent) -> tuple[tuple[str, int], ...]:
    """What was used, by kind, without what was not."""
    return tuple((label, getattr(event, name)) for label, name in TOKEN_FIELDS if getattr(event, name))


def cost_parts(event: UsageEvent) -> tuple[tuple[str, str], ...]:
    """The parts of the cost, exact, without those that are nothing."""
    parts = ((label, _amount(event.cost_parts.get(name))) for name, label in COST_PARTS)
    return tuple((label, format_usd(amount_usd)) for label, amount_usd in parts if amount_usd)


def corrections(
    adjustments: Iterable[EventAdjustment], *, href_of: Callable[[UUID], str]
) -> tuple[CorrectionRow, ...]:
    """What re-rating has added, in order; a correction that moved no money has no transfer to show."""
    return tuple(
        CorrectionRow(
            posted_at=each.posted_at,
            cost_usd=each.cost_usd,
            charge_usd=each.charge_usd,
            version=each.price_version,
            note=each.note,
            href=href_of(each.id) if each.transfer_id else "",
        )
        for each in adjustments
    )


def labels(event: UsageEvent, *, requests_path: str) -> tuple[LabelRow, ...]:
    """The labels that the request carries, each with the requests that carry it too."""
    said = [
        *((label, "", getattr(event, name), name) for label, name in LABELS),
        *((name, f"{name}=", str(value), "metadata") for name, value in sorted(event.metadata.items())),
    ]
    return tuple(
        LabelRow(label, value, address(requests_path, {parameter: start + value}))
        for label, start, value, parameter in said
        if value
    )


def attempts(event: UsageEvent) -> tuple[AttemptRow, ...]:
    return tuple(
        AttemptRow(
            number=number,
            provider=str(attempt.get("provider", "")),
            model=str(attempt.get("model", "")),
            status=str(attempt.get("status_code") or figures.NO_FIGURE),
            tone="good" if attempt.get("succeeded") else "bad",
            reason=str(attempt.get("error_type") or "answered"),
            duration=figures.milliseconds(attempt.get("duration_ms")),
        )
        for number, attempt in enumerate(event.attempts[:MAX_STEPS], start=1)
        if isinstance(attempt, dict)
    )


def limits(event: UsageEvent) -> tuple[LimitRow, ...]:
    """Each limit as it stood after admission; money in dollars, the rest in its unit."""
    return tuple(
        _limit_row(label, standing)
        for label, standing in event.limits.items()
        if isinstance(standing, dict) and "limit" in standing
    )


def as_json(event: UsageEvent) -> str:
    """The event as it is stored, for people who read JSON."""
    stored = {
        field.name: getattr(event, field.name) for field in UsageEvent._meta.fields if field.name != "pk"
    }
    return json.dumps(stored, indent=2, default=str, ensure_ascii=False)


def as_curl(event: UsageEvent, *, public_url: str, body: Mapping[str, Any] | None) -> str:
    """The request as a command; without the stored body, with a message to fill in."""
    content = body or {
        "model": event.requested_model,
        "messages": [{"role": "user", "content": "…"}],
        **({"stream": True} if event.is_stream else {}),
    }
    quoted = json.dumps(content, ensure_ascii=False, indent=2).replace("'", "'\\''")
    return (
        f"curl {public_url}{event.route} \\\n"
        '  -H "Authorization: Bearer $FAREBOX_API_KEY" \\\n'
        '  -H "Content-Type: application/json" \\\n'
        f"  -d '{quoted}'"
    )


def _steps(stored: Any) -> Iterable[tuple[Any, Any, Any]]:
    for step in stored if isinstance(stored, list) else ():
        if isinstance(step, list) and len(step) == 3 and all(isinstance(ms, int | float) for ms in step[1:]):
            yield step[0], step[1], step[2]


def _series(name: str) -> int:
    if name.startswith("attempt"):
        return 1
    return {"admit": 3, "stream": 5, "first token": 2, "queue": 7, "settle": 8}.get(name, 4)


def _limit_row(label: str, standing: Mapping[str, Any]) -> LimitRow:
    scope, _, dimension = label.partition(":")
    kind, _, window = dimension.partition(":")
    if kind == "budget":
        limit, left = (format_usd(nano_to_usd(int(standing[name]))) for name in ("limit", "left"))
        unit = UNITS_OF_WINDOW.get(window.partition(":")[0], " in total")
    else:
        limit, left = (f"{int(standing[name]):,}" for name in ("limit", "left"))
        unit = f" {UNITS.get(kind, kind)}"
    resets_ms = int(standing.get("reset_ms") or 0)
    return LimitRow(
        name=scope[:1].upper() + scope[1:].replace("_", " "),
        limit=limit + unit,
        left=left,
        resets=f"in {figures.milliseconds(resets_ms)}" if resets_ms > 0 else figures.NO_FIGURE,
    )


def _amount(text: Any) -> Decimal:
    try:
        return Decimal(str(text or 0))
    except InvalidOperation:
        return Decimal(0)
