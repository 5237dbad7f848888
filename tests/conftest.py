"""Fixtures of all tests: the cast is in tests.people, the servers are in tests.services."""

pytest_plugins = ["tests.people", "tests.house"]
