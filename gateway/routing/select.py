"""The choice of targets: the selector, then `fallbacks`, then other providers of a model left open.

The order is the order of attempts; whether the next is tried is decided by the one who calls them.
What exists and how it is reached comes from a Catalogue, what a key may use from its policy.
"""

from collections.abc import Iterator, Sequence

from msgspec import Struct, field
from msgspec.structs import replace

from gateway.errors import (
    GatewayError,
    InvalidModel,
    ModelBlocked,
    NoBranchLeft,
    NotFound,
    ProviderBlocked,
)
from gateway.routing.branches import Step, plan
from gateway.routing.found import Figures, Found
from gateway.routing.grammar import Parsed, parse_selector
from gateway.routing.offers import find
from gateway.routing.reach import targets_of, with_options
from gateway.routing.target import Offer, Target
from gateway.routing.thinking import with_thought
from gateway.routing.tree import Automatic, ByMetric, Leaf, Named, Weighted, has_race
from gateway.routing.views import Catalogue, Conditions, PolicyView
from gateway.wire.chat_request import ChatRequest

REGION_ARROW = "->"


class Considered(Struct, frozen=True, eq=False):
    """A leaf that was looked at, and the offer it led to. `refusal` None: it is among the targets."""

    leaf: Leaf
    offer: Offer | None
    refusal: GatewayError | None = None
    figures: Figures = field(default_factory=dict)


class Choice(Struct, frozen=True, eq=False):
    """Targets in the order of attempts, never none, and how it came to them."""

    targets: tuple[Target, ...]
    parsed: Parsed
    wants_session: bool = False
    """Whether the selector depends on what the request's session did before."""
    considered: tuple[Considered, ...] = ()
    notes: tuple[str, ...] = ()
    refusal: GatewayError | None = None
    """Why there is no target, for who wants it explained; anybody else gets it raised."""

    @property
    def requested_provider(self) -> str | None:
        selector = self.parsed.selector
        return selector.provider if isinstance(selector, Named) else None


class _Try(Struct, frozen=True):
    """A step with its offers. `takes_one`: the first offer that can serve is enough."""

    step: Step
    offers: Sequence[Offer]
    request: ChatRequest
    found: Found
    takes_one: bool = True
    is_alternative: bool = False


def choose_targets(
    request: ChatRequest, *, catalogue: Catalogue, policy: PolicyView, conditions: Conditions
) -> Choice:
    """Everything that may answer this request, and then its followers, in the order of attempts.

    A model that does not exist or may not be used is an error at once. What can merely not serve
    this request gives way to what comes after it; if nothing is left, the first reason is raised.
    """
    if not request.followers:
        return _Chooser(request, catalogue, policy, conditions).choice()
    return _choice_of_list(request, catalogue, policy, conditions)


def without_lonely_legs(targets: list[Target]) -> list[Target]:
    """A race of one is none."""
    if sum(target.is_race_leg for target in targets) != 1:
        return targets
    return [replace(target, is_race_leg=False) if target.is_race_leg else target for target in targets]


def _choice_of_list(
    request: ChatRequest, catalogue: Catalogue, policy: PolicyView, conditions: Conditions
) -> Choice:
    """Requests that are tried one after the other; one that nothing can serve is passed over."""
    choices, reasons = [], []
    for each in (request, *request.followers):
        try:
            if has_race(catalogue.parsed(each.model).selector):
                raise InvalidModel("A race (a!b) cannot be an element of a list of requests.", param="model")
            choice = _Chooser(each, catalogue, policy, conditions).choice()
        except (NotFound, ModelBlocked, ProviderBlocked, NoBranchLeft) as reason:
            reasons.append(reason)
            continue
        targets = tuple(replace(target, request=target.request or each) for target in choice.targets)
        choices.append(replace(choice, targets=targets))
    if not choices:
        raise reasons[0]
    return replace(
        choices[0],
        refusal=None if any(choice.targets for choice in choices) else choices[0].refusal,
        targets=tuple(target for choice in choices for target in choice.targets),
        considered=tuple(one for choice in choices for one in choice.considered),
        notes=tuple(dict.fromkeys(note for choice in choices for note in choice.notes)),
    )


class _Chooser:
    """Collects the targets of one request."""

    def __init__(
        self, request: ChatRequest, catalogue: Catalogue, policy: PolicyView, conditions: Conditions
    ) -> None:
        self._request = request
        self._catalogue = catalogue
        self._policy = policy
        self._conditions = conditions
        self._targets: list[Target] = []
        self._reasons: list[GatewayError] = []
        self._considered: list[Considered] = []
        self._notes: list[str] = []
        self._seen: set[tuple[object, ...]] = set()
        self._taken: set[tuple[str, str, object, object, str]] = set()
        self._has_raced = False

    def choice(self) -> Choice:
        request = self._request
        parsed = self._catalogue.parsed(request.model)
        tries = list(self._tries(parsed))
        regions = request.region.split(REGION_ARROW) if request.region else ("",)
        for region in regions:
            for each in tries:
                if len(self._targets) >= self._conditions.limit:
                    break
                self._add(each, region.strip())
            self._has_raced |= any(target.is_race_leg for target in self._targets)
        refusal = None if self._targets else self._reasons[0]
        if refusal is not None and not self._conditions.is_explained:
            raise refusal
        selector = parsed.selector
        return Choice(
            tuple(without_lonely_legs(self._targets[: self._conditions.limit])),
            parsed,
            bool(request.session_id) and isinstance(selector, Weighted) and selector.has_session_rule,
            tuple(self._considered),
            (*parsed.notes, *dict.fromkeys(self._notes)),
            refusal,
        )

    def _tries(self, parsed: Parsed) -> Iterator[_Try]:
        """What the client asked for, its fallbacks, and then what else a leaf that left it open allows."""
        selector = parsed.selector
        if isinstance(selector, Named | Automatic | ByMetric):
            found, request = self._found(selector)
            step = Step(selector)
            first = _Try(step, found.offers[:1], request, found, takes_one=False)
            yield first
            yield from self._fallbacks()
            yield replace(first, offers=found.offers[1:], is_alternative=True)
            return
        yield from self._branches(parsed)
        yield from self._fallbacks()

    def _branches(self, parsed: Parsed) -> Iterator[_Try]:
        conditions = self._conditions
        try:
            planned = plan(parsed.selector, self._request, luck=conditions.luck, session=conditions.session)
        except NoBranchLeft as none_left:
            self._reasons.append(none_left)
            return
        self._notes += planned.notes
        for leaf, reason in planned.left_out:
            self._consider(leaf, None, reason)
        for step in planned.steps:
            try:
                found, request = self._found(step.leaf)
            except GatewayError as refusal:
                # A name that means nothing is a typo, and nobody falls back over a typo in silence.
                if isinstance(refusal, NotFound) and isinstance(step.leaf, Named):
                    raise
                self._reasons.append(refusal)
                self._consider(step.leaf, None, refusal)
                continue
            yield _Try(step, found.offers, request, found)

    def _fallbacks(self) -> Iterator[_Try]:
        """Fallbacks that exist and are allowed; the others cannot be fallen back to."""
        own = self._request.fallbacks
        for index, text in enumerate(own or self._policy.default_fallbacks):
            param = f"fallbacks[{index}]"
            try:
                leaf = self._fallback(text, param)
            except InvalidModel:
                if own:
                    raise
                # The organization's was checked when it was saved; the names around it may have changed.
                continue
            try:
                found, request = self._found(leaf, param=param)
            except (NotFound, ModelBlocked, ProviderBlocked) as reason:
                self._consider(leaf, None, reason)
                continue
            yield _Try(Step(leaf), found.offers[:1], request, found, takes_one=False)

    def _fallback(self, text: str, param: str) -> Leaf:
        leaf = parse_selector(text, vocabulary=self._catalogue.vocabulary, param=param).selector
        if not isinstance(leaf, Named | Automatic | ByMetric):
            raise InvalidModel(f"{param} must name one model, without operators.", param=param)
        return leaf

    def _found(self, leaf: Leaf, *, param: str = "model") -> tuple[Found, ChatRequest]:
        request = with_options(self._request, leaf.options)
        found = find(
            leaf,
            request,
            catalogue=self._catalogue,
            policy=self._policy,
            conditions=self._conditions,
            param=param,
        )
        self._notes += found.notes
        if self._conditions.is_explained:
            for offer, reason in found.refused:
                self._consider(leaf, offer, reason, found)
        return found, request

    def _add(self, each: _Try, region: str) -> None:
        """The targets of the first offer that can serve, or of every one."""
        step, leaf = each.step, each.step.leaf
        place = (leaf.region, leaf.instance) if isinstance(leaf, Named) else ()
        for offer in each.offers:
            key = (offer.provider, offer.model, leaf.options, region, place)
            if key in self._seen:
                continue
            self._seen.add(key)
            try:
                targets = self._targets_of(offer, each, region)
            except GatewayError as reason:
                self._reasons.append(reason)
                self._consider(step.leaf, offer, reason, each.found)
                continue
            if new := self._untaken(targets, step.leaf):
                self._targets += new
                self._consider(step.leaf, offer, None, each.found)
            if each.takes_one or len(self._targets) >= self._conditions.limit:
                return

    def _untaken(self, targets: list[Target], leaf: Leaf) -> list[Target]:
        """Those that no earlier region gave: a provider without regions is the same one in each."""
        new = []
        for target in targets:
            key = (target.provider, target.model, leaf.options, target.connection_id, target.region)
            if key not in self._taken:
                self._taken.add(key)
                new.append(target)
        return new

    def _targets_of(self, offer: Offer, each: _Try, region: str) -> list[Target]:
        step, leaf = each.step, each.step.leaf
        request = with_thought(each.request, self._thought) if step.hears_thought else each.request
        if each.found.effort and offer.capabilities and "reasoning" in offer.capabilities:
            request = replace(request, reasoning_effort=each.found.effort)
        place = leaf if isinstance(leaf, Named) and (leaf.region or leaf.instance) else None
        targets = targets_of(
            offer,
            request,
            catalogue=self._catalogue,
            policy=self._policy,
            place=place,
            region=region,
            is_alternative=each.is_alternative,
        )
        if request is self._request and not step.race and not step.is_thinker:
            return targets
        own = request if request is not self._request else None
        return [
            replace(
                target,
                request=own,
                is_thinker=step.is_thinker,
                is_race_leg=bool(step.race) and not self._has_raced,
                handicap_seconds=step.handicap_seconds,
                ttft_timeout_seconds=step.ttft_timeout_seconds,
            )
            for target in (targets[:1] if step.race else targets)
        ]

    @property
    def _thought(self) -> str:
        session = self._conditions.session
        return session.thought if session else ""

    def _consider(
        self, leaf: Leaf, offer: Offer | None, refusal: GatewayError | None, found: Found | None = None
    ) -> None:
        """Note it for who wants the choice explained; nobody else pays for that."""
        if self._conditions.is_explained:
            figures = found.figures.get((offer.provider, offer.model), {}) if found and offer else {}
            self._considered.append(Considered(leaf, offer, refusal, figures))
