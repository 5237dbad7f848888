"""What the worker found for the operator, read from Redis when `/metrics` is asked: audits, providers' bills.

Written by `billing.operator_alerts`. Every gateway shows the same figures; none while Redis is away.
"""

from collections.abc import Iterator, Mapping

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric

from billing.operator_figures import DRIFT_PREFIX, FIGURES_KEY
from gateway.redis_pipeline import RedisAway, RedisPipeline

PER_MILLION = 1_000_000
_GAUGES = {
    "audit_differences": ("farebox_ledger_audit_differences", "Rows that the latest audit found wrong."),
    "audit_failed": ("farebox_ledger_audit_failed", "1 if the latest audit could not be finished."),
    "audit_finished_at": ("farebox_ledger_audit_finished_seconds", "When it ended, Unix seconds."),
    "drifting_days": ("farebox_provider_drifting_days", "Days on which a provider's bill drifts too far."),
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
        drift = GaugeMetricFamily(
            "farebox_provider_drift_ratio",
            "A provider's latest bill beside our cost of it: 0.01 is 1 % more than ours.",
            labels=["provider"],
        )
        for name, value in self._figures.items():
            if name.startswith(DRIFT_PREFIX):
                drift.add_metric([name.removeprefix(DRIFT_PREFIX)], int(value) / PER_MILLION)
        yield drift
