"""Comments while a stream is silent: inside it, in a race, and, after longer, before its first event."""

import pytest

from tests.flows.calls import call
from tests.house import House, Process, Team, apart, chat

ECHO = "w01 w02 w03 w04 w05 w06 w07 w08 "
COMMENT = b": keep-alive\n\n"


@pytest.fixture(scope="module")
def talkative(house: House) -> Process:
    """A gateway that comments on a third of a second of silence, and on two thirds before a first event."""
    return house.start_gateway(
        FAREBOX_STREAM_KEEP_ALIVE_SECONDS="0.3",
        FAREBOX_STREAM_HEAD_AFTER_SECONDS="0.6",
        FAREBOX_STREAM_GAP_TIMEOUT_SECONDS="2.5",
    )


async def test_a_silent_stream_says_that_it_lives_and_reads_as_if_it_had_not(
    talkative: Process, team: Team
) -> None:
    stream = await call(talkative, team.key, chat("echo@fake", "[[tokens 2]] [[pace 900]]", stream=True))

    assert (stream.status, stream.text, stream.is_done) == (200, "w01 w02 ", True)
    assert COMMENT in stream.body
    # A comment stands between events, never inside of one.
    assert {block.partition(b":")[0] for block in stream.blocks} == {b"data"}


async def test_before_its_first_event_a_stream_that_takes_long_gets_its_head(
    talkative: Process, team: Team
) -> None:
    stream = await call(talkative, team.key, chat("echo@fake", "[[delay 1500]]", stream=True))

    assert stream.body.startswith(COMMENT)
    assert (stream.text, stream.is_done) == (ECHO, True)
    assert stream.headers["content-type"].startswith("text/event-stream")
    assert stream.headers["x-request-id"]
    # Waiting for a provider is none of our overhead.
    assert float(stream.headers["x-farebox-overhead-ms"]) < 500
    assert stream.chunks[-1]["model"] == "echo@fake"


async def test_a_failure_before_the_head_has_its_status_and_after_it_an_event(
    talkative: Process, worker: Process, team: Team
) -> None:
    early = await call(talkative, team.key, chat("echo@fake", "[[status 503]]", stream=True))
    late = await call(talkative, team.key, chat("echo@fake", "[[delay 60000]]", stream=True))

    assert (early.status, early.error["code"]) == (502, "provider_error")
    assert (late.status, late.is_done) == (200, True)
    assert late.body.startswith(COMMENT)
    assert late.chunks[-1]["error"]["code"] == "timeout"
    events = await apart(team.wait_for_events, 2)
    assert [(event.status, event.charge_usd) for event in events] == [(502, 0), (504, 0)]


async def test_a_fallback_answers_behind_a_head_that_is_out(talkative: Process, team: Team) -> None:
    name = f"late-{team.organization.pk.hex}"
    body = chat("late@fake", "hello", fallbacks=["echo@fake"], stream=True, metadata={"name": name})

    stream = await call(talkative, team.key, body)

    assert stream.body.startswith(COMMENT)
    assert (stream.text, stream.chunks[-1]["model"]) == (ECHO, "echo@fake")


async def test_who_waits_for_a_race_is_told_sooner(talkative: Process, team: Team) -> None:
    body = chat("[handicap=2]late@fake!echo@fake?top_p=1", "[[delay 100]]", stream=True)

    stream = await call(talkative, team.key, body)

    assert stream.body.startswith(COMMENT)
    assert (stream.text, stream.is_done) == (ECHO, True)


async def test_an_answer_that_is_no_stream_gets_no_comment(talkative: Process, team: Team) -> None:
    answer = await call(talkative, team.key, chat("echo@fake", "[[delay 1500]]"))

    assert answer.status == 200
    assert answer.body.startswith(b"{")
