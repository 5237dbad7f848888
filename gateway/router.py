"""Router: which targets a request may go to, and what it can cost at most.

The choosing itself is pure and lies in `gateway.routing`; here it meets the price book, the
operator's connections and the key's own.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, time
from random import Random
from uuid import UUID

from msgspec import Struct, structs

from billing.errors import UnknownPrice
from billing.price_book import PriceBook
from billing.price_list import PriceList
from billing.pricing import Price, worst_case_nano
from gateway.catalogue import Catalogue, Unpriced
from gateway.clock import own_now
from gateway.errors import GatewayError, InvalidModel, NoPrice
from gateway.limits import Need
from gateway.policy import Ceiling, Policy, Reach
from gateway.policy_store import PolicyStore
from gateway.routing.health_view import UNMEASURED, TargetHealth
from gateway.routing.score import PLAIN_SCORING, Scoring
from gateway.routing.select import Choice, Considered, choose_targets, without_lonely_legs
from gateway.routing.target import Offer, Target
from gateway.routing.views import Conditions, Session
from gateway.wire.chat_request import ChatRequest
from gateway.wire.kept_answer import KeptAnswer
from gateway.wire.models import Description

# A custom endpoint may lead back to this gateway, which would call itself for ever.
MAX_HOPS = 4
REMEMBERED_CATALOGUES = 4_096


class Route(Struct, frozen=True):
    """The targets in the order they are tried, the most that any can cost, and the provider asked for."""

    targets: tuple[Target, ...]
    need: Need
    requested_provider: str | None
    wants_session: bool = False
    """Whether it depends on what the request's session did before."""
    known: KeptAnswer | None = None
    """The answer, if it is known already: then nobody is asked."""


class _Sources(Struct, frozen=True, eq=False):
    """What a catalogue was made of: it holds as long as these are the very same."""

    policy: Policy
    reach: Reach
    prices: PriceList
    day: date

    def are(self, others: "_Sources") -> bool:
        return (
            self.policy is others.policy
            and self.reach is others.reach
            and self.prices is others.prices
            and self.day == others.day
        )


class Router:
    """Routes requests over what their key can reach."""

    def __init__(
        self,
        book: PriceBook,
        policies: PolicyStore,
        *,
        targets_limit: int,
        unpriced_floor_usd: int = 0,
        health: TargetHealth = UNMEASURED,
        scoring: Scoring = PLAIN_SCORING,
        luck: Random | None = None,
        clock: Callable[[], datetime] = own_now,
    ) -> None:
        self._book = book
        self._policies = policies
        self._conditions = Conditions(
            limit=targets_limit, health=health, scoring=scoring, luck=luck or Random()
        )
        self._unpriced_floor_usd = unpriced_floor_usd
        self._clock = clock
        self._catalogues: dict[UUID, tuple[_Sources, Catalogue]] = {}

    def catalogue(self, policy: Policy) -> Catalogue:
        """What this key can reach today."""
        policies, today = self._policies, self._clock().date()
        sources = _Sources(policy, policies.operator_reach, policies.operator_prices, today)
        known = self._catalogues.get(policy.key_id)
        if known is not None and known[0].are(sources):
            return known[1]
        while len(self._catalogues) >= REMEMBERED_CATALOGUES:
            del self._catalogues[next(iter(self._catalogues))]
        catalogue = self._new_catalogue(policy, today)
        self._catalogues[policy.key_id] = (sources, catalogue)
        return catalogue

    def _new_catalogue(self, policy: Policy, today: date) -> Catalogue:
        prices = self._policies.operator_prices
        return Catalogue(
            self._book,
            own=policy.own_reach,
            operator=self._policies.operator_reach,
            today=today,
            prices=replace(prices, own=policy.own_prices) if policy.own_prices else prices,
            unpriced=self._unpriced(policy.ceiling) if policy.ceiling else None,
            aliases=policy.model_aliases,
        )

    def _unpriced(self, ceiling: Ceiling) -> Unpriced:
        floor_usd = self._unpriced_floor_usd
        lowest_usd = min(ceiling.input_usd_per_million, ceiling.output_usd_per_million)
        return Unpriced(ceiling, is_for_own_keys_alone=not floor_usd or lowest_usd < floor_usd)

    def description(self, offer: Offer) -> Description:
        """What is told of a model to people; of one that an owner declared there is only its name."""
        listing = self._book.listing(offer.provider, offer.model)
        if listing is None or listing.model != offer.model:
            return Description(name=offer.model)
        return Description(
            name=listing.name,
            created=_unix_time(listing.created),
            aliases=listing.aliases,
            deprecated_on=listing.deprecated_on,
            deactivated_on=listing.deactivated_on,
        )

    @property
    def health(self) -> TargetHealth:
        """What targets are ranked by, beside prices."""
        return self._conditions.health

    @property
    def scoring(self) -> Scoring:
        """How much what they are ranked by weighs."""
        return self._conditions.scoring

    def route(
        self, request: ChatRequest, policy: Policy, *, hops: int = 0, session: Session | None = None
    ) -> Route:
        """Where this request may go.

        Raises InvalidModel, ModelNotFound, ModelBlocked, NoPrice and their kin; nothing is held yet.
        """
        _check_hops(hops)
        conditions = self._conditions
        if session is not None:
            conditions = structs.replace(conditions, session=session)
        choice = self._choice(request, policy, conditions)
        try:
            need = need_of(request, choice.targets)
        except NoPrice:
            choice = _bounded(request, choice)
            if not choice.targets:
                raise
            need = need_of(request, choice.targets)
        return Route(choice.targets, need, choice.requested_provider, choice.wants_session)

    def explain(
        self, request: ChatRequest, policy: Policy, *, hops: int = 0, session: Session | None = None
    ) -> Choice:
        """The same choice, with everything that was considered and why."""
        _check_hops(hops)
        conditions = structs.replace(self._conditions, session=session, is_explained=True)
        return _bounded(request, self._choice(request, policy, conditions))

    def _choice(self, request: ChatRequest, policy: Policy, conditions: Conditions) -> Choice:
        catalogue = self.catalogue(policy)
        if request.provider_key:
            catalogue = catalogue.with_key(request.provider_key)
        choice = choose_targets(request, catalogue=catalogue, policy=policy, conditions=conditions)
        if not request.stays_with_provider or not choice.targets:
            return choice
        alone = without_lonely_legs(_of_first_provider(choice.targets))
        return structs.replace(choice, targets=tuple(alone))


def _unix_time(day: date) -> int:
    return int(datetime.combine(day, time.min, UTC).timestamp())


def _check_hops(hops: int) -> None:
    if hops > MAX_HOPS:
        raise InvalidModel("The endpoint of this model leads back to this gateway.", param="model")


def _of_first_provider(targets: tuple[Target, ...]) -> list[Target]:
    """The targets at the first one's provider; the legs of a race that was asked for stay together."""
    first = targets[0]
    return [
        target
        for target in targets
        if target.provider == first.provider or (target.is_race_leg and first.is_race_leg)
    ]


def _bounded(request: ChatRequest, choice: Choice) -> Choice:
    """The choice without the targets that have no price for what is asked of them."""
    bounded: list[Target] = []
    refusals: dict[tuple[str, str], GatewayError] = {}
    for target in choice.targets:
        try:
            need_of(request, (target,))
        except NoPrice as refusal:
            refusals[target.provider, target.model] = refusal
        else:
            bounded.append(target)
    if not refusals:
        return choice
    first = next(iter(refusals.values()))
    for target in bounded:
        refusals.pop((target.provider, target.model), None)
    return structs.replace(
        choice,
        targets=tuple(without_lonely_legs(bounded)),
        considered=tuple(_told(one, refusals) for one in choice.considered),
        refusal=None if bounded else first,
    )


def _told(one: Considered, refusals: Mapping[tuple[str, str], GatewayError]) -> Considered:
    if one.offer is None or one.refusal is not None:
        return one
    return structs.replace(one, refusal=refusals.get((one.offer.provider, one.offer.model)))


def need_of(request: ChatRequest, targets: tuple[Target, ...]) -> Need:
    """A sound upper bound over all targets: one of them answers, and of a race each leg is paid for."""
    try:
        needs = [_need(request, target) for target in targets]
    except UnknownPrice as exc:
        raise NoPrice(f"What this request asks for has no price: {exc}", param="model") from exc
    if len(needs) == 1:
        return needs[0]
    racing = [need for need, target in zip(needs, targets, strict=True) if target.is_race_leg]
    others = [need for need, target in zip(needs, targets, strict=True) if not target.is_race_leg]
    dearest = Need(
        budget_nano=max((need.budget_nano for need in others), default=0),
        wallet_nano=max((need.wallet_nano for need in others), default=0),
        tokens=max((need.tokens for need in others), default=0),
    )
    return sum_of([dearest, *racing]) if racing else dearest


def sum_of(needs: Sequence[Need]) -> Need:
    """What all of them come to together."""
    return Need(
        budget_nano=sum(need.budget_nano for need in needs),
        wallet_nano=sum(need.wallet_nano for need in needs),
        tokens=sum(need.tokens for need in needs),
    )


def _need(request: ChatRequest, target: Target) -> Need:
    asked = target.request or request
    cost_nano, charge_nano = _worst_case(asked, target)
    return Need(
        budget_nano=max(cost_nano, charge_nano),
        wallet_nano=0 if target.is_own_credential else charge_nano,
        tokens=_tokens(asked, target),
    )


def _worst_case(request: ChatRequest, target: Target) -> tuple[int, int]:
    """The most that the provider may cost and the organization be charged, over all tiers that may serve."""
    asked = request.forwarded.get("service_tier")
    bounds = [_bounds_at(price, request, target) for price in target.price.tiers_within(asked)]
    return bounds[0] if len(bounds) == 1 else (max(cost for cost, _ in bounds), max(c for _, c in bounds))


def _bounds_at(price: Price, request: ChatRequest, target: Target) -> tuple[int, int]:
    cost_nano = _bound_nano(price, request, target)
    if target.terms is None or target.is_own_credential:
        return cost_nano, cost_nano
    terms = target.terms.at_tier(price.tier)
    if terms.own_price is not None:
        return cost_nano, _bound_nano(terms.own_price, request, target)
    return cost_nano, terms.charge_bound_nano(cost_nano)


def _bound_nano(price: Price, request: ChatRequest, target: Target) -> int:
    return worst_case_nano(
        price,
        prompt_tokens=target.prompt_tokens_bound(request),
        output_tokens=target.output_tokens_bound(request),
        choices=request.n,
        searches=request.searches_bound,
        has_audio=request.may_use_audio,
    )


def _tokens(request: ChatRequest, target: Target) -> int:
    return target.prompt_tokens_bound(request) + target.output_tokens_bound(request) * request.n
