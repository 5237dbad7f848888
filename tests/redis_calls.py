"""What reaches Redis, as Redis tells it: every command of every client, but not those inside a script.

https://valkey.io/commands/monitor/ (checked 2026-11-27)
"""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from redis import Redis
from redis.client import Monitor

_INSIDE_A_SCRIPT = "lua"


@dataclass(frozen=True)
class Call:
    """One command and who sent it."""

    address: str
    command: str


class RedisWatch:
    """Commands since it was opened, or since it was last read."""

    def __init__(self, redis: "Redis[bytes]", monitor: Monitor) -> None:
        self._redis = redis
        self._monitor = monitor

    def read(self) -> list[Call]:
        """All that Redis has run until now."""
        mark = uuid.uuid4().hex
        self._redis.echo(mark)
        calls = []
        while mark not in (seen := self._monitor.next_command())["command"]:
            if seen["client_type"] != _INSIDE_A_SCRIPT:
                calls.append(Call(f"{seen['client_address']}:{seen['client_port']}", seen["command"]))
        return calls


@contextmanager
def watched_redis(url: str = "") -> Iterator[RedisWatch]:
    """Watch a Redis; without `url` the suite's, which other processes of the suite use too."""
    with Redis.from_url(url or os.environ["REDIS_URL"]) as redis, redis.monitor() as monitor:
        yield RedisWatch(redis, monitor)
