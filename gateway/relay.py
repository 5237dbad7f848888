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
from gateway.upstream import UpstreamStream
from gateway.wire.shapes import ChatAnswer, ChatChunk


class Call(Struct, frozen=True):
    """An admitted request, as the steps after admission share it."""

    trace: Trace
    delivery: Delivery
    running: Running
    request_body: bytes
    transcript: Transcript


@dataclass(frozen=True, slots=True, kw_only=True)
class Relay:
    """Passes answers on, whole or as streams."""

    extender: Extender
    health: Health
    bodies: BodyLog
    deadlines: Deadlines
    stream_total_timeout_seconds: float

    async def pass_on(self, answering: Answering, call: Call) -> None:
        """Send the answer to its end, metered and covered by its hold."""
        if isinstance(answering, ChatAnswer):
            call.running.meter.observe_answer(answering)
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
        except UpstreamError:
            assert call.trace.target is not None, "someone answers"
            self.health.note_failure(call.trace.target, has_answered=True)
            raise
        except TimeoutError as exc:
            raise UpstreamTimeout("The stream took longer than one request may.") from exc
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

    async def _pump(self, stream: UpstreamStream, call: Call) -> None:
        """Everything that arrived in one read leaves in one write."""
        trace, meter = call.trace, call.running.meter
        rewriter = await call.delivery.start_stream(call.running)
        keeps_answer = self.bodies.wants_response(trace)
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
        trace.finish_reason = rewriter.finish_reason
        await call.delivery.finish_stream(rewriter, call.running)
