"""Re-rating: recompute events at the prices that are known for their time, and post what differs.

An event is never edited. What a better price makes of it is an adjustment: a row that names the
version, and a transfer of the difference in the same transaction. Its id follows from the event,
its place among the event's adjustments and the version, and an event at the right version is left
alone: running twice posts nothing more. Who calls it is `manage.py rerate`; docs/prices.md says what
pages and budgets make of it.
"""

import uuid
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import islice
from typing import Any, TypeVar

from django.db import IntegrityError, transaction

from accounts.epochs import bump_epoch
from accounts.models import Organization
from billing.errors import RerateConflict, UnknownPrice
from billing.event_store import lock_out_rollups
from billing.ledger import Transfer, TransferKind, charge_legs, post_transfers
from billing.models import EventAdjustment, UsageEvent
from billing.money import ZERO_USD, nano_to_usd
from billing.price_book import PriceBook
from billing.price_list import PriceList
from billing.price_versions import DECLARED, PriceVersions
from billing.pricing import DEFAULT_TIER
from billing.stated_prices import operator_prices, own_prices
from billing.terms import Terms, bill_of
from billing.usage import FIELDS, TokenUsage

EVENTS_PER_READ = 1_000
EVENTS_PER_POSTING = 500

_USAGE_COLUMNS = tuple(name if name == "searches" else f"{name}_tokens" for name in FIELDS)
_COLUMNS = (
    "id", "occurred_at", "organization_id", "provider", "model", "is_own_credential", "price_version",
    "cost_usd", "charge_usd", *_USAGE_COLUMNS,
)  # fmt: skip

DECLARED_PRICE = "declared by an owner, who alone corrects it"
NO_PRICE = "no price is known for its time"
NO_RATE = "the price lacks a unit that it used"

_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which events: `start` <= arrival < `end`, of one model, at one provider or of one organization."""

    start: datetime
    end: datetime
    model: str
    provider: str = ""
    organization: Organization | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """One event that its right price makes dearer or cheaper; amounts are what is added."""

    event_id: uuid.UUID
    occurred_at: datetime
    organization_id: uuid.UUID
    provider: str
    model: str
    is_own_credential: bool
    ordinal: int
    from_version: str
    to_version: str
    cost_usd: Decimal
    charge_usd: Decimal

    @property
    def id(self) -> uuid.UUID:
        """The same for the same correction, however often it is computed."""
        return uuid.uuid5(self.event_id, f"{self.ordinal}:{self.to_version}")


@dataclass(slots=True)
class Share:
    """What a re-rating means for one organization. Positive amounts are what it pays more."""

    events: int = 0
    charge_usd: Decimal = ZERO_USD
    cost_usd: Decimal = ZERO_USD


@dataclass(slots=True)
class Rerating:
    """What was looked at, what changes for whom, and what was left alone and why."""

    looked_at: int = 0
    unchanged: int = 0
    shares: defaultdict[uuid.UUID, Share] = field(default_factory=lambda: defaultdict(Share))
    versions: defaultdict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))
    skipped: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    posted: int = 0

    @property
    def changed(self) -> int:
        return sum(share.events for share in self.shares.values())

    def note(self, change: Change) -> None:
        share = self.shares[change.organization_id]
        share.events += 1
        share.charge_usd += change.charge_usd
        share.cost_usd += change.cost_usd
        self.versions[change.from_version, change.to_version] += 1


def rerate(
    *,
    selection: Selection,
    book: PriceBook,
    is_applied: bool,
    note: str = "",
    known_at: datetime | None = None,
) -> Rerating:
    """Compute what the right prices make of the events, and post it if `is_applied`.

    Prices are those known at `known_at`, None for now. Posting happens in transactions of some
    hundred events; a run that breaks off is completed by running again. Raises RerateConflict if
    another run posts the same events at the same time.
    """
    rerating = Rerating()
    changes = _changes(selection, _RightPrices(book, known_at), rerating)
    for some in _batches(changes, EVENTS_PER_POSTING):
        for change in some:
            rerating.note(change)
        if is_applied:
            rerating.posted += _post(some, note)
    return rerating


class _RightPrices:
    """The terms that hold for an event's time as far as is known; remembers what it has read."""

    def __init__(self, book: PriceBook, known_at: datetime | None) -> None:
        self._book = book
        self._known_at = known_at
        self._versions = PriceVersions(book)
        self._everyones = operator_prices(known_at=known_at)
        self._lists: dict[uuid.UUID, PriceList] = {}
        self._terms: dict[tuple[Any, ...], Terms | None] = {}

    def billed(self, version: str) -> Terms | None:
        """The terms that a version names; None if nobody knows it any more."""
        try:
            return self._versions.terms(version)
        except UnknownPrice:
            return None

    def terms(self, event: dict[str, Any], *, region: str, tier: str) -> Terms | None:
        day: date = event["occurred_at"].astimezone(UTC).date()
        prices = self._list_of(event["organization_id"])
        key = (event["provider"], event["model"], day, region, tier, id(prices))
        if key not in self._terms:
            self._terms[key] = self._found(event["provider"], event["model"], day, prices, region, tier)
        return self._terms[key]

    def _found(
        self, provider: str, model: str, day: date, prices: PriceList, region: str, tier: str
    ) -> Terms | None:
        listing = self._book.listing(provider, model)
        terms = prices.terms_at(provider, model, day, listing=listing, region=region)
        try:
            return terms and terms.at_tier(tier)
        except UnknownPrice:
            return None

    def _list_of(self, organization_id: uuid.UUID) -> PriceList:
        if organization_id not in self._lists:
            own = own_prices(organization_id, known_at=self._known_at)
            self._lists[organization_id] = replace(self._everyones, own=own) if own else self._everyones
        return self._lists[organization_id]


@dataclass(frozen=True, slots=True)
class _Effective:
    """What an event comes to with the adjustments it has."""

    count: int
    version: str
    cost_usd: Decimal
    charge_usd: Decimal


def _changes(selection: Selection, prices: _RightPrices, rerating: Rerating) -> Iterator[Change]:
    rows = _events(selection).values(*_COLUMNS).iterator(chunk_size=EVENTS_PER_READ)
    for some in _batches(rows, EVENTS_PER_READ):
        effective = _effective(some)
        for event in some:
            rerating.looked_at += 1
            change = _change_of(event, effective[event["id"]], prices, rerating)
            if change is not None:
                yield change


def _events(selection: Selection) -> Any:
    """The events that used something and were billed for it; replayed answers cost nothing again."""
    rows = UsageEvent.objects.filter(
        occurred_at__gte=selection.start, occurred_at__lt=selection.end, model=selection.model
    ).exclude(price_version="")
    rows = rows.exclude(ending__in=[UsageEvent.Ending.REPLAYED, UsageEvent.Ending.REFUSED])
    if selection.provider:
        rows = rows.filter(provider=selection.provider)
    if selection.organization is not None:
        rows = rows.filter(organization_id=selection.organization.pk)
    return rows.order_by("occurred_at", "id")


def _effective(events: Sequence[dict[str, Any]]) -> dict[uuid.UUID, _Effective]:
    states = {
        event["id"]: _Effective(0, event["price_version"], event["cost_usd"], event["charge_usd"])
        for event in events
    }
    for adjustment in EventAdjustment.objects.filter(event_id__in=states).order_by("event_id", "ordinal"):
        before = states[adjustment.event_id]
        states[adjustment.event_id] = _Effective(
            before.count + 1,
            adjustment.price_version,
            before.cost_usd + adjustment.cost_usd,
            before.charge_usd + adjustment.charge_usd,
        )
    return states


def _change_of(
    event: dict[str, Any], now: _Effective, prices: _RightPrices, rerating: Rerating
) -> Change | None:
    usage = TokenUsage(**{name: event[column] for name, column in zip(FIELDS, _USAGE_COLUMNS, strict=True)})
    if usage == TokenUsage():
        rerating.unchanged += 1
        return None
    if event["price_version"].startswith(f"{DECLARED}:"):
        rerating.skipped[DECLARED_PRICE] += 1
        return None
    billed = prices.billed(now.version)
    region, tier = (billed.price.region, billed.price.tier) if billed else ("", DEFAULT_TIER)
    terms = prices.terms(event, region=region, tier=tier)
    if terms is None:
        rerating.skipped[NO_PRICE] += 1
        return None
    if event["is_own_credential"]:
        terms = Terms(price=terms.price)
    elif billed is not None:
        # Nobody is charged more than was held for the request, at whatever price.
        terms = replace(terms, limit_nano=billed.limit_nano)
    try:
        bill = bill_of(usage, terms)
    except UnknownPrice:
        rerating.skipped[NO_RATE] += 1
        return None
    cost_usd = nano_to_usd(bill.cost.total_nano) - now.cost_usd
    charge_usd = _charge(event, now, billed, usage, nano_to_usd(bill.charge.total_nano)) - now.charge_usd
    if now.version == bill.version or not (cost_usd or charge_usd):
        rerating.unchanged += 1
        return None
    return Change(
        event["id"], event["occurred_at"], event["organization_id"], event["provider"], event["model"],
        event["is_own_credential"], now.count + 1, now.version, bill.version, cost_usd, charge_usd,
    )  # fmt: skip


def _charge(
    event: dict[str, Any], now: _Effective, billed: Terms | None, usage: TokenUsage, right_usd: Decimal
) -> Decimal:
    """What the organization is rightly charged.

    Nobody is charged for an own provider key. Who was charged less than the terms said, because no
    more was held or something was forgiven, is not charged more by re-rating.
    """
    if event["is_own_credential"]:
        return ZERO_USD
    try:
        asked_usd = nano_to_usd(bill_of(usage, billed).charge.total_nano) if billed else now.charge_usd
    except UnknownPrice:
        asked_usd = now.charge_usd
    return min(right_usd, now.charge_usd) if now.charge_usd < asked_usd else right_usd


def _batches(items: Iterable[_Item], size: int) -> Iterator[list[_Item]]:
    remaining = iter(items)
    while batch := list(islice(remaining, size)):
        yield batch


@transaction.atomic
def _post(changes: Sequence[Change], note: str) -> int:
    """Post the transfers and write the adjustments, together, and let the data plane see the wallets."""
    lock_out_rollups()
    transfers = [transfer for change in changes if (transfer := _transfer_of(change))]
    moved = {transfer.id for transfer in transfers}
    post_transfers(transfers)
    try:
        with transaction.atomic():
            EventAdjustment.objects.bulk_create(
                EventAdjustment(
                    id=change.id,
                    event_id=change.event_id,
                    occurred_at=change.occurred_at,
                    organization_id=change.organization_id,
                    ordinal=change.ordinal,
                    transfer_id=change.id if change.id in moved else None,
                    price_version=change.to_version,
                    cost_usd=change.cost_usd,
                    charge_usd=change.charge_usd,
                    note=note,
                )
                for change in changes
            )
    except IntegrityError as exc:
        raise RerateConflict("Another re-rating has just posted these events: run this one again.") from exc
    for organization_id in {change.organization_id for change in changes}:
        bump_epoch(organization_id)
    return len(changes)


def _transfer_of(change: Change) -> Transfer | None:
    """The difference as a transfer; None where an own key paid the provider, so that nothing moves."""
    legs = charge_legs(
        charge_usd=change.charge_usd, cost_usd=ZERO_USD if change.is_own_credential else change.cost_usd
    )
    if not legs:
        return None
    return Transfer(
        id=change.id,
        organization_id=change.organization_id,
        kind=TransferKind.ADJUSTMENT,
        legs=legs,
        occurred_at=change.occurred_at,
        description=f"Re-rated {change.provider}/{change.model}"[:256],
    )
