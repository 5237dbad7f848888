"""G13 for management calls: without a key of the organization nothing is read, changed or told.

The calls are walked from the resolver, so that a new one is tested as soon as it exists.
"""

import re
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import URLPattern

from accounts import keys
from tests.guarantees.test_g13_tenants_cannot_meet import METHODS, bearer_routes, routes

pytestmark = [pytest.mark.guarantee]


def path_of(route: str, entry: URLPattern) -> str:
    """An address that the route matches, with an id that nobody has in each place."""
    plain = re.sub(r"<[^>]+>", str(uuid4()), route)
    return "/" + plain.replace("^", "").replace("/?$", "")


def statuses(browser, path, key=""):
    headers = {"authorization": f"Bearer {key}"} if key else {}
    return {getattr(browser, method)(path, headers=headers).status_code for method in METHODS}


@pytest.mark.parametrize("route", bearer_routes())
def test_no_session_and_no_strangers_key_makes_a_management_call(alice, route):
    path = path_of(route, routes()[route])

    assert statuses(Client(), path) == {401}
    assert statuses(alice.browser, path) == {401}
    assert statuses(Client(), path, key=keys.new_secret()) == {401}
