"""An organization and events of it, written as ingestion writes them."""

import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from accounts.models import ApiKey, Organization, Person, Project
from accounts.services import issue_key, sign_up_organization
from billing.models import UsageEvent

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)

Record = Callable[..., UsageEvent]


@pytest.fixture
def alice(db: None) -> Person:
    return Person.objects.create_user("alice@example.com", "a long enough password", name="Alice")


@pytest.fixture
def charlie(db: None) -> Person:
    """The stranger: signed up, and a member of nothing of alice's."""
    return Person.objects.create_user("charlie@example.com", "a long enough password", name="Charlie")


@pytest.fixture
def organization(alice: Person) -> Organization:
    return sign_up_organization(person=alice, name="Alice's team")


@pytest.fixture
def project(organization: Organization) -> Project:
    return organization.projects.get()


@pytest.fixture
def key(organization: Organization, project: Project, alice: Person) -> ApiKey:
    key, _ = issue_key(organization=organization, project=project, created_by=alice, name="First")
    return key


@pytest.fixture
def record(organization: Organization, project: Project, key: ApiKey) -> Record:
    """Store one completed request of 7 tokens in and 10 out for $0.000031, unless told otherwise."""

    def store(at: datetime = NOON, **changes: Any) -> UsageEvent:
        values = {
            "id": uuid.uuid4(),
            "organization_id": organization.pk,
            "project_id": project.pk,
            "key_id": key.pk,
            "request_id": "req-1",
            "route": "/v0/chat/completions",
            "requested_model": "fake/echo",
            "model": "echo",
            "provider": "fake",
            "status": 200,
            "ending": UsageEvent.Ending.COMPLETED,
            "finish_reason": "stop",
            "input_tokens": 7,
            "output_tokens": 10,
            "price_version": "fake-1",
            "cost_usd": Decimal("0.000031"),
            "charge_usd": Decimal("0.000031"),
            "duration_ms": 12.0,
            "first_token_ms": 4.0,
        }
        return UsageEvent.objects.create(occurred_at=at, **(values | changes))

    return store
