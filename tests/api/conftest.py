"""Callers of the management API: each role of Acme with a token, and a stranger with one of their own."""

import json
from dataclasses import dataclass
from typing import Any

import pytest
from django.test import Client

from accounts.models import Membership
from accounts.permissions import Role
from accounts.token_services import issue_management_token
from tests.people import Somebody, teammate

PREFIX = "/api/manage/v1"


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody with a management token; `slug` is the organization that they ask about."""

    somebody: Somebody
    token: str
    slug: str

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """The answer to a call below the organization."""
        return call(method, f"/organizations/{self.slug}{path}", self.token, body, **headers)

    def get(self, path: str) -> Any:
        return self.call("GET", path)

    def post(self, path: str, body: Any = None) -> Any:
        return self.call("POST", path, body if body is not None else {})

    def patch(self, path: str, body: Any) -> Any:
        return self.call("PATCH", path, body)

    def delete(self, path: str) -> Any:
        return self.call("DELETE", path)


def call(method: str, path: str, token: str, body: Any = None, **headers: str) -> Any:
    """The answer of the API, whose `json()` may be read if it has a body."""
    content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    return Client().generic(
        method,
        PREFIX + path,
        content,
        content_type=headers.pop("content_type", "application/json"),
        headers={"authorization": f"Bearer {token}", **headers},
    )


def caller_of(somebody: Somebody, *, scope: str = "write", slug: str = "") -> Caller:
    membership = Membership.objects.get(person=somebody.person, organization=somebody.organization)
    _, token = issue_management_token(membership=membership, name="Scripts", scope=scope, expires_at=None)
    return Caller(somebody, token, slug or somebody.organization.slug)


@pytest.fixture
def owner(alice: Somebody) -> Caller:
    return caller_of(alice)


@pytest.fixture
def developer(bob: Somebody) -> Caller:
    return caller_of(bob)


@pytest.fixture
def admin(alice: Somebody) -> Caller:
    return caller_of(teammate("adam@example.com", of=alice, role=Role.ADMIN))


@pytest.fixture
def billing(alice: Somebody) -> Caller:
    return caller_of(teammate("bill@example.com", of=alice, role=Role.BILLING))


@pytest.fixture
def viewer(alice: Somebody) -> Caller:
    return caller_of(teammate("vera@example.com", of=alice, role=Role.VIEWER))


@pytest.fixture
def stranger(alice: Somebody, charlie: Somebody) -> Caller:
    """Charlie, who asks about Acme."""
    return caller_of(charlie, slug=alice.organization.slug)
