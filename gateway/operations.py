"""Operations: is this process alive, is it ready, and what does it count?

`/healthz` asks nobody; `/readyz` asks PostgreSQL and Redis; `/metrics` is Prometheus' text.
Labels never hold a tenant, a key or a model that a client can make up.
"""

import asyncio

import orjson
import psycopg
from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from psycopg_pool import PoolTimeout

from accounts.vault import SealBroken
from gateway.consumers import HttpConsumer
from gateway.errors import GatewayError
from gateway.operator_metrics import operator_metrics
from gateway.plane import Plane
from gateway.redis_pipeline import RedisAway

READY_TIMEOUT_SECONDS = 2.0


class Liveness(HttpConsumer):
    """`GET /healthz`."""

    async def handle(self, body: bytes) -> None:
        await self.send_json(200, {"status": "ok"})

    async def refuse(self, error: GatewayError) -> None:
        await self.send_json(error.status, {"status": "refused", "reason": str(error)}, more_body=True)

    async def send_json(self, status: int, content: object, *, more_body: bool = False) -> None:
        await self.send_text(status, orjson.dumps(content), b"application/json", more_body=more_body)

    async def send_text(
        self, status: int, body: bytes, content_type: bytes, *, more_body: bool = False
    ) -> None:
        headers = [(b"content-type", content_type), (b"content-length", str(len(body)).encode())]
        await self.send_headers(status=status, headers=headers)
        await self.send_body(body, more_body=more_body)


class Readiness(Liveness):
    """`GET /readyz`: 200 when a request could be served from start to end."""

    async def handle(self, body: bytes) -> None:
        checks = await _checks(self.plane)
        is_stopping = self.plane.drain.has_begun
        is_ready = not is_stopping and all(state == "ok" for state in checks.values())
        status = "ready" if is_ready else "stopping" if is_stopping else "not ready"
        await self.send_json(200 if is_ready else 503, {"status": status, "checks": checks})


class Metrics(Liveness):
    """`GET /metrics`."""

    async def handle(self, body: bytes) -> None:
        text = generate_latest(self.plane.metrics.registry) + await operator_metrics(self.plane.redis)
        await self.send_text(200, text, CONTENT_TYPE_LATEST.encode())


async def _checks(plane: Plane) -> dict[str, str]:
    postgres, redis = await asyncio.gather(_postgres(plane), _redis(plane))
    return {"postgres": postgres, "redis": redis}


async def _postgres(plane: Plane) -> str:
    # Asked in a task of its own and left behind when late: cancelling would wait for the server.
    asking = asyncio.create_task(plane.policies.check())
    await asyncio.wait({asking}, timeout=READY_TIMEOUT_SECONDS)
    if not asking.done():
        asking.add_done_callback(lambda done: done.cancelled() or done.exception())
        return "no answer"
    failure = asking.exception()
    if failure is None:
        return "ok"
    if isinstance(failure, psycopg.Error | PoolTimeout):
        return "away"
    if isinstance(failure, SealBroken):
        return "stored secrets cannot be opened: is FAREBOX_MASTER_KEY the right one?"
    raise failure


async def _redis(plane: Plane) -> str:
    try:
        await plane.redis.call("PING")
    except RedisAway:
        return "away"
    return "ok"
