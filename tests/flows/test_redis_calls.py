"""The hot path asks Redis once before a request and once after it, whatever binds the request."""

import uuid
from typing import Any

import pytest

from gateway.admission import admission_script
from gateway.leases import renewal_script
from gateway.settlement import settlement_script
from tests.flows.calls import call
from tests.house import Process, Team, apart, chat, eventually
from tests.redis_calls import Call, watched_redis

REQUESTS = 5
SCRIPTS = {
    str(script.call([], [])[1]): name
    for name, script in {
        "admission": admission_script,
        "settlement": settlement_script,
        "renewal": renewal_script,
    }.items()
}


@pytest.mark.parametrize("is_stream", [False, True], ids=["whole", "stream"])
async def test_a_request_is_one_redis_call_before_and_one_after(
    gateway: Process, team: Team, is_stream: bool
) -> None:
    limits = {"requests_per_minute": 1000, "tokens_per_minute": 100_000, "concurrent_requests": 10}
    _, key = await apart(team.new_key, budget_usd="1", window="month", **limits)
    body = chat("fake/echo", max_tokens=8, stream=is_stream, user="ann", metadata={"case": "calls"})
    first = await _answered(gateway, key, body)

    with watched_redis() as watch:
        ids = [await _answered(gateway, key, body) for _ in range(REQUESTS)]
        calls: list[Call] = []

        def are_settled() -> bool:
            seen = [one for one in watch.read() if _names(one.command, team.organization.pk)]
            seen = [one for one in seen if _script(one.command) != "renewal"]
            calls.extend(one for one in seen if not _names(one.command, first))
            return len(calls) >= 2 * REQUESTS

        await apart(eventually, are_settled, lambda: f"{2 * REQUESTS} calls, saw {calls}")

    for request_id in ids:
        mine = [one.command for one in calls if _names(one.command, request_id)]
        assert [_script(command) for command in mine] == ["admission", "settlement"]
    assert len(calls) == 2 * REQUESTS
    assert len({one.address for one in calls}) == 1


async def _answered(gateway: Process, key: str, body: dict[str, Any]) -> uuid.UUID:
    reply = await call(gateway, key, body)
    assert reply.status == 200
    return uuid.UUID(reply.headers["x-farebox-event-id"])


def _script(command: str) -> str:
    """Which script it calls; a request that takes long is kept by renewals as well."""
    _, digest, *_ = command.split()
    return SCRIPTS.get(digest, command)


def _names(command: str, identifier: uuid.UUID) -> bool:
    return identifier.hex in command or str(identifier) in command
