"""Matching: a provider's bill of one day beside our cost of it, model by model, and a name for what differs.

A difference is attributed to the doubts there are: with one kind of doubt it is that one, with
several it is said to be one of them, with none it is unexplained. Amounts are never split by guess.
"""

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from django.conf import settings
from django.db import connection, transaction

from billing.models import ProviderDay, ProviderStatement
from billing.money import ZERO_USD
from billing.reconciliation.known_names import model_names
from billing.reconciliation.names import ModelNames
from billing.reconciliation.our_side import FAILED_ATTEMPTS, Account, Counts, OurModel, our_models
from billing.reconciliation.their_side import TheirModel, their_models

# Two matches of a day at once would both make its row.
MATCH_LOCK_ID = 4_214_003
PER_MILLION = 1_000_000
PPM_PER_PERCENT = 10_000

# What a difference comes from, in words.
CAUSES: Mapping[str, str] = {
    FAILED_ATTEMPTS: "failed attempts that the provider bills and nobody was charged for",
    "estimated": "usage that we counted because the provider reported none",
    "recovered": "requests recovered after a crash, with the last reading",
    "cancelled": "the tail of streams that were left or cut",
    "over_midnight": "calls that ended on the day after",
    "price": "the same tokens at another price",
    "unmatched_theirs": "on the provider's bill alone",
    "unmatched_ours": "in our ledger alone",
    "unknown_model": "a model that the price book does not know",
    "other_service": "a service that is no model",
    "unexplained": "unexplained",
}


@dataclass(frozen=True, slots=True)
class ModelDay:
    """One model on one day, both sides. `causes` is empty when nothing differs."""

    model: str
    ours_usd: Decimal
    theirs_usd: Decimal
    ours: Counts = field(default_factory=Counts)
    theirs: Counts = field(default_factory=Counts)
    causes: tuple[str, ...] = ()
    doubts: Mapping[str, tuple[int, Decimal]] = field(default_factory=dict)
    our_names: tuple[str, ...] = ()
    is_priced_by_us: bool = False

    @property
    def difference_usd(self) -> Decimal:
        return self.theirs_usd - self.ours_usd

    @property
    def cause_words(self) -> str:
        return " or ".join(CAUSES[cause] for cause in self.causes)

    def as_json(self) -> dict[str, Any]:
        """As a row keeps it: amounts are decimal texts."""
        return {
            "model": self.model,
            "ours_usd": format(self.ours_usd, "f"),
            "theirs_usd": format(self.theirs_usd, "f"),
            "ours": {name: getattr(self.ours, name) for name in Counts.__slots__},
            "theirs": {name: getattr(self.theirs, name) for name in Counts.__slots__},
            "causes": list(self.causes),
            "doubts": {
                name: [events, format(cost_usd, "f")] for name, (events, cost_usd) in self.doubts.items()
            },
            "our_names": list(self.our_names),
            "is_priced_by_us": self.is_priced_by_us,
        }


def model_day_of(kept: Mapping[str, Any]) -> ModelDay:
    """What `ModelDay.as_json` wrote."""
    return ModelDay(
        model=kept["model"],
        ours_usd=Decimal(kept["ours_usd"]),
        theirs_usd=Decimal(kept["theirs_usd"]),
        ours=Counts(**kept["ours"]),
        theirs=Counts(**kept["theirs"]),
        causes=tuple(kept["causes"]),
        doubts={name: (events, Decimal(cost)) for name, (events, cost) in kept["doubts"].items()},
        our_names=tuple(kept["our_names"]),
        is_priced_by_us=kept["is_priced_by_us"],
    )


@transaction.atomic
def match_day(account: Account, day: date, *, now: datetime) -> ProviderDay:
    """Lay both sides of the day together and keep what came of it, replacing the match before."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [MATCH_LOCK_ID])
    found = compared(account, day, model_names(account.organization_id))
    ours_usd = sum((each.ours_usd for each in found), ZERO_USD)
    theirs_usd = sum((each.theirs_usd for each in found), ZERO_USD)
    drift_usd = theirs_usd - ours_usd
    row = account.rows(ProviderDay.objects.filter(day=day)).first() or ProviderDay(
        provider=account.provider, organization_id=account.organization_id, day=day
    )
    row.matched_at = now
    row.ours_usd, row.theirs_usd, row.drift_usd = ours_usd, theirs_usd, drift_usd
    row.drift_ppm = _ppm(drift_usd, ours_usd)
    row.is_drifting = day < now.date() and is_beyond_limit(drift_usd, ours_usd)
    row.models_matched = [each.as_json() for each in found]
    row.save()
    return row


def statement_days(*, since: date) -> Iterator[tuple[Account, date]]:
    """Every account and day from `since` on that a provider has told something of."""
    rows = ProviderStatement.objects.filter(day__gte=since).order_by("day")
    for provider, organization_id, day in rows.values_list("provider", "organization_id", "day").distinct():
        yield Account(provider, organization_id), day


def is_beyond_limit(drift_usd: Decimal, ours_usd: Decimal) -> bool:
    """Whether a drift is more than the setting allows; any drift from nothing is."""
    limit_ppm = int(Decimal(str(settings.FAREBOX_CONSOLE.reconciliation_drift_percent)) * PPM_PER_PERCENT)
    return abs(drift_usd) * PER_MILLION > ours_usd * limit_ppm


def compared(account: Account, day: date, names: ModelNames) -> list[ModelDay]:
    """Each model of either side, the widest difference first."""
    ours: dict[str, OurModel] = {}
    our_names: dict[str, list[str]] = {}
    for model, said in our_models(account, day).items():
        name = names.of_ours(account.provider, model)
        ours[name] = ours.get(name, OurModel()).plus(said)
        our_names.setdefault(name, []).append(model)
    theirs = their_models(account, day, names)
    found = [_model_day(name, ours.get(name), theirs.get(name), our_names) for name in {*ours, *theirs}]
    return sorted(found, key=lambda each: (-abs(each.difference_usd), each.model))


def _model_day(
    name: str, ours: OurModel | None, theirs: TheirModel | None, our_names: Mapping[str, list[str]]
) -> ModelDay:
    our, their = ours or OurModel(), theirs or TheirModel()
    difference_usd = their.amount_usd - our.cost_usd
    return ModelDay(
        model=name,
        ours_usd=our.cost_usd,
        theirs_usd=their.amount_usd,
        ours=our.counts,
        theirs=their.counts,
        causes=_causes(name, our, theirs, difference_usd) if difference_usd else (),
        doubts={doubt: (each.events, each.cost_usd) for doubt, each in sorted(our.doubts.items())},
        our_names=tuple(sorted(our_names.get(name, ()))),
        is_priced_by_us=their.is_priced_by_us,
    )


def _causes(name: str, ours: OurModel, theirs: TheirModel | None, difference_usd: Decimal) -> tuple[str, ...]:
    if theirs is None:
        return ("unmatched_ours",)
    if not name:
        return ("other_service",)
    if not ours.cost_usd and not ours.doubts:
        return ("unmatched_theirs",) if theirs.is_known else ("unknown_model",)
    if None not in theirs.counts.tokens and theirs.counts.tokens == ours.counts.tokens:
        return ("price",)
    doubts = [cause for cause in CAUSES if cause in ours.doubts and _may_explain(cause, ours, difference_usd)]
    return tuple(doubts) or ("unexplained",)


def _may_explain(cause: str, ours: OurModel, difference_usd: Decimal) -> bool:
    """A doubt cannot take more off the bill than it cost; a failed attempt cost us nothing."""
    return difference_usd > 0 or -difference_usd <= ours.doubts[cause].cost_usd


def _ppm(drift_usd: Decimal, ours_usd: Decimal) -> int | None:
    if not ours_usd:
        return None
    return int((drift_usd * PER_MILLION / ours_usd).to_integral_value(rounding=ROUND_HALF_EVEN))


def account_of(row: ProviderDay | ProviderStatement) -> Account:
    """The account that a row is of."""
    organization_id: uuid.UUID | None = row.organization_id
    return Account(row.provider, organization_id)
