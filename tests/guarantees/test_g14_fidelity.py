"""G14: what the official SDK reads through us is what it reads from the provider itself."""

from collections import defaultdict
from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletionChunk

from tests.house import House, Process, Team

pytestmark = pytest.mark.guarantee

SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "note": {"type": "string", "minLength": 40}},
    "required": ["city", "note"],
}
TOOL = {"type": "function", "function": {"name": "get_weather", "parameters": SCHEMA}}
OTHER = {"type": "function", "function": {"name": "other_tool", "parameters": {"type": "object"}}}
CALLING = {"tools": [TOOL, OTHER]}
JSON = {"response_format": {"type": "json_schema", "json_schema": {"name": "weather", "schema": SCHEMA}}}

# Model, message, parameters.
CASES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "text": ("fifty-two", "hello", {}),
    "paced text": ("ten-chunks", "hello", {}),
    "a tool call": ("tools", "hello", CALLING),
    "a tool call in pieces": ("tools", "[[pace 2]]", CALLING),
    "two tool calls": ("tools", "[[calls 2]]", CALLING),
    "a named tool": (
        "echo",
        "hello",
        CALLING | {"tool_choice": {"type": "function", "function": {"name": "other_tool"}}},
    ),
    "two choices": ("echo", "hello", {"n": 2}),
    "two choices of two calls": ("tools", "[[calls 2]]", CALLING | {"n": 2}),
    "reasoning": ("reasoner", "hello", {"reasoning_effort": "high"}),
    "reasoning and a tool": ("reasoner", "[[call]]", CALLING),
    "a schema": ("echo", "hello", JSON),
    "log probabilities": ("echo", "hello", {"logprobs": True, "top_logprobs": 3}),
    "U+2028": ("echo", "[[u2028]]", {}),
    "split characters": ("echo", "[[split]] [[tokens 20]]", {}),
    "single bytes": ("echo", "[[bytes]] [[split]]", {}),
    "a content filter": ("echo", "[[content filter]]", {}),
    "a cap": ("echo", "hello", {"max_tokens": 3}),
    "a stop word": ("fifty-two", "hello", {"stop": "w05"}),
    "a cached prompt": ("echo", "[[cached 5]] hello", {}),
    "an interim usage": ("echo", "[[usage twice]]", {}),
    "a running usage": ("ten-chunks", "[[usage each]]", {}),
    "CR LF": ("echo", "[[crlf]]", {}),
    "CR": ("echo", "[[cr]]", {}),
    "mixed line ends": ("echo", "[[mixed lines]] [[pace 2]]", {}),
    "comments": ("ten-chunks", "[[comments]]", {}),
    "a huge line": ("echo", "[[huge line 300000]]", {}),
    "no end mark": ("echo", "[[no done]]", {}),
    "two end marks": ("echo", "[[done twice]]", {}),
    "words after the end": ("echo", "[[after done]]", {}),
}
# What only a stream can do, or only its pieces show.
STREAMS_ALONE = {"no end mark", "two end marks", "words after the end", "an interim usage", "a running usage"}


WHOLE = [name for name in CASES if name not in STREAMS_ALONE]
HELPED = ["two choices of two calls", "split characters", "U+2028", "log probabilities", "a schema"]


def connect(url: str, key: str) -> openai.OpenAI:
    # Nothing is encrypted here, and loading certificates takes longer than a call.
    plain = openai.DefaultHttpxClient(verify=False)
    return openai.OpenAI(base_url=url, api_key=key, max_retries=0, http_client=plain)


@pytest.fixture(scope="module")
def direct(house: House) -> openai.OpenAI:
    return connect(f"{house.simulator_url}/v1", "direct")


@pytest.fixture(scope="module")
def expected(direct: openai.OpenAI) -> dict[str, dict[str, Any]]:
    """What the provider itself says, read in each of the three ways."""
    return {
        "streamed": {name: streamed(direct, name, "") for name in CASES},
        "whole": {name: whole(direct, name, "") for name in WHOLE},
        "accumulated": {name: accumulated(direct, name, "") for name in HELPED},
    }


@pytest.fixture(params=["/v0", "/v1", "/api/v1", "/openai/v1"])
def through_us(request: pytest.FixtureRequest, gateway: Process, team: Team) -> openai.OpenAI:
    return connect(f"{gateway.url}{request.param}", team.key)


def test_each_stream_reads_the_same(through_us: openai.OpenAI, expected: dict[str, dict[str, Any]]) -> None:
    found = {name: streamed(through_us, name, "fake/") for name in CASES}

    assert differing(found, expected["streamed"]) == {}


def test_each_whole_answer_reads_the_same(
    through_us: openai.OpenAI, expected: dict[str, dict[str, Any]]
) -> None:
    found = {name: whole(through_us, name, "fake/") for name in WHOLE}

    assert differing(found, expected["whole"]) == {}


def test_the_sdks_own_accumulation_is_the_same(
    through_us: openai.OpenAI, expected: dict[str, dict[str, Any]]
) -> None:
    found = {name: accumulated(through_us, name, "fake/") for name in HELPED}

    assert differing(found, expected["accumulated"]) == {}


def test_the_comparison_sees_a_difference(direct: openai.OpenAI) -> None:
    texts = [streamed(direct, name, "") for name in ("text", "a tool call", "two choices", "a cap")]

    assert len({repr(text) for text in texts}) == 4


def asked(name: str, prefix: str) -> dict[str, Any]:
    model, text, parameters = CASES[name]
    return {"model": prefix + model, "messages": [{"role": "user", "content": text}], **parameters}


def streamed(client: openai.OpenAI, name: str, prefix: str) -> dict[str, Any]:
    """A stream put together by hand: each choice's text, reasoning, calls and end, and the usage."""
    chunks = client.chat.completions.create(
        **asked(name, prefix), stream=True, stream_options={"include_usage": True}
    )
    choices: defaultdict[int, dict[str, Any]] = defaultdict(lambda: defaultdict(str))
    usages = []
    for chunk in chunks:
        add(choices, chunk)
        if chunk.usage:
            usages.append(counts(chunk.usage))
    return {"choices": {index: dict(choice) for index, choice in choices.items()}, "usage": usages[-1:]}


def add(choices: dict[int, dict[str, Any]], chunk: ChatCompletionChunk) -> None:
    for choice in chunk.choices:
        said, delta = choices[choice.index], choice.delta
        for part in ("role", "content", "refusal", "reasoning_content"):
            said[part] += getattr(delta, part, None) or ""
        for called in delta.tool_calls or ():
            said[f"call {called.index} id"] += called.id or ""
            said[f"call {called.index} type"] += called.type or ""
            said[f"call {called.index} name"] += called.function.name or ""
            said[f"call {called.index} arguments"] += called.function.arguments or ""
        said["finish_reason"] += choice.finish_reason or ""
        said["logprobs"] += "".join(
            repr(token) for token in (choice.logprobs and choice.logprobs.content) or ()
        )


def whole(client: openai.OpenAI, name: str, prefix: str) -> dict[str, Any]:
    answer = client.chat.completions.create(**asked(name, prefix))
    return {"choices": [of_choice(choice) for choice in answer.choices], "usage": counts(answer.usage)}


def accumulated(client: openai.OpenAI, name: str, prefix: str) -> dict[str, Any]:
    """What the SDK's own helper makes of the stream."""
    with client.chat.completions.stream(
        **asked(name, prefix), stream_options={"include_usage": True}
    ) as stream:
        answer = stream.get_final_completion()
    # Below /v0 every delta without a tool call has text, so that what is None elsewhere is empty there.
    choices = [of_choice(choice) | {"content": choice.message.content or ""} for choice in answer.choices]
    return {"choices": choices, "usage": counts(answer.usage)}


def of_choice(choice: Any) -> dict[str, Any]:
    message = choice.message
    return {
        "index": choice.index,
        "role": message.role,
        "content": message.content,
        "refusal": message.refusal,
        "reasoning": getattr(message, "reasoning_content", None),
        "calls": [call.model_dump(mode="json") for call in message.tool_calls or ()],
        "finish_reason": choice.finish_reason,
        "logprobs": choice.logprobs and choice.logprobs.model_dump(mode="json"),
    }


def counts(usage: Any) -> dict[str, int]:
    prompt, completion = usage.prompt_tokens_details, usage.completion_tokens_details
    return {
        "prompt": usage.prompt_tokens,
        "completion": usage.completion_tokens,
        "total": usage.total_tokens,
        "cached": (prompt and prompt.cached_tokens) or 0,
        "reasoning": (completion and completion.reasoning_tokens) or 0,
    }


def differing(found: dict[str, Any], expected: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Each case that reads differently, with what was found and what was expected."""
    return {name: (found[name], expected[name]) for name in expected if found[name] != expected[name]}
