"""Trace: what happened to one request, filled in while it runs and turned into its usage event.

Times are milliseconds from arrival. What an event's fields mean is in `billing.models`.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from msgspec import Struct, structs

from billing.pricing import Cost
from billing.terms import Bill, limited_version, within
from billing.usage import TokenUsage
from gateway.answer_price import FREE, NO_TOKENS, priced
from gateway.claims import Claim
from gateway.errors import GatewayError
from gateway.identifiers import new_request_id
from gateway.limits import Need, Standing
from gateway.policy import Policy
from gateway.routing.target import Target
from gateway.treatment import Treatment
from gateway.wire.chat_request import ChatRequest
from gateway.wire.raw import RawExchange
from gateway.wire.shapes import Attempt, Reading

EVENT_VERSION = 1
MAX_MESSAGE_CHARACTERS = 512
MAX_LABEL_CHARACTERS = 256
CLIENT_LEFT_STATUS = 499
RACE_LEG = "race_leg"
# The error of an attempt that was given up because its client left, or because we had to stop.
ABANDONED = "request_cancelled"

NOTHING_USED = Reading(usage=NO_TOKENS, is_estimated=False)
NOTHING_BILLED = Bill(FREE, FREE, "")


class LostLeg(Struct, frozen=True):
    """A leg of a race that did not answer: its own trace, what it had used, and when it was given up."""

    trace: "Trace"
    reading: Reading
    ended_ms: float


@dataclass(slots=True)
class Trace:
    """One request's story. Only the task that serves the request writes to it."""

    route: str
    client_request_id: str
    user_agent: str
    source: str
    request_id: UUID = field(default_factory=new_request_id)
    arrived_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    _started: float = field(default_factory=time.perf_counter)
    policy: Policy | None = None
    request: ChatRequest | None = None
    requested_provider: str | None = None
    target: Target | None = None
    need: Need | None = None
    aside: Need | None = None
    """What of it is not for the target that answers: the legs of races are paid for as well."""
    lost_legs: tuple[LostLeg, ...] = ()
    standing: Standing = field(default_factory=dict)
    attempts: list[Attempt] = field(default_factory=list)
    timeline: list[tuple[str, float, float]] = field(default_factory=list)
    was_sent: bool = False
    asked_at_ms: float = 0.0
    dropped_params: tuple[str, ...] = ()
    first_token_ms: float | None = None
    upstream_ms: float = 0.0
    head_overhead_ms: float | None = None
    finish_reason: str = ""
    claim: Claim | None = None
    clamped_tokens: int | None = None
    raw: RawExchange | None = None
    treatment: Treatment | None = None
    """What is done with the answer beside passing it on; nearly always nothing."""
    labels: Mapping[str, str] | None = None
    """What headers say of a request that is refused before it can be read."""
    _id_text: str = ""
    _known: tuple[ChatRequest, int | None, dict[str, Any]] | None = None
    _billed: tuple[TokenUsage, str | None, Target | None, Bill] | None = None

    @property
    def now_ms(self) -> float:
        return (time.perf_counter() - self._started) * 1000

    @property
    def shown_id(self) -> str:
        """The id the client knows this request by."""
        return self.client_request_id or self.id_text

    @property
    def id_text(self) -> str:
        """Our own id of this request."""
        self._id_text = self._id_text or str(self.request_id)
        return self._id_text

    @property
    def overhead_ms(self) -> float:
        """What we added until the answer's head went out: everything but waiting for providers."""
        if self.head_overhead_ms is not None:
            return self.head_overhead_ms
        return max(0.0, self.now_ms - self.upstream_ms)

    @property
    def has_head(self) -> bool:
        """Whether the head of the answer has gone out."""
        return self.head_overhead_ms is not None

    @property
    def is_race(self) -> bool:
        """Whether some of its targets race."""
        return self.aside is not None

    def note_early_head(self) -> None:
        """The head goes out while a provider is waited for, whose time is not ours."""
        self.head_overhead_ms = max(0.0, self.asked_at_ms - self.upstream_ms)

    def note_head(self) -> None:
        """The answer's head goes out now; what comes after is the provider's time or the client's."""
        self.head_overhead_ms = self.overhead_ms

    @property
    def provider(self) -> str:
        return self.target.provider if self.target else ""

    @property
    def is_own_credential(self) -> bool:
        return self.target is not None and self.target.is_own_credential

    @property
    def tags(self) -> list[str]:
        """The key's default tags and the request's, each once."""
        of_key = self.policy.default_tags if self.policy else ()
        of_request = self.request.tags if self.request else ()
        return list(dict.fromkeys((*of_key, *of_request)))

    def step(self, name: str, since_ms: float) -> None:
        """Note that a step of the path lasted from `since_ms` until now."""
        self.timeline.append((name, to_microsecond(since_ms), to_microsecond(self.now_ms)))

    def begin_attempt(self, target: Target) -> None:
        """From here on the provider may have been asked, and what it does is this request's."""
        self.target = target
        self.was_sent = True
        self.asked_at_ms = self.now_ms

    @contextmanager
    def waiting(self, name: str) -> Iterator[None]:
        """For `with`: a step that is not our time but our providers'."""
        begun_ms = self.now_ms
        try:
            yield
        finally:
            self.upstream_ms += self.now_ms - begun_ms
            self.step(name, begun_ms)

    def beside(self, request_id: UUID, need: Need) -> "Trace":
        """A trace of the same request for one leg of a race, which may use so much."""
        return replace(
            self,
            request_id=request_id,
            need=need,
            aside=None,
            lost_legs=(),
            standing={},
            attempts=[],
            timeline=[],
            claim=None,
            _id_text="",
            _known=None,
            _billed=None,
        )

    def go_on_as(self, leg: "Trace", need: Need) -> None:
        """The request is answered by this leg, which may use its own share of what is held."""
        assert self.need is not None, "what races was admitted"
        self.target, self.was_sent = leg.target, True
        self.asked_at_ms, self.dropped_params, self.raw = leg.asked_at_ms, leg.dropped_params, leg.raw
        self.aside = Need(
            self.need.budget_nano - need.budget_nano,
            self.need.wallet_nano - need.wallet_nano,
            self.need.tokens - need.tokens,
        )

    def end_attempt(self, attempt: Attempt, since_ms: float) -> None:
        """Note how it went. A provider that gave nothing is not paid, unless it was not its fault."""
        self.attempts.append(attempt)
        self.was_sent = attempt.succeeded or attempt.error_type == ABANDONED
        self.upstream_ms += self.now_ms - since_ms
        self.step(f"attempt {len(self.attempts)}: {attempt.provider}", since_ms)

    def note_break(self, error: GatewayError) -> None:
        """The answer broke off after it had begun: whoever gave it has not succeeded after all."""
        self.attempts[:] = [
            structs.replace(attempt, succeeded=False, error_type=error.code) if attempt.succeeded else attempt
            for attempt in self.attempts
        ]

    @property
    def held_nano(self) -> int:
        """The most that this request may come to, in the money that pays for it."""
        need, aside = self.need, self.aside
        if need is None:
            return 0
        if aside is not None:
            need = Need(need.budget_nano - aside.budget_nano, need.wallet_nano - aside.wallet_nano, 0)
        return need.budget_nano if self.is_own_credential else need.wallet_nano

    def hold_more(self, nano: int) -> None:
        """Note that this much more is held in every budget."""
        assert self.need is not None, "only what is held can grow"
        need = self.need
        self.need = Need(need.budget_nano + nano, need.wallet_nano + nano, need.tokens)
        self._billed = None

    @property
    def asked(self) -> ChatRequest | None:
        """What the target is asked: the request as it came in, unless its selector says otherwise."""
        return (self.target and self.target.request) or self.request

    @property
    def output_cap_tokens(self) -> int:
        """The most tokens that the answer may have, all choices together."""
        assert self.target is not None, "someone answers"
        asked = self.asked
        assert asked is not None, "something was asked"
        return self.target.output_tokens_bound(asked) * asked.n

    def charge(self, reading: Reading) -> Cost | None:
        """What the organization is charged for this reading; None if its own credential paid."""
        return None if self.is_own_credential else self.bill(reading).charge

    def bill(self, reading: Reading) -> Bill:
        """Cost and charge of this reading, and the version that they follow from.

        Nobody is charged more than was held, whatever the provider counts.
        """
        bill = self._whole_bill(reading)
        if self.is_own_credential or bill.charge.total_nano <= self.held_nano:
            return bill
        charge = within(bill.charge, self.held_nano)
        return Bill(bill.cost, charge, limited_version(bill.version, self.held_nano))

    def uncovered_nano(self, reading: Reading) -> int:
        """By how much this reading outgrows what is held; below zero what is left of it."""
        bill = self._whole_bill(reading)
        owed = bill.cost if self.is_own_credential else bill.charge
        return owed.total_nano - self.held_nano

    def _whole_bill(self, reading: Reading) -> Bill:
        """The last one is kept: the hold, the answer and the event ask for the same."""
        usage, tier, target = reading.usage, reading.service_tier, self.target
        billed = self._billed
        if billed is None or billed[0] != usage or billed[1] != tier or billed[2] is not target:
            bill = NOTHING_BILLED if target is None else self._priced(reading, target)
            billed = self._billed = (usage, tier, target, bill)
        return billed[3]

    def _priced(self, reading: Reading, target: Target) -> Bill:
        asked, held_nano = self.asked, self.held_nano
        return priced(reading, target, asked=asked, dropped=self.dropped_params, held_nano=held_nano)

    def event(
        self, *, status: int, ending: str, reading: Reading | None = None, error: GatewayError | None = None
    ) -> dict[str, Any]:
        """The usage event, as billing ingests it; without a reading nothing was used.

        What says nothing is left out: it is written twice for each request, and read by
        `billing.arrivals`, which has the same values for what is not there.
        """
        reading = reading or NOTHING_USED
        bill, target = self.bill(reading), self.target
        cost_nano = bill.cost.total_nano
        event = {
            **self._known_from_start(),
            "status": status,
            "ending": ending,
            "usage": {} if reading.usage is NO_TOKENS else _without_nothing(structs.asdict(reading.usage)),
            "cost_nano": cost_nano,
            "charge_nano": 0 if self.is_own_credential else bill.charge.total_nano,
            "duration_ms": to_microsecond(self.now_ms),
            "overhead_ms": to_microsecond(self.overhead_ms),
        }
        if target is not None:
            event["model"], event["provider"] = target.model, target.provider
            if target.is_own_credential:
                event["own"] = True
        if error is not None:
            event["error_code"], event["error_message"] = error.code, str(error)[:MAX_MESSAGE_CHARACTERS]
        if self.finish_reason:
            event["finish_reason"] = self.finish_reason
        if reading.is_estimated or (target is not None and target.price.is_ceiling):
            event["estimated"] = True
        if bill.version:
            event["price_version"] = bill.version
        if cost_nano:
            event["cost_parts"] = bill.cost.parts_usd()
        if self.first_token_ms:
            event["first_token_ms"] = self.first_token_ms
        if self.timeline:
            event["timeline"] = self.timeline
        if self.attempts:
            event["attempts"] = [structs.asdict(attempt) for attempt in self.attempts]
        if self.standing:
            event["limits"] = self.standing
        if self.lost_legs:
            event["legs"] = [self._event_of(leg) for leg in self.lost_legs]
        return event if self.treatment is None else self.treatment.noted(event)

    def _event_of(self, leg: LostLeg) -> dict[str, Any]:
        """The usage event of a leg that did not answer, recorded beside this one."""
        event = leg.trace.event(status=CLIENT_LEFT_STATUS, ending=RACE_LEG, reading=leg.reading)
        parameters = {**event.get("parameters", {}), "race_of": self.id_text}
        return {**event, "duration_ms": to_microsecond(leg.ended_ms), "parameters": parameters}

    def _known_from_start(self) -> Mapping[str, Any]:
        """What an event says of the request itself, which is the same in each of its events."""
        policy, request = self.policy, self.request
        assert policy is not None, "only an identified request has an event"
        known = self._known
        if known is not None and known[0] is request and known[1] == self.clamped_tokens:
            return known[2]
        facts = {
            "v": EVENT_VERSION,
            "id": self.request_id,
            "at": self.arrived_at,
            "organization": policy.organization_id,
            "project": policy.project_id,
            "key": policy.key_id,
            "request_id": self.shown_id,
            "route": self.route,
        }
        if request is None:
            return facts | _without_nothing(
                {
                    "agent": self.user_agent[:MAX_LABEL_CHARACTERS],
                    "source": self.source[:MAX_LABEL_CHARACTERS],
                    **(self.labels or {}),
                }
            )
        clamped = {} if self.clamped_tokens is None else {"clamped_to": self.clamped_tokens}
        facts |= _without_nothing(
            {
                "requested_model": request.model,
                "stream": request.is_stream,
                "parameters": {**request.parameters_for_log(), **clamped},
                "tags": self.tags,
                "end_user": request.user[:MAX_LABEL_CHARACTERS],
                "session_id": request.session_id[:MAX_LABEL_CHARACTERS],
                "agent": (request.agent or self.user_agent)[:MAX_LABEL_CHARACTERS],
                "source": self.source[:MAX_LABEL_CHARACTERS],
                "signature": request.signature,
                "metadata": request.metadata,
            }
        )
        self._known = (request, self.clamped_tokens, facts)
        return facts


def to_microsecond(milliseconds: float) -> float:
    """Three decimals, at a tenth of what `round(…, 3)` costs."""
    return round(milliseconds * 1000) / 1000


def _without_nothing(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value}
