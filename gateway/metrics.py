"""Metrics of one gateway process, in Prometheus' terms.

Labels never hold a tenant, a key or a name that a client can make up.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from itertools import accumulate
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

SECONDS_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 180)
OVERHEAD_BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5)
PROMPT_KINDS = ("input", "cached_input", "cache_write", "cache_write_1h", "audio_input", "image_input")
COMPLETION_KINDS = ("output", "reasoning", "audio_output")

Gauge = tuple[str, str, Callable[[], float]]


class GatewayMetrics:
    """Counts every finished request; reads the gauges when it is asked.

    The sums are kept here and become Prometheus' families when they are read: its own counters take a lock
    for each step, and nobody else counts in this process.
    """

    def __init__(self, gauges: list[Gauge]) -> None:
        self.registry = CollectorRegistry()
        self._gauges = gauges
        self._requests: Counter[tuple[str, str]] = Counter()
        self._prompt_tokens = self._completion_tokens = self._charged_nano = 0
        self._duration, self._overhead = _Times(SECONDS_BUCKETS), _Times(OVERHEAD_BUCKETS)
        self.registry.register(self)

    def count(self, event: Mapping[str, Any]) -> None:
        """Count one usage event."""
        self._requests[event["ending"], str(event["status"])] += 1
        for kind, tokens in event["usage"].items():
            if kind in PROMPT_KINDS:
                self._prompt_tokens += tokens
            elif kind in COMPLETION_KINDS:
                self._completion_tokens += tokens
        self._charged_nano += event["charge_nano"]
        self._duration.add(event["duration_ms"] / 1000)
        self._overhead.add(event["overhead_ms"] / 1000)

    def collect(self) -> Iterator[Metric]:
        requests = CounterMetricFamily("farebox_requests", "Finished requests.", labels=["ending", "status"])
        for labels, count in self._requests.items():
            requests.add_metric(labels, count)
        tokens = CounterMetricFamily("farebox_tokens", "Billed tokens.", labels=["kind"])
        tokens.add_metric(["prompt"], self._prompt_tokens)
        tokens.add_metric(["completion"], self._completion_tokens)
        charged = "Charged to organizations, in nano-dollars."
        yield from (requests, tokens)
        yield CounterMetricFamily("farebox_charged_nano_usd", charged, value=self._charged_nano)
        yield self._duration.family("farebox_request_seconds", "From arrival to the last byte.")
        yield self._overhead.family("farebox_overhead_seconds", "Our own part of that.")
        for name, meaning, read in self._gauges:
            yield GaugeMetricFamily(name, meaning, value=read())


class _Times:
    """How many times lay within each bound, and their sum."""

    def __init__(self, bounds_seconds: tuple[float, ...]) -> None:
        self._bounds_seconds = bounds_seconds
        self._counts = [0] * (len(bounds_seconds) + 1)
        self._sum_seconds = 0.0

    def add(self, seconds: float) -> None:
        self._counts[bisect_left(self._bounds_seconds, seconds)] += 1
        self._sum_seconds += seconds

    def family(self, name: str, meaning: str) -> HistogramMetricFamily:
        bounds = [*map(str, map(float, self._bounds_seconds)), "+Inf"]
        within = list(accumulate(self._counts))
        return HistogramMetricFamily(
            name, meaning, buckets=list(zip(bounds, within, strict=True)), sum_value=self._sum_seconds
        )
