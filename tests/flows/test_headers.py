"""What headers ask for, and what every answer says in its own."""

import uuid
from itertools import pairwise
from typing import Any

import pytest

from gateway.services import connect_provider
from tests.flows.calls import MOUNTS, Reply, call, get
from tests.house import House, Process, Team, apart, chat

OWN_KEY = "sk-own-0123456789-of-this-team"
KINDS: dict[str, tuple[dict[str, Any], int]] = {
    "whole": (chat("echo@fake"), 200),
    "stream": (chat("echo@fake", stream=True), 200),
    "bad request": (chat("echo@fake", temperature=9), 400),
    "no such model": (chat("nothing@fake"), 404),
    "provider fails": (chat("echo@fake", "[[status 500]]"), 502),
    "provider is busy": (chat("echo@fake", "[[status 429]]"), 429),
}


@pytest.mark.parametrize("mount", MOUNTS)
async def test_every_answer_has_an_id_and_says_how_long_it_took(
    mount: str, gateway: Process, team: Team
) -> None:
    for body, status in KINDS.values():
        answer = await call(gateway, team.key, body, mount=mount, x_request_id="mine-1")

        assert answer.status == status
        assert answer.headers["x-request-id"] == "mine-1"
        assert int(answer.headers["openai-processing-ms"]) >= 0
        assert float(answer.headers["x-farebox-overhead-ms"]) >= 0


@pytest.mark.parametrize("path", ["/v1/models", "/v0/credits", "/v1/models/nothing", "/openai/v1/nothing"])
async def test_lists_and_refusals_of_paths_have_them_too(path: str, gateway: Process, team: Team) -> None:
    answer = await get(gateway, team.key, path, x_request_id="mine-2")

    assert answer.headers["x-request-id"] == "mine-2"
    assert int(answer.headers["openai-processing-ms"]) >= 0


async def test_a_refusal_of_the_body_itself_says_how_long_it_took(gateway: Process, team: Team) -> None:
    answer = await call(gateway, team.key, chat("echo@fake"), content_type="text/plain")

    assert (answer.status, answer.error["code"]) == (415, "unsupported_media_type")
    assert int(answer.headers["openai-processing-ms"]) >= 0


@pytest.mark.contract("3.4 Rate limit")
@pytest.mark.parametrize("mount", MOUNTS)
async def test_limits_are_told_before_and_after_they_are_used_up(
    mount: str, gateway: Process, team: Team
) -> None:
    _, key = await apart(team.new_key, requests_per_minute=2)
    answers = [await call(gateway, key, chat("echo@fake"), mount=mount) for _ in range(3)]

    assert [answer.status for answer in answers] == [200, 200, 429]
    assert [told(answer, "ratelimit-remaining") for answer in answers] == ["1", "0", "0"]
    assert [told(answer, "x-ratelimit-remaining-requests") for answer in answers] == ["1", "0", "0"]
    assert {told(answer, "ratelimit-limit") for answer in answers} == {"2"}
    assert {told(answer, "ratelimit-policy") for answer in answers} == {"2;w=60"}
    assert {told(answer, "x-ratelimit-limit-requests") for answer in answers} == {"2"}
    assert 0 < int(answers[2].headers["retry-after"]) <= 60
    assert answers[2].error["type"] == "rate_limit_error"
    assert answers[2].error["code"] == "rate_limit_exceeded"


async def test_a_provider_that_does_not_say_when_is_tried_again_after_a_few_seconds(
    gateway: Process, team: Team
) -> None:
    untold = await call(gateway, team.key, chat("echo@fake", "[[status 429]]"))
    told_7 = await call(gateway, team.key, chat("echo@fake", "[[status 429 retry-after 7]]"))

    assert (untold.status, untold.error["code"]) == (429, "upstream_rate_limited")
    assert (untold.headers["retry-after"], untold.headers["retry-after-ms"]) == ("5", "5000")
    assert told_7.headers["retry-after"] == "7"


@pytest.mark.parametrize("is_stream", [False, True])
async def test_the_raw_exchange_is_shown_on_demand_and_without_the_credential(
    *, is_stream: bool, house: House, gateway: Process, team: Team
) -> None:
    own = await apart(bring_own_key, house, team)
    # The provider repeats what it was told, the credential with it.
    body = chat("echo@fake", f"hello {OWN_KEY}", stream=is_stream)

    plain = await call(gateway, team.key, body)
    shown = await call(gateway, team.key, body, x_bf_send_back_raw_response="true")

    assert "raw_" not in plain.body.decode()
    extra = (shown.chunks[-1] if is_stream else shown.json)["extra_fields"]
    said = extra["raw_request"]["messages"][0]["content"]
    assert said == "hello [redacted]"
    if is_stream:
        assert extra["raw_response"][0]["object"] == "chat.completion.chunk"
        assert extra["raw_response"][-1] == "[DONE]"
        assert [chunk for chunk in shown.chunks[:-1] if "raw_response" in chunk["extra_fields"]] == []
    else:
        assert extra["raw_response"]["object"] == "chat.completion"
    assert own.provider == "fake"


@pytest.mark.contract("3.2 use_custom_keys", "3.1 Own key header")
async def test_a_header_chooses_one_of_the_organizations_own_keys(
    house: House, gateway: Process, team: Team
) -> None:
    own = await apart(bring_own_key, house, team)

    by_name = await call(gateway, team.key, chat("echo"), x_bf_api_key="fake")
    by_id = await call(gateway, team.key, chat("echo@fake"), x_bf_api_key_id=str(own.pk))
    unknown = await call(gateway, team.key, chat("echo@fake"), x_bf_api_key_id=str(uuid.uuid4()))
    both = await call(gateway, team.key, chat("echo@fake"), x_bf_api_key="fake", x_bf_api_key_id=str(own.pk))
    opposite = await call(gateway, team.key, chat("echo@fake", use_custom_keys=False), x_bf_api_key="fake")

    assert [answer.json["usage"]["cost"] for answer in (by_name, by_id)] == [0, 0]
    assert (unknown.status, unknown.error["code"]) == (404, "custom_key_not_found")
    assert (both.status, both.error["param"]) == (400, "x-bf-api-key")
    assert (opposite.status, opposite.error["param"]) == (400, "x-bf-api-key")


async def test_another_organizations_key_is_not_found(house: House, gateway: Process, team: Team) -> None:
    answer = await call(gateway, team.key, chat("echo@fake"), x_bf_api_key="fake")

    assert (answer.status, answer.error["code"]) == (404, "custom_key_not_found")


@pytest.mark.parametrize("name", ["send-back-raw-response", "passthrough-extra-params", "compat"])
async def test_a_switch_that_is_neither_on_nor_off_is_refused(
    name: str, gateway: Process, team: Team
) -> None:
    answer = await call(gateway, team.key, chat("echo@fake"), **{f"x_bf_{name}": "perhaps"})

    assert (answer.status, answer.error["param"]) == (400, f"x-bf-{name}")
    assert answer.error["message"] == f"x-bf-{name} must be true or false."


@pytest.mark.contract("3.4 Error envelope")
@pytest.mark.parametrize("mount", MOUNTS)
async def test_a_path_that_is_not_there_answers_in_the_dialect_of_its_mount(
    mount: str, gateway: Process, team: Team
) -> None:
    answer = await get(gateway, team.key, f"{mount}/embeddings")

    assert (answer.status, answer.error["code"]) == (404, "not_found")
    assert ("is_bifrost_error" in answer.json) is (mount == "/openai/v1")


def told(answer: Reply, name: str) -> str:
    value: str = answer.headers[name]
    return value


def bring_own_key(house: House, team: Team) -> Any:
    return connect_provider(
        organization=team.organization,
        provider="fake",
        base_url=f"{house.simulator_url}/own/v1",
        api_key=OWN_KEY,
    )


KEY_HEADERS = ("authorization", "x-bf-vk", "x-api-key", "api-key", "x-goog-api-key")


@pytest.mark.contract("3.1 Bearer key", "3.1 x-api-key", "3.1 Own key header")
async def test_a_key_is_read_from_five_headers_the_first_of_them_winning(
    gateway: Process, team: Team
) -> None:
    for header in KEY_HEADERS:
        word = "Bearer " if header == "authorization" else ""
        answer = await send_with(gateway, {header: f"{word}{team.key}"})
        assert (header, answer.status) == (header, 200)
    # Of two the one that comes first in the contract's order counts, whatever the other is.
    order = ("x-bf-vk", "authorization", "x-api-key", "api-key", "x-goog-api-key")
    for first, second in pairwise(order):
        good = {first: bearer(first, team.key), second: bearer(second, "not-a-key")}
        bad = {first: bearer(first, "not-a-key"), second: bearer(second, team.key)}
        assert (await send_with(gateway, good)).status == 200
        assert (await send_with(gateway, bad)).status == 401


@pytest.mark.parametrize("mount", MOUNTS)
async def test_a_key_that_is_used_from_elsewhere_is_refused_by_name(
    mount: str, gateway: Process, team: Team
) -> None:
    _, far = await apart(team.new_key, allowed_networks=["203.0.113.0/24"])
    _, near = await apart(team.new_key, allowed_networks=["203.0.113.0/24", "127.0.0.0/8"])

    refused = await call(gateway, far, chat("echo@fake"), mount=mount)
    listed = await get(gateway, far, "/v1/models")
    answer = await call(gateway, near, chat("echo@fake"), mount=mount)

    for each in (refused, listed):
        assert (each.status, each.error["code"]) == (403, "ip_blocked")
    assert refused.error["message"] == "This key may not be used from 127.0.0.1."
    assert answer.status == 200


def bearer(header: str, key: str) -> str:
    return f"Bearer {key}" if header == "authorization" else key


async def send_with(gateway: Process, headers: dict[str, str]) -> Reply:
    return await call(
        gateway, "", chat("echo@fake"), **{name.replace("-", "_"): value for name, value in headers.items()}
    )
