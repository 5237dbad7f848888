"""Fixtures of the flows alone."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from config.embedded import start_valkey
from tests.flows.own_redis import OwnRedis


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[OwnRedis]:
    """A Redis for this test alone."""
    server = start_valkey(tmp_path / "valkey", password="own", log_path=tmp_path / "valkey.log")
    server.wait_until_ready()
    own = OwnRedis(server)
    yield own
    own.resume()
    server.stop()
