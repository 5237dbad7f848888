"""A Redis that belongs to one test, which may stop it in its tracks: the suite's own goes on."""

import shutil
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis
from django.conf import settings

from billing.ingest import ingest_shard
from billing.models import UsageEvent
from config.children import wait_or_kill
from config.embedded import RunningServer, start_valkey
from gateway.policy import shard_of, shard_prefix
from tests.house import Team, eventually

PASSWORD = "own"


@dataclass(slots=True)
class OwnRedis:
    """A Valkey beside the suite's, and what an organization has in it."""

    server: RunningServer
    folder: Path

    @classmethod
    def start(cls, folder: Path, *, port: int | None = None) -> "OwnRedis":
        log_path = folder.with_suffix(".log")
        server = start_valkey(folder, password=PASSWORD, log_path=log_path, port=port)
        server.wait_until_ready()
        return cls(server, folder)

    @property
    def url(self) -> str:
        return self.server.url

    def pause(self) -> None:
        """From here on it takes connections and bytes, and answers nothing."""
        self.server.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self.server.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """SIGKILL; nothing listens at its address from here on."""
        self.server.process.kill()
        wait_or_kill(self.server.process, timeout_seconds=5)

    def start_again(self, *, is_empty: bool = False) -> None:
        """Start it at its address, with what it remembers from its log, or with nothing."""
        if is_empty:
            shutil.rmtree(self.folder)
        port = int(self.url.rpartition(":")[2].partition("/")[0])
        self.server = OwnRedis.start(self.folder, port=port).server

    def wait_for_events(self, team: Team, count: int) -> list[UsageEvent]:
        """The events once there are this many, ingested from here as the worker does."""
        shard = shard_of(team.organization.pk, settings.FAREBOX_SHARDS)

        def have_arrived() -> bool:
            with redis.Redis.from_url(self.url) as client:
                ingest_shard(client, shard)
            return len(team.events()) >= count

        eventually(have_arrived, lambda: f"{count} events, got {len(team.events())}")
        events = team.events()
        assert len(events) == count
        return events

    def wallet(self, team: Team) -> dict[str, int]:
        """What the organization's credit counter says, in nano-dollars: spent and held."""
        prefix = shard_prefix(shard_of(team.organization.pk, settings.FAREBOX_SHARDS))
        with redis.Redis.from_url(self.url) as client:
            counter = client.hgetall(f"{prefix}money:wallet:{team.organization.pk.hex}")
        return {"spent": int(counter.get(b"s", 0)), "held": int(counter.get(b"h", 0))}


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[OwnRedis]:
    """A Redis for this test alone."""
    own = OwnRedis.start(tmp_path / "valkey")
    yield own
    own.resume()
    own.server.stop()
