"""Metrics: what Prometheus reads of a gateway process."""

from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from gateway.metrics import GatewayMetrics

TIMES = {"duration_ms": 100.0, "overhead_ms": 0.6}
EVENT = {"ending": "completed", "status": 200, "charge_nano": 21_000, **TIMES}


def read(metrics: GatewayMetrics) -> dict[tuple[str, ...], float]:
    families = text_string_to_metric_families(generate_latest(metrics.registry).decode())
    samples = [sample for family in families for sample in family.samples]
    return {(sample.name, *sample.labels.values()): sample.value for sample in samples}


def test_every_finished_request_is_counted_by_its_ending_and_with_its_tokens():
    metrics = GatewayMetrics([])

    metrics.count({**EVENT, "usage": {"input": 3, "cached_input": 4, "image_input": 5, "output": 2}})
    metrics.count({**EVENT, "usage": {"cache_write_1h": 1, "reasoning": 7, "audio_output": 8, "searches": 9}})
    metrics.count({**EVENT, "ending": "refused", "status": 402, "charge_nano": 0, "usage": {}})

    values = read(metrics)
    assert values["farebox_requests_total", "completed", "200"] == 2
    assert values["farebox_requests_total", "refused", "402"] == 1
    assert values["farebox_tokens_total", "prompt"] == 3 + 4 + 5 + 1
    assert values["farebox_tokens_total", "completion"] == 2 + 7 + 8
    assert values["farebox_charged_nano_usd_total",] == 42_000


def test_times_lie_within_their_bounds_the_bound_itself_included():
    metrics = GatewayMetrics([])

    for duration_ms in (99.9, 100.0, 100.1, 1_000_000.0):
        metrics.count({**EVENT, "usage": {}, "duration_ms": duration_ms})

    values = read(metrics)
    assert values["farebox_request_seconds_bucket", "0.05"] == 0
    assert values["farebox_request_seconds_bucket", "0.1"] == 2
    assert values["farebox_request_seconds_bucket", "0.25"] == 3
    assert values["farebox_request_seconds_bucket", "180.0"] == 3
    assert values["farebox_request_seconds_bucket", "+Inf"] == 4
    assert values["farebox_request_seconds_count",] == 4
    assert values["farebox_overhead_seconds_bucket", "0.0005"] == 0
    assert values["farebox_overhead_seconds_bucket", "0.001"] == 4


def test_gauges_are_read_when_they_are_asked_for():
    running = [3]
    metrics = GatewayMetrics([("farebox_running_requests", "Admitted and not ended.", lambda: running[0])])

    before = read(metrics)["farebox_running_requests",]
    running[0] = 5

    assert (before, read(metrics)["farebox_running_requests",]) == (3, 5)
