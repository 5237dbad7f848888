"""The log for clients of Unify over real processes: from a completion to the page that shows it."""

import pytest

from accounts.permissions import Role
from accounts.services import set_body_logging
from tests.flows.calls import call, get, send, soon
from tests.house import Process, Team, apart, chat


async def boss_of(team: Team) -> str:
    """A key that may do whatever the team's owner may."""
    _, secret = await apart(team.new_key, role=Role.OWNER, issuer_role=Role.OWNER)
    return secret


@pytest.mark.contract("3.2 log_query_body, log_response_body")
@pytest.mark.contract("3.2 tags")
async def test_a_completion_is_found_by_its_tags_with_what_was_asked_and_answered(
    gateway: Process, worker: Process, team: Team
) -> None:
    await apart(set_body_logging, organization=team.organization, is_on=True)
    boss = await boss_of(team)
    body = chat("fake/echo", tags="maths,ada", signature="python", user="carol")

    await call(gateway, team.key, body)
    await call(gateway, team.key, chat("fake/echo", tags="maths", log_query_body=False))
    await apart(team.wait_for_events, 2)

    both = (await get(gateway, boss, "/v0/queries?tags=ada&tags=maths&endpoints=echo@fake")).json
    assert both["total_pages"] == 1
    (query,) = both["queries"]
    assert query["query_body"] == body
    assert query["response_body"]["choices"][0]["message"]["role"] == "assistant"
    assert (query["endpoint"], query["status_code"], query["signature"]) == ("echo@fake", 200, "python")
    assert query["credits"] > 0
    everything = (await get(gateway, boss, "/v0/queries/?tags=maths")).json["queries"]
    assert [bool(query["query_body"]) for query in everything] == [False, True]
    assert (await get(gateway, boss, "/v0/tags")).json == ["ada", "maths"]


@pytest.mark.contract("3.2 user")
async def test_metrics_of_a_user_count_their_calls_and_tokens(
    gateway: Process, worker: Process, team: Team
) -> None:
    await call(gateway, team.key, chat("fake/echo", user="carol"))
    await call(gateway, team.key, chat("fake/echo"))
    await apart(team.wait_for_events, 2)

    rows = (await get(gateway, team.key, "/v0/metrics?interval=86400&secondary_user_id=carol")).json

    assert [(row["request_count"], row["total_completion_tokens"]) for row in rows] == [(1, 8)]
    assert rows[0]["tokens_per_sec_p50"] == pytest.approx(8 / rows[0]["generation_time_p50"], rel=0.01)


async def test_a_reported_call_touches_no_budget_and_no_credit(
    gateway: Process, worker: Process, team: Team
) -> None:
    before = (await get(gateway, team.key, "/v0/credits")).json

    reply = await send(
        gateway,
        team.key,
        "POST",
        "/v0/queries",
        json={
            "endpoint": "llama@external",
            "query_body": {"messages": []},
            "response_body": {"usage": {"prompt_tokens": 10**6, "completion_tokens": 10**6}},
        },
    )

    assert (reply.status, reply.json) == (200, {"info": "Query logged successfully"})
    assert (await get(gateway, team.key, "/v0/credits")).json == before
    assert await apart(team.charged_usd) == 0
    (query,) = (await get(gateway, team.key, "/v0/queries")).json["queries"]
    assert (query["endpoint"], query["credits"], query["is_external"]) == ("llama@external", 0, True)


async def test_the_logging_switch_holds_for_the_next_calls(
    gateway: Process, worker: Process, team: Team
) -> None:
    boss = await boss_of(team)

    switched = await send(gateway, boss, "PATCH", "/v0/user/query-logging", json={"enabled": True})

    assert (switched.status, switched.json) == (200, {"enabled": True})

    async def is_text_kept() -> bool:
        await call(gateway, team.key, chat("fake/echo"))
        found = (await get(gateway, team.key, "/v0/queries")).json
        return any(query["query_body"] for query in found["queries"]) if found else False

    await soon(is_text_kept, "a query with its text")


@pytest.mark.parametrize("path", ["/v0/queries", "/v0/tags", "/v0/metrics", "/v0/user/query-logging"])
async def test_without_a_key_there_is_no_log(gateway: Process, path: str) -> None:
    reply = await get(gateway, "", path)

    assert (reply.status, reply.error["code"]) == (401, "invalid_api_key")
    assert "detail" in reply.json
