"""Bad input: a clear 4xx in the contract's envelope, nothing charged, nothing held, process alive."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import orjson
import pytest

from accounts.keys import new_secret
from accounts.models import ApiKey
from accounts.services import revoke_key
from tests.house import House, Process, Team, apart, chat
from tests.stream_client import raw_connection, raw_request

GOOD = chat("echo@fake")
BODIES: dict[str, tuple[bytes, int, str]] = {
    "broken JSON": (b'{"model": "echo@fake", "messages": [', 400, "invalid_json"),
    "empty body": (b"", 400, "invalid_json"),
    "NaN": (b'{"model":"echo@fake","messages":[{"role":"user","content":"x"}],"temperature":NaN}', 400, ""),
    "wrong type": (orjson.dumps({**GOOD, "max_tokens": "100"}), 400, "invalid_value"),
    "wrong messages": (orjson.dumps({**GOOD, "messages": "hello"}), 400, ""),
    "nesting 10,000 deep": (b'{"model":"echo@fake","messages":' + b"[" * 10_000 + b"]" * 10_000, 400, ""),
    "invalid UTF-8": (b'{"model":"echo@fake","messages":[{"role":"user","content":"\xc3\x28"}]}', 400, ""),
    "tags of the wrong kind": (orjson.dumps({**GOOD, "tags": {"a": 1}}), 400, "invalid_value"),
    "a million choices": (orjson.dumps({**GOOD, "n": 1_000_000}), 400, "invalid_value"),
    "unknown model": (orjson.dumps(chat("nothing-like-it@fake")), 404, "model_not_found"),
    "model without a price": (orjson.dumps(chat("unpriced@fake")), 404, "model_not_found"),
    "an empty list of requests": (b"[]", 400, "invalid_json"),
    "a list with a bad request": (orjson.dumps([GOOD, {**GOOD, "temperature": 3}]), 400, "invalid_value"),
}


@pytest.mark.parametrize("name", BODIES)
async def test_a_bad_body_is_refused_clearly_and_costs_nothing(
    name: str, gateway: Process, worker: Process, team: Team
) -> None:
    body, status, code = BODIES[name]

    answer = await post(gateway, body, team.headers)

    assert answer.status_code == status
    error = answer.json()["error"]
    assert error["message"]
    assert set(error) >= {"message", "type", "param", "code"}
    assert error["code"] == (code or error["code"])
    assert (await post(gateway, orjson.dumps(GOOD), team.headers)).status_code == 200
    refused, completed = await apart(team.wait_for_events, 2)
    assert (refused.ending, refused.charge_usd) == ("refused", 0)
    assert (completed.ending, completed.charge_usd > 0) == ("completed", True)


async def test_a_body_of_50_mb_is_refused_before_it_is_read(gateway: Process, team: Team) -> None:
    async with raw_connection(gateway.url) as stream:
        head = f"POST /v0/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {team.key}\r\n"
        head += "content-type: application/json\r\ncontent-length: 52428800\r\n\r\n"
        stream.writer.write(head.encode() + b"{" * 1000)

        assert await stream.read_head() == 413


async def test_a_client_that_sends_50_mb_anyway_still_reads_the_refusal(gateway: Process, team: Team) -> None:
    answer = await post(gateway, b" " * 52_428_800, team.headers)

    assert answer.status_code == 413
    assert answer.json()["error"]["code"] == "request_too_large"


async def test_a_body_that_drips_in_is_given_up(house: House, team: Team) -> None:
    patient = await asyncio.to_thread(house.start_gateway, FAREBOX_BODY_TIMEOUT_SECONDS="0.5")
    async with raw_connection(patient.url) as stream:
        head = f"POST /v0/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {team.key}\r\n"
        head += "content-type: application/json\r\ncontent-length: 1000\r\n\r\n"
        stream.writer.write(head.encode() + b"{")

        assert await stream.read_head() == 408


async def test_another_content_type_is_refused(gateway: Process, team: Team) -> None:
    form = {**team.headers, "content-type": "application/x-www-form-urlencoded"}

    answer = await post(gateway, b"model=echo", form)

    assert answer.status_code == 415
    assert answer.json()["error"]["code"] == "unsupported_media_type"


def no_key(team: Team) -> str:
    return ""


def with_a_typo(team: Team) -> str:
    return team.key[:-1] + ("a" if team.key[-1] != "a" else "b")


def unknown(team: Team) -> str:
    return new_secret()


def revoked(team: Team) -> str:
    revoke_key(key=team.somebody.key_row)
    return team.key


def expired(team: Team) -> str:
    row, secret = team.new_key(expires_at=datetime.now(UTC) + timedelta(hours=1))
    ApiKey.objects.filter(pk=row.pk).update(expires_at=datetime.now(UTC) - timedelta(seconds=1))
    return secret


KEYS: dict[str, tuple[Callable[[Team], str], str]] = {
    "missing": (no_key, "No key was sent"),
    "typo": (with_a_typo, "checksum"),
    "unknown": (unknown, "no such key"),
    "revoked": (revoked, "revoked"),
    "expired": (expired, "expired"),
}


@pytest.mark.parametrize("name", KEYS)
async def test_a_key_that_is_no_good_is_401_and_says_why(name: str, gateway: Process, team: Team) -> None:
    make, words = KEYS[name]
    key = await apart(make, team)
    headers = {"authorization": f"Bearer {key}"} if key else {}

    answer = await post(gateway, orjson.dumps(GOOD), headers)

    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "invalid_api_key"
    assert words in answer.json()["error"]["message"]
    assert not key or key not in answer.text


async def test_two_authorization_headers_are_refused(gateway: Process, team: Team) -> None:
    async with raw_request(gateway.url, GOOD, key=team.key, Authorization="Bearer other") as stream:
        assert await stream.read_head() == 400


async def test_a_path_that_is_not_there_is_404_in_our_envelope(gateway: Process, team: Team) -> None:
    async with httpx.AsyncClient(headers=team.headers) as client:
        answer = await client.post(f"{gateway.url}/v1/nothing", json=GOOD)

    assert answer.status_code == 404
    assert answer.json()["error"]["type"] == "not_found"


async def test_another_method_than_the_path_has_is_405(gateway: Process, team: Team) -> None:
    async with httpx.AsyncClient(headers=team.headers) as client:
        answer = await client.get(f"{gateway.url}/v0/chat/completions")

    assert answer.status_code == 405
    assert answer.json()["error"]["code"] == "method_not_allowed"


async def post(gateway: Process, body: bytes, headers: dict[str, str]) -> httpx.Response:
    kind: dict[str, Any] = {"content-type": "application/json", **headers}
    async with httpx.AsyncClient(timeout=60) as client:
        return await client.post(f"{gateway.url}/v0/chat/completions", content=body, headers=kind)
