"""The money of one organization in plain Python: what the till must agree with after every step.

Knows limits, holds and events, nothing of Redis. Amounts are nano-dollars.
"""

import uuid
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from billing.budgets import period_of
from gateway.counter_names import budget_counter, wallet_counter
from gateway.policy import WALLET_WINDOW, BudgetRule, Policy, Reach, Scope

NAMES_OF_SCOPES = ("key", "project", "organization")


@dataclass
class Limit:
    """One budget or the wallet of one scope."""

    rule: BudgetRule
    scope: str
    scope_id: uuid.UUID

    def counter(self, now: datetime) -> str:
        rule = self.rule
        if rule.is_wallet:
            return wallet_counter(rule.id)
        return budget_counter(rule.id, period_of(rule.window, rule.time_zone, now))

    def change(self, amount_nano: int) -> None:
        self.rule = replace(self.rule, amount_nano=amount_nano)


@dataclass
class Request:
    """A request that was admitted: what it holds of each counter, and what it has used."""

    event: dict[str, Any]
    hold: Any
    key: int
    process: int | None
    shares: dict[str, int]
    limits: dict[str, Limit]
    """The limit of each counter: an answer grows into it as it stands."""
    is_own: bool
    used_nano: int = 0
    recorded_nano: int = 0
    is_held: bool = True
    """Whether Redis has its hold."""
    is_ended: bool = False
    """Whether it has been settled, by whomever."""
    has_lease: bool = True
    is_marked: bool = False
    """Whether Redis remembers that it was settled."""

    @property
    def most_nano(self) -> int:
        return max(self.shares.values())


@dataclass
class Model:
    """Limits, requests and what is known to be spent."""

    wallet_nano: int
    limits: list[Limit] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    spent: dict[str, int] = field(default_factory=dict)
    permitted: dict[str, int] = field(default_factory=dict)
    """The highest limit that anything in a counter was admitted under."""
    lost: dict[str, int] = field(default_factory=dict)
    """What Redis has forgotten of a counter: a counter may pass its limit by so much."""
    unread: dict[str, dict[str, int]] = field(default_factory=dict)
    """What events that were not ingested yet add to the counters."""
    places: dict[str, int] = field(default_factory=lambda: {"key": 3, "project": 5})

    def __post_init__(self) -> None:
        self.organization, self.project = uuid.uuid4(), uuid.uuid4()
        self.keys = [uuid.uuid4(), uuid.uuid4()]

    def add_limit(
        self, scope: str, scope_id: uuid.UUID, amount_nano: int, window: str, now: datetime
    ) -> None:
        rule_id = scope_id if window == WALLET_WINDOW else uuid.uuid4()
        rule = BudgetRule(id=rule_id, amount_nano=amount_nano, window=window, time_zone="UTC", created_at=now)
        self.limits.append(Limit(rule, scope, scope_id))

    def limits_of(self, key: int) -> list[Limit]:
        binding = {self.keys[key], self.project, self.organization}
        return [limit for limit in self.limits if limit.scope_id in binding]

    def policy(self, key: int) -> Policy:
        scope_ids = dict(zip(NAMES_OF_SCOPES, (self.keys[key], self.project, self.organization), strict=True))
        return Policy(
            secret_hmac=self.keys[key].bytes,
            key_id=self.keys[key],
            project_id=self.project,
            organization_id=self.organization,
            organization_name="Model",
            epoch=1,
            shard=0,
            expires_at=None,
            revoked_at=None,
            is_organization_active=True,
            allowed_models=None,
            default_tags=(),
            project_mode="credits",
            is_body_logging_on=False,
            is_stream_cut_on_revocation=False,
            scopes=tuple(
                Scope(
                    kind=name,
                    id=scope_id,
                    concurrent_requests=self.places.get(name),
                    budgets=tuple(limit.rule for limit in self.limits if limit.scope_id == scope_id),
                )
                for name, scope_id in scope_ids.items()
            ),
            own_reach=Reach(),
            wrapped_data_key=None,
        )

    def held(self, counter: str) -> int:
        return sum(request.shares.get(counter, 0) for request in self._open())

    def left(self, limit: Limit, now: datetime) -> int:
        counter = limit.counter(now)
        return limit.rule.amount_nano - self.spent.get(counter, 0) - self.held(counter)

    def ceiling(self, counter: str) -> int:
        """What spent and held may come to at most."""
        return self.permitted.get(counter, 0) + self.lost.get(counter, 0)

    def running(self, scope: str, key: int) -> int:
        """Requests of the key, or of the whole project, whose place in the concurrency limit is taken."""
        return len(
            [each for each in self._open() if each.has_lease and (scope == "project" or each.key == key)]
        )

    def would_admit(self, key: int, amount_nano: int, now: datetime, *, is_own: bool) -> bool:
        has_places = all(self.running(scope, key) < places for scope, places in self.places.items())
        return has_places and all(
            amount_nano <= self.left(limit, now)
            for limit in self.limits_of(key)
            if not (limit.rule.is_wallet and (is_own or not amount_nano))
        )

    def end(self, request: Request, amount_nano: int) -> None:
        """The request costs this much, and its event is written."""
        if request.is_ended:
            return
        request.is_ended = request.is_marked = True
        shares = dict.fromkeys(request.shares, amount_nano)
        for counter in shares:
            self.spent[counter] = self.spent.get(counter, 0) + amount_nano
        self.unread[request.event["id"]] = shares

    def extend(self, request: Request, wanted_nano: int) -> int:
        """Hold more, the same of every counter; -1 when Redis does not have its hold."""
        if not request.is_held or request.is_ended:
            return -1
        rooms = [
            limit.rule.amount_nano - self.spent.get(counter, 0) - self.held(counter)
            for counter, limit in request.limits.items()
        ]
        granted_nano = max(0, min(wanted_nano, *rooms))
        for counter in request.shares:
            request.shares[counter] += granted_nano
            if granted_nano:
                self.note_height(counter, request.limits[counter].rule.amount_nano)
        return granted_nano

    def note_height(self, counter: str, permitted_nano: int) -> None:
        """This much was permitted, whatever the limit has become since."""
        self.permitted[counter] = max(self.permitted.get(counter, 0), permitted_nano)

    def renew(self, request: Request) -> None:
        """Its process says that it lives and what it has used; a hold that Redis has lost is held again."""
        request.is_held = request.has_lease = True
        request.recorded_nano = request.used_nano

    def void(self, request: Request) -> None:
        request.is_ended = request.is_marked = True

    def lose_memory(self) -> None:
        """Holds are gone, and so are the events that nobody had read yet."""
        for request in self._open():
            request.is_held = False
            for counter, share in request.shares.items():
                self.lost[counter] = self.lost.get(counter, 0) + share
        for request in self.requests:
            request.is_marked = False
        for shares in self.unread.values():
            for counter, amount_nano in shares.items():
                self.spent[counter] -= amount_nano
                self.lost[counter] = self.lost.get(counter, 0) + amount_nano
        self.unread = {}

    def unsettled(self) -> list[Request]:
        return [request for request in self.requests if request.process is not None]

    def _open(self) -> list[Request]:
        return [request for request in self.requests if request.is_held and not request.is_ended]
