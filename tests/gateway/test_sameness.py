"""When two requests are the same, and when they only look alike."""

from typing import Any

import orjson
import pytest

from gateway.wire.chat import parse_chat_request
from gateway.wire.chat_request import ChatRequest
from gateway.wire.sameness import Asked, asked_text, conversation_digest, fingerprint, kinship

BASE = {"model": "fake/echo", "messages": [{"role": "user", "content": "hello"}]}
SCHEMA = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}}


def request(**changes: Any) -> ChatRequest:
    return parse_chat_request(orjson.dumps({**BASE, **changes}))


def digest(scope: str = "key:a", *, is_healed: bool = False, served: str = "echo", **changes: Any) -> str:
    asked = request(**changes)
    return fingerprint(asked, asked_of=Asked("fake", served), scope=scope, is_healed=is_healed)


@pytest.mark.parametrize(
    "changes",
    [
        {"temperature": 0.5}, {"top_p": 0.5}, {"n": 2}, {"seed": 1}, {"max_tokens": 5}, {"stop": "x"},
        {"frequency_penalty": 1}, {"presence_penalty": 1}, {"logprobs": True}, {"service_tier": "flex"},
        {"response_format": {"type": "json_object"}}, {"response_format": SCHEMA},
        {"reasoning_effort": "high"}, {"reasoning": {"max_tokens": 5}}, {"effort": "low"},
        {"verbosity": "low"}, {"web_search": True}, {"region": "eu"}, {"drop_params": False},
        {"use_custom_keys": True}, {"top_k": 3}, {"anything_else": 1}, {"logit_bias": {"5": 1}},
        {"tools": [{"type": "function", "function": {"name": "f"}}]}, {"model": "auto"},
        {"messages": [{"role": "user", "content": "hello "}]},
        {"messages": [{"role": "system", "content": "Be brief."}, *BASE["messages"]]},
    ],
)  # fmt: skip
def test_whatever_changes_the_answer_makes_another_request(changes: dict[str, Any]) -> None:
    assert digest(**changes) != digest()


def test_scope_healing_and_the_model_that_is_asked_make_another_request() -> None:
    assert len({digest(), digest("key:b"), digest(is_healed=True), digest(served="other")}) == 4


@pytest.mark.parametrize(
    "changes",
    [
        {"stream": True}, {"stream": True, "stream_options": {"include_usage": True}}, {"user": "bob"},
        {"tags": "a,b"}, {"session_id": "s"}, {"agent": "a"}, {"signature": "python"},
        {"log_query_body": False}, {"metadata": {"a": "b"}}, {"fallbacks": ["fake/slow"]},
        {"prompt_cache_key": "p"}, {"safety_identifier": "u"}, {"model": "echo@fake"}, {"model": "fake:echo"},
        {"temperature": None}, {"budget_clamp": True}, {"n": 1},
    ],
)  # fmt: skip
def test_who_asks_and_in_which_form_does_not(changes: dict[str, Any]) -> None:
    assert digest(**changes) == digest()


def test_headers_for_the_provider_make_another_request() -> None:
    def told(*headers: tuple[str, str]) -> tuple[str, bytes, str]:
        """The three digests of a request with these headers."""
        asked, asked_of = request(), Asked("fake", "echo", "", headers)
        return (
            fingerprint(asked, asked_of=asked_of, scope="key:a", is_healed=False),
            kinship(asked, asked_of=asked_of, scope="key:a", is_healed=False),
            conversation_digest(asked, caller="a", headers=headers),
        )

    assert told(("x-user", "a")) == told(("x-user", "a"))
    digests = [told(), told(("x-user", "a")), told(("x-user", "b")), told(("x-team", "a"))]
    assert [len(set(each)) for each in zip(*digests, strict=True)] == [4, 4, 4]


def test_both_names_of_the_output_cap_are_one() -> None:
    assert digest(max_tokens=5) == digest(max_completion_tokens=5)
    assert digest(max_tokens=5) != digest(max_tokens=6)


def test_kin_differ_in_what_is_asked_alone() -> None:
    def kin(**changes: Any) -> bytes:
        return kinship(request(**changes), asked_of=Asked("fake", "echo"), scope="key:a", is_healed=False)

    system = {"role": "system", "content": "Be brief."}
    assert kin() == kin(messages=[{"role": "user", "content": "something else"}])
    assert kin() != kin(temperature=1)
    assert kin() != kin(messages=[system, *BASE["messages"]])


def test_the_text_asked_for_is_told_unless_a_part_is_no_text() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    image = [{"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}]
    turns = [{"role": "system", "content": "x"}, {"role": "user", "content": parts}]

    assert asked_text(request(messages=turns)) == "user: a\nb"
    assert asked_text(request(messages=[{"role": "user", "content": image}])) is None


def test_a_double_has_the_same_caller_session_model_messages_and_tools() -> None:
    def double(caller: str = "a", **changes: Any) -> str:
        return conversation_digest(request(**changes), caller=caller)

    tools = [{"type": "function", "function": {"name": "f"}}]
    assert double() == double(temperature=0.1, stream=True, user="bob")
    others = [double("b"), double(session_id="s"), double(model="fake/slow"), double(tools=tools)]
    assert len({double(), *others, double(messages=[{"role": "user", "content": "bye"}])}) == 6
