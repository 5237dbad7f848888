"""Which models, providers and credit a key is told of, in the shapes that each kind of client reads."""

from decimal import Decimal

import pytest

from accounts.services import create_project, issue_key
from gateway.services import connect_provider, declare_model
from tests.flows.calls import call, get, soon
from tests.house import House, Process, Team, apart, chat, new_team

OPENAI_LISTS = (
    "/v1/models",
    "/openai/v1/models",
    "/api/v1/models",
    "/api/v1/chat/models",
    "/v1/chat/models",
    "/v0/models?format=openai",
)
SIMULATED = {
    "echo",
    "ten-chunks",
    "fifty-two",
    "slow",
    "late",
    "long",
    "reasoner",
    "tools",
    "vision",
    "free",
    "tiered",
    "every-unit",
}


@pytest.mark.contract("3.1 Model list")
@pytest.mark.parametrize("path", OPENAI_LISTS)
async def test_every_list_for_openai_clients_is_the_same(path: str, gateway: Process, team: Team) -> None:
    answer = await get(gateway, team.key, path)
    reference = await get(gateway, team.key, "/v1/models")

    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    assert (answer.json["object"], answer.json) == ("list", reference.json)
    assert {model["id"] for model in answer.json["data"]} >= SIMULATED


async def test_a_model_tells_all_that_any_client_looks_for(gateway: Process, team: Team) -> None:
    answer = await get(gateway, team.key, "/v1/models/echo")

    model = answer.json
    provider = model["providers"][0]
    assert (model["id"], model["object"], model["owned_by"], model["name"]) == (
        "echo",
        "model",
        "fake",
        "Echo",
    )
    assert (model["context_length"], model["context_window"]) == (128_000, 128_000)
    assert model["max_output_tokens"] == 4_096
    assert (model["free"], model["deprecated_at"]) == (False, None)
    assert Decimal(model["pricing"]["prompt"]) == Decimal("0.000001")
    assert Decimal(model["pricing"]["completion"]) == Decimal("0.000002")
    assert {"temperature", "tools", "response_format"} <= set(model["supported_parameters"])
    assert model["architecture"]["input_modalities"] == ["text", "image"]
    assert (provider["providerId"], provider["modelName"]) == ("fake", "echo")


@pytest.mark.parametrize("path", ["/v1/models", "/openai/v1/models", "/api/v1/models", "/v0/models"])
@pytest.mark.parametrize(
    "name", ["echo", "fake/echo", "echo@fake", "fake:echo", "fake%2Fecho", "echo%40fake", "fake/echo/"]
)
async def test_one_model_is_found_by_each_of_its_names(
    name: str, path: str, gateway: Process, team: Team
) -> None:
    answer = await get(gateway, team.key, f"{path}/{name}")

    assert (answer.status, answer.json["id"], answer.json["owned_by"]) == (200, "echo", "fake")


@pytest.mark.parametrize("name", ["nothing", "fake/nothing", "echo@nobody", "openai/echo", "echo/fake"])
async def test_a_model_that_is_not_there_is_404(name: str, gateway: Process, team: Team) -> None:
    answer = await get(gateway, team.key, f"/v1/models/{name}")

    assert (answer.status, answer.error["code"]) == (404, "model_not_found")
    assert answer.headers["x-request-id"]


async def test_a_free_model_says_so(gateway: Process, team: Team) -> None:
    answer = await get(gateway, team.key, "/v1/models/free")

    assert answer.json["free"] is True
    assert Decimal(answer.json["pricing"]["prompt"]) == 0


async def test_unify_reads_sorted_names(gateway: Process, team: Team) -> None:
    models = (await get(gateway, team.key, "/v0/models")).json
    providers = (await get(gateway, team.key, "/v0/providers")).json
    endpoints = (await get(gateway, team.key, "/v0/endpoints")).json

    assert models == sorted(models)
    assert set(models) >= SIMULATED
    assert "fake" in providers
    assert endpoints == sorted(endpoints)
    assert set(endpoints) >= {f"{model}@fake" for model in SIMULATED}


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("/v0/models?provider=nobody", []),
        ("/v0/providers?model=echo", ["fake"]),
        ("/v0/providers?model=nothing", []),
        ("/v0/endpoints?model=echo", ["echo@fake"]),
        ("/v0/endpoints?provider=nobody", []),
        ("/v0/endpoints?provider=custom", []),
    ],
)
async def test_unify_narrows_its_lists(path: str, names: list[str], gateway: Process, team: Team) -> None:
    assert (await get(gateway, team.key, path)).json == names


async def test_endpoints_are_of_a_model_or_of_a_provider_and_not_of_both(
    gateway: Process, team: Team
) -> None:
    answer = await get(gateway, team.key, "/v0/endpoints?model=echo&provider=fake")

    assert (answer.status, answer.error["param"]) == (400, "provider")
    assert answer.json["detail"] == [
        {
            "loc": ["query", "provider"],
            "msg": "Give either model or provider, not both.",
            "type": "invalid_value",
        }
    ]


async def test_an_endpoints_details_are_its_window_and_its_prices_per_million(
    gateway: Process, team: Team
) -> None:
    found = await get(gateway, team.key, "/v0/endpoint-details?endpoint=echo@fake")
    unknown = await get(gateway, team.key, "/v0/endpoint-details?endpoint=echo@nobody")
    unreadable = await get(gateway, team.key, "/v0/endpoint-details?endpoint=echo")
    unsent = await get(gateway, team.key, "/v0/endpoint-details")

    assert found.json == {
        "endpoint": "echo@fake",
        "context_window": 128_000,
        "input_cost": 1.0,
        "output_cost": 2.0,
    }
    assert (unknown.status, unknown.json["detail"]) == (404, "Endpoint not found.")
    assert (unreadable.status, unreadable.error["param"]) == (400, "endpoint")
    assert (unsent.status, unsent.error["code"]) == (400, "missing_required_parameter")


async def test_a_list_is_read_by_pages(gateway: Process, team: Team) -> None:
    path = "/v1/models?limit=5&provider=fake"
    whole = [model["id"] for model in (await get(gateway, team.key, "/v1/models?provider=fake")).json["data"]]
    paged, token = [], ""
    for _ in range(len(whole)):
        page = (await get(gateway, team.key, f"{path}&page_token={token}" if token else path)).json
        paged += [model["id"] for model in page["data"]]
        token = page["next_page_token"]
        if token is None:
            break

    assert len(whole) > 5
    assert paged == whole


async def test_what_is_deprecated_or_gone_is_left_out_or_shown_as_asked(gateway: Process, team: Team) -> None:
    async def listed(query: str) -> set[str]:
        answer = await get(gateway, team.key, f"/v1/models{query}")
        return {model["id"] for model in answer.json["data"]} & {"echo", "old", "retired"}

    retired = await get(gateway, team.key, "/v1/models/retired?include_deactivated=true")

    assert await listed("") == {"echo", "old"}
    assert await listed("?exclude_deprecated=true") == {"echo"}
    assert await listed("?include_deactivated=true") == {"echo", "old", "retired"}
    assert await listed("?include_deactivated=true&exclude_deprecated=true") == {"echo"}
    assert retired.json["deactivated_at"] == "2026-06-01T00:00:00+00:00"
    assert (await get(gateway, team.key, "/v1/models/retired")).status == 404


async def test_a_model_that_is_gone_is_not_served_and_one_that_is_deprecated_is(
    gateway: Process, team: Team
) -> None:
    gone = await call(gateway, team.key, chat("retired@fake"))

    assert (gone.status, gone.error["code"]) == (404, "model_not_found")
    assert (await call(gateway, team.key, chat("old@fake"))).status == 200


async def test_an_alias_leads_to_its_model(gateway: Process, team: Team) -> None:
    await apart(openai_key, team)

    for name in ("gpt-4o-2024-11-20", "openai/gpt-4o-2024-11-20", "gpt-4o-2024-11-20@openai"):
        answer = await get(gateway, team.key, f"/v1/models/{name}")
        assert (answer.status, answer.json["id"]) == (200, "gpt-4o")
        assert "gpt-4o-2024-11-20" in answer.json["aliases"]


async def test_a_list_that_is_asked_wrongly_names_what_is_wrong(gateway: Process, team: Team) -> None:
    limit = await get(gateway, team.key, "/v1/models?limit=0")
    token = await get(gateway, team.key, "/v1/models?page_token=%25")
    flag = await get(gateway, team.key, "/v1/models?include_deactivated=maybe")

    assert [answer.status for answer in (limit, token, flag)] == [400, 400, 400]
    assert limit.error["param"] == "limit"
    assert token.error["param"] == "page_token"
    assert flag.error["param"] == "include_deactivated"


async def test_a_model_without_a_price_is_not_listed(gateway: Process, team: Team) -> None:
    listed = (await get(gateway, team.key, "/v0/models")).json
    one = await get(gateway, team.key, "/v1/models/unpriced")

    assert "unpriced" not in listed
    assert one.status == 404


@pytest.mark.parametrize(
    ("allowed", "listed"),
    [
        (["echo"], {"echo"}),
        (["fake/echo", "slow@fake"], {"echo", "slow"}),
        (["openai/*"], set()),
    ],
)
async def test_a_key_is_told_of_what_it_may_use_and_of_nothing_else(
    allowed: list[str], listed: set[str], gateway: Process, team: Team
) -> None:
    _, key = await apart(team.new_key, allowed_models=allowed)

    names = {model["id"] for model in (await get(gateway, key, "/v1/models")).json["data"]}
    long = await get(gateway, key, "/v1/models/long")
    statuses = {name: (await call(gateway, key, chat(f"fake/{name}"))).status for name in ("echo", "long")}

    assert names == listed
    assert set((await get(gateway, key, "/v0/models")).json) == listed
    assert long.status == 404
    assert statuses == {"echo": 200 if "echo" in listed else 403, "long": 403}


async def test_everything_of_an_allowed_provider_is_listed(gateway: Process, team: Team) -> None:
    _, key = await apart(team.new_key, allowed_models=["fake/*"])

    assert set((await get(gateway, key, "/v0/models")).json) >= SIMULATED


async def test_an_own_endpoint_is_listed_for_its_organization_alone(
    house: House, gateway: Process, team: Team
) -> None:
    stranger = await apart(new_team)
    await apart(own_endpoint, house, team)

    own = (await get(gateway, team.key, "/v0/endpoints?model=house-model")).json
    others = (await get(gateway, stranger.key, "/v0/endpoints?model=house-model")).json
    known = (await get(gateway, stranger.key, "/v0/providers")).json
    of_owner = (await get(gateway, team.key, "/v0/providers")).json
    custom = (await get(gateway, team.key, "/v0/endpoints?provider=custom")).json

    assert custom == ["house-model@house-llm"]
    assert of_owner[-1] == "custom"
    assert of_owner[:-1] == sorted(of_owner[:-1])
    assert "custom" not in known
    assert own == ["house-model@house-llm"]
    assert others == []
    assert "house-llm" not in known


PATHS = [
    "/v1/models/echo",
    "/v0/models",
    "/v0/endpoint-details?endpoint=echo@fake",
    "/v0/credits",
    "/v1/credits",
]


@pytest.mark.parametrize("path", [*OPENAI_LISTS, *PATHS])
async def test_nothing_is_listed_without_a_key(path: str, gateway: Process, team: Team) -> None:
    answer = await get(gateway, "", path)

    assert (answer.status, answer.error["code"]) == (401, "invalid_api_key")


@pytest.mark.parametrize("path", ["/v1/models", "/v1/models/nothing", "/v0/credits", "/v0/endpoints"])
async def test_each_answer_has_a_request_id(path: str, gateway: Process, team: Team) -> None:
    named = await get(gateway, team.key, path, x_request_id="my-own-42")
    unnamed = await get(gateway, team.key, path)

    assert named.headers["x-request-id"] == "my-own-42"
    assert len(unnamed.headers["x-request-id"]) == 36


async def test_credits_are_what_is_left_of_the_organizations(gateway: Process, team: Team) -> None:
    before = await get(gateway, team.key, "/v0/credits")
    await call(gateway, team.key, chat("echo@fake"))

    assert before.json == {"id": str(team.organization.pk), "credits": 100.0}

    async def has_paid() -> bool:
        answer = await get(gateway, team.key, "/v0/credits")
        return bool(answer.json["credits"] == 99.999979)

    # The answer does not wait for its settlement.
    await soon(has_paid, "the charge of the call")


@pytest.mark.contract("3.1 Key info, credits")
async def test_credits_say_what_was_granted_and_what_is_used(gateway: Process, team: Team) -> None:
    await call(gateway, team.key, chat("echo@fake"))

    async def has_paid() -> bool:
        answer = await get(gateway, team.key, "/v1/credits")
        return bool(answer.json["data"]["total_usage"] == 0.000021)

    await soon(has_paid, "the charge of the call")
    answer = await get(gateway, team.key, "/v1/credits/")
    assert answer.json == {
        "id": str(team.organization.pk),
        "credits": 99.999979,
        "currency": "USD",
        "data": {"total_credits": 100.0, "total_usage": 0.000021, "remaining": 99.999979},
    }


async def test_credits_are_the_organizations_whichever_key_asks(gateway: Process, team: Team) -> None:
    key = await apart(key_of_another_project, team)

    assert (await get(gateway, key, "/v0/credits")).json["credits"] == 100.0


async def test_an_organization_without_credit_reads_zero(gateway: Process, team: Team) -> None:
    poor = await apart(new_team, credit_usd="0")

    answer = await get(gateway, poor.key, "/v0/credits")

    assert answer.json["credits"] == 0
    assert (await call(gateway, poor.key, chat("echo@fake"))).status == 402


def openai_key(team: Team) -> None:
    connect_provider(organization=team.organization, provider="openai", base_url="", api_key="sk-of-the-team")


def own_endpoint(house: House, team: Team) -> None:
    connection = connect_provider(
        organization=team.organization,
        provider="house-llm",
        base_url=f"{house.simulator_url}/v1",
        api_key="key-of-the-house",
    )
    declare_model(
        connection=connection,
        model="house-model",
        upstream_name="echo",
        context_window_tokens=8_192,
        max_output_tokens=1_024,
        input_usd_per_million=Decimal(1),
        output_usd_per_million=Decimal(2),
    )


def key_of_another_project(team: Team) -> str:
    project = create_project(organization=team.organization, name="Another")
    _, key = issue_key(
        organization=team.organization,
        project=project,
        created_by=team.somebody.person,
        name="Key of another project",
    )
    return key
