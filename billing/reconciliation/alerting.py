"""Matching days again and telling the operator of those that drift, once for each drift."""

import logging
from collections.abc import Iterable
from datetime import date, datetime, timedelta

from django.conf import settings

from billing.models import ProviderDay
from billing.money import format_usd
from billing.operator_alerts import alert_operator, note_figures
from billing.operator_figures import DRIFT_PREFIX
from billing.reconciliation.matching import match_day, model_day_of, statement_days
from billing.reconciliation.our_side import Account

PPM_PER_PERCENT = 10_000
MAX_MODELS_IN_MAIL = 20

logger = logging.getLogger(__name__)


def match_and_tell(days: Iterable[tuple[Account, date]], *, now: datetime) -> list[ProviderDay]:
    """Match each day, and mail what drifts beyond the setting if it was not mailed before."""
    rows = [match_day(account, day, now=now) for account, day in days]
    untold = [row for row in rows if row.is_drifting and row.told_drift_usd != row.drift_usd]
    if untold:
        _tell(untold)
    _note_figures()
    return rows


def match_recent_days(*, now: datetime) -> list[ProviderDay]:
    """Match the days of the last while again: events may have come late, and a day is over only now."""
    since = now.date() - timedelta(days=settings.FAREBOX_CONSOLE.reconciliation_days)
    return match_and_tell(statement_days(since=since), now=now)


def percent_words(row: ProviderDay) -> str:
    """`+0.62 %`, or what there is to say when we have no cost at all."""
    if row.drift_ppm is None:
        return "no cost of ours" if row.drift_usd else "0.00 %"
    return f"{row.drift_ppm / PPM_PER_PERCENT:+.2f} %"


def _tell(rows: list[ProviderDay]) -> None:
    for row in rows:
        logger.error(
            "provider's bill drifts",
            extra={"provider": row.provider, "day": row.day.isoformat(), "drift_ppm": row.drift_ppm},
        )
    text = "\n\n".join(_words(row) for row in rows)
    subject = f"Provider bills: {len(rows)} day{'s' * (len(rows) != 1)} beyond the allowed drift"
    if alert_operator(subject=subject, text=f"{text}\n\nWhat to do: docs/reconciliation.md."):
        for row in rows:
            ProviderDay.objects.filter(pk=row.pk).update(told_drift_usd=row.drift_usd)


def _words(row: ProviderDay) -> str:
    whose = f"the account of {row.organization}" if row.organization else "the operator's account"
    lines = [
        f"{row.provider} on {row.day} (UTC), {whose}: the provider bills {format_usd(row.theirs_usd)},"
        f" our cost is {format_usd(row.ours_usd)}: {percent_words(row)}"
    ]
    for kept in row.models_matched[:MAX_MODELS_IN_MAIL]:
        each = model_day_of(kept)
        if each.causes:
            lines.append(
                f"    {each.model or 'no model'}: {format_usd(each.difference_usd)}, {each.cause_words}"
            )
    return "\n".join(lines)


def _note_figures() -> None:
    """Each provider's latest finished day, and how many days drift, on `/metrics`."""
    latest: dict[str, ProviderDay] = {}
    operators = ProviderDay.objects.filter(organization=None, drift_ppm__isnull=False)
    for row in operators.order_by("provider", "-day").distinct("provider"):
        latest[row.provider] = row
    note_figures(
        drifting_days=ProviderDay.objects.filter(is_drifting=True).count(),
        **{f"{DRIFT_PREFIX}{provider}": row.drift_ppm or 0 for provider, row in latest.items()},
    )
