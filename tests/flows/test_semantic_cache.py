"""The semantic cache: the answer to a question that means the same, and what finding it costs."""

import uuid
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection

from gateway.models import ProviderConnection
from gateway.reuse_services import has_vectors, set_embedding_endpoint
from gateway.services import connect_provider
from tests.flows.calls import Reply, call, is_at_rest, send, soon
from tests.gateway.scripted_upstream import answering, scripted_upstream
from tests.house import House, Process, Team, apart, chat, new_team

PRICE_USD = Decimal("2.5")
ASKED = "please tell me the capital city of the lovely country of France today"
ALIKE = "please tell me the capital city of the lovely country of France now"
TOOLS = [{"type": "function", "function": {"name": "f"}}]
OTHER = "write a short poem about autumn leaves in the rain"


@pytest.fixture
async def likeness(gateway: Process, team: Team, house: House) -> Team:
    """A team whose organization has an embeddings endpoint, known to the gateway."""
    if not await apart(has_vectors):
        pytest.skip("this PostgreSQL has no pgvector")
    await apart(choose_embedder, team, house)
    await soon(lambda: is_compared(gateway, team), "the setting to reach the gateway")
    return team


async def is_compared(gateway: Process, team: Team) -> bool:
    reply = await ask(gateway, team, uuid.uuid4().hex, scope="warm")
    return "model_used" in debug(reply)


async def ask(
    gateway: Process,
    team: Team,
    text: str,
    *,
    scope: str = "a",
    threshold: str = "",
    model: str = "echo@fake",
    headers: dict[str, str] | None = None,
    **parameters: Any,
) -> Reply:
    headers = {"x_bf_cache_key": scope, "x_bf_cache_type": "semantic", **(headers or {})}
    if threshold:
        headers["x_bf_cache_threshold"] = threshold
    reply = await call(gateway, team.key, chat(model, text, **parameters), **headers)
    await soon(lambda: is_at_rest(gateway), "the answer to be settled and kept")
    return reply


def debug(reply: Reply) -> dict[str, Any]:
    whole = reply.headers["content-type"] == "application/json"
    last = reply.json if whole else reply.chunks[-1]
    return dict(last["extra_fields"].get("cache_debug", {}))


async def remembered(team: Team, count: int) -> None:
    async def are_there() -> bool:
        return bool(await apart(questions_of, team, "a") >= count)

    await soon(are_there, f"{count} questions to be remembered")


@pytest.mark.contract("3.3 Semantic cache")
@pytest.mark.parametrize("is_stream", [False, True])
async def test_a_question_that_means_the_same_gets_the_answer(
    *, is_stream: bool, gateway: Process, likeness: Team
) -> None:
    asked = await ask(gateway, likeness, ASKED)
    await remembered(likeness, 1)

    alike = await ask(gateway, likeness, ALIKE, stream=is_stream)
    other = await ask(gateway, likeness, OTHER)

    told = debug(alike)
    assert (told["cache_hit"], told["hit_type"], told["cache_id"]) == (
        True,
        "semantic",
        debug(asked)["cache_id"],
    )
    assert (told["provider_used"], told["model_used"], told["threshold"]) == ("own-embedder", "embedder", 0.8)
    assert 0.8 <= told["similarity"] < 1
    assert told["input_tokens"] == 19
    assert alike.headers["x-cache"] == "HIT"
    assert alike.headers["x-llmgateway-cache-match"] == "semantic"
    assert alike.headers["x-llmgateway-cache-similarity"].startswith("0.")
    assert (debug(other)["cache_hit"], "similarity" in debug(other)) == (False, False)


async def test_the_very_same_question_is_found_without_an_embedding(gateway: Process, likeness: Team) -> None:
    await ask(gateway, likeness, ASKED)

    again = await ask(gateway, likeness, ASKED)

    assert (debug(again)["hit_type"], "model_used" in debug(again)) == ("direct", False)


async def test_the_threshold_of_the_request_decides(gateway: Process, likeness: Team) -> None:
    await ask(gateway, likeness, ASKED)
    await remembered(likeness, 1)

    strict = await ask(gateway, likeness, ALIKE, threshold="0.999")

    assert (debug(strict)["cache_hit"], debug(strict)["threshold"]) == (False, 0.999)


async def test_an_embedding_is_a_call_of_its_own_and_the_hit_costs_nothing(
    gateway: Process, likeness: Team, worker: Process, house: House
) -> None:
    await ask(gateway, likeness, ASKED)
    await remembered(likeness, 1)
    alike = await ask(gateway, likeness, ALIKE)

    async def are_ingested() -> bool:
        return len(await apart(events_of, likeness, alike)) == 2

    await soon(are_ingested, "both events")
    embedding, hit = await apart(events_of, likeness, alike)

    assert (embedding.route, embedding.provider, embedding.model) == (
        "/embeddings",
        "own-embedder",
        "embedder",
    )
    assert (embedding.input_tokens, embedding.output_tokens, embedding.ending) == (19, 0, "completed")
    assert embedding.cost_usd == PRICE_USD * 19 / 1_000_000
    assert (embedding.charge_usd, embedding.is_own_credential) == (0, True)
    assert (hit.cache_hit, hit.cost_usd, hit.charge_usd) == ("semantic", 0, 0)
    billed = await apart(house.invoice, key="sk-embed")
    assert [line["prompt_tokens"] for line in billed if line["client_request_id"] == str(embedding.id)] == [
        19
    ]


async def test_other_parameters_scopes_instructions_and_headers_are_not_compared(
    gateway: Process, likeness: Team
) -> None:
    await ask(gateway, likeness, ASKED)
    await remembered(likeness, 1)
    system = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": ALIKE}]

    others = [
        await ask(gateway, likeness, ALIKE, temperature=0.5),
        await ask(gateway, likeness, ALIKE, scope="b"),
        await ask(gateway, likeness, ALIKE, messages=system),
        await ask(gateway, likeness, ALIKE, headers={"x_bf_eh_x_user": "b"}),
    ]

    assert [debug(reply)["cache_hit"] for reply in others] == [False] * 4


async def test_two_organizations_never_share_what_is_alike(
    gateway: Process, likeness: Team, house: House
) -> None:
    stranger = await apart(new_team)
    await apart(choose_embedder, stranger, house)
    await soon(lambda: is_compared(gateway, stranger), "the stranger's setting")
    await ask(gateway, likeness, ASKED)
    await remembered(likeness, 1)

    theirs = await ask(gateway, stranger, ALIKE)

    assert debug(theirs)["cache_hit"] is False
    assert "model_used" in debug(theirs)


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [
        (
            {"tools": [{"type": "function", "function": {"name": "f"}}]},
            "requests with tools are not compared",
        ),
        (
            {"messages": [{"role": "user", "content": "a"}] * 4},
            "conversations of more than 3 messages are not compared",
        ),
        (
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [{"type": "image_url", "image_url": {"url": "https://e.com/a"}}],
                    }
                ],
                "model": "vision@fake",
            },
            "only text is compared",
        ),
    ],
    ids=["tools", "long", "image"],
)
async def test_what_is_not_compared_says_why_and_pays_no_embedding(
    parameters: dict[str, Any], reason: str, gateway: Process, likeness: Team
) -> None:
    reply = await ask(gateway, likeness, ASKED, **parameters)

    assert reply.status == 200
    assert (debug(reply)["cache_hit"], debug(reply)["reason"]) == (False, reason)


async def test_without_an_endpoint_the_header_is_a_plain_miss(gateway: Process, team: Team) -> None:
    reply = await ask(gateway, team, ASKED)

    assert (reply.status, debug(reply)["cache_hit"]) == (200, False)
    assert debug(reply)["reason"] == "no embeddings endpoint is configured"


async def test_an_endpoint_that_fails_lets_the_request_go_on(
    gateway: Process, team: Team, house: House, worker: Process
) -> None:
    if not await apart(has_vectors):
        pytest.skip("this PostgreSQL has no pgvector")
    await apart(choose_embedder, team, house, "unknown-model")
    replies: list[Reply] = []

    async def is_tried() -> bool:
        replies.append(await ask(gateway, team, uuid.uuid4().hex))
        return debug(replies[-1])["reason"] == "the embeddings endpoint failed"

    await soon(is_tried, "the setting to reach the gateway")
    assert (replies[-1].status, debug(replies[-1])["cache_hit"]) == (200, False)

    async def are_ingested() -> bool:
        return len(await apart(events_of, team, replies[-1])) == 2

    await soon(are_ingested, "both events")
    failed, served = await apart(events_of, team, replies[-1])
    assert (failed.route, failed.ending, failed.cost_usd) == ("/embeddings", "upstream_error", 0)
    assert served.ending == "completed"


@pytest.mark.parametrize("status", [402, 429, 503])
async def test_an_endpoint_that_is_used_up_lets_the_request_go_on(
    status: int, gateway: Process, team: Team, house: House
) -> None:
    if not await apart(has_vectors):
        pytest.skip("this PostgreSQL has no pgvector")
    script = answering(b"HTTP/1.1 %d No\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}" % status)
    async with scripted_upstream(script) as endpoint:
        await apart(choose_embedder, team, house, base_url=endpoint.url)
        replies: list[Reply] = []

        async def is_tried() -> bool:
            replies.append(await ask(gateway, team, uuid.uuid4().hex))
            return replies[-1].status != 200 or "endpoint failed" in debug(replies[-1])["reason"]

        await soon(is_tried, "the setting to reach the gateway")

    assert (replies[-1].status, debug(replies[-1])["cache_hit"]) == (200, False)
    assert debug(replies[-1])["reason"] == "the embeddings endpoint failed"


async def test_without_pgvector_the_header_is_a_miss_that_says_so(
    house: House, likeness: Team, gateway: Process
) -> None:
    """The table is out of sight for the moment of one process: it asks before it pays for anything."""
    await apart(rename_table, "gateway_cachedquestion", "gateway_cachedquestion_away")
    try:
        bare = house.start_gateway()
        reply = await ask(bare, likeness, uuid.uuid4().hex)
        bare.stop()
    finally:
        await apart(rename_table, "gateway_cachedquestion_away", "gateway_cachedquestion")

    assert (reply.status, debug(reply)["cache_hit"]) == (200, False)
    assert debug(reply)["reason"] == "the database has no pgvector"


async def test_a_cleared_answer_is_not_found_by_likeness_either(gateway: Process, likeness: Team) -> None:
    asked = await ask(gateway, likeness, ASKED)
    await remembered(likeness, 1)
    await send(gateway, likeness.key, "DELETE", f"/api/cache/clear/{debug(asked)['cache_id']}")

    assert debug(await ask(gateway, likeness, ALIKE))["cache_hit"] is False


def choose_embedder(
    team: Team, house: House, model: str = "embedder", *, base_url: str = ""
) -> ProviderConnection:
    endpoint = connect_provider(
        organization=team.organization,
        provider="own-embedder",
        base_url=base_url or f"{house.simulator_url}/v1",
        api_key="sk-embed",
    )
    set_embedding_endpoint(
        organization=team.organization, connection=endpoint, model=model, usd_per_million=PRICE_USD
    )
    return endpoint


def questions_of(team: Team, scope: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM gateway_cachedquestion WHERE organization_id = %s", [team.organization.pk]
        )
        row = cursor.fetchone()
    # One is of the request that waited for the setting.
    return int(row[0]) - 1 if row else 0


def events_of(team: Team, reply: Reply) -> list[Any]:
    shown = reply.headers["x-request-id"]
    return sorted(
        (event for event in team.events() if event.request_id == shown),
        key=lambda event: event.route != "/embeddings",
    )


def rename_table(old: str, new: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {old} RENAME TO {new}")
