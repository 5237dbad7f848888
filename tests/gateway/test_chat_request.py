"""A checked request: how long its prompt is, what it may cost extra, what the log gets of it."""

import orjson
import pytest

from gateway.wire.chat import parse_chat_request
from tests.gateway.chat_bodies import body, part, said, tool


@pytest.mark.parametrize(
    ("text", "estimate"),
    [("", 3), ("a", 4), ("abcd", 4), ("abcde", 5), ("é", 4), ("ééé", 5), ("\U0001f600", 4)],
)
def test_the_estimate_is_a_token_for_four_bytes_and_three_for_a_message(text: str, estimate: int) -> None:
    assert parse_chat_request(said({"role": "user", "content": text})).prompt_tokens_estimate == estimate


def test_each_messages_text_is_summed_and_then_rounded_up() -> None:
    parts = [{"type": "text", "text": "de"}, {"type": "text", "text": "fgh"}]
    messages = [{"role": "user", "content": "abc"}, {"role": "user", "content": parts}]

    request = parse_chat_request(body(messages=messages))

    assert (request.prompt_bytes, request.prompt_tokens_estimate) == (8, 1 + 2 + 6)


@pytest.mark.parametrize(
    ("detail", "estimate"), [({}, 88), ({"detail": "auto"}, 88), ({"detail": "high"}, 768)]
)
def test_an_image_counts_in_the_estimate(detail: dict[str, str], estimate: int) -> None:
    image = {"url": "https://example.com/a.png", **detail}

    assert parse_chat_request(part(type="image_url", image_url=image)).prompt_tokens_estimate == estimate


def test_the_log_gets_settings_but_no_text() -> None:
    secret = "the secret prompt"
    request = parse_chat_request(
        body(
            messages=[{"role": "user", "content": secret}],
            temperature=0.5,
            stop=[secret, "b"],
            tools=[tool(description=secret)],
            response_format={"type": "json_schema", "json_schema": {"name": secret}},
            metadata={"note": secret},
            reasoning_effort="low",
            fallbacks=["fake/echo"],
            drop_params=False,
        )
    )

    logged = request.parameters_for_log()

    assert logged == {
        "temperature": 0.5,
        "messages": 1,
        "stop": 2,
        "tools": 1,
        "response_format": "json_schema",
        "reasoning_effort": "low",
        "fallbacks": ["fake/echo"],
        "drop_params": False,
    }
    assert secret not in orjson.dumps(logged).decode()


@pytest.mark.parametrize(
    ("fields", "may_use_audio", "searches"),
    [
        ({}, False, 0),
        ({"modalities": ["text"]}, False, 0),
        ({"modalities": ["text", "audio"]}, True, 0),
        ({"web_search": True}, False, 10),
        ({"tools": [{"type": "web_search", "max_uses": 3}]}, False, 10),
        ({"tools": [{"type": "web_search"}], "tool_choice": "none"}, False, 0),
    ],
)
def test_what_has_rates_of_its_own_is_foreseen(
    fields: dict[str, object], may_use_audio: bool, searches: int
) -> None:
    request = parse_chat_request(body(**fields))

    assert (request.may_use_audio, request.searches_bound) == (may_use_audio, searches)
