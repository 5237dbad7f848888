"""A Redis that belongs to one test, which may stop it in its tracks: the suite's own goes on."""

import signal
from dataclasses import dataclass

import redis
from django.conf import settings

from billing.ingest import ingest_shard
from billing.models import UsageEvent
from config.embedded import RunningServer
from gateway.policy import shard_of, shard_prefix
from tests.house import Team, eventually


@dataclass(frozen=True, slots=True)
class OwnRedis:
    """A Valkey beside the suite's, and what an organization has in it."""

    server: RunningServer

    @property
    def url(self) -> str:
        return self.server.url

    def pause(self) -> None:
        """From here on it takes connections and bytes, and answers nothing."""
        self.server.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self.server.process.send_signal(signal.SIGCONT)

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
