"""Fixtures of billing's tests: a shard of the test's own, and writes that stay."""

from collections.abc import Iterator
from itertools import count

import pytest
import redis
from django.conf import settings
from django.db import connections
from pytest_django import DjangoDbBlocker

from billing.usage_stream import dead_letter_key, stream_key

# Shards that no organization belongs to, so that tests do not meet in a stream.
_FREE_SHARDS = count(1_000)


@pytest.fixture
def shard(redis_client: "redis.Redis") -> Iterator[int]:
    """A shard whose stream nobody else uses."""
    number = next(_FREE_SHARDS)
    yield number
    redis_client.delete(stream_key(number), dead_letter_key(number))


@pytest.fixture
def redis_client() -> Iterator["redis.Redis"]:
    with redis.Redis.from_url(settings.FAREBOX_REDIS_URL) as client:
        yield client


@pytest.fixture
def committed(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """Real transactions, for what only other connections can see. What is written stays."""
    with django_db_blocker.unblock():
        yield
        connections.close_all()
