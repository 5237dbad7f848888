"""Refusals: which error a caller gets when a limit does not hold."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from billing.budgets import zone_named
from billing.money import format_usd, nano_to_usd
from gateway.errors import GatewayError, RateLimited
from gateway.limits import DIMENSIONS, Check
from gateway.money_errors import BudgetExceeded, InsufficientCredits, KeyLimitExceeded, Shortage
from gateway.policy import BudgetRule

WINDOW_TEXTS = {"total": "in total"}
SCOPE_TEXTS = {"end_user": "end user", "model": "model family"}


@dataclass(frozen=True, slots=True)
class Refusal:
    """How a limit stood when it refused; money in nano-dollars. `retry_ms` is -1 when time does not help.

    `least_left` is what the tightest of all money limits has left; -1 where no money is limited.
    """

    left: int
    retry_ms: int
    spent: int
    held: int
    least_left: int = -1


def refusal_of(check: Check, refusal: Refusal, *, now: datetime) -> GatewayError:
    """The error for the first limit that did not hold: its scope, what is left, when to come back."""
    if check.budget is not None:
        return _money_refusal(check, check.budget, refusal, now)
    return RateLimited(
        scope=check.scope.kind,
        dimension=DIMENSIONS[check.kind],
        limit=check.limit,
        left=refusal.left,
        retry_after_seconds=refusal.retry_ms / 1000 if refusal.retry_ms >= 0 else None,
    )


def _money_refusal(check: Check, rule: BudgetRule, refusal: Refusal, now: datetime) -> GatewayError:
    shortage = Shortage(
        left_nano=max(0, refusal.left),
        asked_nano=int(check.arguments[1]),
        spent_nano=refusal.spent,
        held_nano=refusal.held,
        least_left_nano=refusal.least_left,
    )
    if rule.is_wallet:
        return InsufficientCredits(shortage)
    kind = KeyLimitExceeded if check.scope.kind == "key" else BudgetExceeded
    return kind(
        shortage,
        title=title_of(check, rule),
        scope=check.scope.kind,
        window=rule.window,
        is_rolling=rule.is_rolling,
        renews_at=_renewal(check, rule, refusal, now),
        budget_id=str(rule.id),
        budget_name=rule.name,
        subject=check.subject,
    )


def title_of(check: Check, rule: BudgetRule) -> str:
    """`The budget "Marketing" of the project ($50.00 a month)`, `The budget of the end user 'u1' (…)`."""
    name = f' "{rule.name}"' if rule.name else ""
    scope = SCOPE_TEXTS.get(check.scope.kind, check.scope.kind)
    whom = f"the {scope} {check.subject!r}" if check.subject else f"the {scope}"
    return f"The budget{name} of {whom} ({format_usd(nano_to_usd(rule.amount_nano))} {_window_text(rule)})"


def _window_text(rule: BudgetRule) -> str:
    if rule.is_rolling:
        return f"in any {rule.window}"
    return WINDOW_TEXTS.get(rule.window) or ("an hour" if rule.window == "hour" else f"a {rule.window}")


def _renewal(check: Check, rule: BudgetRule, refusal: Refusal, now: datetime) -> datetime | None:
    """When there is room again: the period's end, or when enough has left a rolling window."""
    if rule.is_rolling:
        moment = now + timedelta(milliseconds=refusal.retry_ms) if refusal.retry_ms >= 0 else None
    else:
        moment = check.period.ends_at if check.period else None
    return moment.astimezone(zone_named(rule.time_zone)) if moment else None
