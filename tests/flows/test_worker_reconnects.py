"""The worker goes on when Redis, its broker, dies under a task that runs."""

from pathlib import Path

import psycopg
from django.db import connection

from billing.models import UsageEvent
from tests.flows.calls import call, soon
from tests.flows.own_redis import OwnRedis
from tests.house import House, Process, Team, apart, chat, database_url, eventually


async def test_a_worker_whose_broker_died_under_a_task_ingests_again(
    house: House, own_redis: OwnRedis, team: Team, tmp_path: Path
) -> None:
    own = {"REDIS_URL": own_redis.url, "FAREBOX_SPOOL_DIR": str(tmp_path / "spool")}
    gateway, worker = house.start_gateway(**own), house.start_worker(**own)
    await call(gateway, team.key, chat("echo@fake", max_tokens=1))
    await apart(team.wait_for_events, 1)

    async with await psycopg.AsyncConnection.connect(database_url()) as blocker:
        # The task waits for this lock while its broker goes.
        await blocker.execute(f"LOCK TABLE {UsageEvent._meta.db_table} IN ACCESS EXCLUSIVE MODE")
        await call(gateway, team.key, chat("echo@fake", max_tokens=1))
        await apart(eventually, a_task_waits, "a task that waits for the table")
        await apart(own_redis.kill)
        await apart(own_redis.start_again)
        await soon(lambda: is_served(gateway, team), "a call to be served by the Redis that is back")

    await apart(eventually, lambda: len(served(team)) >= 3, lambda: f"3 events, got {len(served(team))}")

    assert worker.is_running
    worker.stop()
    gateway.stop()


def a_task_waits() -> bool:
    waiting = "SELECT 1 FROM pg_locks WHERE NOT granted AND relation = %s::regclass"
    with connection.cursor() as cursor:
        cursor.execute(waiting, [UsageEvent._meta.db_table])
        return cursor.fetchone() is not None


async def is_served(gateway: Process, team: Team) -> bool:
    return (await call(gateway, team.key, chat("echo@fake", max_tokens=1))).status == 200


def served(team: Team) -> list[UsageEvent]:
    return [event for event in team.events() if event.status == 200]
