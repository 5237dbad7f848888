"""Fixtures of the guarantees alone."""

from tests.flows.own_redis import own_redis

__all__ = ["own_redis"]
