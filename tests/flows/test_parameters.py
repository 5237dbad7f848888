"""What a client asks for reaches the provider, and what the provider gives reaches the client, on each mount.

What was sent upstream is read from `raw_request`, which a client may ask for.
"""

import asyncio
from typing import Any

import pytest

from tests.flows.calls import MOUNTS, Reply, call
from tests.house import Process, Team, chat

Body = dict[str, Any]

PNG = "data:image/png;base64,iVBORw0KGgo="
RAW = {"x_bf_send_back_raw_response": "true"}
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
LOOK_UP = {"type": "function", "function": {"name": "look_up", "parameters": SCHEMA, "strict": True}}
SHELL = {"type": "custom", "custom": {"name": "shell", "format": {"type": "text"}}}
SOURCE = "https://example.test/source"

# Everything that an OpenAI-compatible provider may take, each with a value of its own.
ALL: dict[str, Any] = {
    "max_completion_tokens": 40,
    "temperature": 0.5,
    "top_p": 0.9,
    "top_k": 40,
    "frequency_penalty": 0.1,
    "presence_penalty": -0.1,
    "n": 2,
    "seed": 7,
    "stop": ["x09"],
    "logit_bias": {"1734": -1},
    "logprobs": True,
    "top_logprobs": 2,
    "user": "u1",
    "tools": [LOOK_UP | {"cache_control": {"type": "ephemeral", "ttl": "1h"}}, SHELL],
    "tool_choice": "none",
    "parallel_tool_calls": False,
    "response_format": {"type": "text"},
    "reasoning_effort": "low",
    "verbosity": "low",
    "prediction": {"type": "content", "content": "w01 w02"},
    "modalities": ["text"],
    "service_tier": "auto",
    "store": False,
    "metadata": {"a": "b"},
    "prompt_cache_key": "k",
    "prompt_cache_retention": "24h",
    "safety_identifier": "s",
    "request_metadata": {"c": "d"},
    "generation_config": {"e": "f"},
    "generationConfig": {"g": "h"},
    "image_config": {"aspect_ratio": "1:1"},
    "truncation": "auto",
    "shiny": {"new": True},
}
PARTS = [
    {"type": "text", "text": "What is this?", "cache_control": {"type": "ephemeral"}},
    {"type": "image_url", "image_url": {"url": PNG, "detail": "low"}},
    {"type": "image_url", "image_url": {"url": "https://x.test/a.png"}},
    {"type": "file", "file": {"filename": "a.pdf", "file_data": "JVBERi0="}},
    {"type": "video_url", "video_url": {"url": "https://x.test/a.mp4"}},
]
CONVERSATION = [
    {"role": "system", "content": "Be brief."},
    {"role": "developer", "content": "Be kind."},
    {"role": "user", "content": PARTS, "name": "ann"},
    {
        "role": "assistant",
        "content": None,
        "refusal": None,
        "reasoning": "Hm.",
        "annotations": [],
        "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "look_up", "arguments": "{}"}}],
    },
    {"role": "tool", "content": "42", "tool_call_id": "c1"},
]


async def on_all_mounts(gateway: Process, team: Team, body: Body, **headers: str) -> list[Reply]:
    """The answers of all four paths to the same request."""
    calls = (call(gateway, team.key, body, mount=mount, **headers) for mount in MOUNTS)
    return list(await asyncio.gather(*calls))


def of_stream(answer: Reply, *, is_stream: bool) -> dict[str, Any]:
    """The whole answer, or a stream's last chunk."""
    whole: dict[str, Any] = answer.chunks[-1] if is_stream else answer.json
    return whole


@pytest.mark.contract(
    "3.2 stream",
    "3.2 max_completion_tokens",
    "3.2 temperature",
    "3.2 top_p",
    "3.2 frequency_penalty, presence_penalty",
    "3.2 stop",
    "3.2 n",
    "3.2 seed",
    "3.2 logit_bias, logprobs, top_logprobs",
    "3.2 user",
    "3.2 tools functions",
    "3.2 custom/grammar tools",
    "3.2 tool_choice",
    "3.2 parallel_tool_calls",
    "3.2 response_format",
    "3.2 reasoning_effort",
    "3.2 verbosity",
    "3.2 service_tier",
    "3.2 modalities, audio, prediction",
    "3.2 Message roles",
    "3.2 Multimodal content parts",
)
@pytest.mark.parametrize("is_stream", [False, True])
async def test_every_parameter_and_part_reaches_the_provider_as_it_was_sent(
    *, is_stream: bool, gateway: Process, team: Team
) -> None:
    body = {"model": "fake/echo", "messages": CONVERSATION, "stream": is_stream, **ALL}

    for answer in await on_all_mounts(gateway, team, body, **RAW):
        assert answer.status == 200
        extra = of_stream(answer, is_stream=is_stream)["extra_fields"]
        sent = extra["raw_request"]
        assert sent.pop("stream_options", {"include_usage": True}) == {"include_usage": True}
        assert sent == {**body, "model": "echo"}
        assert extra["dropped_params"] == []


@pytest.mark.contract("3.2 max_tokens")
async def test_the_cap_ends_the_answer(gateway: Process, team: Team) -> None:
    for answer in await on_all_mounts(gateway, team, chat("echo@fake", max_tokens=3)):
        (choice,) = answer.json["choices"]
        assert (choice["finish_reason"], choice["message"]["content"]) == ("length", "w01 w02 w03 ")


@pytest.mark.contract("3.2 extra_body")
async def test_an_extra_body_is_merged_and_unknown_fields_pass_unless_held_back(
    gateway: Process, team: Team
) -> None:
    body = chat("echo@fake", seed=1, extra_body={"seed": 2, "shiny": 3, "request_context_tokens": 9})

    passed = await on_all_mounts(gateway, team, body, **RAW)
    held = await on_all_mounts(gateway, team, body, x_bf_passthrough_extra_params="false", **RAW)

    known = {"model": "echo", "messages": body["messages"], "seed": 1, "stream": False}
    for answer in passed:
        assert answer.json["extra_fields"]["raw_request"] == known | {"shiny": 3}
    for answer in held:
        assert answer.json["extra_fields"]["raw_request"] == known
        assert answer.json["extra_fields"]["dropped_params"] == ["shiny"]


@pytest.mark.contract("3.2 drop_params", "3.2 effort")
async def test_what_a_model_lacks_is_named_or_refused_as_the_client_wishes(
    gateway: Process, team: Team
) -> None:
    lacking = {"effort": "low", "modalities": ["text", "audio"], "audio": {"voice": "a", "format": "wav"}}
    body = chat("echo@fake", **lacking)

    strict = body | {"drop_params": False}
    dropped = await on_all_mounts(gateway, team, body)
    allowed = await on_all_mounts(gateway, team, strict, x_bf_compat="true")
    refused = await on_all_mounts(gateway, team, strict)
    by_header = await on_all_mounts(gateway, team, body, x_bf_compat="false")

    for answer in dropped + allowed:
        assert answer.json["extra_fields"]["dropped_params"] == ["audio", "modalities", "effort"]
    for answer in refused + by_header:
        assert (answer.status, answer.error["code"]) == (400, "unsupported_parameter")
        assert answer.error["param"] == "audio"


@pytest.mark.contract("3.2 web_search bool", "3.2 web_search tool")
@pytest.mark.parametrize(
    "fields", [{"web_search": True}, {"tools": [{"type": "web_search"}]}, {"web_search_options": {}}]
)
async def test_a_search_is_never_dropped(fields: dict[str, Any], gateway: Process, team: Team) -> None:
    answer = await call(gateway, team.key, chat("echo@fake", **fields))

    assert (answer.status, answer.error["code"]) == (400, "unsupported_parameter")
    assert answer.error["param"] == "web_search"


@pytest.mark.contract("3.3 Web search", "3.2 web_search bool", "3.2 web_search tool")
@pytest.mark.parametrize("is_stream", [False, True])
async def test_a_search_brings_its_sources_and_its_price(
    *, is_stream: bool, gateway: Process, team: Team
) -> None:
    fields: dict[str, Any] = {"web_search": True} if is_stream else {"tools": [{"type": "web_search"}]}
    options = {"stream_options": {"include_usage": True}} if is_stream else {}
    body = chat("every-unit@fake", "hello [[citations]]", stream=is_stream, **fields, **options)

    for answer in await on_all_mounts(gateway, team, body, **RAW):
        last = of_stream(answer, is_stream=is_stream)
        assert last["citations"] == [SOURCE]
        assert last["search_results"][0]["snippet"] == "What it says."
        assert last["videos"][0]["duration"] == 12
        assert last["extra_fields"]["raw_request"]["web_search_options"] == {}
        # A request is $0.001 and the search that was asked for $0.01.
        assert last["usage"]["cost_usd_request"] == pytest.approx(0.011)
        (annotation,) = spoken(answer, "annotations", is_stream=is_stream)
        assert annotation["url_citation"]["url"] == SOURCE


@pytest.mark.contract("3.4 reasoning in message", "3.2 reasoning{effort,max_tokens}")
@pytest.mark.parametrize("is_stream", [False, True])
async def test_reasoning_is_read_under_the_name_that_each_client_looks_for(
    *, is_stream: bool, gateway: Process, team: Team
) -> None:
    plain = chat("echo@fake", stream=is_stream, reasoning={"effort": "minimal"})
    detailed = chat("echo@fake", "[[reasoning details]]", stream=is_stream, reasoning_effort="minimal")

    for answer in await on_all_mounts(gateway, team, plain):
        assert "".join(spoken(answer, "reasoning", is_stream=is_stream)) == "w01 w02 "
        assert "".join(spoken(answer, "reasoning_content", is_stream=is_stream)) == "w01 w02 "
        if not is_stream:
            usage = answer.json["usage"]
            assert usage["reasoning_tokens"] == 2
            assert usage["completion_tokens_details"]["reasoning_tokens"] == 2
    for answer in await on_all_mounts(gateway, team, detailed):
        said = spoken(answer, "reasoning_details", is_stream=is_stream)
        assert "".join(part["text"] for part in said) == "w01 w02 "


@pytest.mark.contract("3.4 images in message")
@pytest.mark.parametrize("is_stream", [False, True])
async def test_images_and_refusals_are_passed_on(*, is_stream: bool, gateway: Process, team: Team) -> None:
    for answer in await on_all_mounts(gateway, team, chat("echo@fake", "[[image]]", stream=is_stream)):
        (image,) = spoken(answer, "images", is_stream=is_stream)
        assert image["type"] == "image_url"
        assert image["image_url"]["url"].startswith("data:image/png;base64,")
    for answer in await on_all_mounts(gateway, team, chat("echo@fake", "[[refusal]]", stream=is_stream)):
        said = "".join(spoken(answer, "refusal", is_stream=is_stream))
        assert said == "w01 w02 w03 w04 w05 w06 w07 w08 "
        if not is_stream:
            assert answer.json["choices"][0]["message"]["content"] is None


@pytest.mark.contract("3.2 modalities, audio, prediction")
@pytest.mark.parametrize("is_stream", [False, True])
async def test_spoken_answers_are_passed_on_and_billed_as_sound(
    *, is_stream: bool, gateway: Process, team: Team
) -> None:
    asked = {"modalities": ["text", "audio"], "audio": {"voice": "alloy", "format": "pcm16"}}
    answer = await call(gateway, team.key, chat("every-unit@fake", stream=is_stream, **asked))

    sound = spoken(answer, "audio", is_stream=is_stream)
    parts = sound if is_stream else [sound]
    assert "".join(part.get("transcript", "") for part in parts) == "w01 w02 w03 w04 w05 w06 w07 w08 "
    assert parts[-1]["id"] == "audio_simulator"
    assert parts[-1]["expires_at"] == 1_900_000_000
    usage = of_stream(answer, is_stream=is_stream)["usage"]
    assert usage["completion_tokens_details"]["audio_tokens"] == 8
    # $20 a million tokens of sound.
    assert usage["cost_usd_output"] == pytest.approx(0.00016)


@pytest.mark.contract("3.2 custom/grammar tools", "3.2 tool_choice")
@pytest.mark.parametrize("is_stream", [False, True])
async def test_a_custom_tool_is_called_with_free_text(
    *, is_stream: bool, gateway: Process, team: Team
) -> None:
    choice = {
        "type": "allowed_tools",
        "allowed_tools": {"mode": "required", "tools": [{"type": "custom", "custom": {"name": "shell"}}]},
    }
    body = chat("echo@fake", stream=is_stream, tools=[LOOK_UP, SHELL], tool_choice=choice)

    for answer in await on_all_mounts(gateway, team, body):
        called = spoken(answer, "tool_calls", is_stream=is_stream)
        assert called[0]["custom"]["name"] == "shell"
        assert "".join(part["custom"]["input"] for part in called) == "w01 w02 "


def spoken(answer: Reply, field: str, *, is_stream: bool) -> Any:
    """What a message says in this field; of a stream the pieces of all deltas."""
    if not is_stream:
        return answer.json["choices"][0]["message"][field]
    deltas = [choice["delta"] for chunk in answer.chunks for choice in chunk["choices"]]
    said = [delta[field] for delta in deltas if delta.get(field)]
    return [piece for pieces in said for piece in pieces] if isinstance(said[0], list) else said
