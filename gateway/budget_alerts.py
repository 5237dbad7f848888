"""Alerts of budgets: raised once a period when a chosen part is spent.

What is spent is read where it is decided, in Redis' counters, else from the ledger. A unique row per
budget, period and percentage makes looking twice harmless. Telling is in `gateway.alert_delivery`.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from uuid import UUID

from django.db import transaction

from accounts.models import Organization
from accounts.tenancy import scoped
from billing.budgets import ROLLING_SECONDS
from billing.models import Budget, SpendingNote
from billing.money import ZERO_USD
from gateway.alert_models import AlertDelivery, AlertWebhook, BudgetAlert
from gateway.budget_counts import Place, counts_of, place_of
from gateway.counters import MoneyCount

MAX_ORGANIZATIONS_PER_RUN = 200
MAX_NOTES_PER_LOOK = 1_000
WHOLE_PERCENT = 100


def raise_alerts(*, now: datetime) -> int:
    """Look at the budgets of all who have spent, within bounds; gives the number of alerts raised."""
    noted = SpendingNote.objects.order_by().values_list("organization_id", flat=True).distinct()
    return sum(_look_at(organization_id, now) for organization_id in noted[:MAX_ORGANIZATIONS_PER_RUN])


@transaction.atomic
def _look_at(organization_id: UUID, now: datetime) -> int:
    """Raise what is due and take the notes away, in one step; notes that another run holds are left to it.

    The notes go before the counters are read: whoever spends meanwhile waits, and notes it anew.
    """
    notes = list(
        SpendingNote.objects.select_for_update(skip_locked=True)
        .filter(organization_id=organization_id)
        .order_by("pk")[:MAX_NOTES_PER_LOOK]
    )
    if not notes:
        return 0
    SpendingNote.objects.filter(pk__in=[note.pk for note in notes]).delete()
    organization = Organization.objects.get(pk=organization_id)
    budgets = scoped(Budget.objects.exclude(alert_percents=[]), organization)
    places = [place for budget in budgets for place in _places(budget, notes, now)]
    counts = counts_of(organization, places)
    return sum(_raise(place, count, now) for place, count in zip(places, counts, strict=True))


def _places(budget: Budget, notes: Sequence[SpendingNote], now: datetime) -> Iterable[Place]:
    if not budget.is_each:
        return [place_of(budget, now)]
    return [place_of(budget, now, subject=note.subject) for note in notes if note.scope == budget.scope]


def _raise(place: Place, count: MoneyCount, now: datetime) -> int:
    """An alert for each percentage that is reached; the highest of those at once is the one that is told."""
    budget = place.budget
    if budget.amount_usd <= ZERO_USD:
        return 0
    reached = [
        percent
        for percent in sorted(budget.alert_percents)
        if count.spent_usd * WHOLE_PERCENT >= budget.amount_usd * percent
    ]
    fresh = []
    for percent in reached:
        alert, is_fresh = BudgetAlert.objects.get_or_create(
            budget=budget,
            counter=_period_name(place, now),
            percent=percent,
            defaults={
                "organization_id": budget.organization_id,
                "subject": place.subject if budget.is_each else "",
                "amount_usd": budget.amount_usd,
                "spent_usd": count.spent_usd,
                "renews_at": place.period.ends_at,
            },
        )
        fresh += [alert] if is_fresh else []
    if fresh:
        _tell(fresh[-1], now)
    return len(fresh)


def _tell(alert: BudgetAlert, now: datetime) -> None:
    channels = [AlertDelivery.Channel.MAIL]
    if AlertWebhook.objects.filter(pk=alert.organization_id).exists():
        channels.append(AlertDelivery.Channel.WEBHOOK)
    AlertDelivery.objects.bulk_create(
        AlertDelivery(alert=alert, channel=channel, due_at=now) for channel in channels
    )


def _period_name(place: Place, now: datetime) -> str:
    """The counter's name, and for a rolling window which of its lengths since 1970 this is."""
    if not place.budget.is_rolling:
        return place.counter
    return f"{place.counter}:{int(now.timestamp()) // ROLLING_SECONDS[place.budget.window]}"
