"""Running requests of this process: each is settled exactly once, and any can be cut.

A request is cut from outside (its key was revoked, its client stopped reading, the process must
go) by cancelling its task with a reason. Leases are renewed in `gateway.leases`.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any, Protocol
from uuid import UUID

from msgspec.structs import replace

from gateway.errors import GatewayError, TemporarilyUnavailable
from gateway.leases import LeaseKeeper
from gateway.limits import Hold, UsageRecord
from gateway.meter import Meter
from gateway.settlement import Settlement, Settler, events_in, refusal_settlement, settlement_of, void
from gateway.trace import Trace
from gateway.wire.shapes import Reading

logger = logging.getLogger(__name__)

LOST_STATUS = 500

Story = Callable[[], dict[str, Any]]
OnEnd = Callable[[UsageRecord], None]


class TellsAlive(Protocol):
    """Whoever can tell a client that its stream lives."""

    def tell_alive(self, running: "Running") -> None: ...


class Running:
    """One admitted request: its hold, what it has used so far, and how it ends."""

    def __init__(self, trace: Trace, hold: Hold, meter: Meter, task: "asyncio.Task[Any]") -> None:
        self.trace = trace
        self.hold = hold
        self.meter = meter
        self.cut_by: GatewayError | None = None
        self.sending_since: float | None = None
        self.heard_at = 0.0
        """When a stream's client heard something last, or when it began to wait."""
        self.client: TellsAlive | None = None
        """Who waits for a stream, until it ends."""
        self.is_settled = False
        self.extension: asyncio.Task[int] | None = None
        self.refused_at_nano = -1
        """What was held when more was refused last."""
        self._task = task
        self._cap_tokens = -1

    @property
    def is_beyond_cap(self) -> bool:
        """Whether the answer is longer than was asked for, which its hold was made for."""
        if self._cap_tokens < 0:
            self._cap_tokens = self.trace.output_cap_tokens
        return self.meter.tokens_at_least > self._cap_tokens

    def listen(self, client: "TellsAlive") -> None:
        """A client waits for a stream from now on."""
        self.heard_at = time.monotonic()
        self.client = client

    def uncovered_nano(self) -> int:
        """By how much the request has outgrown its hold; below zero what is left of it."""
        meter = self.meter
        return self.trace.uncovered_nano(meter.reading() if meter.has_report else meter.count())

    def held_on_top(self) -> tuple[int, int]:
        """What was added to the hold since admission, in each budget and in the wallet."""
        need = self.trace.need or self.hold.need
        more_nano = need.budget_nano - self.hold.need.budget_nano
        return more_nano, 0 if self.trace.is_own_credential else more_nano

    def cut(self, error: GatewayError) -> None:
        """End this request now, for this reason."""
        if self.cut_by is None and not self.is_settled:
            self.cut_by = error
            self._task.cancel()

    def reason_to_stop(self) -> GatewayError:
        """Why this task was cancelled: whoever cut it said so, else the server is about to stop.

        The task goes on from here, to tell its client and end in peace.
        """
        self._task.uncancel()
        return self.cut_by or TemporarilyUnavailable(reason="draining")

    def used(self, *, has_client_left: bool = False) -> Reading | None:
        """What is billed if it ended now; None when nothing is.

        A provider that gave no output is not paid for, unless it was the client who left.
        """
        reading = self.meter.reading()
        is_owed = not reading.is_estimated or self.meter.has_output
        return reading if is_owed or (has_client_left and self.trace.was_sent) else None


class RunningRequests:
    """All of them, with the settler and the leases that their holds need."""

    def __init__(self, settler: Settler, leases: LeaseKeeper, *, on_end: OnEnd) -> None:
        self._settler = settler
        self._leases = leases
        self._on_end = on_end
        self._running: dict[UUID, Running] = {}

    def __len__(self) -> int:
        return len(self._running)

    def start(self, trace: Trace, hold: Hold, meter: Meter) -> Running:
        task = asyncio.current_task()
        assert task is not None, "requests run in tasks"
        running = Running(trace, hold, meter, task)
        self._running[hold.request_id] = running
        self._leases.watch(
            hold,
            lambda: recovery_event(trace, running.used()),
            on_reaped=lambda: running.cut(TemporarilyUnavailable(reason="hold_expired")),
            on_top=running.held_on_top,
        )
        return running

    def settle(self, running: Running, story: Story) -> None:
        """Hand the request's end over, with its event. Returns at once; only the first call counts."""
        if running.is_settled:
            return
        event, settlement = _ended(running, story)
        running.is_settled = True
        self._leases.forget(running.hold)
        del self._running[running.hold.request_id]
        events = events_in(event) if event else []
        if reservation := running.hold.reservation:
            reservation.end(
                counted_nano=sum(max(each["charge_nano"], each["cost_nano"]) for each in events),
                charge_nano=sum(each["charge_nano"] for each in events),
            )
        self._settler.hand_over(settlement)
        for each in events:
            self._on_end(each)

    def refuse(self, trace: Trace, error: GatewayError) -> None:
        """Record a request of a known key that was turned away; it holds nothing."""
        if trace.policy is None:
            return
        self._record(trace, trace.event(status=error.status, ending="refused", error=error))

    def replay(self, trace: Trace, notes: dict[str, str]) -> None:
        """Record a request that got an earlier one's answer: it costs nothing and holds nothing."""
        event = trace.event(status=200, ending="replayed")
        self._record(trace, {**event, "parameters": {**event.get("parameters", {}), **notes}})

    def _record(self, trace: Trace, event: dict[str, Any]) -> None:
        assert trace.policy is not None, "only an identified request has an event"
        self._settler.hand_over(refusal_settlement(trace.policy.shard, trace.request_id, event))
        self._on_end(event)

    def streams(self) -> list[Running]:
        """Those whose clients wait for a stream."""
        return [running for running in self._running.values() if running.client is not None]

    def cut_where(self, should_cut: Callable[[Running], bool], error: GatewayError) -> int:
        """Cut all requests that match; gives their number."""
        chosen = [running for running in self._running.values() if should_cut(running)]
        for running in chosen:
            running.cut(error)
        return len(chosen)

    def of_organization(self, organization_id: UUID) -> list[Running]:
        return [
            running
            for running in self._running.values()
            if running.trace.policy is not None and running.trace.policy.organization_id == organization_id
        ]


def _noted(running: Running, event: dict[str, Any]) -> dict[str, Any]:
    """The event, with the key that the client sent and why the request was let through."""
    event = running.trace.claim.noted(event) if running.trace.claim else event
    if running.hold.reservation is None:
        return event
    return {**event, "parameters": {**event.get("parameters", {}), "let_through": "redis_away"}}


def _ended(running: Running, story: Story) -> tuple[dict[str, Any] | None, Settlement]:
    """How the hold ends; if that cannot be told or written, it and the key are given back all the same."""
    claim, event = running.trace.claim, None
    try:
        event = _noted(running, story())
        keepsake = claim.keepsake(ending=event["ending"]) if claim else None
        return event, settlement_of(running.hold, event, keepsake)
    except Exception:
        logger.exception("request not recorded", extra={"request": running.hold.request_id.hex})
        return event, replace(void(running.hold), keepsake=claim.keepsake(ending="") if claim else None)


def recovery_event(trace: Trace, reading: Reading | None) -> dict[str, Any]:
    """The event that is recorded if this process dies now."""
    return trace.event(status=LOST_STATUS, ending="recovered", reading=reading)
