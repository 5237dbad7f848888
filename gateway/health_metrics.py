"""Health in Prometheus' terms: how the operator's models do, and which breakers are open.

Labels are the operator's own models and providers, never a name that a client or a tenant can make up.
"""

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily, Metric

from gateway.health import Health

GAUGES = {
    "uptime": ("farebox_target_uptime", "Share of attempts that were answered; the last hour."),
    "ttft_ms": ("farebox_target_ttft_ms", "From the call to a stream's first output; the last hour."),
    "inter_token_ms": ("farebox_target_inter_token_ms", "Between two tokens of a stream; the last hour."),
    "throughput_tokens_per_second": (
        "farebox_target_tokens_per_second",
        "Output from the call to the answer's end; the last hour.",
    ),
}


class HealthMetrics:
    """A collector of what all processes have measured; breakers are this process' own."""

    def __init__(self, health: Health) -> None:
        self._health = health

    def collect(self) -> Iterator[Metric]:
        for name, (metric, meaning) in GAUGES.items():
            gauge = GaugeMetricFamily(metric, meaning, labels=["provider", "model"])
            for key, figures in sorted(self._health.all_figures.items()):
                value = getattr(figures, name)
                if value is not None:
                    gauge.add_metric(list(key), value)
            yield gauge
        opened = len(self._health.breakers.open_targets)
        yield GaugeMetricFamily("farebox_open_breakers", "Targets that are left alone for now.", value=opened)
