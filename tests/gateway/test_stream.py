"""The stream rewriter: what an official SDK reads through us is what it reads from the provider."""

import re
from typing import Any

import pytest
from openai import APIError

from billing.usage import TokenUsage
from gateway.errors import ProviderError
from gateway.wire.dialect import DIALECTS
from gateway.wire.shapes import ChatChunk, Reading
from gateway.wire.stream import StreamRewriter
from tests.gateway.streams import NAMES, SERVED, accumulate, documents, read_by_sdk, recording, rewrite

MOUNTS = sorted(DIALECTS)
NOTHING = Reading(usage=TokenUsage(input=1), is_estimated=True)
COUNTS = ("prompt_tokens", "completion_tokens", "total_tokens")
# The SDK joins roles that a provider repeats on every chunk; through us it reads the role once.
REPEATED_ROLE = re.compile("(?:assistant)+")


def rewriter(mount: str = "/v1", *, include_usage: bool | None = None) -> StreamRewriter:
    return StreamRewriter(dialect=DIALECTS[mount], served=SERVED, include_usage=include_usage, created=1)


def delta(finish_reason: str | None = None, *, index: int = 0, **fields: Any) -> ChatChunk:
    return ChatChunk([{"index": index, "delta": fields, "finish_reason": finish_reason}])


def said(stream: bytes) -> list[dict[str, Any]]:
    """What each choice says, as the SDK accumulates it."""
    completion = accumulate([chunk for chunk in read_by_sdk(stream) if chunk.choices])
    for choice in completion["choices"]:
        choice["message"]["role"] = REPEATED_ROLE.sub("assistant", choice["message"]["role"])
        if "reasoning_content" in choice["message"]:
            choice["message"].pop("reasoning", None)
    return completion["choices"]


def reported(stream: bytes) -> list[dict[str, Any]]:
    """Every usage that a client gets to see."""
    return [chunk.usage.model_dump() for chunk in read_by_sdk(stream) if chunk.usage]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("mount", ["/v1", "/api/v1"])
def test_the_sdk_reads_through_us_what_the_provider_said(name: str, mount: str) -> None:
    direct = said(recording(name))

    through_us = said(rewrite(recording(name), mount=mount))

    for ours, theirs in zip(through_us, direct, strict=True):
        if not theirs["message"]["content"]:
            ours["message"]["content"] = ours["message"]["content"] or theirs["message"]["content"]
        assert ours == theirs


@pytest.mark.parametrize("name", ["one_tool", "parallel_tools", "refusal"])
def test_content_that_the_provider_left_null_stays_null(name: str) -> None:
    assert said(rewrite(recording(name)))[0]["message"]["content"] is None


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("mount", MOUNTS)
def test_text_calls_and_reasons_are_the_same_on_every_route(name: str, mount: str) -> None:
    direct, through_us = said(recording(name)), said(rewrite(recording(name), mount=mount))

    def essence(choice: dict[str, Any]) -> Any:
        message = choice["message"]
        return message["content"] or "", message["tool_calls"], message["refusal"], choice["finish_reason"]

    assert [essence(choice) for choice in through_us] == [essence(choice) for choice in direct]


@pytest.mark.parametrize("name", NAMES)
def test_the_usage_is_the_providers_last_word(name: str) -> None:
    last = reported(recording(name))[-1]

    (ours,) = reported(rewrite(recording(name), include_usage=True))

    assert {count: ours[count] for count in COUNTS} == {count: last[count] for count in COUNTS}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("include_usage", [None, True, False])
@pytest.mark.parametrize("mount", MOUNTS)
def test_every_stream_has_our_envelope(name: str, mount: str, include_usage: bool | None) -> None:
    chunks = documents(rewrite(recording(name), mount=mount, include_usage=include_usage))

    model = {"/v0": "gpt-4o@openai", "/openai/v1": "gpt-4o"}.get(mount, "openai/gpt-4o")
    assert {chunk["id"] for chunk in chunks} == {"chatcmpl-ours"}
    assert {chunk["model"] for chunk in chunks} == {model}
    assert {chunk["created"] for chunk in chunks} == {1_700_000_000}
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert [chunk["extra_fields"]["chunk_index"] for chunk in chunks] == list(range(len(chunks)))
    assert ["metadata" in chunk for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    assert chunks[-1]["extra_fields"]["provider"] == "openai"
    assert chunks[-1]["extra_fields"]["dropped_params"] == ["effort"]
    first = chunks[0]["choices"][0]["delta"]
    assert first["role"] == "assistant"
    assert not first["content"]


@pytest.mark.parametrize(
    ("mount", "include_usage", "place"),
    [
        ("/v0", None, "finish"),
        ("/v0", True, "separate"),
        ("/v0", False, None),
        ("/v1", None, "finish"),
        ("/v1", True, "separate"),
        ("/v1", False, None),
        ("/api/v1", None, "separate"),
        ("/api/v1", True, "separate"),
        ("/api/v1", False, None),
        ("/openai/v1", None, None),
        ("/openai/v1", True, "separate"),
        ("/openai/v1", False, None),
    ],
)
@pytest.mark.parametrize("name", NAMES)
def test_usage_stands_in_one_place(
    name: str, mount: str, include_usage: bool | None, place: str | None
) -> None:
    chunks = documents(rewrite(recording(name), mount=mount, include_usage=include_usage))

    last = chunks[-1]
    assert all(chunk["usage"] is None for chunk in chunks[:-1])
    assert (last["usage"] is not None) is (place is not None)
    assert (last["choices"] == []) is (place == "separate")
    if place != "separate":
        assert last["choices"][0]["finish_reason"] is not None


def test_a_stream_in_full() -> None:
    chunks = documents(rewrite(recording("text"), mount="/v0"))

    assert chunks[0] == {
        "id": "chatcmpl-ours",
        "object": "chat.completion.chunk",
        "created": 1_700_000_000,
        "model": "gpt-4o@openai",
        "service_tier": "default",
        "system_fingerprint": "fp_44709d6fcb",
        "obfuscation": "aB3",
        "choices": [
            {
                "index": 0,
                "delta": {"role": "assistant", "content": "", "refusal": None},
                "logprobs": None,
                "finish_reason": None,
            }
        ],
        "usage": None,
        "extra_fields": {"chunk_index": 0},
    }
    assert chunks[-1]["choices"] == [
        {"index": 0, "delta": {"content": ""}, "logprobs": None, "finish_reason": "stop"}
    ]
    assert chunks[-1]["usage"] == {
        "prompt_tokens": 19,
        "completion_tokens": 10,
        "total_tokens": 29,
        "reasoning_tokens": 0,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": 0,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
        "cost": 0.000012625,
        "cost_usd_total": 0.000012625,
        "cost_usd_input": 0.0000025,
        "cost_usd_output": 0.00001,
        "cost_usd_cached_input": 0.000000125,
        "cost_usd_request": 0.0,
    }
    assert chunks[-1]["metadata"] == {
        "requested_model": "gpt-4o",
        "requested_provider": None,
        "used_model": "gpt-4o",
        "used_provider": "openai",
        "underlying_used_model": "gpt-4o-2024-08-06",
        "routing": [
            {
                "provider": "openai",
                "model": "gpt-4o",
                "status_code": 200,
                "error_type": None,
                "succeeded": True,
            }
        ],
        "request_id": "request-1",
        "cached": False,
        "tags": ["a", "b"],
    }
    assert chunks[-1]["extra_fields"] == {
        "request_type": "chat_completion_stream",
        "provider": "openai",
        "model_requested": "gpt-4o",
        "model_deployment": "gpt-4o-2024-08-06",
        "latency": 12,
        "dropped_params": ["effort"],
        "chunk_index": 10,
    }


@pytest.mark.parametrize("name", NAMES)
def test_every_delta_without_a_call_has_text_on_v0(name: str) -> None:
    choices = [
        choice for chunk in documents(rewrite(recording(name), mount="/v0")) for choice in chunk["choices"]
    ]

    assert all(
        isinstance(choice["delta"].get("content"), str) or choice["delta"].get("tool_calls")
        for choice in choices
    )


def test_log_probabilities_have_both_names_on_openai_only() -> None:
    ours = documents(rewrite(recording("logprobs"), mount="/openai/v1"))[1]["choices"][0]
    neutral = documents(rewrite(recording("logprobs"), mount="/v1"))[1]["choices"][0]

    assert ours["log_probs"] == ours["logprobs"] == neutral["logprobs"]
    assert ours["logprobs"]["content"][0]["logprob"] == -0.31725305
    assert "log_probs" not in neutral


def test_a_role_that_comes_with_text_goes_ahead_alone() -> None:
    chunks = documents(rewrite(recording("role_on_every_chunk")))

    assert [chunk["choices"][0]["delta"] for chunk in chunks] == [
        {"role": "assistant", "content": ""},
        {"content": "The sky"},
        {"content": " is blue."},
        {"content": " Really."},
    ]


def test_fields_of_chunks_without_choices_arrive_with_the_last_chunk() -> None:
    chunks = documents(rewrite(recording("filter_results_first")))

    assert chunks[0]["choices"] != []
    assert chunks[-1]["prompt_filter_results"][0]["prompt_index"] == 0
    assert chunks[1]["choices"][0]["content_filter_results"]["hate"] == {
        "filtered": False,
        "severity": "safe",
    }


def test_citations_are_passed_on() -> None:
    last = documents(rewrite(recording("citations")))[-1]

    assert last["citations"] == ["https://example.com/1"]
    assert last["search_results"][0]["title"] == "t"


def test_content_goes_out_at_once_and_the_finish_waits_for_the_usage() -> None:
    stream = rewriter()

    assert stream.feed(delta(role="assistant", content="")) != b""
    assert stream.feed(delta(content="Hi")) != b""
    assert stream.feed(delta("stop")) == b""
    assert stream.has_finish


def test_the_finish_goes_out_at_once_when_the_usage_follows_apart() -> None:
    stream = rewriter(include_usage=True)
    stream.feed(delta(role="assistant", content=""))

    assert b'"finish_reason":"stop"' in stream.feed(delta("stop"))


def test_one_choice_that_ends_does_not_hold_back_the_other() -> None:
    stream = rewriter()
    for index in (0, 1):
        stream.feed(delta(index=index, role="assistant", content=""))

    assert b'"finish_reason":"stop"' in stream.feed(delta("stop", index=0))
    assert not stream.has_finish
    assert b"more" in stream.feed(delta(index=1, content="more"))
    assert stream.feed(delta("length", index=1)) == b""
    assert stream.has_finish


def test_what_comes_after_the_finish_is_not_lost() -> None:
    stream = rewriter()
    sent = stream.feed(delta("stop", role="assistant", content="Hi"))
    sent += stream.feed(delta(audio={"expires_at": 5}))
    sent += stream.finish(reading=NOTHING, cost=None, routing=[], latency_ms=1)

    chunks = documents(sent)
    assert [chunk["choices"][0]["delta"] for chunk in chunks] == [
        {"role": "assistant", "content": ""},
        {"content": "Hi"},
        {"audio": {"expires_at": 5}},
    ]
    assert [chunk["usage"] is None for chunk in chunks] == [True, True, False]


def test_a_stream_that_names_no_reason_ends_with_stop() -> None:
    stream = rewriter()
    sent = stream.feed(delta(role="assistant", content="")) + stream.feed(delta(content="Hi"))
    sent += stream.finish(reading=NOTHING, cost=None, routing=[], latency_ms=1)

    assert documents(sent)[-1]["choices"] == [{"index": 0, "delta": {}, "finish_reason": "stop"}]
    assert documents(sent)[-1]["usage"]["prompt_tokens"] == 1


@pytest.mark.parametrize("mount", MOUNTS)
def test_a_stream_that_says_nothing_is_still_a_stream(mount: str) -> None:
    sent = rewriter(mount).finish(reading=NOTHING, cost=None, routing=[], latency_ms=1)

    (choice,) = accumulate(read_by_sdk(sent))["choices"]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("", "stop")


@pytest.mark.parametrize("mount", MOUNTS)
def test_an_error_amid_a_stream_is_a_chunk_and_an_error(mount: str) -> None:
    stream = rewriter(mount)
    sent = stream.feed(delta(role="assistant", content="Half an ans"))

    sent += stream.fail(ProviderError("The provider broke off."), event_id="event-1")

    *_, event, end, rest = sent.split(b"\n\n")
    assert (end, rest) == (b"data: [DONE]", b"")
    assert event.startswith(b"event: error\ndata: {")
    last = documents(sent)[-1]
    assert last["id"] == "chatcmpl-ours"
    assert last["choices"] == [{"index": 0, "delta": {}, "finish_reason": "error"}]
    assert last["error"]["message"] == "The provider broke off."
    assert (last["error"]["type"], last["error"]["code"]) == ("upstream_error", "provider_error")
    with pytest.raises(APIError, match="The provider broke off"):
        read_by_sdk(sent)


def test_an_error_after_the_finish_does_not_swallow_the_finish() -> None:
    stream = rewriter()
    sent = stream.feed(delta("stop", role="assistant", content="Hi"))

    sent += stream.fail(ProviderError("The provider broke off."), event_id="event-1")

    assert [chunk["choices"][0].get("finish_reason") for chunk in documents(sent)] == [None, "stop", "error"]


def test_the_reason_for_the_log_is_the_first_choices() -> None:
    stream = rewriter()
    stream.feed(delta("length", role="assistant", content="Hi"))

    assert stream.finish_reason == "length"


def test_own_credentials_cost_nothing() -> None:
    usage = documents(rewrite(recording("text"), cost=None))[-1]["usage"]

    assert [value for name, value in usage.items() if name.startswith("cost")] == [0.0] * 6


def test_reasoning_has_both_names() -> None:
    deltas = [chunk["choices"][0]["delta"] for chunk in documents(rewrite(recording("reasoning")))]

    assert [(delta.get("reasoning_content"), delta.get("reasoning")) for delta in deltas[1:4]] == [
        ("Let", "Let"),
        (" me", " me"),
        (" think", " think"),
    ]
    assert all("reasoning" not in delta for delta in deltas[4:])
