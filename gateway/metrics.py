"""Metrics of one gateway process, in Prometheus' terms.

Labels never hold a tenant, a key or a name that a client can make up.
"""

from collections.abc import Callable, Iterator
from functools import cache

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric

SECONDS_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 180)
OVERHEAD_BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5)
PROMPT_KINDS = ("input", "cached_input", "cache_write", "cache_write_1h", "audio_input", "image_input")
COMPLETION_KINDS = ("output", "reasoning", "audio_output")

Gauge = tuple[str, str, Callable[[], float]]


class GatewayMetrics:
    """Counts every finished request; reads the gauges when it is asked."""

    def __init__(self, gauges: list[Gauge]) -> None:
        self.registry = CollectorRegistry()
        self._gauges = gauges
        self._requests = Counter(
            "farebox_requests", "Finished requests.", ["ending", "status"], registry=self.registry
        )
        tokens = Counter("farebox_tokens", "Billed tokens.", ["kind"], registry=self.registry)
        self._prompt_tokens, self._completion_tokens = tokens.labels("prompt"), tokens.labels("completion")
        # Looking a label up costs more than counting.
        self._requests_by = cache(self._requests.labels)
        self._charged = Counter(
            "farebox_charged_nano_usd", "Charged to organizations, in nano-dollars.", registry=self.registry
        )
        self._duration = Histogram(
            "farebox_request_seconds",
            "From arrival to the last byte.",
            buckets=SECONDS_BUCKETS,
            registry=self.registry,
        )
        self._overhead = Histogram(
            "farebox_overhead_seconds",
            "Our own part of that.",
            buckets=OVERHEAD_BUCKETS,
            registry=self.registry,
        )
        self.registry.register(self)

    def count(self, event: dict[str, object]) -> None:
        """Count one usage event."""
        self._requests_by(event["ending"], event["status"]).inc()
        usage = event["usage"]
        assert isinstance(usage, dict), "an event carries a usage vector"
        self._prompt_tokens.inc(sum(usage.get(kind, 0) for kind in PROMPT_KINDS))
        self._completion_tokens.inc(sum(usage.get(kind, 0) for kind in COMPLETION_KINDS))
        self._charged.inc(_number(event["charge_nano"]))
        self._duration.observe(_number(event["duration_ms"]) / 1000)
        self._overhead.observe(_number(event["overhead_ms"]) / 1000)

    def collect(self) -> Iterator[Metric]:
        for name, meaning, read in self._gauges:
            yield GaugeMetricFamily(name, meaning, value=read())


def _number(value: object) -> float:
    assert isinstance(value, int | float), "an event's measures are numbers"
    return value
