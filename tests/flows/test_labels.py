"""Labels of requests and the switches of the log, as a client sets them and the owner finds them."""

import uuid

import pytest

from accounts.services import set_body_logging, set_project_body_logging
from analytics.conversation import open_bodies
from billing.selectors import bodies_of
from tests.flows.calls import call
from tests.house import Process, Team, apart, chat


@pytest.mark.contract("3.2 session_id, agent (body)")
@pytest.mark.contract("3.2 signature")
@pytest.mark.contract("3.2 tags")
@pytest.mark.contract("3.2 user")
async def test_what_a_client_says_of_a_request_stands_in_its_event(
    gateway: Process, worker: Process, team: Team
) -> None:
    reply = await call(
        gateway,
        team.key,
        chat("fake/echo", tags="blue, red,blue", signature="python", user="carol", metadata={"order": "7"}),
        x_session_id="s-1",
        x_client_agent="crew",
        x_source="https://www.example.com/app?token=secret",
        x_llmgateway_plan="pro",
        x_bf_prom_team="search",
    )

    event = await apart(team.only_event)
    assert reply.status == 200
    assert reply.json["metadata"]["tags"] == ["blue", "red"]
    assert (event.session_id, event.agent, event.source) == ("s-1", "crew", "example.com/app")
    assert (event.signature, event.end_user, event.tags) == ("python", "carol", ["blue", "red"])
    assert event.metadata == {"order": "7", "plan": "pro", "team": "search"}


@pytest.mark.contract("3.2 session_id, agent (body)")
async def test_a_request_without_labels_has_its_user_agent_and_no_session(
    gateway: Process, worker: Process, team: Team
) -> None:
    await call(gateway, team.key, chat("fake/echo"), user_agent="curl/8.9")

    event = await apart(team.only_event)
    assert (event.session_id, event.agent, event.source, event.signature) == ("", "curl/8.9", "", "")
    assert (event.metadata, event.tags) == ({}, [])


async def test_who_is_refused_stands_in_their_session(gateway: Process, worker: Process, team: Team) -> None:
    await call(
        gateway,
        team.key,
        chat("fake/echo", temperature=9),
        x_session_id="s-1",
        x_agent="crew",
        x_source="app",
    )

    event = await apart(team.only_event)
    assert (event.status, event.session_id, event.agent, event.source) == (400, "s-1", "crew", "app")


@pytest.mark.parametrize(
    ("header", "value"),
    [("x_source", "<b>"), ("x_session_id", "s" * 257), ("x_llmgateway_" + "n" * 65, "1")],
)
async def test_a_label_that_cannot_be_kept_is_refused_and_costs_nothing(
    gateway: Process, worker: Process, team: Team, header: str, value: str
) -> None:
    reply = await call(gateway, team.key, chat("fake/echo"), **{header: value})

    event = await apart(team.only_event)
    assert (reply.status, reply.error["param"]) == (400, header.replace("_", "-"))
    assert (event.status, event.ending, event.charge_usd) == (400, "refused", 0)


@pytest.mark.contract("3.2 log_query_body, log_response_body")
@pytest.mark.parametrize(
    ("fields", "headers", "kept"),
    [
        ({}, {}, (True, True)),
        ({"log_response_body": False}, {}, (True, False)),
        ({"log_query_body": False}, {}, (False, False)),
        ({}, {"x_bf_disable_content_logging": "true"}, (False, False)),
        ({"log_query_body": True}, {"x_bf_disable_content_logging": "true"}, (False, False)),
    ],
)
async def test_text_is_stored_only_where_the_request_allows_it(
    gateway: Process,
    worker: Process,
    team: Team,
    fields: dict[str, bool],
    headers: dict[str, str],
    kept: tuple[bool, bool],
) -> None:
    await apart(set_body_logging, organization=team.organization, is_on=True)

    await call(gateway, team.key, chat("fake/echo", **fields), **headers)

    assert await apart(kept_text, team) == kept


async def test_a_project_keeps_its_text_out_of_an_organization_that_stores_it(
    gateway: Process, worker: Process, team: Team
) -> None:
    await apart(set_body_logging, organization=team.organization, is_on=True)
    await apart(set_project_body_logging, project=team.somebody.project, is_on=False)

    await call(gateway, team.key, chat("fake/echo", str(uuid.uuid4())))

    assert await apart(kept_text, team) == (False, False)


def kept_text(team: Team) -> tuple[bool, bool]:
    bodies = open_bodies(team.organization, bodies_of(team.only_event()))
    return bool(bodies and bodies.request), bool(bodies and bodies.response)
