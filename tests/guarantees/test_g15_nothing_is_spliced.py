"""G15: before the first byte a failover cannot be seen, after it nothing is spliced. All is recorded."""

import asyncio
import uuid
from collections.abc import Awaitable
from typing import Any

import pytest

from tests.flows.calls import MOUNTS, Reply, call
from tests.house import House, Process, Team, apart, chat

pytestmark = [pytest.mark.guarantee, pytest.mark.contract("3.3 Ordered fallback", "3.3 Retry policy")]

FAULTS = [
    "[[status 500]]",
    "[[status 429]]",
    "[[status 401]]",
    "[[html]]",
    "[[empty]]",
    "[[cut]]",
]
IN_STREAMS = ["[[error 0]]", "[[garbage 0]]", "[[truncated 0]]"]
FIRST, SECOND = "fifty-two@fake", "echo@fake"
SCHEMA = {"type": "object", "properties": {"city": {"type": "string", "minLength": 60}}, "required": ["city"]}
TOOL = {"type": "function", "function": {"name": "get_weather", "parameters": SCHEMA}}


def named_apart(**fields: Any) -> Any:
    return chat(FIRST, fallbacks=[SECOND]) | fields


def in_a_chain(**fields: Any) -> Any:
    return chat(f"{FIRST}->{SECOND}") | fields


def with_a_bar(**fields: Any) -> Any:
    return chat(f"{FIRST}|{SECOND}") | fields


WAYS = {"fallbacks": named_apart, "->": in_a_chain, "|": with_a_bar}


@pytest.mark.parametrize("mount", MOUNTS)
@pytest.mark.parametrize("is_stream", [False, True])
@pytest.mark.parametrize("way", WAYS)
async def test_before_the_first_byte_it_cannot_be_seen(
    way: str, mount: str, *, is_stream: bool, gateway: Process, team: Team
) -> None:
    faults = FAULTS + IN_STREAMS * is_stream
    said = {fault: f"[[fail once {uuid.uuid4().hex}]] {fault}" for fault in faults}

    failed_over = await together(
        {
            fault: call(gateway, team.key, WAYS[way](messages=user(text), stream=is_stream), mount=mount)
            for fault, text in said.items()
        }
    )
    direct = await together(
        {
            fault: call(gateway, team.key, chat(SECOND, text, stream=is_stream), mount=mount)
            for fault, text in said.items()
        }
    )

    assert {fault: seen(it) for fault, it in failed_over.items()} == {
        fault: seen(it) for fault, it in direct.items()
    }
    routes = {fault: tuple(route_of(it)) for fault, it in failed_over.items()}
    assert set(routes.values()) == {(("fifty-two", False), ("echo", True))}
    assert {tuple(route_of(it)) for it in direct.values()} == {(("echo", True),)}


@pytest.mark.parametrize("way", WAYS)
async def test_after_it_the_stream_ends_where_it_broke(
    way: str, house: House, gateway: Process, worker: Process, team: Team
) -> None:
    breaks = {f"[[cut {place}]]": place for place in (1, 2, 7, 51)}

    streams = await together(
        {fault: call(gateway, team.key, WAYS[way](messages=user(fault), stream=True)) for fault in breaks}
    )

    for fault, place in breaks.items():
        stream = streams[fault]
        assert stream.text == "".join(f"w{number:02d} " for number in range(1, place + 1)), fault
        assert [fault for chunk in stream.chunks if "error" in chunk] == [fault]
        assert "error" in stream.chunks[-1]
        assert stream.is_done
        assert {chunk["model"] for chunk in stream.chunks} == {FIRST}
    events = {str(event.id): event for event in await apart(team.wait_for_events, len(breaks))}
    for stream in streams.values():
        event_id = stream.headers["x-farebox-event-id"]
        lines = await asyncio.to_thread(house.invoice, client_request_id=event_id)
        assert [line["model"] for line in lines] == ["fifty-two"]
        assert [attempt["model"] for attempt in events[event_id].attempts] == ["fifty-two"]
        assert events[event_id].ending == "upstream_error"


async def test_a_tool_call_that_breaks_is_not_ended_by_another_model(gateway: Process, team: Team) -> None:
    body = chat("tools@fake", "[[cut 3]]", tools=[TOOL], fallbacks=["tools@fake", SECOND], stream=True)

    stream = await call(gateway, team.key, body)

    calls = [
        part
        for chunk in stream.chunks
        for choice in chunk["choices"]
        for part in choice["delta"].get("tool_calls") or ()
    ]
    arguments = "".join(part["function"].get("arguments") or "" for part in calls)
    assert len({part["id"] for part in calls if part.get("id")}) == 1
    assert 0 < len(arguments) <= 12
    assert not arguments.endswith("}")
    assert stream.text == ""
    assert ("error" in stream.chunks[-1], stream.is_done) == (True, True)


def user(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


async def together(calls: dict[str, Awaitable[Reply]]) -> dict[str, Reply]:
    return dict(zip(calls, await asyncio.gather(*calls.values()), strict=True))


def is_stream_of(answer: Reply) -> bool:
    return answer.headers["content-type"].startswith("text/event-stream")


def seen(answer: Reply) -> Any:
    """All that a client reads but ids, times and the story of the attempts."""
    if not is_stream_of(answer):
        return [answer.status, *map(without_story, [answer.json])]
    return [answer.status, answer.is_done, *map(without_story, answer.chunks)]


def without_story(document: dict[str, Any]) -> dict[str, Any]:
    hidden = ("id", "created", "metadata", "extra_fields")
    return {name: value for name, value in document.items() if name not in hidden}


def route_of(answer: Reply) -> list[tuple[str, bool]]:
    last = answer.chunks[-1] if is_stream_of(answer) else answer.json
    return [(attempt["model"], attempt["succeeded"]) for attempt in last["metadata"]["routing"]]
