"""Whole answers: our envelope in the path's dialect around the provider's choices."""

from typing import Any

import httpx2
import orjson
import pytest
from openai import OpenAI
from openai.types.chat import ChatCompletion

from billing.pricing import Cost
from gateway.meter import Meter
from gateway.providers.openai import OpenAIProvider
from gateway.wire.answer import render_answer
from gateway.wire.dialect import DIALECTS
from tests.gateway.streams import ATTEMPT, COST, SERVED

MOUNTS = sorted(DIALECTS)

UPSTREAM: dict[str, Any] = {
    "id": "chatcmpl-theirs",
    "object": "chat.completion",
    "created": 1763690000,
    "model": "gpt-4o-2024-08-06",
    "choices": [
        {
            "index": 0,
            "message": {
                "role": "assistant",
                "content": "line\u2028separator \U0001f680",
                "refusal": None,
                "annotations": [],
                "reasoning": "hm",
                "tool_calls": [
                    {
                        "id": "call_1",
                        "type": "function",
                        "function": {"name": "f", "arguments": '{"a": "\\u00e9"}'},
                    }
                ],
            },
            "logprobs": {"content": [{"token": "x", "logprob": -0.5, "bytes": [120], "top_logprobs": []}]},
            "finish_reason": "tool_calls",
        }
    ],
    "usage": {
        "prompt_tokens": 19,
        "completion_tokens": 10,
        "total_tokens": 29,
        "prompt_tokens_details": {"cached_tokens": 5, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 4, "accepted_prediction_tokens": 1},
    },
    "service_tier": "default",
    "system_fingerprint": "fp_1",
    "citations": ["https://example.com"],
}


def rendered(upstream: dict[str, Any] = UPSTREAM, *, mount: str = "/v1", cost: Cost | None = COST) -> Any:
    answer = OpenAIProvider().read_answer(200, orjson.dumps(upstream))
    meter = Meter(prompt_tokens_estimate=7)
    meter.observe_answer(answer)
    body = render_answer(
        answer,
        served=SERVED,
        reading=meter.reading(),
        cost=cost,
        dialect=DIALECTS[mount],
        routing=[ATTEMPT],
        latency_ms=34,
    )
    return orjson.loads(body)


def read_by_sdk(document: Any) -> ChatCompletion:
    transport = httpx2.MockTransport(lambda _: httpx2.Response(200, json=document))
    client = OpenAI(
        api_key="x", base_url="http://provider.test/v1", http_client=httpx2.Client(transport=transport)
    )
    return client.chat.completions.create(model="m", messages=[])


def test_an_answer_in_full() -> None:
    assert rendered() == {
        "id": "chatcmpl-ours",
        "object": "chat.completion",
        "created": 1763690000,
        "model": "openai/gpt-4o",
        "choices": UPSTREAM["choices"],
        "usage": {
            "prompt_tokens": 19,
            "completion_tokens": 10,
            "total_tokens": 29,
            "reasoning_tokens": 4,
            "prompt_tokens_details": {"cached_tokens": 5, "audio_tokens": 0},
            "completion_tokens_details": {
                "reasoning_tokens": 4,
                "accepted_prediction_tokens": 1,
                "audio_tokens": 0,
            },
            "cost": 0.000012625,
            "cost_usd_total": 0.000012625,
            "cost_usd_input": 0.0000025,
            "cost_usd_output": 0.00001,
            "cost_usd_cached_input": 0.000000125,
            "cost_usd_request": 0.0,
        },
        "service_tier": "default",
        "system_fingerprint": "fp_1",
        "citations": ["https://example.com"],
        "metadata": {
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
        },
        "extra_fields": {
            "request_type": "chat_completion",
            "provider": "openai",
            "model_requested": "gpt-4o",
            "model_deployment": "gpt-4o-2024-08-06",
            "latency": 34,
            "dropped_params": ["effort"],
        },
    }


@pytest.mark.parametrize("mount", MOUNTS)
def test_the_sdk_reads_through_us_what_the_provider_said(mount: str) -> None:
    direct, through_us = read_by_sdk(UPSTREAM), read_by_sdk(rendered(mount=mount))

    ours = through_us.choices[0].model_dump(exclude={"log_probs"})
    assert ours == direct.choices[0].model_dump()
    assert through_us.usage is not None
    assert through_us.usage.total_tokens == 29


@pytest.mark.parametrize(
    ("mount", "model"),
    [
        ("/v0", "gpt-4o@openai"),
        ("/v1", "openai/gpt-4o"),
        ("/api/v1", "openai/gpt-4o"),
        ("/openai/v1", "gpt-4o"),
    ],
)
def test_the_model_is_named_by_the_path(mount: str, model: str) -> None:
    assert rendered(mount=mount)["model"] == model


@pytest.mark.parametrize("mount", ["/v0", "/v1", "/api/v1"])
def test_cost_is_a_number(mount: str) -> None:
    assert rendered(mount=mount)["usage"]["cost"] == 0.000012625


def test_cost_is_an_object_on_openai() -> None:
    usage = rendered(mount="/openai/v1")["usage"]

    assert usage["cost"] == {
        "input_tokens_cost": 0.000002625,
        "output_tokens_cost": 0.00001,
        "request_cost": 0.0,
        "total_cost": 0.000012625,
    }
    assert usage["cost_usd_total"] == 0.000012625


def test_the_total_is_what_is_booked() -> None:
    cost = Cost(input_pico=1_500, output_pico=1_001)

    usage = rendered(cost=cost)["usage"]

    assert usage["cost"] == usage["cost_usd_total"] == 0.000000003
    assert usage["cost_usd_input"] == 0.0000000015


@pytest.mark.parametrize("mount", MOUNTS)
def test_own_credentials_cost_nothing(mount: str) -> None:
    usage = rendered(mount=mount, cost=None)["usage"]

    assert usage["cost_usd_total"] == usage["cost_usd_input"] == usage["cost_usd_output"] == 0.0
    assert usage["prompt_tokens"] == 19


def test_log_probabilities_have_both_names_on_openai_only() -> None:
    (ours,) = rendered(mount="/openai/v1")["choices"]
    (neutral,) = rendered(mount="/v1")["choices"]

    assert ours["log_probs"] == ours["logprobs"] == neutral["logprobs"]
    assert "log_probs" not in neutral


def test_what_a_sparse_provider_leaves_out_is_there() -> None:
    document = rendered({"choices": [{"message": {"content": "Hi"}}]})

    assert document["choices"] == [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Hi", "refusal": None},
            "logprobs": None,
            "finish_reason": "stop",
        }
    ]
    assert (document["system_fingerprint"], document["service_tier"]) == (None, None)
    assert document["usage"]["prompt_tokens"] == 7
    assert document["usage"]["completion_tokens"] == 1
    assert read_by_sdk(document).choices[0].message.content == "Hi"


def test_prompt_tokens_are_at_least_one() -> None:
    usage = rendered({**UPSTREAM, "usage": {"prompt_tokens": 0, "completion_tokens": 3}})["usage"]

    assert (usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]) == (1, 3, 4)


def test_a_gateway_behind_us_does_not_speak_for_us() -> None:
    theirs = {"metadata": {"used_provider": "other"}, "extra_fields": {"provider": "other"}}

    document = rendered({**UPSTREAM, **theirs})

    assert document["metadata"]["used_provider"] == document["extra_fields"]["provider"] == "openai"


def test_reasoning_has_both_names() -> None:
    message = {"role": "assistant", "content": "4", "reasoning_content": "2 + 2"}

    document = rendered({**UPSTREAM, "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]})

    assert document["choices"][0]["message"] == {**message, "refusal": None, "reasoning": "2 + 2"}
