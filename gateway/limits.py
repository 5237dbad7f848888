"""Limits: what a request asks of them, what it was given, and what must be given back.

Values only. They are decided in `gateway.admission` and settled in `gateway.settlement`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from msgspec import Struct

from billing.budgets import Period
from gateway.policy import BudgetRule, Policy, Scope
from gateway.redis_pipeline import Argument

UsageRecord = Mapping[str, Any]
Standing = Mapping[str, Mapping[str, int]]

# Money is counted by calendar period ("b") or in a rolling window ("w"); with "o" it is only observed.
DIMENSIONS = {
    "r": "requests",
    "t": "tokens",
    "c": "concurrency",
    "b": "budget",
    "w": "budget",
    "bo": "budget",
    "wo": "budget",
}


class Need(Struct, frozen=True):
    """What a request may take at most: nano-dollars, and tokens of prompt and answer."""

    budget_nano: int
    wallet_nano: int
    tokens: int


class Check(Struct, frozen=True):
    """One limit that binds a request, as the script is asked about it."""

    kind: str
    key: str
    scope: Scope
    arguments: tuple[Argument, Argument, Argument, Argument]
    budget: BudgetRule | None = None
    counter: str = ""
    period: Period | None = None
    subject: str = ""
    label: str = ""
    """`key:requests`, `organization:budget:month`, …"""

    @property
    def is_wallet(self) -> bool:
        return self.budget is not None and self.budget.is_wallet

    @property
    def is_observed(self) -> bool:
        return self.budget is not None and self.budget.is_observed

    @property
    def limit(self) -> int:
        """What the limit is, in its own unit; money in nano-dollars."""
        if self.budget is not None:
            return self.budget.amount_nano
        scope = self.scope
        limits = {
            "r": scope.requests_per_minute,
            "t": scope.tokens_per_minute,
            "c": scope.concurrent_requests,
        }
        return limits[self.kind] or 0

    def of(self, need: Need) -> "Check":
        """The same check, asking for what a request needs."""
        first, second, third, fourth = self.arguments
        if self.budget is not None:
            second = need.wallet_nano if self.budget.is_wallet else need.budget_nano
        elif self.kind == "t":
            third = need.tokens
        else:
            return self
        return Check(
            self.kind,
            self.key,
            self.scope,
            (first, second, third, fourth),
            self.budget,
            self.counter,
            self.period,
            self.subject,
            self.label,
        )


class HeldCheck(Struct, frozen=True):
    """What settlement must give back: `amount` is nano-dollars, tokens or nothing, by `kind`.

    `interval_us` is the time for one token, or one bucket of a rolling window. The counter of a model
    family counts only what models of the `family` did: `counted_nano`, where that is known.
    """

    kind: str
    key: str
    interval_us: float
    amount: int
    is_wallet: bool = False
    limit_nano: int = 0
    family: str = ""
    is_counted: bool = True
    counted_nano: int = -1


class Reserve:
    """What one organization may still spend in one process during one outage, in nano-dollars."""

    __slots__ = ("limit_nano", "taken_nano", "wallet_limit_nano", "wallet_taken_nano")

    def __init__(self) -> None:
        self.limit_nano = self.wallet_limit_nano = 0
        self.taken_nano = self.wallet_taken_nano = 0


class Reservation:
    """The most that one request may cost, taken from a reserve until the request's end."""

    __slots__ = ("_need", "_reserve")

    def __init__(self, reserve: Reserve, need: Need) -> None:
        self._reserve = reserve
        self._need = need
        reserve.taken_nano += need.budget_nano
        reserve.wallet_taken_nano += need.wallet_nano

    def end(self, *, counted_nano: int, charge_nano: int) -> None:
        """Give back what the request did not spend."""
        self._reserve.taken_nano += counted_nano - self._need.budget_nano
        self._reserve.wallet_taken_nano += charge_nano - self._need.wallet_nano


class Hold(Struct, frozen=True):
    """An admitted request's claim on every limit, until it is settled or its lease expires."""

    request_id: UUID
    shard: int
    need: Need
    checks: tuple[HeldCheck, ...]
    standing: Standing
    """Each limit as it stood after this decision, for headers and the request's page."""
    would_refuse: tuple[str, ...] = ()
    """The observe-only budgets that do not cover it, by id."""

    reservation: Reservation | None = None
    """What it took of its organization's allowance, if Redis did not answer (`gateway.away`)."""

    @property
    def counters(self) -> tuple[str, ...]:
        """The names of the money counters that it holds something in."""
        return tuple(check.key.rpartition("money:")[2] for check in self.checks if check.kind in ("b", "w"))


@dataclass(frozen=True, slots=True)
class MoneyCounter:
    """One budget of one scope in one period, as Redis counts it. `key` is its place there."""

    policy: Policy
    scope: Scope
    rule: BudgetRule
    key: str
    counter: str
    period: Period | None
    life_ms: int
    subject: str = ""
