"""By which header a key may come, which of several counts, and what has no door here at all."""

import pytest

from tests.flows.calls import MOUNTS, call, send
from tests.house import Process, Team, apart, chat

KEY_HEADERS = ("x_bf_vk", "x_api_key", "api_key", "x_goog_api_key")
# The first of two keys is the one that counts.
ORDER = [
    ("x_bf_vk", "authorization"),
    ("authorization", "x_api_key"),
    ("x_api_key", "api_key"),
    ("api_key", "x_goog_api_key"),
]
NOT_SERVED = (
    "/v1/messages",
    "/v1/responses",
    "/v1/embeddings",
    "/v1/images/generations",
    "/v1/audio/speech",
    "/v1/audio/transcriptions",
    "/v1/moderations",
    "/anthropic/v1/messages",
)


@pytest.mark.contract("3.1 x-api-key", "3.1 Own key header")
@pytest.mark.parametrize("header", KEY_HEADERS)
@pytest.mark.parametrize("mount", MOUNTS)
async def test_a_key_may_come_in_another_header(
    mount: str, header: str, gateway: Process, team: Team
) -> None:
    answer = await call(gateway, "", chat("echo@fake"), mount=mount, **{header: team.key})

    assert answer.status == 200


@pytest.mark.contract("3.1 x-api-key", "3.1 Own key header", "3.1 Bearer key")
@pytest.mark.parametrize(("first", "second"), ORDER)
async def test_of_two_keys_the_first_counts_whatever_the_other_is(
    first: str, second: str, gateway: Process, team: Team
) -> None:
    _, blocked = await apart(team.new_key, allowed_models=["fake/slow"])

    served = await call(gateway, "", chat("echo@fake"), **sent(first, team.key), **sent(second, "nonsense"))
    refused = await call(gateway, "", chat("echo@fake"), **sent(first, blocked), **sent(second, team.key))

    assert served.status == 200
    assert (refused.status, refused.error["code"]) == (403, "model_blocked")


@pytest.mark.contract("3.1 /v1/messages, responses, embeddings, images, audio")
@pytest.mark.parametrize("path", NOT_SERVED)
async def test_what_is_not_served_is_404_and_says_so(path: str, gateway: Process, team: Team) -> None:
    answer = await send(gateway, team.key, "POST", path, json=chat("echo@fake"))

    assert answer.status == 404
    if path.startswith("/v1/"):
        assert (answer.error["type"], answer.error["code"]) == ("not_found", "not_found")
        assert answer.error["message"] == f"There is no POST {path}."


def sent(header: str, key: str) -> dict[str, str]:
    return {header: f"Bearer {key}" if header == "authorization" else key}
