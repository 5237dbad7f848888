"""What `model` may say, through a real gateway: chains, lists, parameters, limits, sessions, explanations."""

from typing import Any

import pytest

from gateway.routing_services import set_routing
from tests.flows.calls import Reply, call, send, soon
from tests.flows.test_upstream_failures import absent_provider
from tests.guarantees.books import priced
from tests.house import House, Process, Team, apart, chat

EXPLAIN = "/v0/route/explain"


async def explain(gateway: Process, key: str, body: Any) -> Reply:
    return await send(gateway, key, "POST", EXPLAIN, json=body)


@pytest.mark.contract("3.3 Ordered fallback")
@pytest.mark.parametrize(
    "model", ["model@absent-llm->echo@fake", "absent-llm/model|fake/echo", "model@absent-llm->fifty-two@cost"]
)
async def test_a_chain_goes_on_where_a_provider_is_not_there(
    model: str, gateway: Process, team: Team
) -> None:
    await apart(absent_provider, team)

    answer = await call(gateway, team.key, chat(model))

    attempts = [(one["provider"], one["succeeded"]) for one in answer.json["metadata"]["routing"]]
    assert (answer.status, answer.json["model"].partition("@")[2]) == (200, "fake")
    assert attempts == [("absent-llm", False), ("fake", True)]


@pytest.mark.contract("3.1 Body may be a list of requests")
async def test_of_a_list_of_requests_the_first_that_can_be_answered_is(
    house: House, gateway: Process, worker: Process, team: Team
) -> None:
    await apart(absent_provider, team)
    body: Any = [
        chat("model@absent-llm", tags=["mine"]),
        chat("nope@fake"),
        chat("echo@fake", "a longer question [[tokens 3]]", tags=["other"]),
    ]

    answer = await call(gateway, team.key, body)

    event = await apart(team.only_event)
    (line,) = await apart(house.invoice, client_request_id=str(event.id))
    assert (answer.status, answer.json["choices"][0]["message"]["content"]) == (200, "w01 w02 w03 ")
    assert (answer.json["model"], event.model) == ("echo@fake", "echo")
    assert event.charge_usd == priced(line)
    assert event.tags == ["mine"]


@pytest.mark.contract("3.3 URI parameters in model")
async def test_parameters_behind_a_model_override_the_body(gateway: Process, team: Team) -> None:
    async def reasoning_tokens(model: str) -> int:
        answer = await call(gateway, team.key, chat(model, reasoning_effort="low"))
        tokens: int = answer.json["usage"]["completion_tokens_details"]["reasoning_tokens"]
        return tokens

    low, high = (
        await reasoning_tokens("reasoner@fake"),
        await reasoning_tokens("reasoner@fake?reasoning_effort=high"),
    )

    assert low < high


@pytest.mark.contract("3.3 Context limit")
async def test_a_prompt_that_fits_no_branch_is_503_and_free(
    gateway: Process, worker: Process, team: Team
) -> None:
    body = chat("[max_context=10]echo@fake", extra_body={"request_context_tokens": 11})

    answer = await call(gateway, team.key, body)

    event = await apart(team.only_event)
    assert (answer.status, answer.error["code"]) == (503, "temporarily_unavailable")
    assert answer.error["details"]["reason"] == "max_context_exceeded"
    assert (answer.headers["retry-after"], answer.headers["x-should-retry"]) == ("1", "false")
    assert (event.charge_usd, event.ending) == (0, "refused")


async def test_a_wrong_selector_is_told_where_it_is_wrong_and_is_free(
    gateway: Process, worker: Process, team: Team
) -> None:
    answer = await call(gateway, team.key, chat("echo@fake||echo"), mount="/v1")

    event = await apart(team.only_event)
    assert (answer.status, answer.error["code"], answer.error["param"]) == (400, "invalid_model", "model")
    assert answer.error["details"]["composite_validation"] == {
        "code": "syntax_error",
        "message": "A branch is empty.",
        "selector_echo": "echo@fake||echo",
        "details": {"position": 10, "length": 0},
    }
    assert event.charge_usd == 0


@pytest.mark.contract("3.3 Weighted / race / first / thinker")
async def test_a_sessions_first_request_goes_to_the_first_branch_and_only_that(
    gateway: Process, team: Team
) -> None:
    body = chat("[first]ten-chunks@fake^[weight=999999999]echo@fake", session_id="s-1")

    first = await call(gateway, team.key, body)

    async def has_begun() -> bool:
        told = await explain(gateway, team.key, body)
        return bool(told.json["targets"][0]["model"] == "echo")

    await soon(has_begun, "the session to begin")
    second = await call(gateway, team.key, body)
    other = await call(gateway, team.key, {**body, "session_id": "s-2"})
    assert [answer.json["model"] for answer in (first, second, other)] == [
        "ten-chunks@fake",
        "echo@fake",
        "ten-chunks@fake",
    ]


@pytest.mark.contract("3.3 Weighted / race / first / thinker")
@pytest.mark.parametrize("is_stream", [False, True], ids=["whole", "stream"])
async def test_what_a_thinker_said_is_part_of_later_prompts(
    *, is_stream: bool, gateway: Process, team: Team
) -> None:
    body = chat("[thinker]echo@fake^vision@fake", session_id="s-1", stream=is_stream)

    first = await call(gateway, team.key, body)

    async def has_spoken() -> bool:
        told = await explain(gateway, team.key, body)
        return [target["model"] for target in told.json["targets"]] == ["vision"]

    await soon(has_spoken, "the thinker to be heard")
    second = await call(gateway, team.key, body)
    (thinking, served) = [(answer.chunks[-1] if is_stream else answer.json) for answer in (first, second)]
    assert (thinking["model"], served["model"]) == ("echo@fake", "vision@fake")
    # What was said, "w01 … w08 ", and the words around it: a message of its own.
    assert served["usage"]["prompt_tokens"] > thinking["usage"]["prompt_tokens"] + 8 + 3


@pytest.mark.contract("3.3 Weighted / race / first / thinker")
async def test_a_race_goes_on_without_a_leg_that_is_not_there_and_is_for_streams_alone(
    gateway: Process, team: Team
) -> None:
    await apart(absent_provider, team)
    body = chat("absent-llm/model![handicap=0]fake/echo", stream=True)

    stream = await call(gateway, team.key, body)
    whole = await call(gateway, team.key, {**body, "stream": False})

    validation = whole.error["details"]["composite_validation"]
    assert (stream.status, stream.text, stream.is_done) == (200, "w01 w02 w03 w04 w05 w06 w07 w08 ", True)
    assert stream.chunks[-1]["model"] == "echo@fake"
    assert (whole.status, validation["code"]) == (400, "unsupported_construct")


async def test_an_explanation_tells_what_a_completion_would_do_and_does_nothing(
    house: House, gateway: Process, worker: Process, team: Team
) -> None:
    await apart(absent_provider, team)
    body = chat("model@absent-llm|[max_context=5]echo@fake|fake/vision?temperature=0.5", max_tokens=100)
    before = len(await apart(house.invoice, model="vision"))

    told = await explain(gateway, team.key, body)

    answer = told.json
    assert told.status == 200
    assert answer["selector"]["normal_form"] == body["model"]
    assert answer["selector"]["kind"] == "failover"
    assert [branch.get("max_context") for branch in answer["selector"]["branches"]] == [None, 5, None]
    assert answer["prompt"] == {"tokens": 5, "source": "estimate"}
    assert answer["outcome"] == "route"
    assert [(one["provider"], one["model"], one["credential"]) for one in answer["targets"]] == [
        ("absent-llm", "model", "own"),
        ("fake", "echo", "operator"),
        ("fake", "vision", "operator"),
    ]
    assert answer["targets"][2]["overrides"] == {"temperature": 0.5}
    assert float(answer["hold"]["wallet_usd"]) > 100 * 2 / 10**6
    assert len(await apart(house.invoice, model="vision")) == before
    assert await apart(team.events) == []


@pytest.mark.parametrize(
    ("model", "parameters", "error"),
    [
        ("[max_context=5]echo@fake", {"extra_body": {"request_context_tokens": 6}}, "max_context_exceeded"),
        ("echo@itl<0", {}, None),
    ],
)
async def test_an_explanation_tells_why_nothing_would_answer(
    model: str, parameters: dict[str, Any], error: str | None, gateway: Process, team: Team
) -> None:
    told = await explain(gateway, team.key, chat(model, **parameters))

    if error is None:
        assert (told.status, told.error["code"]) == (404, "no_provider_in_thresholds")
        return
    assert (told.status, told.json["outcome"], told.json["targets"]) == (200, "refuse", [])
    assert told.json["error"]["details"]["reason"] == error
    assert told.json["hold"] is None


async def test_an_explanation_needs_a_key(gateway: Process) -> None:
    assert (await explain(gateway, "", chat("echo@fake"))).status == 401


async def test_an_organizations_aliases_and_fallbacks_hold_within_a_second(
    gateway: Process, team: Team
) -> None:
    await apart(absent_provider, team)
    assert (await call(gateway, team.key, chat("best"))).status == 404

    def save() -> None:
        set_routing(
            organization=team.organization,
            model_aliases={"best": "absent-llm/model"},
            default_fallbacks=["echo@fake"],
        )

    await apart(save)

    async def is_known() -> bool:
        return (await explain(gateway, team.key, chat("best"))).status == 200

    await soon(is_known, "the alias to be known")
    answer = await call(gateway, team.key, chat("best"))
    assert (answer.status, answer.json["model"]) == (200, "echo@fake")
    assert answer.json["metadata"]["requested_model"] == "best"
