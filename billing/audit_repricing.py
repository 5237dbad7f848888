"""Pricing every event again at the version that it names, as the audit does (L10).

Events that share version, amounts and counts are one group, so that a table of any size is read
in batches and each group is priced once.
"""

import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import groupby, islice
from operator import itemgetter
from typing import Any

from django.db.models import Count, Min

from billing.audit_findings import MAX_EXAMPLES, Difference, Finding
from billing.errors import AuditTooSlow, UnknownPrice
from billing.models import EventAdjustment, UsageEvent
from billing.money import nano_to_usd
from billing.price_book import PriceBook
from billing.price_versions import PriceVersions
from billing.terms import CHARGED, TIMES, UP_TO, bill_of
from billing.usage import FIELDS, TokenUsage

ROWS_PER_FETCH = 2_000
TOO_SLOW = "The audit did not finish within its time (FAREBOX_AUDIT_TIMEOUT_SECONDS)."
COSTS = ("L10", "Every event's cost is its usage at its price version")
CHARGES = ("L10", "Every event's charge is its cost at its terms")
ADJUSTED = ("L10", "Every re-rated event comes to its usage at the version of its last adjustment")

_USAGE_COLUMNS = tuple(name if name == "searches" else f"{name}_tokens" for name in FIELDS)
_SAME = ("price_version", "cost_usd", "charge_usd", "is_own_credential", *_USAGE_COLUMNS)

_Wrong = defaultdict[uuid.UUID | None, list[tuple[int, str]]]


@dataclass(slots=True)
class Repricing:
    """How many events were priced again, how many could not be, and which differ."""

    repriced: int = 0
    not_repriced: int = 0
    wrong_costs: _Wrong = field(default_factory=lambda: defaultdict(list))
    wrong_charges: _Wrong = field(default_factory=lambda: defaultdict(list))
    wrong_adjustments: _Wrong = field(default_factory=lambda: defaultdict(list))

    @property
    def costs(self) -> Finding:
        return Finding(*COSTS, _differences(self.wrong_costs))

    @property
    def charges(self) -> Finding:
        return Finding(*CHARGES, _differences(self.wrong_charges))

    @property
    def adjustments(self) -> Finding:
        return Finding(*ADJUSTED, _differences(self.wrong_adjustments))


def reprice(book: PriceBook, *, is_late: Callable[[], bool]) -> Repricing:
    """Price all events again. Raises AuditTooSlow when it is late."""
    repricing, versions = Repricing(), PriceVersions(book)
    for group in _groups().iterator(chunk_size=ROWS_PER_FETCH):
        if is_late():
            raise AuditTooSlow(TOO_SLOW)
        try:
            amounts = _amounts_of(group, versions)
        except UnknownPrice:
            repricing.not_repriced += group["count"]
            amounts = group["cost_usd"], _charge_at_par(group)
        else:
            repricing.repriced += group["count"]
        cost_usd, charge_usd = amounts
        if group["cost_usd"] != cost_usd:
            _note(repricing.wrong_costs, group, "cost", cost_usd)
        if group["charge_usd"] != charge_usd:
            _note(repricing.wrong_charges, group, "charge", charge_usd)
    _check_adjusted(repricing, versions, is_late)
    return repricing


def _check_adjusted(repricing: Repricing, versions: PriceVersions, is_late: Callable[[], bool]) -> None:
    """Hold what re-rated events come to against the version that their last adjustment names."""
    rows = EventAdjustment.objects.order_by("occurred_at", "event_id", "ordinal").values()
    by_event = groupby(rows.iterator(chunk_size=ROWS_PER_FETCH), key=itemgetter("event_id"))
    adjusted: Iterator[list[Any]] = (list(some) for _, some in by_event)
    while batch := list(islice(adjusted, ROWS_PER_FETCH)):
        if is_late():
            raise AuditTooSlow(TOO_SLOW)
        events = _events_of([adjustments[-1] for adjustments in batch])
        for adjustments in batch:
            event = events.get(adjustments[-1]["event_id"])
            text = event and _adjusted_wrongly(event, adjustments, versions)
            if text:
                repricing.wrong_adjustments[adjustments[-1]["organization_id"]].append((1, text))


def _events_of(adjustments: list[dict[str, Any]]) -> dict[uuid.UUID, dict[str, Any]]:
    """The events behind these adjustments, which come in the order of time; expired ones are missing."""
    span = adjustments[0]["occurred_at"], adjustments[-1]["occurred_at"]
    ids = [each["event_id"] for each in adjustments]
    rows = UsageEvent.objects.order_by().filter(occurred_at__range=span, id__in=ids)
    return {row["id"]: row for row in rows.values("id", "request_id", *_SAME)}


def _adjusted_wrongly(
    event: dict[str, Any], adjustments: list[dict[str, Any]], versions: PriceVersions
) -> str:
    """What is wrong with what the event comes to; empty if nothing is, or nobody knows its price."""
    version = adjustments[-1]["price_version"]
    cost_usd = event["cost_usd"] + sum(each["cost_usd"] for each in adjustments)
    charge_usd = event["charge_usd"] + sum(each["charge_usd"] for each in adjustments)
    try:
        right_usd, most_usd = _amounts_of(event | {"price_version": version}, versions)
    except UnknownPrice:
        return ""
    # Less may be charged than the terms say: what was forgiven stays so.
    if most_usd is not None and cost_usd == right_usd and 0 <= charge_usd <= most_usd:
        return ""
    return (
        f"request {event['request_id']}: cost {cost_usd}, charge {charge_usd};"
        f" {version} gives {right_usd} and {most_usd}"
    )


def _groups() -> Any:
    return UsageEvent.objects.order_by().values(*_SAME).annotate(count=Count("id"))


def _amounts_of(group: dict[str, Any], versions: PriceVersions) -> tuple[Decimal | None, Decimal | None]:
    """Cost and charge as the version gives them; None where no usage can be such. Raises UnknownPrice."""
    counts = {name: group[column] for name, column in zip(FIELDS, _USAGE_COLUMNS, strict=True)}
    if min(counts.values()) < 0:
        return None, None
    usage = TokenUsage(**counts)
    is_nobodys = not group["price_version"] and not group["cost_usd"] and not group["charge_usd"]
    # What was reported to us from elsewhere was used, and is nothing that we have a price for.
    if usage == TokenUsage() or is_nobodys:
        return nano_to_usd(0), nano_to_usd(0)
    bill = bill_of(usage, versions.terms(group["price_version"]))
    charge_nano = 0 if group["is_own_credential"] else bill.charge.total_nano
    return nano_to_usd(bill.cost.total_nano), nano_to_usd(charge_nano)


def _charge_at_par(group: dict[str, Any]) -> Any:
    """The charge of an event at a price that nobody knows any more, which without terms is its cost."""
    version = group["price_version"]
    if group["is_own_credential"]:
        return nano_to_usd(0)
    has_terms = any(word in version for word in (CHARGED, TIMES, UP_TO))
    return group["charge_usd"] if has_terms else group["cost_usd"]


def _note(wrong: _Wrong, group: dict[str, Any], what: str, expected_usd: Decimal | None) -> None:
    """Note whose the events of the group are, with the id of one of each."""
    same = {name: value for name, value in group.items() if name != "count"}
    rows = UsageEvent.objects.order_by().filter(**same).values("organization_id")
    for row in rows.annotate(count=Count("id"), example=Min("request_id")):
        if expected_usd is None:
            text = f"request {row['example']}: a count of its usage is negative"
        else:
            version = group["price_version"]
            text = f"request {row['example']}: {what} {group[f'{what}_usd']}, {version} gives {expected_usd}"
        wrong[row["organization_id"]].append((row["count"], text))


def _differences(wrong: _Wrong) -> dict[uuid.UUID | None, Difference]:
    return {
        organization_id: Difference(
            sum(count for count, _ in parts), tuple(text for _, text in parts[:MAX_EXAMPLES])
        )
        for organization_id, parts in wrong.items()
    }
