"""Calls of the API as any HTTP client makes them, and what was read."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import httpx
import orjson

from tests.house import WAIT_SECONDS, Process

MOUNTS = ("/v0", "/v1", "/api/v1", "/openai/v1")
TIMEOUT_SECONDS = 60.0
POLL_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer, read to its end."""

    status: int
    headers: httpx.Headers
    body: bytes

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)

    @property
    def error(self) -> dict[str, Any]:
        error: dict[str, Any] = self.json["error"]
        return error

    @property
    def blocks(self) -> list[bytes]:
        """A stream's events as they came, comments left out."""
        blocks = self.body.split(b"\n\n")
        return [block for block in blocks if block and not block.startswith(b":")]

    @property
    def is_done(self) -> bool:
        """Whether the end mark stands at the end, and nowhere else."""
        return self.blocks[-1:] == [b"data: [DONE]"] and self.body.count(b"[DONE]") == 1

    @property
    def chunks(self) -> list[dict[str, Any]]:
        """The data of all events but the end mark."""
        lines = [block.rpartition(b"data: ")[2] for block in self.blocks]
        return [orjson.loads(line) for line in lines if line != b"[DONE]"]

    @property
    def text(self) -> str:
        """What the deltas of a stream say, all choices in their order of arrival."""
        deltas = [choice["delta"] for chunk in self.chunks for choice in chunk["choices"]]
        return "".join(delta.get("content") or "" for delta in deltas)


async def call(
    gateway: Process, key: str, body: dict[str, Any], *, mount: str = "/v0", path: str = "", **headers: str
) -> Reply:
    """POST one chat request; header names are written with underscores."""
    return await send(gateway, key, "POST", path or f"{mount}/chat/completions", json=body, **headers)


async def get(gateway: Process, key: str, path: str, **headers: str) -> Reply:
    return await send(gateway, key, "GET", path, **headers)


async def send(
    gateway: Process,
    key: str,
    method: str,
    path: str,
    *,
    json: Any = None,
    content: bytes | None = None,
    **headers: str,
) -> Reply:
    """`content` is a body as it is, which need not be JSON."""
    own = {"authorization": f"Bearer {key}"} if key else {}
    fields = {**own, **{name.replace("_", "-"): value for name, value in headers.items()}}
    # Nothing is encrypted here, and loading certificates takes longer than the call.
    async with httpx.AsyncClient(timeout=TIMEOUT_SECONDS, verify=False) as client:
        answer = await client.request(
            method, f"{gateway.url}{path}", json=json, content=content, headers=fields
        )
    return Reply(answer.status_code, answer.headers, answer.content)


async def is_at_rest(gateway: Process) -> bool:
    """Whether nothing runs in this process, and all that ended is settled."""
    metrics = (await get(gateway, "", "/metrics")).body.decode()
    return "farebox_running_requests 0.0" in metrics and "farebox_unsettled 0.0" in metrics


async def soon(condition: Callable[[], Awaitable[Any]], what: str) -> None:
    """Return once the condition holds; it is asked again and again for WAIT_SECONDS."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not await condition():
        assert time.monotonic() < deadline, f"waited {WAIT_SECONDS:g} s for {what}"
        await asyncio.sleep(POLL_SECONDS)
