"""From a selector to steps: in which order its branches are tried, and which are left out.

Weighted branches are drawn here, context limits are held here, and what a session did before
decides about `first` and `thinker` (CONTRACT 1.0.5).
"""

from collections.abc import Sequence
from random import Random
from typing import assert_never

from msgspec import Struct

from gateway.errors import GatewayError, InvalidModel, NoBranchLeft
from gateway.routing.printer import print_selector
from gateway.routing.reach import measured_tokens
from gateway.routing.source import ECHO_CHARACTERS_LIMIT, UNSUPPORTED_CONSTRUCT
from gateway.routing.tree import (
    Automatic,
    Branch,
    ByMetric,
    Chain,
    Failover,
    Leaf,
    Named,
    Race,
    Selector,
    Single,
    Weighted,
)
from gateway.routing.views import Session
from gateway.wire.chat_request import ChatRequest

EXCEEDED, EXHAUSTED, FAILOVER_EXHAUSTED = (
    "max_context_exceeded",
    "max_context_exhausted",
    "failover_exhausted",
)


class Step(Struct, frozen=True):
    """A leaf that is tried, with what its place in the selector says of it."""

    leaf: Leaf
    race: int = 0
    """Legs of one race have the same number; 0: it is no leg."""
    handicap_seconds: float = 0.0
    ttft_timeout_seconds: float = 0.0
    is_thinker: bool = False
    hears_thought: bool = False


class Plan(Struct, frozen=True):
    """Steps in their order; `left_out` are branches that may not serve, with the reason."""

    steps: tuple[Step, ...]
    left_out: tuple[tuple[Leaf, GatewayError], ...] = ()
    notes: tuple[str, ...] = ()


def plan(selector: Selector, request: ChatRequest, *, luck: Random, session: Session | None) -> Plan:
    """The steps of a selector for this request. Raises NoBranchLeft when its prompt fits no branch."""
    match selector:
        case Named() | Automatic() | ByMetric():
            return Plan((Step(selector),))
        case Chain():
            return Plan(tuple(Step(leaf) for leaf in selector.steps))
        case Single():
            return _limited((selector.branch,), request, EXCEEDED)
        case Failover():
            return _limited(selector.branches, request, FAILOVER_EXHAUSTED)
        case Race():
            return _race(selector, request)
        case Weighted():
            return _weighted(selector.branches, request, luck, session)
    assert_never(selector)


def _limited(branches: Sequence[Branch], request: ChatRequest, reason: str) -> Plan:
    """The branches whose context limit holds the prompt."""
    fitting, left_out = _fitting(branches, request)
    if not fitting:
        raise _nothing_fits(request, reason)
    steps = tuple(step for branch in fitting for step in _steps(branch, request).steps)
    return Plan(steps, left_out)


def _fitting(
    branches: Sequence[Branch], request: ChatRequest
) -> tuple[list[Branch], tuple[tuple[Leaf, GatewayError], ...]]:
    tokens = measured_tokens(request)
    fitting, left_out = [], []
    for branch in branches:
        if branch.max_context is None or tokens <= branch.max_context:
            fitting.append(branch)
        else:
            limit = f"The prompt has about {tokens} tokens, and this branch takes {branch.max_context}."
            reason = NoBranchLeft(limit, reason=EXCEEDED)
            leaf = branch.selector
            assert not isinstance(leaf, Failover | Race), "groups have no limit of their own"
            left_out.append((leaf, reason))
    return fitting, tuple(left_out)


def _steps(branch: Branch, request: ChatRequest) -> Plan:
    selector = branch.selector
    match selector:
        case Race():
            return _race(selector, request)
        case Failover():
            return _limited(selector.branches, request, FAILOVER_EXHAUSTED)
        case _:
            return Plan((Step(selector, is_thinker=branch.is_thinker),))


def _race(race: Race, request: ChatRequest) -> Plan:
    if not request.is_stream:
        raise _only_streams(race)
    fitting, left_out = _fitting(race.branches, request)
    if not fitting:
        raise _nothing_fits(request, EXHAUSTED)
    steps = []
    for branch in fitting:
        leaf = branch.selector
        assert not isinstance(leaf, Failover | Race), "legs are leaves"
        steps.append(
            Step(
                leaf,
                race=1,
                handicap_seconds=branch.handicap_seconds,
                ttft_timeout_seconds=branch.ttft_timeout_seconds,
            )
        )
    return Plan(tuple(steps), left_out)


def _weighted(
    branches: Sequence[Branch], request: ChatRequest, luck: Random, session: Session | None
) -> Plan:
    fitting, left_out = _fitting(branches, request)
    if not fitting:
        raise _nothing_fits(request, EXHAUSTED)
    leading = [branch for branch in fitting if _leads(branch, session)]
    waiting = [branch for branch in fitting if not _leads(branch, session)]
    heard = [branch for branch in waiting if not (branch.is_thinker and session and session.thought)]
    drawn = _drawn(heard or waiting, luck)
    steps: list[Step] = []
    for branch in (*leading, *drawn):
        inner = _steps(branch, request)
        steps += inner.steps
        left_out += inner.left_out
    if session is not None and session.thought:
        steps = [_hearing(step) for step in steps]
    return Plan(tuple(steps), left_out, _session_notes(branches, session))


def _leads(branch: Branch, session: Session | None) -> bool:
    """Whether the session's state puts this branch in front of all draws."""
    if session is None:
        return False
    return (branch.is_first and not session.has_begun) or (branch.is_thinker and not session.thought)


def _drawn(branches: Sequence[Branch], luck: Random) -> list[Branch]:
    """All of them, in an order drawn by weight without putting back."""
    rest, order = list(branches), []
    while rest:
        ticket = luck.randrange(sum(branch.weight for branch in rest))
        for position, branch in enumerate(rest):
            ticket -= branch.weight
            if ticket < 0:
                order.append(rest.pop(position))
                break
    return order


def _hearing(step: Step) -> Step:
    return Step(
        step.leaf,
        race=step.race,
        handicap_seconds=step.handicap_seconds,
        ttft_timeout_seconds=step.ttft_timeout_seconds,
        is_thinker=step.is_thinker,
        hears_thought=not step.is_thinker,
    )


def _session_notes(branches: Sequence[Branch], session: Session | None) -> tuple[str, ...]:
    if session is None and any(branch.is_first or branch.is_thinker for branch in branches):
        return ("The request names no session, so [first] and [thinker] count like any other branch.",)
    return ()


def _nothing_fits(request: ChatRequest, reason: str) -> NoBranchLeft:
    return NoBranchLeft(
        f"The prompt has about {measured_tokens(request)} tokens, more than max_context of every branch.",
        reason=reason,
    )


def _only_streams(race: Race) -> InvalidModel:
    message = "A race (a!b) is for streams only; set stream to true."
    return InvalidModel(
        f"model: {message}",
        param="model",
        details={
            "composite_validation": {
                "code": UNSUPPORTED_CONSTRUCT,
                "message": message,
                "selector_echo": print_selector(race)[:ECHO_CHARACTERS_LIMIT],
                "details": {"param": "stream"},
            }
        },
    )
