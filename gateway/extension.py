"""Extension: an answer that outgrows its hold comes to hold more, or is cut.

A hold covers every answer that keeps to its cap; that is what a sound bound means. A provider
that goes on beyond the cap is noticed at a watermark below the hold, and more is asked for beside
the stream: the same of all budgets, or of none (`extension.lua`). What the hold does not cover is not
passed on: such a read waits until more is held, and if there is no more, it is passed on up to
there and the stream ends. What is charged never exceeds what is held (`Trace.charge`), so the
read that was in flight cannot overshoot either.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from importlib.resources import files

import hiredis

from billing.usage import TokenUsage
from gateway.admission import hold_key, limit_nano_of
from gateway.counter_names import budget_id_of
from gateway.errors import GatewayError
from gateway.limits import Hold
from gateway.meter import Meter
from gateway.policy import Policy
from gateway.redis_pipeline import Argument, RedisAway, RedisPipeline, Script
from gateway.running import Running
from gateway.wire.shapes import ChatChunk, Reading

logger = logging.getLogger(__name__)

# Of an eighth that is left, a stream uses a little while Redis answers.
WATERMARK_EIGHTHS = 7
# An extension asks for half as much again, so an endless answer asks ever more rarely.
GROWTH_DIVISOR = 2

CurrentPolicy = Callable[[bytes], Awaitable[Policy | None]]

extension_script = Script(files("gateway").joinpath("extension.lua").read_text())


class Extender:
    """Sees to it that the holds of running requests cover what they have used."""

    def __init__(self, redis: RedisPipeline, *, current_policy: CurrentPolicy) -> None:
        self._redis = redis
        self._current_policy = current_policy
        self._asking: set[asyncio.Task[int]] = set()

    async def covered(self, running: Running, chunks: Sequence[ChatChunk]) -> Sequence[ChatChunk]:
        """Those of the chunks just metered that are covered: `chunks` itself while the hold is large enough.

        Costs nothing to ask below the cap. A report of usage beyond the hold leaves its chunks in
        place: what has been said is complete, and what it costs beyond the hold is not charged.
        """
        if not running.meter.has_report and not running.is_beyond_cap:
            return chunks
        while (missing_nano := running.uncovered_nano()) > 0:
            if await asyncio.shield(self._begin(running, wanted_nano=missing_nano)) <= 0:
                pieces = [piece for chunk in chunks for piece in chunk.apart()]
                kept = _covered(pieces, running)
                return chunks if len(kept) == len(pieces) else kept
        held_nano = running.trace.held_nano
        is_near = -missing_nano * 8 < held_nano * (8 - WATERMARK_EIGHTHS)
        if is_near and running.is_beyond_cap and running.refused_at_nano != held_nano:
            self._begin(running, wanted_nano=0)
        return chunks

    def _begin(self, running: Running, *, wanted_nano: int) -> "asyncio.Task[int]":
        """One extension at a time; it goes on when the request that waits for it is cancelled."""
        if running.extension is None:
            running.extension = asyncio.create_task(self._extend(running, wanted_nano=wanted_nano))
            self._asking.add(running.extension)
            running.extension.add_done_callback(self._asking.discard)
        return running.extension

    async def _extend(self, running: Running, *, wanted_nano: int) -> int:
        held_nano = running.trace.held_nano
        try:
            granted_nano = await self._ask(
                running.hold,
                limits_nano=await self._limits_nano(running),
                wanted_nano=max(wanted_nano, held_nano // GROWTH_DIVISOR),
                takes_wallet=not running.trace.is_own_credential,
            )
        except (RedisAway, hiredis.ReplyError) as exc:
            logger.warning("hold not extended", extra={"reason": str(exc)[:200]})
            granted_nano = 0
        finally:
            running.extension = None
        if granted_nano > 0:
            running.trace.hold_more(granted_nano)
        else:
            running.refused_at_nano = held_nano
        return granted_nano

    async def _limits_nano(self, running: Running) -> dict[str, int]:
        """The budgets' limits by id as they stand, since a long answer may outlive a change or a top-up."""
        policy = running.trace.policy
        assert policy is not None, "whoever holds something is known"
        try:
            current = await self._current_policy(policy.secret_hmac) or policy
        except GatewayError:
            current = policy
        scopes = (*current.scopes, *current.label_scopes)
        return {rule.id.hex: limit_nano_of(rule) for scope in scopes for rule in scope.budgets}

    async def _ask(
        self, hold: Hold, *, limits_nano: Mapping[str, int], wanted_nano: int, takes_wallet: bool
    ) -> int:
        keys = [hold_key(hold.shard, hold.request_id)]
        arguments: list[Argument] = [wanted_nano]
        for check in hold.checks:
            if check.kind in ("b", "w") and (takes_wallet or not check.is_wallet):
                keys.append(check.key)
                limit_nano = limits_nano.get(budget_id_of(check.key), check.limit_nano)
                arguments += [limit_nano, int(check.is_wallet)]
        return int(await extension_script.run(self._redis, keys, arguments))


def _covered(chunks: Sequence[ChatChunk], running: Running) -> Sequence[ChatChunk]:
    """The chunks before the first one whose text the hold does not cover."""
    counted, dropped = running.meter.count(), Meter(prompt_tokens_estimate=0)
    for position in range(len(chunks), 0, -1):
        if running.trace.uncovered_nano(_without(counted, dropped.tokens_at_least)) <= 0:
            return chunks[:position]
        dropped.observe(chunks[position - 1])
    return ()


def _without(counted: Reading, tokens: int) -> Reading:
    """The reading less so many tokens of output."""
    usage = counted.usage
    output = max(0, usage.output - tokens)
    reasoning = max(0, usage.reasoning - max(0, tokens - usage.output))
    rest = TokenUsage(input=usage.input, output=output, reasoning=reasoning)
    return Reading(rest, is_estimated=True, service_tier=counted.service_tier)
