"""What differs between the mounts of the one endpoint, and what does not (the contract's 3.6 and 3.8)."""

from typing import Any

import pytest

from tests.flows.calls import MOUNTS, Reply, call, get
from tests.house import Process, Team, apart, chat

MODEL_FORMS = {
    "/v0": "echo@fake",
    "/v1": "fake/echo",
    "/api/v1": "fake/echo",
    "/openai/v1": "echo",
}
# 5 tokens of prompt at $1 and 8 of output at $2 per million.
COST_USD = 0.000021
INPUT_USD, OUTPUT_USD = 0.000005, 0.000016
UNASKED: Any = None
FINISH_CHUNK, SEPARATE_CHUNK, NOWHERE = "on the finish chunk", "on a chunk without choices", "nowhere"
USAGE_PLACES = {
    ("/v0", UNASKED): FINISH_CHUNK,
    ("/v1", UNASKED): FINISH_CHUNK,
    ("/api/v1", UNASKED): SEPARATE_CHUNK,
    ("/openai/v1", UNASKED): NOWHERE,
    **{(mount, True): SEPARATE_CHUNK for mount in MOUNTS},
    **{(mount, False): NOWHERE for mount in MOUNTS},
}


@pytest.mark.contract("3.4 model in response", "3.1 Chat path")
@pytest.mark.parametrize("mount", MOUNTS)
@pytest.mark.parametrize("asked", ["echo", "echo@fake", "fake/echo", "fake:echo", " echo "])
async def test_the_mount_alone_decides_how_the_model_is_named(
    asked: str, mount: str, gateway: Process, team: Team
) -> None:
    whole = await call(gateway, team.key, chat(asked), mount=mount)
    stream = await call(gateway, team.key, chat(asked, stream=True), mount=mount)

    assert whole.json["model"] == MODEL_FORMS[mount]
    assert {chunk["model"] for chunk in stream.chunks} == {MODEL_FORMS[mount]}
    assert whole.json["extra_fields"]["provider"] == "fake"


@pytest.mark.contract("3.4 Cost")
@pytest.mark.parametrize("mount", MOUNTS)
async def test_the_cost_is_a_number_and_on_openai_an_object(mount: str, gateway: Process, team: Team) -> None:
    answer = await call(gateway, team.key, chat("echo@fake"), mount=mount)

    usage = answer.json["usage"]
    as_object = {
        "input_tokens_cost": INPUT_USD,
        "output_tokens_cost": OUTPUT_USD,
        "request_cost": 0.0,
        "total_cost": COST_USD,
    }
    assert usage["cost"] == (as_object if mount == "/openai/v1" else COST_USD)
    assert {name: usage[name] for name in usage if name.startswith("cost_usd")} == {
        "cost_usd_total": COST_USD,
        "cost_usd_input": INPUT_USD,
        "cost_usd_output": OUTPUT_USD,
        "cost_usd_cached_input": 0.0,
        "cost_usd_request": 0.0,
    }


@pytest.mark.contract("3.4 Final usage chunk", "3.2 stream_options.include_usage")
@pytest.mark.parametrize(("mount", "include_usage"), USAGE_PLACES)
async def test_at_most_one_chunk_carries_usage(
    mount: str, include_usage: bool | None, gateway: Process, team: Team
) -> None:
    asked = {} if include_usage is None else {"stream_options": {"include_usage": include_usage}}

    stream = await call(gateway, team.key, chat("echo@fake", stream=True, **asked), mount=mount)

    place = USAGE_PLACES[mount, include_usage]
    telling = [chunk for chunk in stream.chunks if chunk["usage"] is not None]
    assert [place_of(chunk) for chunk in telling] == ([] if place == NOWHERE else [place])
    assert telling in ([], [stream.chunks[-1]])
    assert stream.is_done


@pytest.mark.contract("3.4 Routing block", "3.4 [DONE]", "3.2 stream")
@pytest.mark.parametrize("mount", MOUNTS)
async def test_a_stream_has_a_beginning_an_end_and_metadata(mount: str, gateway: Process, team: Team) -> None:
    stream = await call(gateway, team.key, chat("fifty-two@fake", stream=True), mount=mount)

    first, *_, last = stream.chunks
    finishes = [choice["finish_reason"] for chunk in stream.chunks for choice in chunk["choices"]]
    numbers = [chunk["extra_fields"]["chunk_index"] for chunk in stream.chunks]
    assert first["choices"][0]["delta"].items() >= {"role": "assistant", "content": ""}.items()
    assert [reason for reason in finishes if reason] == ["stop"]
    assert numbers == list(range(len(numbers)))
    assert [chunk for chunk in stream.chunks if "metadata" in chunk] == [last]
    assert last["metadata"]["routing"][0]["succeeded"] is True
    assert {chunk["object"] for chunk in stream.chunks} == {"chat.completion.chunk"}
    assert stream.text == "".join(f"w{number:02d} " for number in range(1, 53))
    assert stream.is_done


async def test_every_delta_below_v0_has_text(gateway: Process, team: Team) -> None:
    stream = await call(gateway, team.key, chat("reasoner@fake", stream=True), mount="/v0")

    deltas = [choice["delta"] for chunk in stream.chunks for choice in chunk["choices"]]
    assert {type(delta["content"]) for delta in deltas} == {str}


@pytest.mark.contract("3.2 logit_bias, logprobs, top_logprobs")
@pytest.mark.parametrize("mount", MOUNTS)
async def test_log_probs_are_spelled_twice_on_openai_alone(mount: str, gateway: Process, team: Team) -> None:
    answer = await call(gateway, team.key, chat("echo@fake", logprobs=True), mount=mount)

    (choice,) = answer.json["choices"]
    assert len(choice["logprobs"]["content"]) == 8
    assert ("log_probs" in choice) is (mount == "/openai/v1")


@pytest.mark.contract("3.4 Error envelope", "3.4 Validation status")
@pytest.mark.parametrize("mount", MOUNTS)
async def test_a_refusal_has_one_envelope_in_the_dialect_of_its_mount(
    mount: str, gateway: Process, team: Team
) -> None:
    answer = await call(gateway, team.key, chat("echo@fake", temperature=5), mount=mount)

    assert answer.status == 400
    assert (answer.error["type"], answer.error["code"]) == ("invalid_request_error", "invalid_value")
    assert answer.error["param"] == "temperature"
    message = answer.error["message"]
    as_list = [{"loc": ["body", "temperature"], "msg": message, "type": "invalid_value"}]
    assert answer.json["detail"] == (as_list if mount == "/v0" else message)
    bifrost = {"type", "event_id", "is_bifrost_error", "status_code", "extra_fields"}
    assert set(answer.json) == {"error", "detail"} | (bifrost if mount == "/openai/v1" else set())


async def test_openai_tells_the_event_and_what_was_asked(gateway: Process, team: Team) -> None:
    answer = await call(gateway, team.key, chat("nothing@fake", stream=True), mount="/openai/v1")

    event_id = answer.headers["x-farebox-event-id"]
    assert (answer.json["event_id"], answer.error["event_id"]) == (event_id, event_id)
    assert (answer.json["is_bifrost_error"], answer.json["status_code"]) == (False, 404)
    assert answer.json["extra_fields"] == {
        "provider": "",
        "model_requested": "nothing@fake",
        "request_type": "chat_completion_stream",
        "error_type": "model_not_found",
    }


@pytest.mark.parametrize(("mount", "kind"), [("/v1", "permission_denied"), ("/openai/v1", "model_blocked")])
async def test_a_blocked_model_has_its_own_type_on_openai(
    mount: str, kind: str, gateway: Process, team: Team
) -> None:
    _, key = await apart(team.new_key, allowed_models=["fake/slow"])

    answer = await call(gateway, key, chat("echo@fake"), mount=mount)

    assert (answer.status, answer.error["type"], answer.error["code"]) == (403, kind, "model_blocked")


@pytest.mark.contract("3.4 Mid-stream error", "3.4 [DONE]")
@pytest.mark.parametrize("mount", MOUNTS)
async def test_an_error_in_a_stream_is_one_event_and_the_end_mark(
    mount: str, gateway: Process, team: Team
) -> None:
    stream = await call(gateway, team.key, chat("ten-chunks@fake", "[[cut 3]]", stream=True), mount=mount)

    failing = stream.chunks[-1]
    assert (stream.status, stream.text) == (200, "w01 w02 w03 ")
    assert [block.startswith(b"event: error\ndata: ") for block in stream.blocks].count(True) == 1
    assert failing["choices"] == [{"index": 0, "delta": {}, "finish_reason": "error"}]
    assert set(failing["error"]) >= {"message", "type", "param", "code"}
    assert ("event_id" in failing["error"]) is (mount == "/openai/v1")
    assert failing["object"] == "chat.completion.chunk"
    assert stream.is_done


@pytest.mark.contract("3.1 Chat path")
@pytest.mark.parametrize("mount", MOUNTS)
async def test_a_slash_at_the_end_is_tolerated(mount: str, gateway: Process, team: Team) -> None:
    answer = await call(gateway, team.key, chat("echo@fake"), path=f"{mount}/chat/completions/")
    models = await get(gateway, team.key, f"{mount}/models/")

    assert (answer.status, models.status) == (200, 200)
    assert models.body == (await get(gateway, team.key, f"{mount}/models")).body


@pytest.mark.parametrize("body", [chat("echo@fake"), chat("echo@fake", stream=True), chat("nothing@fake")])
async def test_the_clients_own_request_id_comes_back_on_every_answer(
    body: dict[str, Any], gateway: Process, team: Team
) -> None:
    named = await call(gateway, team.key, body, x_request_id="my-own-0815")
    unnamed = await call(gateway, team.key, body)
    unfit = await call(gateway, team.key, body, x_request_id="x" * 200)

    assert named.headers["x-request-id"] == "my-own-0815"
    assert named.headers["x-farebox-event-id"] != "my-own-0815"
    assert unnamed.headers["x-request-id"] == unnamed.headers["x-farebox-event-id"]
    assert unfit.headers["x-request-id"] == unfit.headers["x-farebox-event-id"]


async def test_the_id_that_the_client_knows_finds_the_event(
    gateway: Process, worker: Process, team: Team
) -> None:
    answer = await call(gateway, team.key, chat("echo@fake"), x_request_id="my-own-4711")

    event = await apart(team.only_event)
    assert str(event.id) == answer.headers["x-farebox-event-id"]
    assert event.request_id == answer.json["metadata"]["request_id"] == "my-own-4711"
    assert answer.json["id"] == f"chatcmpl-{event.id.hex}"


@pytest.mark.parametrize("is_stream", [False, True])
async def test_an_answer_tells_how_long_it_took_and_what_we_added(
    *, is_stream: bool, gateway: Process, team: Team
) -> None:
    answer = await call(gateway, team.key, chat("echo@fake", "[[delay 200]]", stream=is_stream))

    assert int(answer.headers["openai-processing-ms"]) >= 200
    assert 0 <= float(answer.headers["x-farebox-overhead-ms"]) < 200


async def test_a_refusal_tells_how_long_it_took(gateway: Process, team: Team) -> None:
    answer = await call(gateway, team.key, chat("echo@fake", "[[status 500]] [[delay 200]]"))

    assert answer.status == 502
    assert int(answer.headers["openai-processing-ms"]) >= 200
    assert 0 <= float(answer.headers["x-farebox-overhead-ms"]) < 200


async def test_a_stream_is_not_cached_and_not_buffered(gateway: Process, team: Team) -> None:
    stream = await call(gateway, team.key, chat("echo@fake", stream=True))

    names = ("content-type", "cache-control", "x-accel-buffering")
    assert [stream.headers[name] for name in names] == ["text/event-stream; charset=utf-8", "no-cache", "no"]


async def test_limits_are_told_in_both_vocabularies(gateway: Process, team: Team) -> None:
    _, key = await apart(team.new_key, requests_per_minute=60, tokens_per_minute=50_000)

    answer = await call(gateway, key, chat("echo@fake", max_tokens=8))

    told = {name: answer.headers[name] for name in answer.headers if "ratelimit" in name}
    assert told.pop("x-ratelimit-remaining-tokens") < "50000"
    assert told.pop("x-ratelimit-reset-tokens").endswith("ms")
    assert told == {
        "x-ratelimit-limit-requests": "60",
        "x-ratelimit-remaining-requests": "59",
        "x-ratelimit-reset-requests": "1s",
        "x-ratelimit-limit-tokens": "50000",
        "ratelimit-limit": "60",
        "ratelimit-remaining": "59",
        "ratelimit-reset": "1",
        "ratelimit-policy": "60;w=60",
    }


async def test_a_key_without_limits_is_told_none(gateway: Process, team: Team) -> None:
    answer = await call(gateway, team.key, chat("echo@fake"))

    assert [name for name in answer.headers if "ratelimit" in name] == []


@pytest.mark.contract("3.4 Rate limit")
@pytest.mark.parametrize("mount", MOUNTS)
async def test_who_is_too_fast_is_told_when_to_come_back(mount: str, gateway: Process, team: Team) -> None:
    _, key = await apart(team.new_key, requests_per_minute=1)
    await call(gateway, key, chat("echo@fake"), mount=mount)

    answer = await call(gateway, key, chat("echo@fake"), mount=mount)

    assert (answer.status, answer.error["code"]) == (429, "rate_limit_exceeded")
    assert 50 <= int(answer.headers["retry-after"]) <= 60
    assert int(answer.headers["retry-after-ms"]) <= 60_000
    assert answer.error["details"]["scope"] == "key"
    assert answer.error["details"]["dimension"] == "requests"


@pytest.mark.contract("3.2 drop_params")
@pytest.mark.parametrize("is_stream", [False, True])
async def test_what_is_dropped_is_named(*, is_stream: bool, gateway: Process, team: Team) -> None:
    body = chat("dear@fake", reasoning_effort="low", temperature=1, stream=is_stream)

    answer = await call(gateway, team.key, body)
    strict = await call(gateway, team.key, body | {"drop_params": False})

    last = answer.chunks[-1] if is_stream else answer.json
    assert last["extra_fields"]["dropped_params"] == ["reasoning_effort"]
    assert (strict.status, strict.error["code"]) == (400, "unsupported_parameter")
    assert strict.error["param"] == "reasoning_effort"


async def test_headers_of_the_provider_do_not_reach_the_client(gateway: Process, team: Team) -> None:
    answer = await call(gateway, team.key, chat("echo@fake", "[[cookie]]"))

    leaked = {"set-cookie", "keep-alive", "proxy-authenticate", "x-upstream-internal"}
    assert leaked & set(answer.headers) == set()


async def test_all_mounts_bill_alike(gateway: Process, worker: Process, team: Team) -> None:
    answers: list[Reply] = [await call(gateway, team.key, chat("echo@fake"), mount=mount) for mount in MOUNTS]

    events = await apart(team.wait_for_events, 4)
    assert [event.route for event in events] == [f"{mount}/chat/completions" for mount in MOUNTS]
    assert {event.charge_usd for event in events} == {events[0].charge_usd}
    assert len({answer.json["id"] for answer in answers}) == 4


def place_of(chunk: dict[str, Any]) -> str:
    choices = chunk["choices"]
    if not choices:
        return SEPARATE_CHUNK
    return FINISH_CHUNK if choices[0]["finish_reason"] else "on another chunk"
