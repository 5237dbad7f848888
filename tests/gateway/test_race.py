"""Races leg by leg: who starts when, who wins, what becomes of the others and what they have used."""

import asyncio
import math
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest

from billing.pricing import cost_of
from billing.usage import TokenUsage
from gateway.errors import GatewayError, InvalidProviderResponse, ProviderError
from gateway.limits import Need
from gateway.providers.registry import provider_for
from gateway.race import Leg, has_output, legs_of, run_race, set_aside
from gateway.router import need_of
from gateway.routing.target import Target
from gateway.trace import Trace
from gateway.upstream import UpstreamStream
from gateway.wire.shapes import Attempt, ChatChunk
from tests.gateway.limits_bench import policy
from tests.gateway.shelf import Shelf, chosen, connection, offer, request

# Longer than any test; who waits for it waits for ever.
NEVER = 3_600.0
ROLE = {"role": "assistant", "content": ""}


def leg_target(provider: str, *, handicap: float = 0.0, is_leg: bool = True, **fields: Any) -> Target:
    shelf = Shelf([offer(provider, "m", 1_000_000, **fields)], [connection(provider)])
    (target,) = chosen(request(f"{provider}/m", max_tokens=10), shelf=shelf)
    return Target(
        **{name: getattr(target, name) for name in target.__struct_fields__}
        | {"is_race_leg": is_leg, "handicap_seconds": handicap}
    )


def trace_of(targets: list[Target]) -> Trace:
    trace = Trace(route="/v1", client_request_id="", user_agent="", source="", policy=policy())
    trace.request = request("m", max_tokens=10, stream=True)
    trace.need = need_of(trace.request, tuple(targets))
    return trace


class Provider:
    """A provider's stream, whose deltas come when a test lets them."""

    status, headers = 200, ()

    def __init__(self) -> None:
        self.is_closed = False
        self.is_leaving = asyncio.Event()
        self.may_leave = asyncio.Event()
        self.may_leave.set()
        self._deltas: asyncio.Queue[Any] = asyncio.Queue()

    def say(self, **delta: Any) -> "Provider":
        self._deltas.put_nowait({"choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
        return self

    def end(self) -> "Provider":
        self._deltas.put_nowait(None)
        return self

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while (delta := await self._deltas.get()) is not None:
            yield b"data: " + orjson.dumps({"id": "x", "created": 1, "model": "m", **delta}) + b"\n\n"

    async def aclose(self) -> None:
        self.is_leaving.set()
        await self.may_leave.wait()
        self.is_closed = True


@dataclass
class Track:
    """Where a race is run: each leg reads the stream of its provider, or fails as told."""

    providers: dict[str, Provider] = field(default_factory=dict)
    failures: dict[str, GatewayError] = field(default_factory=dict)
    started: list[str] = field(default_factory=list)
    starts: "asyncio.Queue[str]" = field(default_factory=asyncio.Queue)

    def provider(self, name: str) -> Provider:
        return self.providers.setdefault(name, Provider())

    async def start(self, leg: Leg) -> UpstreamStream:
        name = leg.target.provider
        self.started.append(name)
        self.starts.put_nowait(name)
        leg.trace.begin_attempt(leg.target)
        error_type: str | None = "request_cancelled"
        try:
            if name in self.failures:
                error_type = self.failures[name].code
                raise self.failures[name]
            kind = provider_for(leg.target.kind)
            stream = UpstreamStream(self.provider(name), kind, name=name, event_limit_bytes=10_000)
            try:
                await leg.wait_for_output(stream)
            except BaseException:
                await stream.aclose()
                raise
            error_type = None
            return stream
        except InvalidProviderResponse as error:
            error_type = error.code
            raise
        finally:
            attempt = Attempt(
                provider=name,
                model="m",
                status_code=200,
                error_type=error_type,
                succeeded=error_type is None,
                duration_ms=1.0,
            )
            leg.trace.end_attempt(attempt, leg.trace.now_ms)


def told(trace: Trace) -> dict[str, str | None]:
    return {attempt.provider: attempt.error_type for attempt in trace.attempts}


def lost(trace: Trace) -> dict[str, TokenUsage]:
    return {leg.trace.provider: leg.reading.usage for leg in trace.lost_legs}


async def raced(
    track: Track, targets: list[Target], trace: Trace, *, deadline: float = math.inf
) -> UpstreamStream:
    return await run_race(legs_of(targets, trace), trace, start=track.start, deadline=deadline)


async def begun(track: Track, number: int) -> None:
    for _ in range(number):
        await track.starts.get()


async def test_the_first_leg_that_says_something_answers_and_the_others_are_given_up() -> None:
    track, targets = Track(), [leg_target("a"), leg_target("b"), leg_target("c")]
    trace = trace_of(targets)
    track.provider("a").say(**ROLE).say(content=" \n")
    track.provider("b").say(**ROLE).say(content="so")

    stream = await raced(track, targets, trace)

    assert [chunk.choices[0]["delta"] for chunk in stream.waiting] == [ROLE, {"content": "so"}]
    assert (trace.provider, trace.was_sent) == ("b", True)
    assert told(trace) == {"a": "lost_race", "b": None, "c": "lost_race"}
    assert [attempt.provider for attempt in trace.attempts if attempt.succeeded] == ["b"]
    assert [track.provider(name).is_closed for name in "abc"] == [True, False, True]


async def test_what_a_loser_has_used_is_its_prompt_and_what_it_had_said() -> None:
    targets = [leg_target("a"), leg_target("b")]
    track, trace = Track(), trace_of(targets)
    racing = asyncio.create_task(raced(track, targets, trace))
    await begun(track, 2)
    track.provider("a").say(**ROLE).say(content="    ").say(content="    ")
    for _ in range(10):
        await asyncio.sleep(0)
    track.provider("b").say(content="so")

    await racing

    assert trace.request is not None
    prompt = trace.request.prompt_tokens_estimate
    assert lost(trace) == {"a": TokenUsage(input=prompt, output=2)}


async def test_of_two_that_speak_in_the_same_moment_the_other_is_closed_and_paid() -> None:
    targets = [leg_target("a"), leg_target("b")]
    track, trace = Track(), trace_of(targets)
    track.provider("a").say(content="from a")
    track.provider("b").say(content="from b")

    await raced(track, targets, trace)
    for _ in range(10):
        await asyncio.sleep(0)

    assert (trace.provider, told(trace)) == ("a", {"a": None, "b": "lost_race"})
    assert [attempt.succeeded for attempt in trace.attempts] == [True, False]
    assert lost(trace)["b"].output == 2
    assert (track.provider("a").is_closed, track.provider("b").is_closed) == (False, True)


async def test_the_largest_handicap_starts_at_once_and_the_others_wait_for_the_difference() -> None:
    targets = [leg_target("none"), leg_target("most", handicap=NEVER), leg_target("some", handicap=10.0)]
    track, trace = Track(), trace_of(targets)
    track.provider("most").say(content="so")

    await raced(track, targets, trace)

    assert track.started == ["most"]
    assert (told(trace), lost(trace)) == ({"most": None}, {})
    starts = [leg.starts_after_seconds for leg in legs_of(targets, trace)]
    assert starts == [0.0, NEVER - 10.0, NEVER]


async def test_a_leg_that_waits_starts_when_its_time_has_come() -> None:
    targets = [leg_target("late"), leg_target("early", handicap=0.05)]
    track, trace = Track(), trace_of(targets)
    track.provider("late").say(content="so")

    await raced(track, targets, trace)

    assert (track.started, trace.provider) == (["early", "late"], "late")


async def test_an_early_failure_starts_all_the_rest() -> None:
    targets = [leg_target("a", handicap=NEVER), leg_target("b"), leg_target("c")]
    track, trace = Track(failures={"a": ProviderError("no")}), trace_of(targets)
    track.provider("c").say(tool_calls=[{"index": 0}])

    await raced(track, targets, trace)

    assert track.started == ["a", "b", "c"]
    assert told(trace) == {"a": "provider_error", "b": "lost_race", "c": None}
    assert lost(trace).keys() == {"b"}


async def test_a_failure_starts_nobody_when_the_time_for_the_race_is_over() -> None:
    targets = [leg_target("a", handicap=NEVER), leg_target("b"), leg_target("c")]
    track, trace = Track(failures=dict.fromkeys("abc", ProviderError("no"))), trace_of(targets)

    with pytest.raises(ProviderError):
        await raced(track, targets, trace, deadline=asyncio.get_running_loop().time())

    assert track.started == ["a"]
    assert (told(trace), lost(trace)) == ({"a": "provider_error"}, {})


async def test_when_all_fail_the_last_failure_is_raised_and_nothing_is_owed() -> None:
    targets = [leg_target("a"), leg_target("b")]
    track, trace = Track(failures={"a": ProviderError("a"), "b": ProviderError("b")}), trace_of(targets)

    with pytest.raises(ProviderError):
        await raced(track, targets, trace)

    assert told(trace) == {"a": "provider_error", "b": "provider_error"}
    assert (lost(trace), trace.was_sent) == ({}, False)


async def test_a_leg_that_ends_without_a_word_is_paid_and_does_not_win() -> None:
    targets = [leg_target("mute"), leg_target("b")]
    track, trace = Track(), trace_of(targets)
    track.provider("mute").say(**ROLE).end()
    racing = asyncio.create_task(raced(track, targets, trace))
    await begun(track, 2)
    for _ in range(10):
        await asyncio.sleep(0)
    track.provider("b").say(content="so")

    await racing

    assert told(trace) == {"mute": "invalid_provider_response", "b": None}
    assert lost(trace).keys() == {"mute"}


async def test_a_client_that_leaves_before_anyone_spoke_pays_every_leg_that_was_started() -> None:
    targets = [leg_target("a", handicap=NEVER), leg_target("b", handicap=NEVER), leg_target("c")]
    track, trace = Track(), trace_of(targets)
    racing = asyncio.create_task(raced(track, targets, trace))
    await begun(track, 2)

    racing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await racing

    assert lost(trace).keys() == {"a", "b"}
    assert told(trace) == {"a": "request_cancelled", "b": "request_cancelled"}
    assert trace.was_sent is False
    assert (track.provider("a").is_closed, track.provider("b").is_closed) == (True, True)


async def test_a_client_that_leaves_while_losers_say_farewell_leaves_no_stream_open() -> None:
    targets = [leg_target("a"), leg_target("b")]
    track, trace = Track(), trace_of(targets)
    track.provider("a").may_leave.clear()
    track.provider("b").say(content="so")
    racing = asyncio.create_task(raced(track, targets, trace))
    await track.provider("a").is_leaving.wait()

    racing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await racing

    assert track.provider("b").is_closed
    assert (trace.provider, trace.was_sent, told(trace)) == ("b", True, {"b": None})
    assert lost(trace).keys() == {"a"}
    track.provider("a").may_leave.set()


@pytest.mark.parametrize(
    ("delta", "is_output"),
    [
        ({"content": "a"}, True),
        ({"reasoning_content": "hm"}, True),
        ({"reasoning": "hm"}, True),
        ({"refusal": "no"}, True),
        ({"tool_calls": [{"index": 0}]}, True),
        ({"audio": {"data": "xx"}}, True),
        ({"content": " \n\t"}, False),
        ({"content": None}, False),
        ({"reasoning": "  "}, False),
        ({"tool_calls": []}, False),
        (ROLE, False),
        ({}, False),
    ],
    ids=str,
)
def test_blanks_and_roles_win_no_race(delta: dict[str, Any], *, is_output: bool) -> None:
    assert has_output(ChatChunk([{"index": 0, "delta": delta}])) is is_output


def test_a_race_needs_what_all_its_legs_may_cost_and_what_follows_it_besides() -> None:
    asked = request("m", max_tokens=10)
    a, b = leg_target("a"), leg_target("b")
    c, d = leg_target("c", is_leg=False), leg_target("d", is_leg=False)
    one = need_of(asked, (a,))

    def times(number: int) -> Need:
        return Need(one.budget_nano * number, one.wallet_nano * number, one.tokens * number)

    assert need_of(asked, (a, b)) == times(2)
    assert need_of(asked, (c, d)) == times(1)
    assert need_of(asked, (a, b, c, d)) == times(3)


async def test_each_leg_may_use_its_own_share_and_what_follows_the_rest() -> None:
    targets = [leg_target("a"), leg_target("b"), leg_target("after", is_leg=False)]
    track, trace = Track(), trace_of(targets)
    share_nano = need_of(request("m", max_tokens=10), (targets[0],)).budget_nano
    set_aside(targets, trace)
    trace.target = targets[2]
    assert (trace.need and trace.need.budget_nano, trace.held_nano) == (3 * share_nano, share_nano)
    track.provider("b").say(content="so")

    await raced(track, targets[:2], trace)

    assert trace.held_nano == share_nano
    trace.hold_more(500)
    assert trace.held_nano == share_nano + 500
    (loser,) = trace.lost_legs
    assert loser.trace.held_nano == share_nano


async def test_every_leg_has_an_event_of_its_own_at_the_price_of_its_own_usage() -> None:
    targets = [leg_target("a"), leg_target("b")]
    track, trace = Track(), trace_of(targets)
    track.provider("b").say(content="so")
    await raced(track, targets, trace)

    event = trace.event(status=200, ending="completed")
    again = trace.event(status=200, ending="completed")

    (leg,) = event["legs"]
    usage = TokenUsage(input=trace.request.prompt_tokens_estimate if trace.request else 0)
    assert (leg["provider"], leg["ending"], leg["status"]) == ("a", "race_leg", 499)
    assert leg["charge_nano"] == cost_of(usage, targets[0].price).total_nano > 0
    assert leg["parameters"]["race_of"] == str(trace.request_id)
    assert leg["id"] == again["legs"][0]["id"] != event["id"]
    assert [attempt["error_type"] for attempt in leg["attempts"]] == ["request_cancelled"]


async def test_the_time_of_a_race_is_not_ours() -> None:
    targets = [leg_target("a"), leg_target("b")]
    track, trace = Track(), trace_of(targets)
    begun_ms = trace.now_ms

    with trace.waiting("race"):
        track.provider("a").say(content="so")
        await raced(track, targets, trace)

    assert trace.upstream_ms > 0
    assert [name for name, *_ in trace.timeline if name == "race"] == ["race"]
    assert trace.upstream_ms <= trace.now_ms - begun_ms
