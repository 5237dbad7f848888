"""One conversation by the clients that people use, unmodified, over every mount: what each of them read."""

from typing import Any

import pytest

from tests.flows.calls import MOUNTS
from tests.sdk.clients import Told

SDKS = ("openai for Python", "openai for Node", "LangChain", "LiteLLM")
ECHO = "w01 w02 w03 w04 w05 w06 w07 w08 "
WANTED = ["get_weather", {"city": "w01", "days": 1}]
ANSWER = {"text": ECHO, "finish": "stop", "calls": []}
# The class of each client for each status. LiteLLM has one for 402, 403 and whatever else it does not know.
OPENAI = {
    "400": "BadRequestError",
    "401": "AuthenticationError",
    "402": "APIStatusError",
    "403": "PermissionDeniedError",
    "404": "NotFoundError",
    "429": "RateLimitError",
    "502": "InternalServerError",
}
ERRORS = {
    "openai for Python": OPENAI,
    "openai for Node": OPENAI | {"402": "APIError"},
    "LangChain": {
        "400": "OpenAIInvalidRequestError",
        "401": "OpenAIAuthenticationError",
        "402": "APIStatusError",
        "403": "OpenAIPermissionDeniedError",
        "404": "OpenAIModelNotFoundError",
        "429": "OpenAIRateLimitError",
        "502": "OpenAIAPIError",
    },
    "LiteLLM": {
        "400": "BadRequestError",
        "401": "AuthenticationError",
        "402": "APIError",
        "403": "APIError",
        "404": "NotFoundError",
        "429": "RateLimitError",
        "502": "BadGatewayError",
    },
}
CODES = {
    "400": "invalid_value",
    "401": "invalid_api_key",
    "402": "key_limit_exceeded",
    "403": "model_blocked",
    "404": "model_not_found",
    "429": "rate_limit_exceeded",
    "502": "provider_error",
}
# What the command `llm` prints of each refusal: our own words, whole.
WORDS = {
    "400": "400 - max_tokens must be a positive integer",
    "401": "401 - Invalid API key. There is no such key here.",
    "402": "402 - The budget of the key ($0.000001 in total)",
    "403": "403 - This key may not use the model 'fake/echo'.",
    "404": "404 - There is no model 'nothing' at fake.",
    "429": "429 - Rate limit exceeded: the key may use 1 tokens per minute",
    "502": "502 - The provider answered with status 500.",
}

over_every_mount = pytest.mark.parametrize("mount", MOUNTS)
with_each_sdk = pytest.mark.parametrize("client", SDKS)


@pytest.fixture
def read(told: dict[str, Told], client: str, mount: str) -> dict[str, Any]:
    """By step: what this client told of it over this mount."""
    return told[client][mount]


@pytest.fixture
def printed(told: dict[str, Told], mount: str) -> dict[str, Any]:
    """By step: what the command `llm` printed over this mount."""
    return told["llm"][mount]


@pytest.mark.contract("3.1 Chat path", "3.1 Bearer key")
@with_each_sdk
@over_every_mount
def test_a_plain_answer(read: dict[str, Any]) -> None:
    assert read["plain"] == ANSWER | {"tokens": [5, 8]}


@pytest.mark.contract("3.2 stream", "3.2 stream_options.include_usage", "3.4 Final usage chunk")
@with_each_sdk
@over_every_mount
def test_a_streamed_answer_and_its_usage(read: dict[str, Any]) -> None:
    assert read["streamed"] == ANSWER | {"tokens": [5, 8]}


@pytest.mark.contract("3.2 tools functions", "3.2 Message roles")
@with_each_sdk
@over_every_mount
def test_a_tool_call_its_result_and_the_answer(read: dict[str, Any]) -> None:
    called = {"text": "", "finish": "tool_calls", "calls": [WANTED], "tokens": [5, 7]}
    assert read["tools"] == called | {"ids": 1, "then": ECHO}


@pytest.mark.contract("3.2 parallel_tool_calls")
@pytest.mark.parametrize("step", ["parallel tools", "streamed tools"])
@with_each_sdk
@over_every_mount
def test_two_tool_calls_at_once_and_both_results(step: str, read: dict[str, Any]) -> None:
    called = {"text": "", "finish": "tool_calls", "calls": [WANTED, WANTED], "tokens": [6, 14]}
    assert read[step] == called | {"ids": 2, "then": ECHO}


@pytest.mark.contract("3.2 response_format")
@with_each_sdk
@over_every_mount
def test_a_schema_is_parsed_into_the_clients_class(read: dict[str, Any]) -> None:
    assert read["schema"] == {"city": "w01", "days": 1}


@pytest.mark.contract("3.2 Multimodal content parts")
@with_each_sdk
@over_every_mount
def test_an_image_is_seen_and_counted(read: dict[str, Any]) -> None:
    assert read["image"] == ANSWER | {"tokens": [92, 8]}


@pytest.mark.contract("3.2 reasoning_effort", "3.4 reasoning in message")
@with_each_sdk
@over_every_mount
def test_reasoning_is_counted_and_can_be_read(client: str, read: dict[str, Any]) -> None:
    # LangChain keeps no field of a message that OpenAI's own API does not have.
    text = {} if client == "LangChain" else {"thought": 16}
    assert read["reasoning"] == ANSWER | {"tokens": [5, 12], "reasoning": 4} | text


@pytest.mark.contract("3.4 Error envelope", "3.4 Validation status", "3.4 Out of money", "3.4 Rate limit")
@pytest.mark.parametrize("name", CODES)
@with_each_sdk
@over_every_mount
def test_each_refusal_is_raised_as_the_error_that_the_client_has_for_it(
    name: str, client: str, read: dict[str, Any]
) -> None:
    found = read[name]

    assert (found["raised"], found["status"]) == (ERRORS[client][name], int(name))
    # LiteLLM puts its own code, or none, where the SDK it is built on has ours.
    assert client == "LiteLLM" or found["code"] == CODES[name]


@pytest.mark.contract("3.4 Mid-stream error")
@with_each_sdk
@over_every_mount
def test_a_stream_that_breaks_raises_after_what_came_before(client: str, read: dict[str, Any]) -> None:
    raised = {"LiteLLM": ("MidStreamFallbackError", None)}.get(client, ("APIError", "provider_error"))
    found = read["broken stream"]

    assert (found["raised"], found["code"]) == raised
    assert found["before"] == "w01 w02 w03 "


@pytest.mark.parametrize("step", ["plain", "streamed"])
@over_every_mount
def test_the_command_prints_an_answer_and_its_usage(step: str, printed: dict[str, Any]) -> None:
    assert (printed[step]["exit"], printed[step]["said"]) == (0, ECHO.strip())
    assert printed[step]["besides"].startswith("Token usage: 5 input, 8 output, ")


@pytest.mark.parametrize(("step", "calls"), [("tools", 1), ("parallel tools", 2), ("streamed tools", 2)])
@over_every_mount
def test_the_command_runs_the_functions_that_are_called(
    step: str, calls: int, printed: dict[str, Any]
) -> None:
    assert (printed[step]["exit"], printed[step]["said"]) == (0, ECHO.strip())
    ran = "Tool call: get_weather({'city': 'w01', 'days': 1})\n  sunny"
    assert printed[step]["besides"].count(ran) == calls


@over_every_mount
def test_the_command_prints_json_of_a_schema(printed: dict[str, Any]) -> None:
    assert printed["schema"] == {"exit": 0, "said": '{"city": "w01", "days": 1}', "besides": ""}


@pytest.mark.parametrize(("step", "tokens"), [("image", "92 input, 8"), ("reasoning", "5 input, 12")])
@over_every_mount
def test_the_command_shows_images_and_lets_models_reason(
    step: str, tokens: str, printed: dict[str, Any]
) -> None:
    assert (printed[step]["exit"], printed[step]["said"]) == (0, ECHO.strip())
    assert f"Token usage: {tokens} output" in printed[step]["besides"]


@pytest.mark.parametrize("name", WORDS)
@over_every_mount
def test_the_command_says_why_it_was_refused(name: str, printed: dict[str, Any]) -> None:
    assert (printed[name]["exit"], printed[name]["said"]) == (1, "")
    assert printed[name]["besides"].startswith(f"Error: Error code: {WORDS[name]}")


@over_every_mount
def test_the_command_prints_what_came_before_a_stream_broke(printed: dict[str, Any]) -> None:
    found = printed["broken stream"]

    assert (found["exit"], found["said"]) == (1, "w01 w02 w03")
    assert found["besides"] == "Error: The connection to fake broke off."
