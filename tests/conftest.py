"""Fixtures of all tests: the cast is in tests.people, processes in tests.house, servers in tests.services."""

import pytest
from django.test.utils import setup_databases
from pytest_django import DjangoDbBlocker

pytest_plugins = ["tests.people", "tests.house"]


@pytest.fixture(scope="session")
def django_db_setup(django_test_environment: None, django_db_blocker: DjangoDbBlocker) -> None:
    """The test database, made also when only tests with real processes run: they use no `db` fixture.

    It is not dropped: it goes with its server, and processes may still be connected to it. On a
    server that was given, the next run replaces it.
    """
    with django_db_blocker.unblock():
        setup_databases(verbosity=0, interactive=False)
