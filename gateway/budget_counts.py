"""What a budget has counted, for pages and alerts: from Redis, else from the ledger.

The data plane decides in `gateway.admission`; here its counters are only read.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.db.models import Case, CharField, F, Func, QuerySet, Sum, Value, When
from django.db.models.functions import Concat, Greatest

from accounts.models import Organization
from billing.budgets import ROLLING_BUCKETS, Period, period_of, rolling_period
from billing.families import is_with_provider, sql_pattern
from billing.models import Budget, UsageEvent
from billing.money import ZERO_USD
from gateway.counter_names import budget_counter, rolling_counter
from gateway.counters import MoneyCount, read_money
from gateway.label_budgets import subject_part

COLUMN_OF_SCOPE = {
    Budget.Scope.ORGANIZATION: "organization_id",
    Budget.Scope.PROJECT: "project_id",
    Budget.Scope.KEY: "key_id",
}
SHOWN_SUBJECTS = 5
# As `billing.counted` has it for the data plane.
COUNTED = Sum(
    Case(When(is_own_credential=True, then=Greatest("charge_usd", "cost_usd")), default="charge_usd")
)


@dataclass(frozen=True, slots=True)
class Place:
    """One budget in the period that holds a moment; of a budget for each, for one `subject`."""

    budget: Budget
    subject: str
    period: Period
    counter: str


def place_of(budget: Budget, now: datetime, *, subject: str = "") -> Place:
    """Where the budget counts at this moment; `subject` for one tag or end user of a budget for each."""
    part = subject_part(subject) if budget.is_each else ""
    whom = subject if budget.is_each else budget.subject
    if budget.is_rolling:
        return Place(budget, whom, rolling_period(budget.window, now), rolling_counter(budget.pk, part))
    period = period_of(budget.window, budget.time_zone, now)
    return Place(budget, whom, period, budget_counter(budget.pk, period, part))


def counts_of(organization: Organization, places: Sequence[Place]) -> list[MoneyCount]:
    """What each of these has spent and holds, in their order."""
    rolling = [place for place in places if place.budget.is_rolling]
    live_from = {place.counter: place.period.number - ROLLING_BUCKETS for place in rolling}
    found = read_money(organization.pk, [place.counter for place in places], live_from=live_from)
    missing = [place for place in places if place.counter not in found]
    known = _counted_in_ledger(organization, missing)
    return [found.get(place.counter) or MoneyCount(known[place.counter], ZERO_USD) for place in places]


def _counted_in_ledger(organization: Organization, places: Iterable[Place]) -> Mapping[str, Decimal]:
    """What the events of each place sum to since its period began, by counter."""
    together: defaultdict[tuple[str, datetime | None], list[Place]] = defaultdict(list)
    known: dict[str, Decimal] = {}
    for place in places:
        if place.budget.scope in COLUMN_OF_SCOPE:
            together[place.budget.scope, place.period.starts_at].append(place)
        else:
            events = _events_since(organization, place.period.starts_at)
            total = labelled(events, place.budget.scope, place.subject).aggregate(counted_usd=COUNTED)
            known[place.counter] = total["counted_usd"] or ZERO_USD
    for (scope, start), group in together.items():
        column = COLUMN_OF_SCOPE[Budget.Scope(scope)]
        sums = _counted_by(column, organization, [place.budget.scope_id for place in group], start)
        known |= {place.counter: sums.get(place.budget.scope_id, ZERO_USD) for place in group}
    return known


def top_subjects(organization: Organization, budget: Budget, *, since: datetime | None) -> list[str]:
    """The tags or end users that spent the most since then, of all that a budget for each binds."""
    events = _events_since(organization, since)
    if budget.scope == Budget.Scope.TAG:
        events = events.annotate(subject=Func(F("tags"), function="unnest", output_field=CharField()))
    else:
        events = events.exclude(end_user="").annotate(subject=F("end_user"))
    sums = events.values_list("subject").annotate(counted_usd=COUNTED).order_by("-counted_usd", "subject")
    return [subject for subject, _ in sums[:SHOWN_SUBJECTS]]


def labelled(events: QuerySet[UsageEvent], scope: str, subject: str) -> QuerySet[UsageEvent]:
    """Those of the events that carry a tag, are of an end user, or were answered by a model family."""
    if scope == Budget.Scope.TAG:
        return events.filter(tags__contains=[subject])
    if scope == Budget.Scope.END_USER:
        return events.filter(end_user=subject)
    if is_with_provider(subject):
        name = Concat(F("provider"), Value("/"), F("model"), output_field=CharField())
        return events.annotate(full_name=name).filter(full_name__regex=sql_pattern(subject))
    return events.filter(model__regex=sql_pattern(subject))


def _counted_by(
    column: str, organization: Organization, ids: Iterable[UUID], start: datetime | None
) -> Mapping[UUID, Decimal]:
    events = _events_since(organization, start).filter(**{f"{column}__in": list(ids)})
    return dict(events.values_list(column).annotate(counted_usd=COUNTED))


def _events_since(organization: Organization, start: datetime | None) -> QuerySet[UsageEvent]:
    events = UsageEvent.objects.filter(organization_id=organization.pk).order_by()
    return events if start is None else events.filter(occurred_at__gte=start)
