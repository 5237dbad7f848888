"""Plane: the parts of one gateway process, put together, started and stopped.

Opened when the ASGI server says so, drained when it asks to stop: settlements that Redis has not
confirmed by then are left on disk for the next process.
"""

import asyncio
import gc
import logging
from collections.abc import Coroutine
from ipaddress import ip_network
from pathlib import Path
from typing import Any

from accounts.vault import Vault
from billing.price_book import load_price_book
from gateway.admission import Admission
from gateway.attempts import Attempts
from gateway.away import Reserves
from gateway.bodies import BodyLog
from gateway.caller import Callers
from gateway.clock import RedisClock
from gateway.completion import Completions
from gateway.deadlines import Deadlines
from gateway.draining import Drain
from gateway.egress import EgressPolicy
from gateway.embedder import Embedder
from gateway.extension import Extender
from gateway.health import Health
from gateway.health_metrics import HealthMetrics
from gateway.idempotency import OnceOnly
from gateway.keep_alive import KeepAlives
from gateway.leases import LeaseKeeper
from gateway.likeness import Likeness
from gateway.metrics import GatewayMetrics, Gauge
from gateway.outer_transport import OuterTransport
from gateway.policy_store import PolicyStore
from gateway.pressure import Pressure
from gateway.rebuild import Rebuilder
from gateway.redis_pipeline import RedisPipeline
from gateway.relay import Relay
from gateway.resending import Resender
from gateway.reuse import Reuse
from gateway.revocation import Revocation
from gateway.router import Router
from gateway.routing.score import Scoring
from gateway.running import RunningRequests
from gateway.sessions import Sessions
from gateway.settings import GatewaySettings
from gateway.settlement import Settler, void
from gateway.spool import Spool
from gateway.transport import PooledTransport, TransportLimits
from gateway.upstream import Outbound, Transport
from gateway.vectors import Vectors
from gateway.wire.chat import ParseLimits

logger = logging.getLogger(__name__)

SETTLE_AT_STOP_SECONDS = 5.0
END_SECONDS = 2.0
# What was loaded at the start is never garbage, and a request leaves next to none: looking for it after
# every 700 new objects, as Python does unasked, took 4 % of the processor.
GARBAGE_THRESHOLDS = (20_000, 50, 100)


class Plane:
    """Everything that serves requests in this process."""

    def __init__(self, settings: GatewaySettings) -> None:
        self.settings = settings
        self.redis = RedisPipeline(
            settings.redis_url,
            call_timeout_seconds=settings.redis_call_timeout_ms / 1000,
            queue_limit=settings.redis_queue_limit,
        )
        self.deadlines = Deadlines()
        self.pressure = Pressure()
        self.clock = RedisClock(self.redis, measure_seconds=settings.hold_renew_seconds)
        self.reserves = Reserves(self.redis, settings=settings)
        self.policies = PolicyStore(settings)
        self.callers = self._callers()
        self.health = Health(self.redis, settings=settings)
        self.router = Router(
            load_price_book(),
            self.policies,
            targets_limit=settings.targets_limit,
            unpriced_floor_usd=settings.unpriced_floor_usd_per_million,
            health=self.health,
            scoring=_scoring(settings),
            clock=self.clock.now,
        )
        self.settler = Settler(self.redis, settings=settings, spool=Spool(Path(settings.spool_dir)))
        self.resender = self._resender()
        self.settler.on_confirmed = self.resender.keep
        self.leases = LeaseKeeper(self.redis, settings=settings)
        self.metrics = GatewayMetrics(self._gauges())
        self.metrics.registry.register(HealthMetrics(self.health))
        self.running = RunningRequests(self.settler, self.leases, on_end=self.metrics.count)
        self._transport, self.reuse = _transport(settings), Reuse(self.redis, settings=settings)
        self.rebuilder = Rebuilder(self.redis, self.policies, settings=settings)
        bodies = BodyLog(Vault(settings.master_key), limit_bytes=settings.logged_body_limit_bytes)
        self.sessions = Sessions(self.redis, settings=settings)
        self.completions = Completions(
            limits=_parse_limits(settings),
            callers=self.callers,
            router=self.router,
            admission=self._admission(),
            attempts=self._attempts(),
            running=self.running,
            reuse=self.reuse,
            relay=self._relay(bodies),
            bodies=bodies,
            sessions=self.sessions,
        )
        self.reuse.likeness = self._likeness()
        self.once_only = OnceOnly(
            self.redis,
            settings=settings,
            callers=self.callers,
            completions=self.completions,
            running=self.running,
            settler=self.settler,
        )
        self._revocation = Revocation(self.policies, self.running, settings=settings)
        self._tasks: list[asyncio.Task[None]] = []
        self.drain = Drain(self.running, timeout_seconds=settings.drain_timeout_seconds)

    def _callers(self) -> Callers:
        return Callers(
            self.policies,
            key_pepper=self.settings.key_pepper,
            clock=self.clock.now,
            proxies=tuple(map(ip_network, self.settings.trusted_proxies)),
        )

    def _likeness(self) -> Likeness:
        embedder = Embedder(
            self.completions.admission,
            self.running,
            _outbound(self._transport, self.settings, self.pressure),
            self.settings,
        )
        vectors = Vectors(self.policies.pool, settings=self.settings)
        return Likeness(self.reuse.cache, embedder, vectors, settings=self.settings)

    def _admission(self) -> Admission:
        return Admission(
            self.redis,
            settings=self.settings,
            rebuild=self.rebuilder.rebuild,
            release=lambda hold: self.settler.hand_over(void(hold)),
            reserves=self.reserves,
            clock=self.clock.now,
        )

    def _attempts(self) -> Attempts:
        outbound = _outbound(self._transport, self.settings, self.pressure)
        return Attempts(outbound, settings=self.settings, deadlines=self.deadlines, health=self.health)

    def _resender(self) -> Resender:
        return Resender(
            self.redis,
            self.policies,
            settings=self.settings,
            clock=self.clock.now,
            hand_over=self.settler.hand_over,
        )

    def _relay(self, bodies: BodyLog) -> Relay:
        return Relay(
            extender=Extender(self.redis, current_policy=self.policies.find),
            health=self.health,
            bodies=bodies,
            deadlines=self.deadlines,
            stream_total_timeout_seconds=self.settings.stream_total_timeout_seconds,
        )

    def _gauges(self) -> list[Gauge]:
        return [
            ("farebox_running_requests", "Admitted and not ended.", lambda: len(self.running)),
            ("farebox_unsettled", "Settlements Redis has not confirmed.", lambda: self.settler.waiting),
            ("farebox_sent_again", "Settlements told again to a Redis that forgot.", self._sent_again),
            ("farebox_away_place", "1: may let calls through without Redis.", self._has_away_place),
        ]

    def _sent_again(self) -> float:
        return float(self.resender.sent_again)

    def _has_away_place(self) -> float:
        return float(self.reserves.has_place)

    async def open(self) -> None:
        """Start serving. Does not wait for PostgreSQL or Redis: readiness says whether they are there."""
        gc.freeze()
        gc.set_threshold(*GARBAGE_THRESHOLDS)
        self.drain.listen()
        await self.policies.open()
        for work in (
            self.pressure.run,
            self.settler.run,
            self.resender.run,
            self.leases.run,
            self.reserves.run,
            self.clock.run,
            self.health.run,
            KeepAlives(self.running, settings=self.settings).run,
            self.policies.run_polling,
            self.policies.run_listening,
            self._revocation.run,
        ):
            self._tasks.append(asyncio.create_task(_supervised(work.__qualname__, work)))

    async def close(self) -> None:
        """Deliver what is left, then stop. Called after the server has let its requests finish."""
        await self.once_only.finish()
        if self.reuse.likeness is not None:
            await self.reuse.likeness.finish()
        await self.reserves.leave()
        await self.settler.drain(timeout_seconds=SETTLE_AT_STOP_SECONDS)
        for task in self._tasks:
            task.cancel()
        # Not for ever: a library that swallows its cancellation must not keep the process.
        await asyncio.wait(self._tasks, timeout=END_SECONDS)
        await self._transport.aclose()
        await self.policies.close()
        await self.redis.close()


async def _supervised(name: str, work: Any) -> None:
    """Run for ever: what fails unexpectedly is logged and begun again."""
    while True:
        try:
            coroutine: Coroutine[Any, Any, None] = work()
            await coroutine
        except asyncio.CancelledError:
            raise
        except Exception:
            logger.exception("background work failed", extra={"work": name})
        await asyncio.sleep(1.0)


def _parse_limits(settings: GatewaySettings) -> ParseLimits:
    return ParseLimits(
        depth=settings.json_depth_limit,
        choices=settings.choices_limit,
        list_requests=settings.list_requests_limit,
        metadata_pairs=settings.metadata_pairs_limit,
        metadata_characters=settings.metadata_value_limit_characters,
    )


def _scoring(settings: GatewaySettings) -> Scoring:
    return Scoring(
        price_weight=settings.routing_price_weight,
        uptime_weight=settings.routing_uptime_weight,
        throughput_weight=settings.routing_throughput_weight,
        latency_weight=settings.routing_latency_weight,
        cache_weight=settings.routing_cache_weight,
        session_margin=settings.routing_session_margin,
        exploration_share=settings.routing_exploration_share,
    )


def _transport(settings: GatewaySettings) -> Transport:
    pooled = PooledTransport(_transport_limits(settings))
    if not settings.upstream_proxy_url and not settings.upstream_http2:
        return pooled
    return OuterTransport(
        pooled,
        proxy_url=settings.upstream_proxy_url,
        is_http2=settings.upstream_http2,
        connections=settings.upstream_connections_per_origin,
        idle_seconds=settings.upstream_idle_expiry_seconds,
    )


def _outbound(transport: Transport, settings: GatewaySettings, pressure: Pressure) -> Outbound:
    networks = frozenset(ip_network(network) for network in settings.allowed_upstream_networks)
    return Outbound(
        transport=transport,
        timeouts={
            "connect": settings.upstream_connect_timeout_seconds,
            "pool": settings.upstream_pool_timeout_seconds,
            "write": settings.upstream_write_timeout_seconds,
            "read": settings.stream_gap_timeout_seconds,
        },
        pressure=pressure,
        guarded=EgressPolicy(is_guarded=True, allowed_networks=networks),
        unguarded=EgressPolicy(is_guarded=False),
    )


def _transport_limits(settings: GatewaySettings) -> TransportLimits:
    return TransportLimits(
        connections=settings.upstream_connections_per_origin,
        idle_connections=settings.upstream_idle_connections_per_origin,
        idle_seconds=settings.upstream_idle_expiry_seconds,
    )
