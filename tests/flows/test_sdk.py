"""The official OpenAI SDK, unmodified, against every mount: what it returns, and what it raises."""

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Literal

import openai
import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from pydantic import BaseModel

from accounts.services import revoke_key
from tests.flows.calls import MOUNTS
from tests.house import Process, Team, apart

ECHO = "w01 w02 w03 w04 w05 w06 w07 w08 "
MAIN_MOUNTS = ("/v0", "/v1")
TIMEOUT_SECONDS = 30
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["city", "days"],
    "additionalProperties": False,
}
WEATHER = {"type": "function", "function": {"name": "get_weather", "parameters": SCHEMA}}


class Forecast(BaseModel):
    """What the SDK makes a JSON schema of, and an answer into."""

    city: str
    days: int
    sky: Literal["clear", "cloudy"]


def said(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


def connect(gateway: Process, key: str, mount: str, *, max_retries: int = 0) -> openai.OpenAI:
    return openai.OpenAI(
        base_url=f"{gateway.url}{mount}",
        api_key=key,
        max_retries=max_retries,
        timeout=TIMEOUT_SECONDS,
        # Nothing is encrypted here, and loading certificates takes longer than a call.
        http_client=openai.DefaultHttpxClient(verify=False),
    )


def connect_async(gateway: Process, key: str, mount: str) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(
        base_url=f"{gateway.url}{mount}",
        api_key=key,
        max_retries=0,
        timeout=TIMEOUT_SECONDS,
        http_client=openai.DefaultAsyncHttpxClient(verify=False),
    )


@pytest.fixture(params=MAIN_MOUNTS)
def client(request: pytest.FixtureRequest, gateway: Process, team: Team) -> Iterator[openai.OpenAI]:
    with connect(gateway, team.key, request.param) as client:
        yield client


@pytest.fixture(params=MAIN_MOUNTS)
async def async_client(
    request: pytest.FixtureRequest, gateway: Process, team: Team
) -> AsyncIterator[openai.AsyncOpenAI]:
    async with connect_async(gateway, team.key, request.param) as client:
        yield client


@pytest.mark.parametrize("mount", MOUNTS)
def test_a_plain_answer_on_every_mount(mount: str, gateway: Process, team: Team) -> None:
    with connect(gateway, team.key, mount) as client:
        answer = client.chat.completions.create(model="fake/echo", messages=said("hello"))

    assert isinstance(answer, ChatCompletion)
    assert answer.choices[0].message.content == ECHO
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (5, 8)


@pytest.mark.parametrize("mount", MOUNTS)
def test_a_plain_stream_on_every_mount(mount: str, gateway: Process, team: Team) -> None:
    with connect(gateway, team.key, mount) as client:
        stream = client.chat.completions.create(
            model="ten-chunks@fake",
            messages=said("hello"),
            stream=True,
            stream_options={"include_usage": True},
        )
        chunks = list(stream)

    assert "".join(spoken(chunks)) == "w01 w02 w03 w04 w05 w06 w07 w08 w09 w10 "
    assert [chunk.usage.completion_tokens for chunk in chunks if chunk.usage] == [10]
    assert chunks[-1].choices == []
    assert len({chunk.id for chunk in chunks}) == 1


async def test_the_async_client_reads_answers(async_client: openai.AsyncOpenAI) -> None:
    answer = await async_client.chat.completions.create(model="fake/echo", messages=said("hello"))

    assert answer.choices[0].message.content == ECHO


async def test_the_async_client_reads_streams(async_client: openai.AsyncOpenAI) -> None:
    stream = await async_client.chat.completions.create(
        model="fake/ten-chunks", messages=said("[[tokens 3]]"), stream=True
    )
    chunks = [chunk async for chunk in stream]

    assert "".join(spoken(chunks)) == "w01 w02 w03 "


async def test_the_async_client_can_leave_a_stream(async_client: openai.AsyncOpenAI) -> None:
    stream = await async_client.chat.completions.create(
        model="fake/slow", messages=said("hello"), stream=True
    )
    async for chunk in stream:
        if chunk.choices[0].delta.content:
            break
    await stream.close()

    answer = await async_client.chat.completions.create(model="fake/echo", messages=said("hello"))
    assert answer.choices[0].message.content == ECHO


def test_a_tool_call_and_its_result_make_a_conversation(client: openai.OpenAI) -> None:
    asked = said("What is the weather?")
    first = client.chat.completions.create(model="fake/tools", messages=asked, tools=[WEATHER])
    (wanted,) = first.choices[0].message.tool_calls
    result = {"role": "tool", "tool_call_id": wanted.id, "content": '{"sky": "clear"}'}

    second = client.chat.completions.create(
        model="fake/tools", messages=[*asked, first.choices[0].message, result], tools=[WEATHER]
    )

    assert first.choices[0].finish_reason == "tool_calls"
    assert wanted.function.name == "get_weather"
    assert wanted.function.arguments.replace(" ", "") == '{"city":"w01","days":1}'
    assert second.choices[0].message.content == ECHO


def test_parallel_tool_calls_in_a_stream_are_put_together(client: openai.OpenAI) -> None:
    with client.chat.completions.stream(
        model="fake/tools",
        messages=said("[[calls 2]]"),
        tools=[WEATHER],
        parallel_tool_calls=True,
    ) as stream:
        answer = stream.get_final_completion()

    calls = answer.choices[0].message.tool_calls
    assert [call.index for call in calls] == [0, 1]
    assert len({call.id for call in calls}) == 2
    assert [call.function.arguments.replace(" ", "") for call in calls] == ['{"city":"w01","days":1}'] * 2
    assert answer.choices[0].finish_reason == "tool_calls"


# The SDK's class for `metadata` holds texts alone; the contract's has lists in it.
@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")
def test_a_schema_is_parsed_into_a_class(client: openai.OpenAI) -> None:
    answer = client.chat.completions.parse(
        model="fake/echo", messages=said("hello"), response_format=Forecast
    )

    assert answer.choices[0].message.parsed == Forecast(city="w01", days=1, sky="clear")


def test_a_schema_is_parsed_from_a_stream(client: openai.OpenAI) -> None:
    with client.chat.completions.stream(
        model="fake/echo", messages=said("hello"), response_format=Forecast
    ) as stream:
        answer = stream.get_final_completion()

    assert answer.choices[0].message.parsed == Forecast(city="w01", days=1, sky="clear")


@pytest.mark.parametrize("is_stream", [False, True])
def test_two_choices_are_told_apart(client: openai.OpenAI, *, is_stream: bool) -> None:
    if is_stream:
        with client.chat.completions.stream(model="fake/echo", messages=said("hello"), n=2) as stream:
            answer = stream.get_final_completion()
    else:
        answer = client.chat.completions.create(model="fake/echo", messages=said("hello"), n=2)

    assert [choice.index for choice in answer.choices] == [0, 1]
    assert [choice.message.content for choice in answer.choices] == [ECHO, ECHO]


def test_logprobs_come_through(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model="fake/echo", messages=said("[[tokens 2]]"), logprobs=True, top_logprobs=2
    )

    tokens = answer.choices[0].logprobs.content
    assert [token.token for token in tokens] == ["w01 ", "w02 "]
    assert [len(token.top_logprobs) for token in tokens] == [2, 2]


def test_logprobs_come_through_a_stream(client: openai.OpenAI) -> None:
    stream = client.chat.completions.create(
        model="fake/echo", messages=said("[[tokens 2]]"), logprobs=True, stream=True
    )

    choices = [choice for chunk in stream for choice in chunk.choices]
    tokens = [token.token for choice in choices if choice.logprobs for token in choice.logprobs.content]
    assert tokens == ["w01 ", "w02 "]


def test_reasoning_is_read_and_counted(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model="fake/reasoner", messages=said("hello"), reasoning_effort="low"
    )

    message = answer.choices[0].message
    assert message.content == ECHO
    assert len(message.reasoning) == len(message.reasoning_content) == 16
    assert answer.usage.completion_tokens == 12
    assert answer.usage.completion_tokens_details.reasoning_tokens == 4


def test_reasoning_is_read_from_a_stream(client: openai.OpenAI) -> None:
    stream = client.chat.completions.create(
        model="fake/reasoner", messages=said("hello"), reasoning_effort="minimal", stream=True
    )

    deltas = [choice.delta for chunk in stream for choice in chunk.choices]
    reasoning = "".join(getattr(delta, "reasoning_content", None) or "" for delta in deltas)
    assert len(reasoning) == 8
    assert "".join(delta.content or "" for delta in deltas) == ECHO


def test_a_cap_ends_the_answer_with_its_reason(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model="fake/echo", messages=said("hello"), max_completion_tokens=3
    )

    assert (answer.choices[0].message.content, answer.choices[0].finish_reason) == ("w01 w02 w03 ", "length")


def test_what_the_sdk_does_not_know_can_be_sent_as_extra_body(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model="fake/echo", messages=said("hello"), extra_body={"tags": ["one", "two"]}
    )

    assert answer.metadata["tags"] == ["one", "two"]


def test_the_sdk_lists_models_below_v1(gateway: Process, team: Team) -> None:
    with connect(gateway, team.key, "/v1") as client:
        names = [model.id for model in client.models.list()]
        one = client.models.retrieve("fake/echo")

    assert {"echo", "ten-chunks", "reasoner"} <= set(names)
    assert (one.id, one.owned_by) == ("echo", "fake")


def unknown_model(client: openai.OpenAI, team: Team) -> Any:
    return client.chat.completions.create(model="fake/nothing", messages=said("hello"))


def bad_value(client: openai.OpenAI, team: Team) -> Any:
    return client.chat.completions.create(model="fake/echo", messages=said("hello"), temperature=3)


def blocked_model(client: openai.OpenAI, team: Team) -> Any:
    _, key = team.new_key(allowed_models=["fake/slow"])
    return client.with_options(api_key=key).chat.completions.create(model="fake/echo", messages=said("hello"))


def revoked_key(client: openai.OpenAI, team: Team) -> Any:
    row, key = team.new_key()
    revoke_key(key=row)
    return client.with_options(api_key=key).chat.completions.create(model="fake/echo", messages=said("hello"))


def spent_budget(client: openai.OpenAI, team: Team) -> Any:
    _, key = team.new_key(budget_usd="0.000001")
    return client.with_options(api_key=key).chat.completions.create(model="fake/echo", messages=said("hello"))


def used_up_rate(client: openai.OpenAI, team: Team) -> Any:
    _, key = team.new_key(requests_per_minute=1)
    limited = client.with_options(api_key=key)
    limited.chat.completions.create(model="fake/echo", messages=said("hello"))
    return limited.chat.completions.create(model="fake/echo", messages=said("hello"))


def broken_provider(client: openai.OpenAI, team: Team) -> Any:
    return client.chat.completions.create(model="fake/echo", messages=said("[[status 500]]"))


Failing = Callable[[openai.OpenAI, Team], Any]
FAILURES: dict[str, tuple[Failing, type[openai.APIStatusError], int, str]] = {
    "unknown model": (unknown_model, openai.NotFoundError, 404, "model_not_found"),
    "bad value": (bad_value, openai.BadRequestError, 400, "invalid_value"),
    "blocked model": (blocked_model, openai.PermissionDeniedError, 403, "model_blocked"),
    "revoked key": (revoked_key, openai.AuthenticationError, 401, "invalid_api_key"),
    "spent budget": (spent_budget, openai.APIStatusError, 402, "key_limit_exceeded"),
    "used up rate": (used_up_rate, openai.RateLimitError, 429, "rate_limit_exceeded"),
    "broken provider": (broken_provider, openai.InternalServerError, 502, "provider_error"),
}


@pytest.mark.parametrize("name", FAILURES)
def test_each_failure_is_the_error_that_the_sdk_has_for_it(
    name: str, client: openai.OpenAI, team: Team
) -> None:
    fail, kind, status, code = FAILURES[name]

    with pytest.raises(kind) as raised:
        fail(client, team)

    assert (raised.value.status_code, raised.value.code) == (status, code)
    assert raised.value.request_id
    assert raised.value.body["message"]


def test_an_error_in_the_middle_of_a_stream_is_raised_after_what_came_before(client: openai.OpenAI) -> None:
    stream = client.chat.completions.create(model="fake/ten-chunks", messages=said("[[cut 3]]"), stream=True)
    read: list[ChatCompletionChunk] = []

    with pytest.raises(openai.APIError) as raised:
        read.extend(stream)

    assert raised.value.code == "provider_error"
    assert "".join(spoken(read)) == "w01 w02 w03 "


def test_the_sdk_waits_as_told_by_429_and_is_then_admitted(gateway: Process, team: Team) -> None:
    _, key = team.new_key(requests_per_minute=60)
    with connect(gateway, key, "/v1") as impatient, pytest.raises(openai.RateLimitError):
        call_until_refused(impatient)

    with connect(gateway, key, "/v1", max_retries=3) as patient:
        answer = patient.chat.completions.with_raw_response.create(model="fake/echo", messages=said("hello"))

    assert answer.status_code == 200
    assert answer.retries_taken >= 1


def test_the_sdk_does_not_retry_what_waiting_cannot_help(gateway: Process, team: Team) -> None:
    _, key = team.new_key(budget_usd="0.000001")

    with (
        connect(gateway, key, "/v1", max_retries=3) as client,
        pytest.raises(openai.APIStatusError) as raised,
    ):
        client.chat.completions.create(model="fake/echo", messages=said("hello"))

    assert raised.value.status_code == 402
    assert raised.value.response.request.headers["x-stainless-retry-count"] == "0"


def test_the_sdk_retries_when_a_provider_failed(gateway: Process, team: Team) -> None:
    with connect(gateway, team.key, "/v1", max_retries=2) as client:
        answer = client.chat.completions.with_raw_response.create(
            model="fake/echo", messages=said(f"[[fail once {team.organization.pk.hex}]]")
        )

    assert (answer.status_code, answer.retries_taken) == (200, 1)


async def test_every_call_of_the_sdk_is_on_the_books(gateway: Process, worker: Process, team: Team) -> None:
    async with connect_async(gateway, team.key, "/v1") as client:
        answer = await client.chat.completions.create(
            model="fake/echo", messages=said("hello"), user="carol", extra_headers={"X-Source": "tests"}
        )

    event = await apart(team.only_event)
    assert (event.input_tokens, event.output_tokens) == (5, 8)
    assert (event.end_user, event.source) == ("carol", "tests")
    assert event.agent.startswith("AsyncOpenAI/Python")
    assert answer.usage.cost == float(event.charge_usd) == 0.000021


def call_until_refused(client: openai.OpenAI) -> None:
    for _ in range(200):
        client.chat.completions.create(model="fake/echo", messages=said("hello"))


def spoken(chunks: list[ChatCompletionChunk]) -> list[str]:
    return [choice.delta.content or "" for chunk in chunks for choice in chunk.choices]
