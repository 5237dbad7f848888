"""What the runbook tells an operator to look for exists: metrics, log messages, Redis keys, services."""

import re

import pytest
import yaml

from gateway.metrics import GatewayMetrics
from gateway.policy import shard_prefix
from tests.architecture.source import modules
from tests.docs.pages import ROOT, page

RUNBOOK = page("docs/runbook.md")
WHERE_GAUGES_ARE = ("gateway/plane.py", "gateway/operator_metrics.py", "gateway/health_metrics.py")


WATCHED = RUNBOOK.section("What to watch")


def source_of(path):
    return next(module.text for module in modules() if module.path == path)


def log_messages():
    two_cells = [row[0] for row in WATCHED.rows() if len(row) == 2]
    return [message for cell in two_cells for message in re.findall(r"`([^`]+)`", cell)]


def test_every_metric_is_counted_and_every_one_is_explained():
    metrics = GatewayMetrics([])
    counted = {metric.name for metric in metrics.registry.collect()}
    sources = "".join(map(source_of, WHERE_GAUGES_ARE))
    gauges = set(re.findall(r'"(farebox_\w+)"', sources))

    explained = {name.removesuffix("_total") for name in re.findall(r"`(farebox_\w+)", WATCHED.text)}

    assert explained == counted | gauges


@pytest.mark.parametrize("message", log_messages())
def test_every_log_message_is_written_somewhere(message):
    assert [module.path for module in modules() if f'"{message}"' in module.text] != []


def test_the_services_are_those_of_the_compose_file():
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["services"]
    rows = RUNBOOK.section("On one server: Compose").rows()
    commanded = re.findall(r"docker compose exec (?:-T )?(\w+)", RUNBOOK.text)

    assert {row[0].split("`")[1] for row in rows if "`" in row[0]} == set(services)
    assert set(commanded) <= set(services)


def test_redis_keys_are_written_as_they_are():
    assert shard_prefix(7) == "fb:{s07}:"
    for name in ("usage", "usage:dead", "holds", "since"):
        assert f"fb:{{s07}}:{name}" in page("docs/architecture.md").text
