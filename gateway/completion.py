"""Completion: the path of one request, one call a step.

    identify → parse → route → admit → translate and relay → meter → settle

The key is identified before the body is looked at, so that a stranger's body costs nothing.
Everything before `admit` is free of charge; everything after it ends in exactly one settlement,
whatever happens. Each step has its own file; this one only holds them together.
"""

import asyncio
from dataclasses import dataclass
from typing import Any

from gateway.admission import Admission
from gateway.attempts import Attempts
from gateway.bodies import BodyLog
from gateway.caller import Callers
from gateway.clamp import shortened
from gateway.delivery import Delivery
from gateway.errors import GatewayError
from gateway.exchange import Incoming, Reply
from gateway.faults import known_error
from gateway.limits import Hold
from gateway.meter import Meter
from gateway.money_errors import OutOfMoney
from gateway.policy import Policy
from gateway.relay import Call, Relay
from gateway.reuse import Reuse
from gateway.router import Route, Router
from gateway.running import Running, RunningRequests, recovery_event
from gateway.sessions import Sessions
from gateway.trace import CLIENT_LEFT_STATUS, Trace
from gateway.wire.chat import ParseLimits
from gateway.wire.chat_request import ChatRequest

# The first refusal says nothing of counters that Redis has lost; the second one knows all of them.
CLAMPS_PER_REQUEST = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Completions:
    """Answers `POST …/chat/completions`."""

    limits: ParseLimits
    callers: Callers
    router: Router
    admission: Admission
    attempts: Attempts
    running: RunningRequests
    reuse: Reuse
    relay: Relay
    bodies: BodyLog
    sessions: Sessions

    async def answer(self, incoming: Incoming, reply: Reply) -> None:
        """Serve one request to its end. Raises CancelledError when its client left."""
        trace, delivery = incoming.trace, Delivery(incoming, reply)
        try:
            trace.policy = policy = await self.callers.identify(incoming.headers, peer=incoming.peer)
            trace.request = request = incoming.chat_request(self.limits)
            route = self.router.route(request, policy, hops=incoming.hops)
            if route.wants_session:
                route = await self.sessions.rerouted(self.router, request, policy)
            if self.reuse.concerns(policy, request, incoming.headers):
                route = await self.reuse.applied(route, trace, incoming.headers)
            running, route = await self._admit(trace, policy, request, route)
        except asyncio.CancelledError:
            self.reuse.end(trace, ending="client_left")
            raise
        except Exception as exc:  # noqa: BLE001  # whatever it is, the client gets an answer
            error = known_error(exc, trace)
            self.running.refuse(trace, error)
            self.reuse.end(trace, ending="refused")
            await delivery.refuse(error, trace)
            return
        call = Call(trace, delivery, running, incoming.body, self.bodies.transcript())
        if request.is_stream:
            running.listen(delivery)
        try:
            forwarded = incoming.forwarded_headers()
            answering = route.known or await self.attempts.first_answer(
                route.targets, trace, extra_headers=forwarded
            )
            await self.relay.pass_on(answering, call)
            self._settle(call, status=200, ending="completed")
            if route.wants_session:
                self.sessions.tell(policy, request.session_id, thought_of=call.thought)
        except asyncio.CancelledError:
            if reply.has_client_left:
                self._settle(call, status=CLIENT_LEFT_STATUS, ending="client_left")
                raise
            await self._fail(call, running.reason_to_stop(), ending="cut")
        except Exception as exc:  # noqa: BLE001  # whatever it is, the hold is settled
            await self._fail(call, known_error(exc, trace))

    async def _admit(
        self, trace: Trace, policy: Policy, request: ChatRequest, route: Route
    ) -> tuple[Running, Route]:
        begun_ms = trace.now_ms
        hold, route, shorter = await self._hold_what_is_covered(trace, policy, request, route)
        if shorter is not request:
            trace.clamped_tokens = shorter.max_output_tokens
        trace.requested_provider = route.requested_provider
        trace.need, trace.standing = route.need, hold.standing
        trace.step("admit", begun_ms)
        meter = Meter(
            prompt_tokens_estimate=request.prompt_tokens_estimate, least_searches=int(request.web_search)
        )
        return self.running.start(trace, hold, meter), route

    async def _hold_what_is_covered(
        self, trace: Trace, policy: Policy, request: ChatRequest, route: Route
    ) -> tuple[Hold, Route, ChatRequest]:
        for _ in range(CLAMPS_PER_REQUEST):
            try:
                return await self._hold(trace, policy, route), route, request
            except OutOfMoney as refusal:
                shorter = shortened(request, route, policy, refusal)
                if shorter is None:
                    raise
                request, route = shorter
                trace.request = request
        return await self._hold(trace, policy, route), route, request

    async def _hold(self, trace: Trace, policy: Policy, route: Route) -> Hold:
        return await self.admission.admit(
            policy,
            request_id=trace.request_id,
            need=route.need,
            event=recovery_event(trace, None),
            targets=route.targets,
        )

    async def _fail(self, call: Call, error: GatewayError, *, ending: str = "") -> None:
        self._settle(call, status=error.status, ending=ending or error.ending, error=error)
        await call.delivery.fail(error, call.trace)

    def _settle(self, call: Call, *, status: int, ending: str, error: GatewayError | None = None) -> None:
        def story() -> dict[str, Any]:
            reading = call.running.used(has_client_left=ending == "client_left")
            event = call.trace.event(status=status, ending=ending, reading=reading, error=error)
            fields = self.bodies.fields
            return event | fields(call.trace, request_body=call.request_body, transcript=call.transcript)

        self.running.settle(call.running, story)
        if call.trace.treatment is not None:
            self.reuse.end(call.trace, ending=ending, reading=call.running.used())
