"""Response healing through the door: what the client reads, what the log says, and what is paid."""

import base64
from decimal import Decimal
from typing import Any

import pytest

from tests.flows.calls import Reply, call
from tests.house import House, Process, Team, apart, chat

PLUGINS = [{"id": "response-healing"}]
JSON_MODE = {"type": "json_object"}


def says(text: str, **parameters: Any) -> dict[str, Any]:
    """A request that the simulator answers with this text."""
    encoded = base64.urlsafe_b64encode(text.encode()).decode()
    return chat("echo@fake", f"[[say {encoded}]]", **parameters)


def content(reply: Reply) -> str:
    return str(reply.json["choices"][0]["message"]["content"])


@pytest.mark.contract("3.2 plugins response-healing")
@pytest.mark.contract("3.3 Response healing")
@pytest.mark.parametrize(
    ("written", "read", "method"),
    [
        ('Here it is:\n```json\n{"a": 1}\n```', '{"a": 1}', "markdown_extraction"),
        ('Sure: {"a": 1}. Bye', '{"a": 1}', "mixed_content_extraction"),
        ('{"a": 1,}', '{"a": 1}', "syntax_fix"),
        ('{"a": [1, 2', '{"a": [1, 2]}', "truncation_completion"),
        ('```json\n{"a": [1, 2', '{"a": [1, 2]}', "combined_strategies"),
    ],
)
async def test_a_damaged_answer_is_healed_whole_and_streamed(
    written: str, read: str, method: str, gateway: Process, team: Team
) -> None:
    body = says(written, response_format=JSON_MODE, plugins=PLUGINS)

    whole = await call(gateway, team.key, body)
    streamed = await call(gateway, team.key, {**body, "stream": True})

    assert content(whole) == read
    assert whole.json["metadata"]["healing"] == {"applied": True, "method": method}
    assert (streamed.text, streamed.is_done) == (read, True)
    spoken = [chunk for chunk in streamed.chunks if any(c["delta"].get("content") for c in chunk["choices"])]
    assert len(spoken) == 1
    assert streamed.chunks[-1]["metadata"]["healing"] == {"applied": True, "method": method}


async def test_valid_json_is_left_alone_and_told_so(gateway: Process, team: Team) -> None:
    written = '{"a": 1 }   '

    reply = await call(gateway, team.key, says(written, response_format=JSON_MODE, plugins=PLUGINS))

    assert content(reply) == written
    assert reply.json["metadata"]["healing"] == {"applied": False, "method": None}


@pytest.mark.parametrize(
    "without",
    [
        {"plugins": PLUGINS},
        {"plugins": PLUGINS, "response_format": {"type": "text"}},
        {"plugins": PLUGINS, "response_format": JSON_MODE, "n": 2},
        {"response_format": JSON_MODE},
    ],
    ids=["no format", "text", "two choices", "no plugin"],
)
async def test_nothing_is_healed_where_it_was_not_asked_for_or_cannot_be(
    without: dict[str, Any], gateway: Process, team: Team
) -> None:
    reply = await call(gateway, team.key, says('{"a": 1,}   ', **without))

    assert content(reply) == '{"a": 1,}   '
    assert "healing" not in reply.json["metadata"]


async def test_calls_of_tools_pass_through_healing_as_they_are(gateway: Process, team: Team) -> None:
    tools = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]
    body = chat("echo@fake", "[[call]]", tools=tools, response_format=JSON_MODE, plugins=PLUGINS)

    plain = await call(gateway, team.key, {**body, "plugins": None})
    streamed = await call(gateway, team.key, {**body, "stream": True})

    deltas = [choice["delta"] for chunk in streamed.chunks for choice in chunk["choices"]]
    [called] = [each for delta in deltas for each in delta.get("tool_calls") or ()]
    [wanted] = plain.json["choices"][0]["message"]["tool_calls"]
    assert called["function"] == wanted["function"]
    assert streamed.chunks[-1]["choices"][0]["finish_reason"] == "tool_calls"


async def test_healing_costs_what_the_provider_billed_and_is_logged(
    gateway: Process, team: Team, worker: Process, house: House
) -> None:
    body = says('{"a": 1,}', response_format=JSON_MODE)
    await call(gateway, team.key, {**body, "stream": True})
    healed = await call(gateway, team.key, {**body, "plugins": PLUGINS, "stream": True})

    plain_event, event = await apart(team.wait_for_events, 2)

    assert event.charge_usd == plain_event.charge_usd > Decimal(0)
    assert (event.output_tokens, event.ending) == (3, "completed")
    assert event.parameters["healing"] == "syntax_fix"
    [billed] = await apart(house.invoice, client_request_id=healed.headers["x-request-id"])
    assert billed["completion_tokens"] == 3


async def test_a_stream_that_breaks_while_it_is_held_back_still_gives_what_came(
    gateway: Process, team: Team
) -> None:
    written = base64.urlsafe_b64encode(b'{"a": [1, 2, 3, 4], "b": 5}').decode()
    body = chat("echo@fake", f"[[say {written}]] [[cut 3]]", response_format=JSON_MODE, plugins=PLUGINS)

    broken = await call(gateway, team.key, {**body, "stream": True})

    assert broken.text == '{"a": [1, 2,'
    assert broken.blocks[-2].startswith(b"event: error")
    assert broken.is_done
