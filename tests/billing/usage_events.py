"""Usage events as the data plane writes them, for the tests of ingestion and of what comes after it."""

import uuid
from datetime import UTC, datetime
from typing import Any

import orjson
import redis

from billing.price_book import load_price_book
from billing.usage_stream import stream_key
from tests.people import Somebody

ECHO_VERSION = load_price_book().listing("fake", "echo").prices[0].price.version


def event_of(somebody: Somebody, **changes: Any) -> dict[str, Any]:
    """Seven tokens in, ten out, of fake/echo: $0.000027."""
    event = {
        "v": 1,
        "id": uuid.uuid4().hex,
        "at": datetime.now(UTC).isoformat(),
        "organization": somebody.organization.pk.hex,
        "project": somebody.project.pk.hex,
        "key": somebody.key_row.pk.hex,
        "request_id": "req-1",
        "route": "/v0/chat/completions",
        "requested_model": "fake/echo",
        "model": "echo",
        "provider": "fake",
        "own": False,
        "stream": True,
        "status": 200,
        "ending": "completed",
        "error_code": "",
        "error_message": "",
        "finish_reason": "stop",
        "usage": {"input": 7, "output": 10},
        "estimated": False,
        "price_version": ECHO_VERSION,
        "cost_nano": 27_000,
        "charge_nano": 27_000,
        "cost_parts": {
            "input": "0.000007000000",
            "cached_input": "0",
            "output": "0.000020000000",
            "request": "0",
        },
        "duration_ms": 12.5,
        "first_token_ms": 3.25,
        "overhead_ms": 0.75,
        "timeline": [["admit", 0.1, 0.5]],
        "attempts": [{"provider": "fake", "model": "echo", "status_code": 200, "succeeded": True}],
        "limits": {"requests": 3},
        "parameters": {"temperature": 1},
        "tags": ["nightly"],
        "end_user": "user-1",
        "session_id": "session-1",
        "agent": "agent-1",
        "source": "python",
        "request_body": None,
        "response_body": None,
    }
    return event | changes


def append(client: "redis.Redis", shard: int, *events: dict[str, Any]) -> list[str]:
    """Write events to a shard's stream; gives the entries' ids."""
    return [client.xadd(stream_key(shard), {"e": orjson.dumps(event)}).decode() for event in events]
