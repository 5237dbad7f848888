"""The simulator as the official OpenAI SDK sees it, and the invoice it keeps.

Trigger words that break things are in test_simulator_faults.py.
"""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from enum import Enum

import httpx
import openai
import pytest
from pydantic import BaseModel

from tests.simulator_process import start_simulator

WEATHER_TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 3}},
            "required": ["city", "days"],
        },
    },
}
TIME_TOOL = {"type": "function", "function": {"name": "local_time", "parameters": {"type": "object"}}}


@pytest.fixture(scope="session")
def url() -> str:
    return start_simulator()


@pytest.fixture
def key() -> str:
    return f"key-{uuid.uuid4().hex}"


@pytest.fixture(scope="module")
def shared_client(url: str):
    with openai.OpenAI(base_url=f"{url}/v1", api_key="shared", max_retries=0, timeout=10) as client:
        yield client


@pytest.fixture
def client(shared_client: openai.OpenAI, key: str) -> openai.OpenAI:
    return shared_client.with_options(api_key=key)


@pytest.fixture
async def async_client(url: str, key: str):
    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0, timeout=10) as client:
        yield client


def says(text: str) -> list[dict]:
    return [{"role": "user", "content": text}]


def invoice(url: str, **filters: str | int) -> dict:
    return httpx.get(f"{url}/invoice", params=filters, verify=False).json()


async def only_ended_call(url: str, key: str) -> dict:
    """Polls until the one call of the key has ended, ten seconds at most."""
    async with httpx.AsyncClient(verify=False) as client:
        for _ in range(1_000):
            calls = (await client.get(f"{url}/invoice", params={"key": key})).json()["requests"]
            if calls and calls[0]["outcome"] != "running":
                assert len(calls) == 1
                return calls[0]
            await asyncio.sleep(0.01)
    raise AssertionError("the call did not end within ten seconds")


# Answers


def test_echo_answers_with_eight_tokens_and_their_count(client):
    completion = client.chat.completions.create(model="echo", messages=says("hello"))

    assert completion.choices[0].message.content == "w01 w02 w03 w04 w05 w06 w07 w08 "
    assert completion.choices[0].finish_reason == "stop"
    assert completion.model == "echo"
    assert completion.usage.prompt_tokens == 5
    assert completion.usage.completion_tokens == 8
    assert completion.usage.total_tokens == 13


def test_a_stream_says_what_the_whole_answer_says(client):
    chunks = list(client.chat.completions.create(model="ten-chunks", messages=says("hi"), stream=True))

    deltas = [chunk.choices[0].delta for chunk in chunks]
    assert deltas[0].role == "assistant"
    assert [delta.content for delta in deltas[1:-1]] == [f"w{index:02d} " for index in range(1, 11)]
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert len({chunk.id for chunk in chunks}) == 1
    assert all(chunk.usage is None for chunk in chunks)


def test_usage_ends_a_stream_only_when_it_is_asked_for(client):
    chunks = list(
        client.chat.completions.create(
            model="fifty-two", messages=says("hi"), stream=True, stream_options={"include_usage": True}
        )
    )

    assert len(chunks) == 55
    assert chunks[-1].choices == []
    assert chunks[-1].usage.completion_tokens == 52
    assert all(chunk.usage is None for chunk in chunks[:-1])


async def test_the_async_client_reads_whole_and_streamed_answers(async_client):
    whole = await async_client.chat.completions.create(model="echo", messages=says("hi"))
    stream = await async_client.chat.completions.create(model="echo", messages=says("hi"), stream=True)
    text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])

    assert text == whole.choices[0].message.content == "w01 w02 w03 w04 w05 w06 w07 w08 "


def test_the_same_request_gives_the_same_bytes_but_for_id_and_time(url, key):
    def ask() -> dict:
        body = {"model": "reasoner", "messages": says("hi"), "n": 2, "logprobs": True}
        headers = {"authorization": f"Bearer {key}"}
        return httpx.post(f"{url}/v1/chat/completions", json=body, headers=headers).json()

    first, second = ask(), ask()

    assert first.pop("id") != second.pop("id")
    assert first | {"created": 0} == second | {"created": 0}


def test_any_path_prefix_before_v1_will_do(url, key):
    client = openai.OpenAI(base_url=f"{url}/some/tenant/v1", api_key=key, max_retries=0)

    completion = client.chat.completions.create(model="echo", messages=says("hi"))

    assert completion.usage.completion_tokens == 8


def test_every_model_is_listed_and_answers(client):
    names = [model.id for model in client.models.list()]

    assert names == [
        "echo",
        "ten-chunks",
        "fifty-two",
        "slow",
        "late",
        "long",
        "unpriced",
        "free",
        "old",
        "reasoner",
        "tools",
        "vision",
        "tiered",
        "every-unit",
    ]
    for name in names:
        answer = client.chat.completions.create(model=name, messages=says("[[pace 0]] [[first 0]]"))
        assert answer.usage.completion_tokens >= 8


def test_a_prompt_costs_its_bytes_its_messages_and_its_images(client):
    parts = [
        {"type": "text", "text": "äöü"},
        {"type": "text", "text": "abc"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
    ]
    messages = [{"role": "system", "content": "12345"}, {"role": "user", "content": parts}]

    completion = client.chat.completions.create(model="vision", messages=messages)

    assert completion.usage.prompt_tokens == (2 + 3) + (3 + 3 + 85)


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
@pytest.mark.parametrize(
    ("cap", "tokens", "finish_reason"), [(7, 7, "length"), (8, 8, "stop"), (9, 8, "stop")]
)
def test_a_cap_ends_the_answer_with_length(client, name, cap, tokens, finish_reason):
    completion = client.chat.completions.create(model="echo", messages=says("hi"), **{name: cap})

    assert completion.usage.completion_tokens == tokens
    assert completion.choices[0].finish_reason == finish_reason


def test_all_choices_are_counted_and_take_turns_in_a_stream(client):
    whole = client.chat.completions.create(model="echo", messages=says("hi"), n=3, max_tokens=2)
    stream = client.chat.completions.create(model="echo", messages=says("hi"), n=3, max_tokens=2, stream=True)
    turns = [(c.choices[0].index, c.choices[0].delta.content) for c in stream if c.choices[0].delta.content]

    assert whole.usage.completion_tokens == 6
    assert [choice.message.content for choice in whole.choices] == ["w01 w02 "] * 3
    assert turns == [(0, "w01 "), (1, "w01 "), (2, "w01 "), (0, "w02 "), (1, "w02 "), (2, "w02 ")]


@pytest.mark.parametrize(("stop", "text"), [("w03", "w01 w02 "), (["x", "05 "], "w01 w02 w03 w04 ")])
def test_a_stop_sequence_ends_the_answer_before_its_token(client, stop, text):
    completion = client.chat.completions.create(model="echo", messages=says("hi"), stop=stop)

    assert completion.choices[0].message.content == text
    assert completion.usage.completion_tokens == len(text) // 4
    assert completion.choices[0].finish_reason == "stop"


def test_logprobs_come_for_each_token_when_asked(client):
    completion = client.chat.completions.create(
        model="echo", messages=says("hi"), logprobs=True, top_logprobs=2, max_tokens=1
    )
    chunks = list(
        client.chat.completions.create(model="echo", messages=says("hi"), logprobs=True, stream=True)
    )

    entry = completion.choices[0].logprobs.content[0]
    assert (entry.token, entry.logprob, entry.bytes) == ("w01 ", -0.25, list(b"w01 "))
    assert [top.token for top in entry.top_logprobs] == ["w01 ", "o01 "]
    assert chunks[1].choices[0].logprobs.content[0].token == "w01 "


# Tools, JSON, reasoning


def test_the_tools_model_calls_the_first_tool_with_fitting_arguments(client):
    completion = client.chat.completions.create(
        model="tools", messages=says("hi"), tools=[WEATHER_TOOL, TIME_TOOL]
    )

    call = completion.choices[0].message.tool_calls[0]
    assert completion.choices[0].finish_reason == "tool_calls"
    assert completion.choices[0].message.content is None
    assert call.function.name == "weather"
    assert json.loads(call.function.arguments) == {"city": "w01", "days": 3}
    assert completion.usage.completion_tokens == len(call.function.arguments) / 4


@pytest.mark.parametrize(
    ("model", "text", "options", "called"),
    [
        ("tools", "hi", {"tool_choice": "none"}, []),
        ("echo", "hi", {}, []),
        ("echo", "hi", {"tool_choice": "required"}, ["weather"]),
        (
            "echo",
            "hi",
            {"tool_choice": {"type": "function", "function": {"name": "local_time"}}},
            ["local_time"],
        ),
        ("echo", "please [[call]]", {}, ["weather"]),
        ("echo", "please [[calls 2]]", {}, ["weather", "weather"]),
    ],
)
def test_tools_are_called_when_chosen_or_wished(client, model, text, options, called):
    completion = client.chat.completions.create(
        model=model, messages=says(text), tools=[WEATHER_TOOL, TIME_TOOL], **options
    )

    calls = completion.choices[0].message.tool_calls or []
    assert [call.function.name for call in calls] == called


def test_streamed_tool_calls_add_up_to_the_whole_ones(client):
    whole = client.chat.completions.create(model="tools", messages=says("[[calls 2]]"), tools=[WEATHER_TOOL])
    with client.chat.completions.stream(
        model="tools", messages=says("[[calls 2]]"), tools=[WEATHER_TOOL]
    ) as stream:
        pieces = [event for event in stream if event.type == "tool_calls.function.arguments.delta"]
        final = stream.get_final_completion()

    calls = [call.model_dump() for call in final.choices[0].message.tool_calls]
    assert len(pieces) == whole.usage.completion_tokens
    assert [(call["id"], call["function"]["arguments"]) for call in calls] == [
        (call.id, call.function.arguments) for call in whole.choices[0].message.tool_calls
    ]


def test_a_tool_result_is_answered_with_text(client):
    first = client.chat.completions.create(model="tools", messages=says("hi"), tools=[WEATHER_TOOL])
    asked = first.choices[0].message
    result = {"role": "tool", "tool_call_id": asked.tool_calls[0].id, "content": "rain"}

    second = client.chat.completions.create(
        model="tools", messages=[*says("hi"), asked, result], tools=[WEATHER_TOOL]
    )

    assert second.choices[0].message.content.startswith("w01 ")


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Wheel(BaseModel):
    size: int
    spare: Wheel | None


class Car(BaseModel):
    name: str
    colour: Colour
    wheels: list[Wheel]
    price: float
    is_electric: bool


def test_a_json_schema_answer_parses_into_its_class(client):
    completion = client.chat.completions.parse(model="echo", messages=says("hi"), response_format=Car)

    car = completion.choices[0].message.parsed
    assert (car.name, car.colour, car.wheels[0].size) == ("w01", Colour.RED, 1)
    assert len(completion.choices[0].message.content) == completion.usage.completion_tokens * 4


def test_a_json_object_answer_is_an_object(client):
    completion = client.chat.completions.create(
        model="echo", messages=says("hi"), response_format={"type": "json_object"}
    )

    assert json.loads(completion.choices[0].message.content) == {"answer": "w01"}


@pytest.mark.parametrize(
    ("model", "effort", "reasoning_tokens"),
    [("echo", None, 0), ("echo", "low", 4), ("reasoner", None, 8), ("reasoner", "none", 0)],
)
def test_reasoning_comes_first_and_counts_as_output(client, model, effort, reasoning_tokens):
    options = {"reasoning_effort": effort} if effort else {}
    whole = client.chat.completions.create(model=model, messages=says("hi"), **options)
    stream = client.chat.completions.create(model=model, messages=says("hi"), stream=True, **options)
    deltas = [chunk.choices[0].delta for chunk in stream]

    thoughts = [text for delta in deltas if (text := getattr(delta, "reasoning_content", None))]
    assert whole.usage.completion_tokens == reasoning_tokens + 8
    assert whole.usage.completion_tokens_details.reasoning_tokens == reasoning_tokens
    assert len(thoughts) == reasoning_tokens
    assert getattr(whole.choices[0].message, "reasoning_content", "") == "".join(thoughts)


def test_cached_tokens_are_part_of_the_prompt(client):
    completion = client.chat.completions.create(model="echo", messages=says("[[cached 2]]"))

    assert completion.usage.prompt_tokens == 6
    assert completion.usage.prompt_tokens_details.cached_tokens == 2


# Refusals


@pytest.mark.parametrize(
    ("key", "error", "code"),
    [
        ("bad-key", openai.AuthenticationError, "invalid_api_key"),
        ("broke-key", openai.RateLimitError, "insufficient_quota"),
    ],
)
def test_the_two_keys_that_stand_for_trouble(url, key, error, code):
    client = openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0)

    with pytest.raises(error) as refusal:
        client.chat.completions.create(model="echo", messages=says("hi"))

    assert refusal.value.code == code


@pytest.mark.parametrize("authorization", [{}, {"authorization": "Bearer"}, {"authorization": "Basic abc"}])
def test_a_call_without_a_bearer_key_is_refused(url, authorization):
    answer = httpx.post(f"{url}/v1/chat/completions", json={}, headers=authorization)

    assert answer.status_code == 401
    assert answer.json()["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        ({"messages": says("hi")}, 400, "model"),
        ({"model": 1, "messages": says("hi")}, 400, "model"),
        ({"model": "gpt-nothing", "messages": says("hi")}, 404, "model"),
        ({"model": "echo"}, 400, "messages"),
        ({"model": "echo", "messages": []}, 400, "messages"),
        ({"model": "echo", "messages": ["hi"]}, 400, "messages[0]"),
        ({"model": "echo", "messages": [{"role": "user", "content": 1}]}, 400, "messages[0].content"),
        ({"model": "echo", "messages": says("hi"), "max_tokens": 0}, 400, "max_tokens"),
        ({"model": "echo", "messages": says("hi"), "n": 129}, 400, "n"),
        ({"model": "echo", "messages": says("hi"), "stop": 3}, 400, "stop"),
        ({"model": "echo", "messages": says("hi"), "stream": "yes"}, 400, "stream"),
        ({"model": "echo", "messages": says("hi"), "stream_options": {"a": 1}}, 400, "stream_options"),
        ({"model": "echo", "messages": says("hi"), "reasoning_effort": "vast"}, 400, "reasoning_effort"),
        (
            {"model": "echo", "messages": says("hi"), "response_format": {"type": "x"}},
            400,
            "response_format.type",
        ),
        ({"model": "echo", "messages": says("hi"), "tools": [{}]}, 400, "tools[0].function.name"),
        ([1], 400, None),
    ],
)
def test_an_unusable_request_is_refused_and_bills_nothing(url, key, body, status, param):
    answer = httpx.post(f"{url}/v1/chat/completions", json=body, headers={"authorization": f"Bearer {key}"})

    listed = invoice(url, key=key)
    assert answer.status_code == status
    assert answer.json()["error"]["param"] == param
    assert listed["requests"][0]["outcome"] == "failed"
    assert listed["requests"][0]["status"] == status
    assert listed["listed"]["prompt_tokens"] == listed["listed"]["completion_tokens"] == 0


def test_broken_json_is_refused(url, key):
    headers = {"authorization": f"Bearer {key}"}

    answer = httpx.post(f"{url}/v1/chat/completions", content=b'{"model": NaN', headers=headers)

    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "invalid_request_error"


def test_an_unknown_path_is_not_found(url):
    assert httpx.get(f"{url}/v2/models").status_code == 404
    assert httpx.get(f"{url}/invoice/chatcmpl-nothing").status_code == 404


# The invoice


async def test_the_invoice_lists_a_completed_call_as_it_was_answered(url, key, async_client):
    began = time.time()
    completion = await async_client.chat.completions.create(
        model="reasoner",
        messages=says("[[cached 3]]"),
        n=2,
        extra_headers={"x-farebox-request-id": key},
    )

    call = await only_ended_call(url, key)
    assert began <= call.pop("started_at") <= call.pop("ended_at") <= time.time()
    assert call.pop("index") >= 0
    assert call == {
        "id": completion.id,
        "key": key,
        "client_request_id": key,
        "model": "reasoner",
        "is_stream": False,
        "status": 200,
        "outcome": "completed",
        "prompt_tokens": 6,
        "cached_tokens": 3,
        "completion_tokens": 32,
        "reasoning_tokens": 16,
        "cancelled_after_seconds": None,
    }


async def test_a_cancelled_stream_bills_the_tokens_that_were_sent(url, key, async_client):
    stream = await async_client.chat.completions.create(
        model="echo", messages=says("[[tokens 1000]] [[stall 3]]"), stream=True
    )
    read = []
    async for chunk in stream:
        read.append(chunk.choices[0].delta.content)
        if len(read) == 4:
            break
    await stream.close()

    call = await only_ended_call(url, key)
    assert read == ["", "w01 ", "w02 ", "w03 "]
    assert call["outcome"] == "cancelled"
    assert call["completion_tokens"] == 3
    assert call["prompt_tokens"] == 10
    assert 0 < call["cancelled_after_seconds"] == call["ended_at"] - call["started_at"]


async def test_a_client_that_leaves_between_two_tokens_stops_the_generation(url, key, async_client):
    stream = await async_client.chat.completions.create(model="slow", messages=says("hi"), stream=True)
    async for chunk in stream:
        if chunk.choices[0].delta.content == "w02 ":
            break
    await stream.close()

    call = await only_ended_call(url, key)
    assert call["outcome"] == "cancelled"
    assert 2 <= call["completion_tokens"] < 30


@pytest.mark.parametrize(
    ("text", "is_stream"), [("[[delay 60000]]", True), ("[[first 60000]]", True), ("[[delay 60000]]", False)]
)
async def test_a_client_that_leaves_before_the_first_token_pays_for_its_prompt(url, key, text, is_stream):
    body = {"model": "echo", "messages": says(text), "stream": is_stream}
    async with httpx.AsyncClient(timeout=0.3, verify=False) as client:
        with pytest.raises(httpx.ReadTimeout):
            await client.post(
                f"{url}/v1/chat/completions", json=body, headers={"authorization": f"Bearer {key}"}
            )

    call = await only_ended_call(url, key)
    assert (call["outcome"], call["prompt_tokens"], call["completion_tokens"]) == ("cancelled", 7, 0)


def test_the_invoice_is_filtered_by_index_key_and_request_id(url, client, key):
    for number in range(3):
        client.chat.completions.create(
            model="echo", messages=says("hi"), extra_headers={"x-farebox-request-id": f"{key}-{number}"}
        )

    own = invoice(url, key=key)
    second = own["requests"][1]
    assert httpx.get(f"{url}/invoice/{second['id']}").json() == second
    assert own["listed"] == {
        "requests": 3,
        "prompt_tokens": 12,
        "cached_tokens": 0,
        "completion_tokens": 24,
        "reasoning_tokens": 0,
    }
    assert invoice(url, client_request_id=f"{key}-1")["requests"] == [second]
    assert [call["client_request_id"] for call in invoice(url, since=second["index"])["requests"]] == [
        f"{key}-1",
        f"{key}-2",
    ]
    assert invoice(url, since=own["next"])["requests"] == []
    assert httpx.get(f"{url}/invoice?since=x").status_code == 400
