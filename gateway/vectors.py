"""Vectors: which question that was answered is nearest to this one. PostgreSQL with pgvector.

The only part of the data plane that reads and writes PostgreSQL for a request, and only for requests
that ask for it. Neighbours are sought among the organization's own questions with the same model and
parameters, by exact distance: they are few, and an approximate index loses some behind such a filter.
"""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar
from uuid import UUID

import psycopg
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from gateway.settings import GatewaySettings

NEIGHBOURS = 5

EXISTS_SQL = "SELECT to_regclass('gateway_cachedquestion') IS NOT NULL"
NEAREST_SQL = """
SELECT cache_id, 1 - (embedding <=> %(vector)s::vector) AS similarity
  FROM gateway_cachedquestion
 WHERE organization_id = %(organization_id)s AND kinship = %(kinship)s AND expires_at > now()
   AND vector_dims(embedding) = %(dimensions)s
 ORDER BY embedding <=> %(vector)s::vector LIMIT %(neighbours)s
"""
KEEP_SQL = """
INSERT INTO gateway_cachedquestion AS kept (organization_id, kinship, cache_id, embedding, expires_at)
VALUES (%(organization_id)s, %(kinship)s, %(cache_id)s, %(vector)s::vector,
        now() + %(life_ms)s * interval '1 ms')
    ON CONFLICT (organization_id, kinship, cache_id)
       DO UPDATE SET embedding = EXCLUDED.embedding, expires_at = EXCLUDED.expires_at
"""
TIDY_SQL = """
DELETE FROM gateway_cachedquestion
 WHERE organization_id = %(organization_id)s
   AND (expires_at <= now() OR expires_at < (
        SELECT expires_at FROM gateway_cachedquestion WHERE organization_id = %(organization_id)s
         ORDER BY expires_at DESC OFFSET %(limit)s LIMIT 1))
"""

Pool = AsyncConnectionPool[psycopg.AsyncConnection[Any]]
_Result = TypeVar("_Result")


class VectorsAway(Exception):
    """PostgreSQL did not answer in time, or cannot compare vectors."""


class Vectors:
    """The organization's questions as vectors."""

    def __init__(self, pool: Pool, *, settings: GatewaySettings) -> None:
        self._pool = pool
        self._timeout_seconds = settings.policy_load_timeout_seconds
        self._limit = settings.semantic_cache_questions_limit
        self._are_there = False

    async def are_there(self) -> bool:
        """Whether this database has them; asked again until it does. Raises VectorsAway."""
        if not self._are_there:
            rows = await self._in_time(self._fetch(EXISTS_SQL, {}))
            self._are_there = bool(rows[0][0])
        return self._are_there

    async def nearest(
        self, organization_id: UUID, kinship: bytes, vector: Sequence[float]
    ) -> list[tuple[str, float]]:
        """The nearest few questions' cache ids with their similarity, nearest first. Raises VectorsAway."""
        values = {
            "organization_id": organization_id,
            "kinship": kinship,
            "vector": _written(vector),
            "dimensions": len(vector),
            "neighbours": NEIGHBOURS,
        }
        return [(row[0], float(row[1])) for row in await self._in_time(self._fetch(NEAREST_SQL, values))]

    async def keep(
        self, organization_id: UUID, kinship: bytes, vector: Sequence[float], *, cache_id: str, life_ms: int
    ) -> None:
        """Remember a question for as long as its answer is kept. Raises VectorsAway."""
        values = {
            "organization_id": organization_id,
            "kinship": kinship,
            "vector": _written(vector),
            "cache_id": cache_id,
            "life_ms": life_ms,
            "limit": self._limit,
        }
        await self._in_time(self._store(values))

    async def _fetch(self, sql: str, values: dict[str, Any]) -> list[tuple[Any, ...]]:
        async with self._pool.connection() as connection:
            return await (await connection.execute(sql, values)).fetchall()

    async def _store(self, values: dict[str, Any]) -> None:
        async with self._pool.connection() as connection:
            await connection.execute(KEEP_SQL, values)
            await connection.execute(TIDY_SQL, values)

    async def _in_time(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        """Awaited from outside and abandoned when it is late, as policies are loaded."""
        task = asyncio.create_task(work)
        await asyncio.wait({task}, timeout=self._timeout_seconds)
        if not task.done():
            task.add_done_callback(_retrieve)
            raise VectorsAway("PostgreSQL does not answer in time")
        try:
            return task.result()
        except (psycopg.Error, PoolTimeout) as exc:
            raise VectorsAway(type(exc).__name__) from exc


def _written(vector: Sequence[float]) -> str:
    return "[" + ",".join(map(repr, vector)) + "]"


def _retrieve(task: "asyncio.Task[Any]") -> None:
    if not task.cancelled():
        task.exception()
