"""What the worker found for the operator, read from Redis when `/metrics` is asked.

Written by `billing.operator_alerts`. Every gateway shows the same figures; none while Redis is away.
"""

from collections.abc import Iterator, Mapping

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric

from billing.operator_figures import FIGURES_KEY
from gateway.redis_pipeline import RedisAway, RedisPipeline

_GAUGES = {
    "audit_differences": ("farebox_ledger_audit_differences", "Rows that the latest audit found wrong."),
    "audit_failed": ("farebox_ledger_audit_failed", "1 if the latest audit could not be finished."),
    "audit_finished_at": ("farebox_ledger_audit_finished_seconds", "When it ended, Unix seconds."),
}


async def operator_metrics(redis: RedisPipeline) -> bytes:
    """Prometheus' text of the figures there are."""
    try:
        flat = await redis.call("HGETALL", FIGURES_KEY)
    except RedisAway:
        return b""
    words = [word.decode() for word in flat]
    registry = CollectorRegistry()
    registry.register(_Figures(dict(zip(words[::2], words[1::2], strict=True))))
    return generate_latest(registry)


class _Figures:
    """A collector of one reading."""

    def __init__(self, figures: Mapping[str, str]) -> None:
        self._figures = figures

    def collect(self) -> Iterator[Metric]:
        for name, (metric, meaning) in _GAUGES.items():
            if name in self._figures:
                yield GaugeMetricFamily(metric, meaning, value=int(self._figures[name]))
