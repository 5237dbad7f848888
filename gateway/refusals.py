"""Refusals: which error a caller gets when a limit does not hold."""

from dataclasses import dataclass

from gateway.errors import (
    BudgetExceeded,
    GatewayError,
    InsufficientCredits,
    KeyLimitExceeded,
    RateLimited,
)
from gateway.limits import DIMENSIONS, Check
from gateway.policy import BudgetRule


@dataclass(frozen=True, slots=True)
class Refusal:
    """How a limit stood when it refused; money in nano-dollars. `retry_ms` is -1 when time does not help."""

    left: int
    retry_ms: int
    spent: int
    held: int


def refusal_of(check: Check, refusal: Refusal) -> GatewayError:
    """The error for the first limit that did not hold: its scope, what is left, when to come back."""
    if check.budget is not None:
        return _money_refusal(check, check.budget, refusal)
    return RateLimited(
        scope=check.scope.kind,
        dimension=DIMENSIONS[check.kind],
        limit=check.limit,
        left=refusal.left,
        retry_after_seconds=refusal.retry_ms / 1000 if refusal.retry_ms >= 0 else None,
    )


def _money_refusal(check: Check, rule: BudgetRule, refusal: Refusal) -> GatewayError:
    left_nano, asked_nano = max(0, refusal.left), int(check.arguments[1])
    if rule.is_wallet:
        return InsufficientCredits(
            left_nano=left_nano, asked_nano=asked_nano, spent_nano=refusal.spent, held_nano=refusal.held
        )
    kind = KeyLimitExceeded if check.scope.kind == "key" else BudgetExceeded
    return kind(
        scope=check.scope.kind,
        window=rule.window,
        renews_at=check.period.ends_at if check.period else None,
        left_nano=left_nano,
        asked_nano=asked_nano,
        spent_nano=refusal.spent,
        held_nano=refusal.held,
    )
