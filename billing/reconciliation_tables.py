"""Reconciliation as rows: of the operator's tables and of their CSV."""

from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import urlencode

from django.db.models import QuerySet
from django.utils.html import format_html

from billing.models import ProviderDay, ProviderStatementLine, UsageEvent
from billing.money import format_usd
from billing.reconciliation.matching import CAUSES, ModelDay, model_day_of
from billing.reconciliation.our_side import COUNT_NAMES, Counts

ROWS_PER_READ = 500
DAY_CSV_HEADER = (
    "provider", "account", "day_utc", "model", "our_cost_usd", "their_bill_usd", "difference_usd", "causes",
    *(f"our_{name}" for name in COUNT_NAMES), *(f"their_{name}" for name in COUNT_NAMES),
)  # fmt: skip
EVENT_CSV_HEADER = (
    "event", "time_utc", "organization", "model", "ending", "is_estimated", "attempts", "cost_usd",
)  # fmt: skip

Table = dict[str, Any]


def models_table(models: Iterable[ModelDay], *, events_href: str) -> Table:
    """One row for each model; under it, one for each doubt that there is about it."""
    return {
        "headers": ["Model", "Their bill", "Our cost", "Difference", "Comes from", "They count", "We count"],
        "rows": [_model_row(each, events_href) for each in models],
    }


def events_table(events: Iterable[UsageEvent]) -> Table:
    return {
        "headers": ["Time (UTC)", "Event", "Organization", "Model", "Ending", "Attempts", "Our cost"],
        "rows": [
            [
                f"{event.occurred_at:%Y-%m-%d %H:%M:%S}",
                str(event.id),
                str(event.organization_id),
                event.model,
                event.get_ending_display() + (", estimated" if event.is_estimated else ""),
                str(len(event.attempts)),
                format_usd(event.cost_usd),
            ]
            for event in events
        ],
    }


def line_words(line: ProviderStatementLine) -> str:
    """A line of a statement in words."""
    counts = _count_words(Counts(**{name: getattr(line, name) for name in COUNT_NAMES}))
    amount = "" if line.amount_usd is None else format_usd(line.amount_usd)
    what = " · ".join(part for part in (line.model or "no model", line.item) if part)
    return f"{what}: {', '.join(part for part in (amount, counts) if part)}"


def day_csv_rows(days: QuerySet[ProviderDay]) -> Iterator[tuple[str, ...]]:
    """Every model of every day."""
    yield DAY_CSV_HEADER
    for day in days.iterator(chunk_size=ROWS_PER_READ):
        account = day.organization.slug if day.organization else "operator"
        for each in map(model_day_of, day.models_matched):
            amounts = (each.ours_usd, each.theirs_usd, each.difference_usd)
            counts = [getattr(side, name) for side in (each.ours, each.theirs) for name in COUNT_NAMES]
            yield (
                day.provider,
                account,
                day.day.isoformat(),
                each.model,
                *(format(amount, "f") for amount in amounts),
                " or ".join(each.causes),
                *("" if count is None else str(count) for count in counts),
            )


def event_csv_rows(events: QuerySet[UsageEvent]) -> Iterator[tuple[str, ...]]:
    yield EVENT_CSV_HEADER
    for event in events.order_by("-occurred_at", "-id").iterator(chunk_size=ROWS_PER_READ):
        yield (
            str(event.id),
            event.occurred_at.isoformat(),
            str(event.organization_id),
            event.model,
            event.ending,
            "yes" if event.is_estimated else "no",
            str(len(event.attempts)),
            format(event.cost_usd, "f"),
        )


def _model_row(each: ModelDay, events_href: str) -> Table:
    def link(words: str, cause: str = "") -> str:
        if not each.our_names:
            return words
        address = f"{events_href}?{urlencode({'model': each.model, 'cause': cause})}"
        return format_html(
            '<a class="text-primary-600 dark:text-primary-500" href="{}">{}</a>', address, words
        )

    row: Table = {
        "cols": [
            link(each.model or "no model"),
            format_usd(each.theirs_usd) + (", at our prices" if each.is_priced_by_us else ""),
            format_usd(each.ours_usd),
            format_usd(each.difference_usd),
            each.cause_words or "no difference",
            _count_words(each.theirs) or "not told",
            _count_words(each.ours),
        ]
    }
    if each.doubts:
        row["table"] = {
            "headers": ["What is not certain here", "Events", "Our cost of them"],
            "rows": [
                [link(CAUSES[name], name), f"{events:,}", format_usd(cost_usd)]
                for name, (events, cost_usd) in each.doubts.items()
            ],
        }
    return row


def _count_words(counts: Counts) -> str:
    told = [(name, getattr(counts, name)) for name in COUNT_NAMES]
    return ", ".join(f"{number:,} {name.replace('_', ' ')}" for name, number in told if number)
