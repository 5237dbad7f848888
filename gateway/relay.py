"""Relay: from the provider's answer to the client, metered on the way.

What is passed on is covered by the request's hold (`gateway.extension`). How it reads is
`gateway.delivery`'s business, and what follows its end `gateway.completion`'s.
"""

from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass

from msgspec import Struct

from gateway.attempts import Answering
from gateway.bodies import BodyLog, Transcript
from gateway.deadlines import Deadlines
from gateway.delivery import Delivery
from gateway.errors import ProviderError, UpstreamError, UpstreamTimeout
from gateway.extension import Extender
from gateway.health import Health
from gateway.meter import BYTES_PER_TOKEN
from gateway.money_errors import AnswerOutgrewHold
from gateway.running import Running
from gateway.trace import Trace
from gateway.treatment import TreatedStream
from gateway.upstream import UpstreamStream
from gateway.wire.joining import as_chunks
from gateway.wire.kept_answer import KeptAnswer
from gateway.wire.shapes import ChatAnswer, ChatChunk


class Call(Struct, frozen=True):
    """An admitted request, as the steps after admission share it."""

    trace: Trace
    delivery: Delivery
    running: Running
    request_body: bytes
    transcript: Transcript

    @property
    def is_by_thinker(self) -> bool:
        """Whether what is said is to be kept for the session's later requests."""
        return self.trace.target is not None and self.trace.target.is_thinker

    @property
    def thought(self) -> Transcript | None:
        """What was said, if it was a session's thinker who did."""
        return self.transcript if self.is_by_thinker else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Relay:
    """Passes answers on, whole or as streams."""

    extender: Extender
    health: Health
    bodies: BodyLog
    deadlines: Deadlines
    stream_total_timeout_seconds: float

    async def pass_on(self, answering: Answering | KeptAnswer, call: Call) -> None:
        """Send the answer to its end, metered and covered by its hold."""
        if isinstance(answering, KeptAnswer):
            await self._give_again(answering, call)
            return
        target = call.trace.target
        if target is not None and target.request is not None:
            call.running.meter.expect(
                prompt_tokens_estimate=target.request.prompt_tokens_estimate,
                least_searches=int(target.request.web_search),
            )
        if isinstance(answering, ChatAnswer):
            call.running.meter.observe_answer(answering)
            if call.trace.treatment is not None:
                answering = await call.trace.treatment.treated(answering)
            call.transcript.observe_answer(answering)
            call.trace.finish_reason = answering.choices[0].get("finish_reason") or ""
            await self.extender.covered(call.running, ())
            await call.delivery.send_answer(answering, call.running)
            self._note_health(call, ended_ms=call.trace.asked_at_ms + call.trace.attempts[-1].duration_ms)
            return
        begun_ms = call.trace.now_ms
        try:
            with self.deadlines.within(self.stream_total_timeout_seconds):
                async with aclosing(answering):
                    await self._pump(answering, call)
            self._note_health(call, ended_ms=call.trace.now_ms)
        except UpstreamError as error:
            assert call.trace.target is not None, "someone answers"
            self.health.note_failure(call.trace.target, has_answered=True)
            call.trace.note_break(error)
            raise
        except TimeoutError as exc:
            late = UpstreamTimeout("The stream took longer than one request may.")
            call.trace.note_break(late)
            raise late from exc
        finally:
            call.trace.step("stream", begun_ms)

    def _note_health(self, call: Call, *, ended_ms: float) -> None:
        trace, usage = call.trace, call.running.meter.reading().usage
        assert trace.target is not None, "someone answered"
        first_ms = trace.first_token_ms
        self.health.note_answer(
            trace.target,
            tokens=usage.output + usage.reasoning,
            answer_ms=ended_ms - trace.asked_at_ms,
            ttft_ms=None if first_ms is None else first_ms - trace.asked_at_ms,
        )

    async def _give_again(self, kept: KeptAnswer, call: Call) -> None:
        """A kept answer in the form that was asked for: nothing of it is metered."""
        answer, trace, delivery = kept.answer, call.trace, call.delivery
        assert trace.request is not None, "something was asked"
        call.transcript.observe_answer(answer)
        trace.finish_reason = answer.finish_reason
        if not trace.request.is_stream:
            await delivery.send_answer(answer, call.running)
            return
        rewriter = await delivery.start_stream(call.running)
        trace.first_token_ms = round(trace.now_ms, 3)
        await delivery.send_piece(b"".join(map(rewriter.feed, as_chunks(answer))), call.running)
        await delivery.finish_stream(rewriter, call.running)

    async def _pump(self, stream: UpstreamStream, call: Call) -> None:
        """Everything that arrived in one read leaves in one write."""
        trace, meter = call.trace, call.running.meter
        rewriter = await call.delivery.start_stream(call.running)
        is_held = isinstance(rewriter, TreatedStream) and rewriter.is_holding
        keeps_answer = (self.bodies.wants_response(trace) and not is_held) or call.is_by_thinker
        watermark_bytes = trace.output_cap_tokens * BYTES_PER_TOKEN
        async for chunks in stream.chunks():
            for chunk in chunks:
                if meter.observe(chunk) and trace.first_token_ms is None:
                    trace.first_token_ms = round(trace.now_ms, 3)
            covered: Sequence[ChatChunk] = chunks
            if meter.has_report or meter.answer_bytes > watermark_bytes:
                covered = await self.extender.covered(call.running, chunks)
            for chunk in covered if keeps_answer else ():
                call.transcript.observe(chunk)
            if data := b"".join(map(rewriter.feed, covered)):
                await call.delivery.send_piece(data, call.running)
            if covered is not chunks:
                raise AnswerOutgrewHold(held_nano=trace.held_nano)
        if not stream.has_ended and not rewriter.has_finish:
            raise ProviderError(f"The stream of {trace.provider} broke off before its end.")
        if isinstance(rewriter, TreatedStream):
            await self._send_rest(rewriter, call, is_held=is_held)
        trace.finish_reason = rewriter.finish_reason
        await call.delivery.finish_stream(rewriter, call.running)

    async def _send_rest(self, stream: TreatedStream, call: Call, *, is_held: bool) -> None:
        data = await stream.rest()
        if is_held and stream.answer is not None and self.bodies.wants_response(call.trace):
            call.transcript.observe_answer(stream.answer)
        if data:
            await call.delivery.send_piece(data, call.running)
